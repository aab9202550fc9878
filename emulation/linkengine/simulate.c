#include "module.h"

#include <string.h>

/* The sink of simulate(): append (due_ns, port, frame) to the list; a failure shows as a pending exception. */
static enum le_engine_outcome simulate_collect(void *context, struct le_pipe *pipe, const struct le_frame *frame)
{
    if (PyErr_Occurred())
        return ENGINE_REFUSED;
    PyObject *item = Py_BuildValue("LIy#", (long long)frame->due_ns, pipe->dst_port, frame->data,
                                   (Py_ssize_t)frame->length);
    if (item) {
        PyList_Append(context, item);
        Py_DECREF(item);
    }
    return ENGINE_DELIVERED;
}

static int simulate_arrival(struct le_module_engine *self, PyObject *arrival, bool prompt, PyObject *deliveries)
{
    long long now_ns;
    unsigned int port;
    const char *data;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(arrival, "LIy#:simulate", &now_ns, &port, &data, &length))
        return -1;
    if (port >= self->engine.port_count || length > FRAME_MAX_BYTES) {
        PyErr_SetString(PyExc_ValueError, "no such port, or the frame is too long");
        return -1;
    }
    if (prompt)
        le_engine_deliver_due(&self->engine, now_ns, simulate_collect, deliveries);
    memcpy(self->loop.scratch, data, (size_t)length);
    le_engine_arrive(&self->engine, port, self->loop.scratch, (uint32_t)length, now_ns);
    return PyErr_Occurred() ? -1 : 0;
}

PyObject *le_simulate_run(struct le_module_engine *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"arrivals", "until_ns", "prompt", NULL};
    PyObject *arrivals, *items = NULL, *deliveries = NULL;
    long long until_ns;
    int prompt = 1;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OL|p:simulate", names, &arrivals, &until_ns, &prompt) ||
        le_module_check_idle(self) < 0)
        return NULL;
    items = PySequence_Fast(arrivals, "a sequence of (time_ns, port, frame)");
    deliveries = items ? PyList_New(0) : NULL;
    if (!deliveries)
        goto failed;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++)
        if (simulate_arrival(self, PySequence_Fast_GET_ITEM(items, i), prompt, deliveries) < 0)
            goto failed;
    le_engine_deliver_due(&self->engine, until_ns, simulate_collect, deliveries);
    if (PyErr_Occurred())
        goto failed;
    Py_DECREF(items);
    return deliveries;
failed:
    Py_XDECREF(items);
    Py_XDECREF(deliveries);
    return NULL;
}
