/* The methods of the Engine object that add and change pipes. */
#include "module.h"

#include <string.h>

#include "py_convert.h"

#define PIPES_MAX_VLAN 4094
#define PIPES_MAX_EARLY_NS 1000000000

/* Add one pipe: (src_port, src_vlan, dst_port, dst_vlan, seed, model). Its number, or -1 with an exception. */
static int64_t pipes_add_one(struct le_engine *engine, PyObject *row, const struct le_py_convert_policies *policies)
{
    enum { SRC_PORT, SRC_VLAN, DST_PORT, DST_VLAN, SEED, MODEL, COUNT };
    PyObject *item[COUNT];
    int64_t src_port, src_vlan, dst_port, dst_vlan;
    struct le_engine_pipe_spec spec;
    if (le_py_convert_unpack(row, "pipe", COUNT, item) < 0 ||
        le_py_convert_integer(item[SRC_PORT], "src_port", 0, UINT32_MAX, &src_port) < 0 ||
        le_py_convert_integer(item[SRC_VLAN], "src_vlan", 0, PIPES_MAX_VLAN, &src_vlan) < 0 ||
        le_py_convert_integer(item[DST_PORT], "dst_port", 0, UINT32_MAX, &dst_port) < 0 ||
        le_py_convert_integer(item[DST_VLAN], "dst_vlan", 0, PIPES_MAX_VLAN, &dst_vlan) < 0 ||
        le_py_convert_model(item[MODEL], policies, &spec.model) < 0)
        return -1;
    spec.seed = PyLong_AsUnsignedLongLongMask(item[SEED]);
    if (PyErr_Occurred())
        return -1;
    spec.src_port = (uint32_t)src_port;
    spec.src_vlan = (uint16_t)src_vlan;
    spec.dst_port = (uint32_t)dst_port;
    spec.dst_vlan = (uint16_t)dst_vlan;
    const char *refusal = le_engine_refuse_pipe(engine, &spec);
    if (refusal) {
        PyErr_Format(PyExc_ValueError, "port %lld, VLAN %lld: %s", (long long)src_port, (long long)src_vlan, refusal);
        return -1;
    }
    int64_t number = le_engine_add_pipe(engine, &spec);
    if (number < 0)
        PyErr_NoMemory();
    return number;
}

PyObject *le_pipes_add(struct le_module_engine *self, PyObject *args)
{
    PyObject *lists, *rows, *items = NULL, *numbers = NULL;
    struct le_py_convert_policies policies = {0};
    if (!PyArg_ParseTuple(args, "OO:add_pipes", &lists, &rows) || le_module_check_idle(self) < 0)
        return NULL;
    if (le_py_convert_policies(lists, &policies) < 0 || !(items = PySequence_Fast(rows, "pipes: a sequence of rows")) ||
        !(numbers = PyList_New(0)))
        goto cleanup;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        int64_t number = pipes_add_one(&self->engine, PySequence_Fast_GET_ITEM(items, i), &policies);
        PyObject *added = number < 0 ? NULL : PyLong_FromLongLong(number);
        if (added)
            PyList_Append(numbers, added);
        Py_XDECREF(added);
        if (PyErr_Occurred()) {
            Py_CLEAR(numbers);
            break;
        }
    }
cleanup:
    Py_XDECREF(items);
    le_py_convert_release(&policies);
    return numbers;
}

/* The number of an existing pipe. */
static int pipes_number(const struct le_engine *engine, PyObject *value, uint32_t *number)
{
    int64_t pipe;
    if (le_py_convert_integer(value, "pipe", INT64_MIN, INT64_MAX, &pipe) < 0)
        return -1;
    if (pipe < 0 || pipe >= engine->pipe_count) {
        PyErr_Format(PyExc_ValueError, "there is no pipe %lld", (long long)pipe);
        return -1;
    }
    *number = (uint32_t)pipe;
    return 0;
}

/* The time of a change: the one requested, or, if that is negative, the current time. */
static int64_t pipes_timestamp(struct le_module_engine *self, int64_t now_ns)
{
    if (now_ns >= 0)
        return now_ns;
    le_loop_deliver_due(&self->loop); /* frames due before the change are delivered first */
    return le_loop_now_ns();
}

struct pipes_change {
    uint32_t pipe;                 /* number */
    struct le_pipe_model model;    /* what change.model points to, if there is a new one */
    struct le_pipe_change change;  /* the change */
};

/* A change: (pipe, model, down, blackhole, paused), None for what stays. */
static int pipes_parse_change(struct le_engine *engine, PyObject *row, const struct le_py_convert_policies *policies,
                              struct pipes_change *result)
{
    enum { PIPE, MODEL, DOWN, BLACKHOLE, PAUSED, COUNT };
    PyObject *item[COUNT];
    if (le_py_convert_unpack(row, "change", COUNT, item) < 0 || pipes_number(engine, item[PIPE], &result->pipe) < 0 ||
        le_py_convert_switch(item[DOWN], &result->change.down) < 0 ||
        le_py_convert_switch(item[BLACKHOLE], &result->change.blackhole) < 0 ||
        le_py_convert_switch(item[PAUSED], &result->change.paused) < 0)
        return -1;
    if (item[MODEL] == Py_None)
        return 0;
    if (le_py_convert_model(item[MODEL], policies, &result->model) < 0)
        return -1;
    result->change.model = &result->model;
    if (le_engine_prepare_pipe(engine, result->pipe, &result->model) < 0)
        PyErr_NoMemory();
    return PyErr_Occurred() ? -1 : 0;
}

/* All changes, to be freed with PyMem_Free; NULL with an exception if one is wrong. */
static struct pipes_change *pipes_parse_changes(struct le_engine *engine, PyObject *items,
                                                const struct le_py_convert_policies *policies)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
    struct pipes_change *changes = PyMem_Calloc((size_t)count, sizeof *changes);
    if (!changes)
        return (struct pipes_change *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++)
        if (pipes_parse_change(engine, PySequence_Fast_GET_ITEM(items, i), policies, &changes[i]) < 0) {
            PyMem_Free(changes);
            return NULL;
        }
    return changes;
}

PyObject *le_pipes_set(struct le_module_engine *self, PyObject *args)
{
    PyObject *lists, *rows, *items = NULL, *result = NULL;
    struct le_py_convert_policies policies = {0};
    struct pipes_change *changes = NULL;
    long long now_ns = -1;
    if (!PyArg_ParseTuple(args, "OO|L:set_pipes", &lists, &rows, &now_ns) || le_module_check_idle(self) < 0)
        return NULL;
    if (le_py_convert_policies(lists, &policies) < 0 ||
        !(items = PySequence_Fast(rows, "changes: a sequence of rows")) ||
        !(changes = pipes_parse_changes(&self->engine, items, &policies)))
        goto cleanup;
    now_ns = pipes_timestamp(self, now_ns);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++)
        le_engine_set_pipe(&self->engine, changes[i].pipe, &changes[i].change, now_ns);
    result = Py_NewRef(Py_None);
cleanup:
    PyMem_Free(changes);
    Py_XDECREF(items);
    le_py_convert_release(&policies);
    return result;
}

/* A trace from packed points, checked; NULL with an exception. */
static struct le_trace *pipes_trace(const Py_buffer *points, int64_t repeat_ns)
{
    size_t count = (size_t)points->len / sizeof(struct le_trace_point);
    if (count == 0 || (size_t)points->len % sizeof(struct le_trace_point)) {
        PyErr_SetString(PyExc_ValueError, "trace: whole points, at least one");
        return NULL;
    }
    struct le_trace *trace = le_trace_new(count);
    if (!trace)
        return (struct le_trace *)PyErr_NoMemory();
    memcpy(trace->point, points->buf, (size_t)points->len);
    trace->repeat_ns = repeat_ns;
    int64_t before_ns = -1;
    for (size_t i = 0; i < count; before_ns = trace->point[i++].at_ns)
        if (trace->point[i].at_ns <= before_ns || le_py_convert_check_point(&trace->point[i]) < 0) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_ValueError, "trace: point %zu is not later than the one before", i);
            break;
        }
    if (!PyErr_Occurred() && repeat_ns != 0 && repeat_ns <= before_ns)
        PyErr_SetString(PyExc_ValueError, "trace: it restarts before its last point");
    if (!PyErr_Occurred())
        return trace;
    le_trace_release(trace);
    return NULL;
}

/* Let all the pipes, which must exist, follow the trace from the same time on. */
static int pipes_follow_all(struct le_module_engine *self, PyObject *items, struct le_trace *trace, int64_t now_ns)
{
    uint32_t pipe;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++)
        if (pipes_number(&self->engine, PySequence_Fast_GET_ITEM(items, i), &pipe) < 0)
            return -1;
    now_ns = pipes_timestamp(self, now_ns);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        if (pipes_number(&self->engine, PySequence_Fast_GET_ITEM(items, i), &pipe) < 0)
            return -1;
        le_engine_follow(&self->engine, pipe, trace, now_ns);
    }
    return 0;
}

PyObject *le_pipes_follow(struct le_module_engine *self, PyObject *args)
{
    PyObject *numbers, *items, *result = NULL;
    Py_buffer points;
    struct le_trace *trace = NULL;
    long long repeat_ns, now_ns = -1;
    int has_rate, has_delay, has_loss;
    if (!PyArg_ParseTuple(args, "Oz*Lppp|L:follow_trace", &numbers, &points, &repeat_ns, &has_rate, &has_delay,
                          &has_loss, &now_ns))
        return NULL;
    items = PySequence_Fast(numbers, "pipes: a sequence of numbers");
    if (!items || le_module_check_idle(self) < 0 || (points.buf && !(trace = pipes_trace(&points, repeat_ns))))
        goto cleanup;
    if (trace) {
        trace->has_rate = has_rate;
        trace->has_delay = has_delay;
        trace->has_loss = has_loss;
    }
    if (pipes_follow_all(self, items, trace, now_ns) == 0)
        result = Py_NewRef(Py_None);
cleanup:
    le_trace_release(trace);
    Py_XDECREF(items);
    PyBuffer_Release(&points);
    return result;
}

PyObject *le_pipes_compensate_delay(struct le_module_engine *self, PyObject *args)
{
    enum { PIPE, EARLY, COUNT };
    PyObject *rows, *item[COUNT];
    uint32_t pipe;
    int64_t early_ns;
    if (!PyArg_ParseTuple(args, "O!:compensate_delay", &PyList_Type, &rows) || le_module_check_idle(self) < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); i++) {
        if (le_py_convert_unpack(PyList_GET_ITEM(rows, i), "compensate_delay", COUNT, item) < 0 ||
            pipes_number(&self->engine, item[PIPE], &pipe) < 0 ||
            le_py_convert_integer(item[EARLY], "early_ns", 0, PIPES_MAX_EARLY_NS, &early_ns) < 0)
            return NULL;
        le_engine_compensate_delay(&self->engine, pipe, early_ns);
    }
    Py_RETURN_NONE;
}

PyObject *le_pipes_follow_frames(struct le_module_engine *self, PyObject *args)
{
    PyObject *origin;
    int64_t origin_ns;
    if (!PyArg_ParseTuple(args, "O:follow_frames", &origin) || le_module_check_idle(self) < 0 ||
        le_py_convert_integer(origin, "origin_ns", 0, PIPES_MAX_EARLY_NS, &origin_ns) < 0)
        return NULL;
    le_engine_follow_frames(&self->engine, origin_ns);
    Py_RETURN_NONE;
}
