/* The Python module emulation._linkengine: an Engine object over engine.c and loop.c. */
#include "module.h"

#include <errno.h>
#include <string.h>

#define MODULE_MAX_RATE_BPS 10000000000000u     /* 10 Tbit/s: the transmission time's arithmetic stays in 64 bits */
#define MODULE_MAX_DELAY_NS 3600000000000       /* an hour */
#define MODULE_MAX_OVERHEAD_BYTES 4096
#define MODULE_MAX_VLAN 4094

int module_check_idle(const struct module_engine *self)
{
    if (!self->running)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the engine is running");
    return -1;
}

/* An integer in [0, max], for an argument called name. Returns 0, or -1 with an exception. */
static int module_integer(PyObject *value, const char *name, uint64_t max, uint64_t *result)
{
    *result = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError))
        return -1;
    if (!PyErr_Occurred() && *result <= max)
        return 0;
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "%s %R is not within 0..%llu", name, value, (unsigned long long)max);
    return -1;
}

static int module_check_settings(const struct pipe_settings *settings)
{
    if (settings->rate_bps == 0 || settings->rate_bps > MODULE_MAX_RATE_BPS)
        PyErr_Format(PyExc_ValueError, "rate_bps %llu is not within 1..%llu", (unsigned long long)settings->rate_bps,
                     (unsigned long long)MODULE_MAX_RATE_BPS);
    else if (settings->delay_ns < 0 || settings->delay_ns > MODULE_MAX_DELAY_NS)
        PyErr_Format(PyExc_ValueError, "delay_ns %lld is not within 0..%lld", (long long)settings->delay_ns,
                     (long long)MODULE_MAX_DELAY_NS);
    else if (settings->loss > PIPE_LOSS_ALL)
        PyErr_Format(PyExc_ValueError, "loss %llu is not within 0..2**32", (unsigned long long)settings->loss);
    else
        return 0;
    return -1;
}

/* A sequence of integers in [0, max]; at least one, at most STATS_QUEUES. Returns their number, or -1. */
static Py_ssize_t module_queues(PyObject *sequence, const char *name, uint64_t max, uint64_t *result)
{
    Py_ssize_t count = -1;
    PyObject *items = PySequence_Fast(sequence, "a sequence of integers, one a class queue");
    if (!items)
        return -1;
    if (PySequence_Fast_GET_SIZE(items) < 1 || PySequence_Fast_GET_SIZE(items) > STATS_QUEUES) {
        PyErr_Format(PyExc_ValueError, "%s: 1 to %d class queues, not %zd", name, STATS_QUEUES,
                     PySequence_Fast_GET_SIZE(items));
        goto cleanup;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++)
        if (module_integer(PySequence_Fast_GET_ITEM(items, i), name, max, &result[i]) < 0)
            goto cleanup;
    count = PySequence_Fast_GET_SIZE(items);
cleanup:
    Py_DECREF(items);
    return count;
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
    struct module_engine *self = (struct module_engine *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    if (PyObject_GetBuffer(counters, &self->counters, PyBUF_WRITABLE) < 0)
        goto failed;
    if ((size_t)self->counters.len < engine_stats_bytes(max_ports, max_pipes) || (uintptr_t)self->counters.buf % 8) {
        PyErr_SetString(PyExc_ValueError, "counters is too small for so many ports and pipes, or not aligned");
        goto failed;
    }
    memset(self->counters.buf, 0, engine_stats_bytes(max_ports, max_pipes));
    if (engine_init(&self->engine, self->counters.buf, max_ports, max_pipes, (size_t)memory_bytes) < 0) {
        PyErr_NoMemory();
        goto failed;
    }
    if (loop_init(&self->loop, &self->engine) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        engine_clear(&self->engine);
        goto failed;
    }
    self->ready = true;
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static void module_dealloc(struct module_engine *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->ready) {
        loop_clear(&self->loop);
        engine_clear(&self->engine);
    }
    PyBuffer_Release(&self->counters);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *module_configure(struct module_engine *self, PyObject *args)
{
    Py_buffer dscp, tc;
    unsigned char other;
    PyObject *quanta, *result = NULL;
    uint64_t quantum[STATS_QUEUES];
    if (!PyArg_ParseTuple(args, "y*y*bO:configure", &dscp, &tc, &other, &quanta))
        return NULL;
    if (module_check_idle(self) < 0)
        goto cleanup;
    Py_ssize_t count = module_queues(quanta, "quantum_bytes", UINT32_MAX, quantum);
    if (count < 0)
        goto cleanup;

    struct classify_tables tables = {.queue_of_other = other};
    bool known = dscp.len == sizeof tables.queue_of_dscp && tc.len == sizeof tables.queue_of_tc && other < count;
    for (Py_ssize_t i = 0; known && i < dscp.len; i++)
        known = ((const uint8_t *)dscp.buf)[i] < count;
    for (Py_ssize_t i = 0; known && i < tc.len; i++)
        known = ((const uint8_t *)tc.buf)[i] < count;
    if (!known) {
        PyErr_SetString(PyExc_ValueError, "64 queues by DSCP, 8 by traffic class, one for others, all of them existing");
        goto cleanup;
    }
    if (self->engine.pipe_count) {
        PyErr_SetString(PyExc_ValueError, "classes are configured before pipes are added");
        goto cleanup;
    }
    memcpy(tables.queue_of_dscp, dscp.buf, sizeof tables.queue_of_dscp);
    memcpy(tables.queue_of_tc, tc.buf, sizeof tables.queue_of_tc);
    self->engine.tables = tables;
    self->engine.discipline.count = (unsigned)count;
    for (Py_ssize_t i = 0; i < count; i++)
        self->engine.discipline.quantum_bytes[i] = (uint32_t)quantum[i];
    result = Py_NewRef(Py_None);
cleanup:
    PyBuffer_Release(&dscp);
    PyBuffer_Release(&tc);
    return result;
}

static PyObject *module_add_port(struct module_engine *self, PyObject *args)
{
    int fd;
    if (!PyArg_ParseTuple(args, "i:add_port", &fd) || module_check_idle(self) < 0)
        return NULL;
    if (self->engine.port_count == self->engine.max_ports)
        return PyErr_Format(PyExc_ValueError, "no room for another port");
    if (loop_watch(&self->loop, self->engine.port_count, fd) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyLong_FromLongLong(engine_add_port(&self->engine));
}

static PyObject *module_add_pipe(struct module_engine *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"src_port", "src_vlan", "dst_port", "dst_vlan", "rate_bps", "delay_ns",
                            "overhead_bytes", "queue_limits", "loss", "seed", NULL};
    struct engine_pipe_spec spec;
    PyObject *limits;
    int src_port, src_vlan, dst_port, dst_vlan, overhead_bytes;
    unsigned long long rate_bps, loss = 0, seed = 0;
    long long delay_ns;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "iiiiKLiO|KK:add_pipe", names, &src_port, &src_vlan, &dst_port,
                                     &dst_vlan, &rate_bps, &delay_ns, &overhead_bytes, &limits, &loss, &seed) ||
        module_check_idle(self) < 0)
        return NULL;
    if (src_vlan < 0 || src_vlan > MODULE_MAX_VLAN || dst_vlan < 0 || dst_vlan > MODULE_MAX_VLAN)
        return PyErr_Format(PyExc_ValueError, "a VLAN is not within 0..%d", MODULE_MAX_VLAN);
    if (overhead_bytes < 0 || overhead_bytes > MODULE_MAX_OVERHEAD_BYTES)
        return PyErr_Format(PyExc_ValueError, "overhead_bytes is not within 0..%d", MODULE_MAX_OVERHEAD_BYTES);
    spec = (struct engine_pipe_spec){
        .src_port = (uint32_t)src_port, /* a negative one is refused as too large */
        .dst_port = (uint32_t)dst_port,
        .src_vlan = (uint16_t)src_vlan,
        .dst_vlan = (uint16_t)dst_vlan,
        .overhead_bytes = (uint32_t)overhead_bytes,
        .seed = seed,
        .settings = {.rate_bps = rate_bps, .delay_ns = delay_ns, .loss = loss},
    };
    if (module_check_settings(&spec.settings) < 0)
        return NULL;
    Py_ssize_t count = module_queues(limits, "queue_limits", INT64_MAX, spec.limit_bytes);
    if (count < 0)
        return NULL;
    if (count != (Py_ssize_t)self->engine.discipline.count)
        return PyErr_Format(PyExc_ValueError, "%zd queue limits for %u class queues", count,
                            self->engine.discipline.count);
    const char *refusal = engine_refuse_pipe(&self->engine, &spec);
    if (refusal)
        return PyErr_Format(PyExc_ValueError, "port %d, VLAN %d: %s", src_port, src_vlan, refusal);
    int64_t number = engine_add_pipe(&self->engine, &spec);
    return number < 0 ? PyErr_NoMemory() : PyLong_FromLongLong(number);
}

/* A change as (pipe, rate_bps, delay_ns, down, loss), None for what stays. Returns 0, or -1 with an exception. */
static int module_parse_change(const struct module_engine *self, PyObject *change, uint32_t *pipe,
                               struct pipe_settings *settings)
{
    PyObject *rate, *delay, *down, *loss;
    uint64_t value;
    int number;
    if (!PyArg_ParseTuple(change, "iOOOO:set_pipes", &number, &rate, &delay, &down, &loss))
        return -1;
    *pipe = (uint32_t)number;
    if (*pipe >= self->engine.pipe_count) {
        PyErr_Format(PyExc_ValueError, "there is no pipe %d", number);
        return -1;
    }
    *settings = self->engine.pipes[*pipe].settings;
    if (rate != Py_None && module_integer(rate, "rate_bps", MODULE_MAX_RATE_BPS, &settings->rate_bps) < 0)
        return -1;
    if (delay != Py_None) {
        if (module_integer(delay, "delay_ns", MODULE_MAX_DELAY_NS, &value) < 0)
            return -1;
        settings->delay_ns = (int64_t)value;
    }
    if (down != Py_None) {
        int truth = PyObject_IsTrue(down);
        if (truth < 0)
            return -1;
        settings->down = truth;
    }
    if (loss != Py_None && module_integer(loss, "loss", PIPE_LOSS_ALL, &settings->loss) < 0)
        return -1;
    return module_check_settings(settings);
}

/* Check all changes, or check and apply them. Returns 0, or -1 with an exception. */
static int module_walk_changes(struct module_engine *self, PyObject *items, bool apply, int64_t now_ns)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        uint32_t pipe;
        struct pipe_settings settings;
        if (module_parse_change(self, PySequence_Fast_GET_ITEM(items, i), &pipe, &settings) < 0)
            return -1;
        if (apply)
            engine_set_pipe(&self->engine, pipe, &settings, now_ns);
    }
    return 0;
}

static PyObject *module_set_pipes(struct module_engine *self, PyObject *args)
{
    PyObject *changes, *items, *result = NULL;
    long long now_ns = -1;
    if (!PyArg_ParseTuple(args, "O|L:set_pipes", &changes, &now_ns) || module_check_idle(self) < 0)
        return NULL;
    items = PySequence_Fast(changes, "a sequence of changes");
    if (!items || module_walk_changes(self, items, false, 0) < 0)
        goto cleanup;
    if (now_ns < 0) {
        loop_deliver_due(&self->loop); /* what was due before is not lost to the change */
        now_ns = loop_now_ns();
    }
    if (module_walk_changes(self, items, true, now_ns) == 0)
        result = Py_NewRef(Py_None);
cleanup:
    Py_XDECREF(items);
    return result;
}

static PyObject *module_restart_lateness(struct module_engine *self, PyObject *Py_UNUSED(arguments))
{
    if (module_check_idle(self) < 0)
        return NULL;
    loop_restart_lateness(&self->loop);
    Py_RETURN_NONE;
}

static PyObject *module_run(struct module_engine *self, PyObject *args)
{
    int control_fd, status;
    if (!PyArg_ParseTuple(args, "i:run", &control_fd) || module_check_idle(self) < 0)
        return NULL;
    do {
        self->running = true;
        Py_BEGIN_ALLOW_THREADS
        status = loop_run(&self->loop, control_fd);
        Py_END_ALLOW_THREADS
        self->running = false;
        if (status < 0 && errno != EINTR)
            return PyErr_SetFromErrno(PyExc_OSError);
    } while (status < 0 && PyErr_CheckSignals() == 0);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef module_methods[] = {
    {"configure", (PyCFunction)module_configure, METH_VARARGS, "Set the class tables and the queues' quanta."},
    {"add_port", (PyCFunction)module_add_port, METH_VARARGS, "Add a port over a descriptor; its number."},
    {"add_pipe", (PyCFunction)(void (*)(void))module_add_pipe, METH_VARARGS | METH_KEYWORDS,
     "Add a pipe between ports; its number."},
    {"set_pipes", (PyCFunction)module_set_pipes, METH_VARARGS, "Change pipes, all or none, at one moment."},
    {"restart_lateness", (PyCFunction)module_restart_lateness, METH_NOARGS, "Forget all lateness so far."},
    {"run", (PyCFunction)module_run, METH_VARARGS, "Run until a descriptor is readable."},
    {"simulate", (PyCFunction)(void (*)(void))simulate_run, METH_VARARGS | METH_KEYWORDS,
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
    .name = "emulation._linkengine.Engine",
    .basicsize = sizeof(struct module_engine),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = module_slots,
};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&module_type);
    int status = type ? PyModule_AddObjectRef(module, "Engine", type) : -1;
    Py_XDECREF(type);
    if (status < 0 || PyModule_AddIntConstant(module, "STATS_LAYOUT", STATS_LAYOUT) < 0 ||
        PyModule_AddIntConstant(module, "ENGINE_STATS_BYTES", sizeof(struct engine_stats)) < 0 ||
        PyModule_AddIntConstant(module, "PORT_STATS_BYTES", sizeof(struct port_stats)) < 0 ||
        PyModule_AddIntConstant(module, "PIPE_STATS_BYTES", sizeof(struct pipe_stats)) < 0 ||
        PyModule_AddIntConstant(module, "FRAME_MAX_BYTES", FRAME_MAX_BYTES) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot module_module_slots[] = {
    {Py_mod_exec, module_exec},
    {0},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_linkengine",
    .m_doc = "Emulated lines: class queues, rate and delay over file descriptors.",
    .m_slots = module_module_slots,
};

PyMODINIT_FUNC PyInit__linkengine(void)
{
    return PyModuleDef_Init(&module_definition);
}
