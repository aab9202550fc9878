/* helsewan.lab.flows._flows: the flow engine for Python. The caller's numpy arrays are the engine's memory. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>

#include "flowengine.h"

enum { FEM_RECORDS, FEM_SENDERS, FEM_RECEIVERS, FEM_LATENESS, FEM_BUFFERS };

/* The Python object: the engine and the buffers it writes into. */
typedef struct {
    PyObject_HEAD
    struct fe_engine engine;        /* the loop's state */
    Py_buffer buffers[FEM_BUFFERS]; /* exported by the caller's arrays, held as long as this object */
    Py_buffer table;                /* likewise, read only */
    int running;                    /* a run() is inside the loop */
} FemEngine;

static int fem_take_buffer(Py_buffer *view, PyObject *array, Py_ssize_t item_bytes, const char *name)
{
    if (PyObject_GetBuffer(array, view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0)
        return -1;
    if (view->itemsize != item_bytes || view->len < item_bytes || view->len / item_bytes > UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "%s: needs at least one item of %zd bytes each", name, item_bytes);
        return -1;
    }
    return 0;
}

static void fem_release(FemEngine *self)
{
    fe_engine_close(&self->engine);
    for (int i = 0; i < FEM_BUFFERS; i++)
        PyBuffer_Release(&self->buffers[i]);
    PyBuffer_Release(&self->table);
}

/* Takes the table of schedules, None for none. 0, or -1 with an exception. */
static int fem_take_table(FemEngine *self, PyObject *array)
{
    const Py_ssize_t item_bytes = sizeof(struct fe_entry);
    if (array == Py_None)
        return 0;
    if (PyObject_GetBuffer(array, &self->table, PyBUF_C_CONTIGUOUS) < 0)
        return -1;
    if (self->table.itemsize != item_bytes || self->table.len / item_bytes > UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "table: needs items of %zd bytes each", item_bytes);
        return -1;
    }
    self->engine.table = self->table.buf;
    self->engine.table_count = (uint32_t)(self->table.len / item_bytes);
    return 0;
}

static int fem_init(FemEngine *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"records", "senders", "receivers", "lateness", "cookie", "table", NULL};
    static const Py_ssize_t item_bytes[FEM_BUFFERS] = {
        sizeof(struct fe_record), sizeof(struct fe_sender_counters), sizeof(struct fe_receiver_counters),
        sizeof(uint64_t)};
    PyObject *arrays[FEM_BUFFERS], *table = Py_None;
    struct fe_engine *engine = &self->engine;
    unsigned int cookie = 0;

    if (engine->senders) {
        PyErr_SetString(PyExc_RuntimeError, "the engine is already set up");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO|$IO", names, &arrays[0], &arrays[1], &arrays[2], &arrays[3],
                                     &cookie, &table))
        return -1;
    for (int i = 0; i < FEM_BUFFERS; i++)
        if (fem_take_buffer(&self->buffers[i], arrays[i], item_bytes[i], names[i]) < 0)
            goto failed;
    if (fem_take_table(self, table) < 0)
        goto failed;
    engine->records = self->buffers[FEM_RECORDS].buf;
    engine->records_max = (uint64_t)(self->buffers[FEM_RECORDS].len / item_bytes[FEM_RECORDS]);
    engine->sender_counters = self->buffers[FEM_SENDERS].buf;
    engine->senders_max = (uint32_t)(self->buffers[FEM_SENDERS].len / item_bytes[FEM_SENDERS]);
    engine->receiver_counters = self->buffers[FEM_RECEIVERS].buf;
    engine->receivers_max = (uint32_t)(self->buffers[FEM_RECEIVERS].len / item_bytes[FEM_RECEIVERS]);
    engine->lateness = self->buffers[FEM_LATENESS].buf;
    engine->lateness_buckets = (uint32_t)(self->buffers[FEM_LATENESS].len / item_bytes[FEM_LATENESS]);
    engine->cookie = cookie;
    if (fe_engine_open(engine) == 0)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
failed:
    fem_release(self);
    return -1;
}

static PyObject *fem_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    FemEngine *self = (FemEngine *)type->tp_alloc(type, 0);
    if (self)
        self->engine.epoll_fd = -1;
    return (PyObject *)self;
}

static void fem_dealloc(FemEngine *self)
{
    fem_release(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* 0 when the engine may be changed or run, else -1 with an exception. */
static int fem_idle(FemEngine *self)
{
    if (!self->engine.senders)
        PyErr_SetString(PyExc_RuntimeError, "the engine was not set up");
    else if (self->running)
        PyErr_SetString(PyExc_RuntimeError, "the engine is running: stop it first");
    return PyErr_Occurred() ? -1 : 0;
}

/* Reads an address of either IP version. 0, or -1 with an exception. */
static int fem_read_address(union fe_address *to, const char *address, unsigned short port)
{
    if (inet_pton(AF_INET, address, &to->v4.sin_addr) == 1) {
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, address, &to->v6.sin6_addr) == 1) {
        to->v6.sin6_family = AF_INET6;
        to->v6.sin6_port = htons(port);
    } else {
        PyErr_Format(PyExc_ValueError, "address: not an IP address: %s", address);
        return -1;
    }
    return 0;
}

/* What a sender's values must keep to by themselves. 0, or -1 with an exception. */
static int fem_check_sender(const struct fe_sender *sender, long long offset_ns, unsigned int format)
{
    static const uint32_t least_bytes[FE_FORMATS] = {FE_HEADER_BYTES, FE_RTP_BYTES, FE_RTCP_BYTES};
    if (sender->due_ns <= 0 || sender->interval_ns <= 0)
        PyErr_Format(PyExc_ValueError, "start_ns and interval_ns must be above 0");
    else if (format >= FE_FORMATS)
        PyErr_Format(PyExc_ValueError, "format: %u is none", format);
    else if (sender->payload_bytes < least_bytes[format] || sender->payload_bytes > FE_PAYLOAD_MAX)
        PyErr_Format(PyExc_ValueError, "payload_bytes: %u is not within %u to %d", sender->payload_bytes,
                     least_bytes[format], FE_PAYLOAD_MAX);
    else if (sender->tos < 0 || sender->tos > UINT8_MAX)
        PyErr_Format(PyExc_ValueError, "tos: %d is no byte", sender->tos);
    else if (sender->payload_type > 127 || (format == FE_RTP && sender->clock_hz == 0))
        PyErr_Format(PyExc_ValueError, "payload_type and clock_hz: %u and %u are of no RTP stream", sender->payload_type,
                     sender->clock_hz);
    else if (sender->period_ns < 0 || offset_ns < -sender->period_ns || offset_ns >= sender->due_ns)
        PyErr_Format(PyExc_ValueError, "period_ns and offset_ns: %lld and %lld do not fit together",
                     (long long)sender->period_ns, offset_ns);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *fem_add_sender(FemEngine *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fd",     "flow",         "address",  "port",       "start_ns",   "stop_ns",   "interval_ns",
                            "burst",  "payload_bytes", "tos",     "first",      "count",      "next",      "period_ns",
                            "offset_ns", "format",    "payload_type", "clock_hz", "own",      "peer",      NULL};
    struct fe_sender sender = {.own = FE_NO_SENDER, .peer = FE_NO_SENDER};
    const char *address;
    unsigned short port;
    unsigned int format = FE_PLAIN;
    long long start_ns, stop_ns, interval_ns, period_ns = 0, offset_ns = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iIsHLLLII|i$IIILLIbIII", names, &sender.fd, &sender.flow, &address,
                                     &port, &start_ns, &stop_ns, &interval_ns, &sender.burst, &sender.payload_bytes,
                                     &sender.tos, &sender.first, &sender.count, &sender.next, &period_ns, &offset_ns,
                                     &format, &sender.payload_type, &sender.clock_hz, &sender.own, &sender.peer))
        return NULL;
    if (fem_idle(self) < 0 || fem_read_address(&sender.to, address, port) < 0)
        return NULL;
    sender.due_ns = sender.start_ns = start_ns;
    sender.stop_ns = stop_ns;
    sender.interval_ns = interval_ns;
    sender.period_ns = period_ns;
    sender.base_ns = start_ns - offset_ns;
    if (fem_check_sender(&sender, offset_ns, format) < 0)
        return NULL;
    sender.format = (uint8_t)format;
    if (fe_engine_add_sender(&self->engine, &sender) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyLong_FromUnsignedLong(self->engine.senders_count - 1);
}

static PyObject *fem_add_receiver(FemEngine *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fd", "receiver_id", NULL};
    int fd;
    unsigned int id;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iI", names, &fd, &id) || fem_idle(self) < 0)
        return NULL;
    if (fe_engine_add_receiver(&self->engine, fd, id) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyLong_FromUnsignedLong(self->engine.receivers_count - 1);
}

static PyObject *fem_run(FemEngine *self, PyObject *args)
{
    enum fe_outcome outcome;
    int control_fd;

    if (!PyArg_ParseTuple(args, "i", &control_fd) || fem_idle(self) < 0)
        return NULL;
    self->running = 1;
    do {
        Py_BEGIN_ALLOW_THREADS
        outcome = fe_engine_run(&self->engine, control_fd);
        Py_END_ALLOW_THREADS
    } while (outcome == FE_INTERRUPTED && PyErr_CheckSignals() == 0);
    self->running = 0;
    if (outcome == FE_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (outcome == FE_INTERRUPTED)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *fem_get_recorded(FemEngine *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(atomic_load_explicit(&self->engine.recorded, memory_order_acquire));
}

static PyObject *fem_get_unrecorded(FemEngine *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(atomic_load_explicit(&self->engine.unrecorded, memory_order_relaxed));
}

static PyObject *fem_get_clock_step_ns(FemEngine *self, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(fe_engine_clock_step_ns(&self->engine));
}

static PyMethodDef fem_methods[] = {
    {"add_sender", (PyCFunction)(void (*)(void))fem_add_sender, METH_VARARGS | METH_KEYWORDS,
     "Add a sender; returns its index in the senders array."},
    {"add_receiver", (PyCFunction)(void (*)(void))fem_add_receiver, METH_VARARGS | METH_KEYWORDS,
     "Listen on a UDP socket; returns its index in the receivers array."},
    {"run", (PyCFunction)fem_run, METH_VARARGS, "Send and receive until the control fd is readable."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef fem_getters[] = {
    {"recorded", (getter)fem_get_recorded, NULL, "Records in use.", NULL},
    {"unrecorded", (getter)fem_get_unrecorded, NULL, "Valid datagrams that were not recorded because records was full.", NULL},
    {"clock_step_ns", (getter)fem_get_clock_step_ns, NULL, "By how much CLOCK_REALTIME was set since run(), ns.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject fem_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "helsewan.lab.flows._flows.Engine",
    .tp_basicsize = sizeof(FemEngine),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Paced UDP senders and recording receivers in one loop.",
    .tp_new = fem_new,
    .tp_init = (initproc)fem_init,
    .tp_dealloc = (destructor)fem_dealloc,
    .tp_methods = fem_methods,
    .tp_getset = fem_getters,
};

static struct PyModuleDef fem_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "helsewan.lab.flows._flows",
    .m_doc = "The flow engine: paced UDP senders and recording receivers, outside the GIL.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__flows(void)
{
    PyObject *module;
    if (PyType_Ready(&fem_type) < 0 || !(module = PyModule_Create(&fem_module)))
        return NULL;
    if (PyModule_AddObjectRef(module, "Engine", (PyObject *)&fem_type) < 0 ||
        PyModule_AddIntConstant(module, "HEADER_BYTES", FE_HEADER_BYTES) < 0 ||
        PyModule_AddIntConstant(module, "RTP_BYTES", FE_RTP_BYTES) < 0 ||
        PyModule_AddIntConstant(module, "RTCP_BYTES", FE_RTCP_BYTES) < 0 ||
        PyModule_AddIntConstant(module, "FORMAT_PLAIN", FE_PLAIN) < 0 ||
        PyModule_AddIntConstant(module, "FORMAT_RTP", FE_RTP) < 0 ||
        PyModule_AddIntConstant(module, "FORMAT_RTCP", FE_RTCP) < 0 ||
        PyModule_AddIntConstant(module, "LATENESS_STEP_NS", FE_LATENESS_STEP_NS) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
