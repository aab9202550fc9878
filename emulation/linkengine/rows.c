#include "rows.h"

#include <string.h>

#define ROWS_MAX_RATE_BPS 10000000000000  /* 10 Tbit/s: the transmission time's arithmetic stays in 64 bits */
#define ROWS_MAX_NS 3600000000000         /* an hour */
#define ROWS_MAX_US 3600000000
#define ROWS_MAX_OVERHEAD_BYTES 4096

int rows_unpack(PyObject *row, const char *what, Py_ssize_t count, PyObject **items)
{
    if (!PyList_Check(row) && !PyTuple_Check(row)) {
        PyErr_Format(PyExc_TypeError, "%s: a list or tuple, not %R", what, row);
        return -1;
    }
    if (PySequence_Fast_GET_SIZE(row) != count) {
        PyErr_Format(PyExc_ValueError, "%s: %zd values, not %zd", what, count, PySequence_Fast_GET_SIZE(row));
        return -1;
    }
    memcpy(items, PySequence_Fast_ITEMS(row), (size_t)count * sizeof *items);
    return 0;
}

int rows_integer(PyObject *value, const char *name, int64_t min, int64_t max, int64_t *result)
{
    int overflow;
    *result = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (*result == -1 && PyErr_Occurred())
        return -1;
    if (!overflow && *result >= min && *result <= max)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s %R is not within %lld..%lld", name, value, (long long)min, (long long)max);
    return -1;
}

/* An integer in [0, max], or what None stands for. */
static int rows_optional(PyObject *value, const char *name, int64_t max, uint64_t none, uint64_t *result)
{
    int64_t number;
    if (value == Py_None) {
        *result = none;
        return 0;
    }
    if (rows_integer(value, name, 0, max, &number) < 0)
        return -1;
    *result = (uint64_t)number;
    return 0;
}

static int rows_probability(PyObject *value, const char *name, double *result)
{
    *result = PyFloat_AsDouble(value);
    if (*result == -1.0 && PyErr_Occurred())
        return -1;
    if (*result >= 0.0 && *result <= 1.0)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s %R is not a probability", name, value);
    return -1;
}

int rows_switch(PyObject *value, int *result)
{
    *result = value == Py_None ? PIPE_STAYS : PyObject_IsTrue(value);
    return PyErr_Occurred() ? -1 : 0;
}

/* A queue: (limit_bytes, limit_us, quantum_bytes), the limits None for none, the quantum 0 for strict. */
static int rows_rule(PyObject *row, struct queue_rule *rule)
{
    enum { LIMIT_BYTES, LIMIT_US, QUANTUM, COUNT };
    PyObject *item[COUNT];
    int64_t quantum;
    if (rows_unpack(row, "queue", COUNT, item) < 0 ||
        rows_optional(item[LIMIT_BYTES], "limit_bytes", INT64_MAX, QUEUE_NO_LIMIT, &rule->limit_bytes) < 0 ||
        rows_optional(item[LIMIT_US], "limit_us", ROWS_MAX_US, QUEUE_NO_LIMIT, &rule->limit_us) < 0 ||
        rows_integer(item[QUANTUM], "quantum_bytes", 0, UINT32_MAX, &quantum) < 0)
        return -1;
    rule->quantum_bytes = (uint32_t)quantum;
    return 0;
}

static int rows_policy(PyObject *list, struct queue_policy *policy)
{
    Py_ssize_t count = PySequence_Size(list);
    if (count < 0)
        return -1;
    if (count < 1 || count > STATS_QUEUES) {
        PyErr_Format(PyExc_ValueError, "queues: 1 to %d class queues, not %zd", STATS_QUEUES, count);
        return -1;
    }
    PyObject *row[STATS_QUEUES];
    if (rows_unpack(list, "queues", count, row) < 0)
        return -1;
    policy->count = (unsigned)count;
    for (Py_ssize_t queue = 0; queue < count; queue++)
        if (rows_rule(row[queue], &policy->rule[queue]) < 0)
            return -1;
    return 0;
}

int rows_policies(PyObject *lists, struct rows_policies *policies)
{
    *policies = (struct rows_policies){0};
    PyObject *fast = PySequence_Fast(lists, "queues: a sequence of lists of queues");
    if (!fast)
        return -1;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(fast);
    policies->item = PyMem_Calloc((size_t)count, sizeof *policies->item);
    if (!policies->item)
        PyErr_NoMemory();
    while (!PyErr_Occurred() && policies->count < count) {
        struct queue_policy *policy = queue_policy_new();
        if (!policy) {
            PyErr_NoMemory();
            break;
        }
        PyObject *list = PySequence_Fast_GET_ITEM(fast, policies->count);
        policies->item[policies->count++] = policy;
        rows_policy(list, policy);
    }
    Py_DECREF(fast);
    return PyErr_Occurred() ? -1 : 0;
}

void rows_release(struct rows_policies *policies)
{
    for (Py_ssize_t i = 0; i < policies->count; i++)
        queue_policy_release(policies->item[i]);
    PyMem_Free(policies->item);
}

/* (p, r, good, bad), None: no loss. */
static int rows_loss(PyObject *row, struct loss *loss)
{
    enum { P, R, GOOD, BAD, COUNT };
    PyObject *item[COUNT];
    *loss = (struct loss){0};
    if (row == Py_None)
        return 0;
    return rows_unpack(row, "loss", COUNT, item) < 0 || rows_probability(item[P], "loss p", &loss->p) < 0 ||
                   rows_probability(item[R], "loss r", &loss->r) < 0 ||
                   rows_probability(item[GOOD], "loss good", &loss->good) < 0 ||
                   rows_probability(item[BAD], "loss bad", &loss->bad) < 0
               ? -1
               : 0;
}

int rows_model(PyObject *row, const struct rows_policies *policies, struct pipe_model *model)
{
    enum { RATE, DELAY, OVERHEAD, QUEUES, LOSS, COUNT };
    PyObject *item[COUNT];
    int64_t rate, delay, overhead, queues;
    if (rows_unpack(row, "model", COUNT, item) < 0 ||
        rows_integer(item[RATE], "rate_bps", 1, ROWS_MAX_RATE_BPS, &rate) < 0 ||
        rows_integer(item[DELAY], "delay_ns", 0, ROWS_MAX_NS, &delay) < 0 ||
        rows_integer(item[OVERHEAD], "overhead_bytes", -CLASSIFY_HEADER_BYTES, ROWS_MAX_OVERHEAD_BYTES, &overhead) <
            0 ||
        rows_integer(item[QUEUES], "queues", 0, policies->count - 1, &queues) < 0 ||
        rows_loss(item[LOSS], &model->loss) < 0)
        return -1;
    model->rate_bps = (uint64_t)rate;
    model->delay_ns = delay;
    model->overhead_bytes = (int32_t)overhead;
    model->policy = policies->item[queues];
    return 0;
}
