/* Captures of the Engine object: which pipes put copies of their frames into which ring. */
#include "module.h"

#include "capture.h"

/* The pipes of a sequence, each existing. Returns their number, or -1 with an exception. */
static Py_ssize_t captures_pipes(struct le_module_engine *self, PyObject *sequence, struct le_pipe **pipes)
{
    Py_ssize_t count = -1;
    PyObject *items = PySequence_Fast(sequence, "a sequence of pipes");
    if (!items)
        return -1;
    if (PySequence_Fast_GET_SIZE(items) < 1 || PySequence_Fast_GET_SIZE(items) > CAPTURE_INTERFACES) {
        PyErr_Format(PyExc_ValueError, "a capture has 1 to %d pipes", CAPTURE_INTERFACES);
        goto cleanup;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        long number = PyLong_AsLong(PySequence_Fast_GET_ITEM(items, i));
        if (number == -1 && PyErr_Occurred())
            goto cleanup;
        if (number < 0 || number >= (long)self->engine.pipe_count) {
            PyErr_Format(PyExc_ValueError, "there is no pipe %ld", number);
            goto cleanup;
        }
        pipes[i] = &self->engine.pipes[number];
    }
    count = PySequence_Fast_GET_SIZE(items);
cleanup:
    Py_DECREF(items);
    return count;
}

PyObject *le_captures_start(struct le_module_engine *self, PyObject *args)
{
    struct le_pipe *pipes[CAPTURE_INTERFACES];
    PyObject *numbers;
    int fd;
    unsigned int snap_bytes;
    if (!PyArg_ParseTuple(args, "OiI:start_capture", &numbers, &fd, &snap_bytes) || le_module_check_idle(self) < 0)
        return NULL;
    Py_ssize_t count = captures_pipes(self, numbers, pipes);
    if (count < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        if (pipes[i]->capture || (i && pipes[i] == pipes[0]))
            return PyErr_Format(PyExc_ValueError, "pipe %zd is being captured already", pipes[i] - self->engine.pipes);
    struct le_capture *capture = le_capture_open(fd, snap_bytes);
    if (!capture)
        return PyErr_SetFromErrno(PyExc_OSError);
    for (Py_ssize_t i = 0; i < count; i++) {
        pipes[i]->capture = capture;
        pipes[i]->capture_interface = (uint32_t)i;
        capture->users++;
    }
    Py_RETURN_NONE;
}

static void captures_end(struct le_pipe *pipe)
{
    le_capture_release(pipe->capture);
    pipe->capture = NULL;
}

PyObject *le_captures_stop(struct le_module_engine *self, PyObject *args)
{
    struct le_pipe *pipes[CAPTURE_INTERFACES];
    PyObject *numbers;
    if (!PyArg_ParseTuple(args, "O:stop_capture", &numbers) || le_module_check_idle(self) < 0)
        return NULL;
    Py_ssize_t count = captures_pipes(self, numbers, pipes);
    if (count < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        captures_end(pipes[i]);
    Py_RETURN_NONE;
}

void le_captures_clear(struct le_module_engine *self)
{
    for (uint32_t pipe = 0; pipe < self->engine.pipe_count; pipe++)
        captures_end(&self->engine.pipes[pipe]);
}
