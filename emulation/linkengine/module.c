/* The Python module helsewan.emulation._linkengine: an Engine object over engine.c and loop.c. */
#include "module.h"

#include <errno.h>
#include <string.h>

int le_module_check_idle(const struct le_module_engine *self)
{
    if (!self->running)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the engine is running");
    return -1;
}

static PyObject *module_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"counters", "max_ports", "max_pipes", "memory_bytes", NULL};
    PyObject *counters;
    unsigned int max_ports, max_pipes;
    Py_ssize_t memory_bytes;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OIIn:Engine", names, &counters, &max_ports, &max_pipes,
                                     &memory_bytes))
        return NULL;
    if (max_ports == 0 || max_pipes == 0 || memory_bytes <= 0) {
        PyErr_SetString(PyExc_ValueError, "max_ports, max_pipes and memory_bytes are positive");
        return NULL;
    }
    struct le_module_engine *self = (struct le_module_engine *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    if (PyObject_GetBuffer(counters, &self->counters, PyBUF_WRITABLE) < 0)
        goto failed;
    if ((size_t)self->counters.len < le_engine_stats_bytes(max_ports, max_pipes) || (uintptr_t)self->counters.buf % 8) {
        PyErr_SetString(PyExc_ValueError, "counters is too small for so many ports and pipes, or not aligned");
        goto failed;
    }
    if (le_engine_init(&self->engine, self->counters.buf, max_ports, max_pipes, (size_t)memory_bytes) < 0) {
        PyErr_NoMemory();
        goto failed;
    }
    if (le_loop_init(&self->loop, &self->engine) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        le_engine_clear(&self->engine);
        goto failed;
    }
    self->ready = true;
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static void module_dealloc(struct le_module_engine *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->ready) {
        le_captures_clear(self);
        le_loop_clear(&self->loop);
        le_engine_clear(&self->engine);
    }
    PyBuffer_Release(&self->counters);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* The least number of queues the table needs. */
static unsigned module_queues_needed(const uint8_t *table, size_t size)
{
    unsigned most = 0;
    for (size_t i = 0; i < size; i++)
        if (table[i] >= most)
            most = table[i] + 1u;
    return most;
}

static PyObject *module_configure(struct le_module_engine *self, PyObject *args)
{
    Py_buffer dscp, tc;
    unsigned char other;
    PyObject *result = NULL;
    struct le_classify_tables tables;
    if (!PyArg_ParseTuple(args, "y*y*b:configure", &dscp, &tc, &other))
        return NULL;
    if (le_module_check_idle(self) < 0)
        goto cleanup;
    if (dscp.len != sizeof tables.queue_of_dscp || tc.len != sizeof tables.queue_of_tc || other >= STATS_QUEUES ||
        module_queues_needed(dscp.buf, sizeof tables.queue_of_dscp) > STATS_QUEUES ||
        module_queues_needed(tc.buf, sizeof tables.queue_of_tc) > STATS_QUEUES) {
        PyErr_Format(PyExc_ValueError, "64 queues by DSCP, 8 by traffic class, one for others, all within 0..%d",
                     STATS_QUEUES - 1);
        goto cleanup;
    }
    if (self->engine.pipe_count) {
        PyErr_SetString(PyExc_ValueError, "classes are configured before pipes are added");
        goto cleanup;
    }
    memcpy(tables.queue_of_dscp, dscp.buf, sizeof tables.queue_of_dscp);
    memcpy(tables.queue_of_tc, tc.buf, sizeof tables.queue_of_tc);
    tables.queue_of_other = other;
    self->engine.tables = tables;
    result = Py_NewRef(Py_None);
cleanup:
    PyBuffer_Release(&dscp);
    PyBuffer_Release(&tc);
    return result;
}

static PyObject *module_add_port(struct le_module_engine *self, PyObject *args)
{
    int fd;
    if (!PyArg_ParseTuple(args, "i:add_port", &fd) || le_module_check_idle(self) < 0)
        return NULL;
    if (self->engine.port_count == self->engine.max_ports)
        return PyErr_Format(PyExc_ValueError, "the maximum number of ports is reached");
    if (le_loop_watch(&self->loop, self->engine.port_count, fd) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyLong_FromLongLong(le_engine_add_port(&self->engine));
}

static PyObject *module_report_too_long(struct le_module_engine *self, PyObject *args)
{
    int fd;
    if (!PyArg_ParseTuple(args, "i:report_too_long", &fd) || le_module_check_idle(self) < 0)
        return NULL;
    if (le_loop_report_too_long(&self->loop, fd) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *module_restart_lateness(struct le_module_engine *self, PyObject *Py_UNUSED(arguments))
{
    if (le_module_check_idle(self) < 0)
        return NULL;
    le_loop_restart_lateness(&self->loop);
    Py_RETURN_NONE;
}

static PyObject *module_run(struct le_module_engine *self, PyObject *args)
{
    int control_fd, status;
    if (!PyArg_ParseTuple(args, "i:run", &control_fd) || le_module_check_idle(self) < 0)
        return NULL;
    do {
        self->running = true;
        Py_BEGIN_ALLOW_THREADS
        status = le_loop_run(&self->loop, control_fd);
        Py_END_ALLOW_THREADS
        self->running = false;
        if (status < 0 && errno != EINTR)
            return PyErr_SetFromErrno(PyExc_OSError);
    } while (status < 0 && PyErr_CheckSignals() == 0);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef module_methods[] = {
    {"configure", (PyCFunction)module_configure, METH_VARARGS, "Set the class tables."},
    {"add_port", (PyCFunction)module_add_port, METH_VARARGS, "Add a port over a descriptor; its number."},
    {"add_rings", (PyCFunction)le_rings_add, METH_VARARGS, "Add a port over virtqueues in shared memory; its number."},
    {"set_rings", (PyCFunction)le_rings_set, METH_VARARGS, "Begin or end to work ports' rings."},
    {"call_fd", (PyCFunction)le_rings_call_fd, METH_NOARGS, "The eventfd that the rings' devices write."},
    {"add_pipes", (PyCFunction)le_pipes_add, METH_VARARGS, "Add pipes between ports; their numbers."},
    {"set_pipes", (PyCFunction)le_pipes_set, METH_VARARGS, "Change pipes, all or none, at the same time."},
    {"start_capture", (PyCFunction)le_captures_start, METH_VARARGS, "Put copies of pipes' frames into a ring."},
    {"stop_capture", (PyCFunction)le_captures_stop, METH_VARARGS, "Put no more copies of pipes' frames into a ring."},
    {"report_too_long", (PyCFunction)module_report_too_long, METH_VARARGS, "Report frames longer than an MTU."},
    {"follow_trace", (PyCFunction)le_pipes_follow, METH_VARARGS, "Have pipes follow a trace, or none."},
    {"compensate_delay", (PyCFunction)le_pipes_compensate_delay, METH_VARARGS, "Have pipes deliver sooner."},
    {"follow_frames", (PyCFunction)le_pipes_follow_frames, METH_VARARGS, "Count from when frames should have come."},
    {"restart_lateness", (PyCFunction)module_restart_lateness, METH_NOARGS, "Forget all lateness so far."},
    {"run", (PyCFunction)module_run, METH_VARARGS, "Run until a descriptor is readable."},
    {"simulate", (PyCFunction)(void (*)(void))le_simulate_run, METH_VARARGS | METH_KEYWORDS,
     "Run arrivals through the pipes in virtual time; the deliveries."},
    {0},
};

static PyType_Slot module_slots[] = {
    {Py_tp_doc, "Ports, pipes and the loop that runs them."},
    {Py_tp_new, module_new},
    {Py_tp_dealloc, module_dealloc},
    {Py_tp_methods, module_methods},
    {0},
};

static PyType_Spec module_type = {
    .name = "helsewan.emulation._linkengine.Engine",
    .basicsize = sizeof(struct le_module_engine),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = module_slots,
};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&module_type);
    int status = type ? PyModule_AddObjectRef(module, "Engine", type) : -1;
    Py_XDECREF(type);
    if (status < 0 || PyModule_AddIntConstant(module, "STATS_LAYOUT", STATS_LAYOUT) < 0 ||
        PyModule_AddIntConstant(module, "ENGINE_STATS_BYTES", sizeof(struct le_engine_stats)) < 0 ||
        PyModule_AddIntConstant(module, "PORT_STATS_BYTES", sizeof(struct le_port_stats)) < 0 ||
        PyModule_AddIntConstant(module, "PIPE_STATS_BYTES", sizeof(struct le_pipe_stats)) < 0 ||
        PyModule_AddIntConstant(module, "CLASS_STATS_BYTES", sizeof(struct le_class_stats)) < 0 ||
        PyModule_AddIntConstant(module, "FRAME_MAX_BYTES", FRAME_MAX_BYTES) < 0)
        return -1;
    return 0;
}

static PyMethodDef module_functions[] = {
    {"vring_layout", le_rings_layout, METH_VARARGS, "Where the rings of a port are in its memory."},
    {0},
};

static PyModuleDef_Slot module_module_slots[] = {
    {Py_mod_exec, module_exec},
    {0},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_linkengine",
    .m_doc = "Emulated links: class queues, rate and delay over file descriptors.",
    .m_methods = module_functions,
    .m_slots = module_module_slots,
};

PyMODINIT_FUNC PyInit__linkengine(void)
{
    return PyModuleDef_Init(&module_definition);
}
