/* The methods of the Engine object that add and change pipes. */
#include "module.h"

#include "rows.h"

#define PIPES_MAX_VLAN 4094

/* Add one pipe: (src_port, src_vlan, dst_port, dst_vlan, seed, model). Its number, or -1 with an exception. */
static int64_t pipes_add_one(struct engine *engine, PyObject *row, const struct rows_policies *policies)
{
    enum { SRC_PORT, SRC_VLAN, DST_PORT, DST_VLAN, SEED, MODEL, COUNT };
    PyObject *item[COUNT];
    int64_t src_port, src_vlan, dst_port, dst_vlan;
    struct engine_pipe_spec spec;
    if (rows_unpack(row, "pipe", COUNT, item) < 0 ||
        rows_integer(item[SRC_PORT], "src_port", 0, UINT32_MAX, &src_port) < 0 ||
        rows_integer(item[SRC_VLAN], "src_vlan", 0, PIPES_MAX_VLAN, &src_vlan) < 0 ||
        rows_integer(item[DST_PORT], "dst_port", 0, UINT32_MAX, &dst_port) < 0 ||
        rows_integer(item[DST_VLAN], "dst_vlan", 0, PIPES_MAX_VLAN, &dst_vlan) < 0 ||
        rows_model(item[MODEL], policies, &spec.model) < 0)
        return -1;
    spec.seed = PyLong_AsUnsignedLongLongMask(item[SEED]);
    if (PyErr_Occurred())
        return -1;
    spec.src_port = (uint32_t)src_port;
    spec.src_vlan = (uint16_t)src_vlan;
    spec.dst_port = (uint32_t)dst_port;
    spec.dst_vlan = (uint16_t)dst_vlan;
    const char *refusal = engine_refuse_pipe(engine, &spec);
    if (refusal) {
        PyErr_Format(PyExc_ValueError, "port %lld, VLAN %lld: %s", (long long)src_port, (long long)src_vlan, refusal);
        return -1;
    }
    int64_t number = engine_add_pipe(engine, &spec);
    if (number < 0)
        PyErr_NoMemory();
    return number;
}

PyObject *pipes_add(struct module_engine *self, PyObject *args)
{
    PyObject *lists, *rows, *items = NULL, *numbers = NULL;
    struct rows_policies policies = {0};
    if (!PyArg_ParseTuple(args, "OO:add_pipes", &lists, &rows) || module_check_idle(self) < 0)
        return NULL;
    if (rows_policies(lists, &policies) < 0 || !(items = PySequence_Fast(rows, "pipes: a sequence of rows")) ||
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
    rows_release(&policies);
    return numbers;
}

struct pipes_change {
    uint32_t pipe;              /* number */
    struct pipe_model model;    /* what change.model points to, if there is a new one */
    struct pipe_change change;  /* the change */
};

/* A change: (pipe, model, down, silent, frozen), None for what stays. */
static int pipes_parse_change(const struct engine *engine, PyObject *row, const struct rows_policies *policies,
                              struct pipes_change *result)
{
    enum { PIPE, MODEL, DOWN, SILENT, FROZEN, COUNT };
    PyObject *item[COUNT];
    int64_t pipe;
    if (rows_unpack(row, "change", COUNT, item) < 0 ||
        rows_integer(item[PIPE], "pipe", INT64_MIN, INT64_MAX, &pipe) < 0 ||
        rows_switch(item[DOWN], &result->change.down) < 0 || rows_switch(item[SILENT], &result->change.silent) < 0 ||
        rows_switch(item[FROZEN], &result->change.frozen) < 0)
        return -1;
    if (pipe < 0 || pipe >= engine->pipe_count) {
        PyErr_Format(PyExc_ValueError, "there is no pipe %lld", (long long)pipe);
        return -1;
    }
    result->pipe = (uint32_t)pipe;
    result->change.model = item[MODEL] == Py_None ? NULL : &result->model;
    return result->change.model ? rows_model(item[MODEL], policies, &result->model) : 0;
}

/* All changes, to be freed with PyMem_Free; NULL with an exception if one is wrong. */
static struct pipes_change *pipes_parse_changes(const struct engine *engine, PyObject *items,
                                                const struct rows_policies *policies)
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

PyObject *pipes_set(struct module_engine *self, PyObject *args)
{
    PyObject *lists, *rows, *items = NULL, *result = NULL;
    struct rows_policies policies = {0};
    struct pipes_change *changes = NULL;
    long long now_ns = -1;
    if (!PyArg_ParseTuple(args, "OO|L:set_pipes", &lists, &rows, &now_ns) || module_check_idle(self) < 0)
        return NULL;
    if (rows_policies(lists, &policies) < 0 || !(items = PySequence_Fast(rows, "changes: a sequence of rows")) ||
        !(changes = pipes_parse_changes(&self->engine, items, &policies)))
        goto cleanup;
    if (now_ns < 0) {
        loop_deliver_due(&self->loop); /* what was due before is not lost to the change */
        now_ns = loop_now_ns();
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++)
        engine_set_pipe(&self->engine, changes[i].pipe, &changes[i].change, now_ns);
    result = Py_NewRef(Py_None);
cleanup:
    PyMem_Free(changes);
    Py_XDECREF(items);
    rows_release(&policies);
    return result;
}
