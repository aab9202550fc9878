#include "py_convert.h"

#include <string.h>

#define PY_CONVERT_MAX_RATE_BPS 10000000000000  /* 10 Tbit/s: the transmission time's arithmetic stays in 64 bits */
#define PY_CONVERT_MAX_NS 3600000000000         /* an hour */
#define PY_CONVERT_MAX_US 3600000000
#define PY_CONVERT_MAX_OVERHEAD_BYTES 4096
#define PY_CONVERT_MAX_WEIGHT_SHIFT 32
#define PY_CONVERT_MAX_TRACE_NS 31622400000000000  /* a year */

int le_py_convert_unpack(PyObject *row, const char *what, Py_ssize_t count, PyObject **items)
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

int le_py_convert_integer(PyObject *value, const char *name, int64_t min, int64_t max, int64_t *result)
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
static int py_convert_optional(PyObject *value, const char *name, int64_t max, uint64_t none, uint64_t *result)
{
    int64_t number;
    if (value == Py_None) {
        *result = none;
        return 0;
    }
    if (le_py_convert_integer(value, name, 0, max, &number) < 0)
        return -1;
    *result = (uint64_t)number;
    return 0;
}

static int py_convert_probability(PyObject *value, const char *name, double *result)
{
    *result = PyFloat_AsDouble(value);
    if (*result == -1.0 && PyErr_Occurred())
        return -1;
    if (*result >= 0.0 && *result <= 1.0)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s %R is not a probability", name, value);
    return -1;
}

int le_py_convert_switch(PyObject *value, int *result)
{
    *result = value == Py_None ? PIPE_STAYS : PyObject_IsTrue(value);
    return PyErr_Occurred() ? -1 : 0;
}

/* A curve of RED: (min_bytes, max_bytes, most). */
static int py_convert_curve(PyObject *row, struct le_aqm_curve *curve)
{
    enum { MIN, MAX, MOST, COUNT };
    PyObject *item[COUNT];
    int64_t min, max;
    if (le_py_convert_unpack(row, "RED curve", COUNT, item) < 0 ||
        le_py_convert_integer(item[MIN], "min_bytes", 0, INT64_MAX, &min) < 0 ||
        le_py_convert_integer(item[MAX], "max_bytes", min, INT64_MAX, &max) < 0 ||
        py_convert_probability(item[MOST], "most", &curve->most) < 0)
        return -1;
    curve->min_bytes = (uint64_t)min;
    curve->max_bytes = (uint64_t)max;
    return 0;
}

/* RED: (weight_shift, curves), one curve or one for each drop precedence. */
static int py_convert_red(PyObject *row, struct le_aqm_rule *rule)
{
    enum { WEIGHT_SHIFT, CURVES, COUNT };
    PyObject *item[COUNT], *curve[AQM_PRECEDENCES];
    int64_t shift;
    if (le_py_convert_unpack(row, "RED", COUNT, item) < 0 ||
        le_py_convert_integer(item[WEIGHT_SHIFT], "weight_shift", 0, PY_CONVERT_MAX_WEIGHT_SHIFT, &shift) < 0)
        return -1;
    Py_ssize_t count = PySequence_Size(item[CURVES]) == 1 ? 1 : AQM_PRECEDENCES;
    if (le_py_convert_unpack(item[CURVES], "RED curves", count, curve) < 0)
        return -1;
    rule->kind = AQM_RED;
    rule->weight_shift = (unsigned)shift;
    for (Py_ssize_t i = 0; i < AQM_PRECEDENCES; i++)
        if (py_convert_curve(curve[count == 1 ? 0 : i], &rule->curve[i]) < 0)
            return -1;
    return 0;
}

/* CoDel: (target_ns, interval_ns). */
static int py_convert_codel(PyObject *row, struct le_aqm_rule *rule)
{
    enum { TARGET, INTERVAL, COUNT };
    PyObject *item[COUNT];
    rule->kind = AQM_CODEL;
    return le_py_convert_unpack(row, "CoDel", COUNT, item) < 0 ||
                   le_py_convert_integer(item[TARGET], "target_ns", 0, PY_CONVERT_MAX_NS, &rule->target_ns) < 0 ||
                   le_py_convert_integer(item[INTERVAL], "interval_ns", 1, PY_CONVERT_MAX_NS, &rule->interval_ns) < 0
               ? -1
               : 0;
}

/* A queue: (limit_bytes, limit_us, quantum_bytes, red, codel), None for what it does not have, the quantum 0 for
 * strict. */
static int py_convert_rule(PyObject *row, struct le_queue_rule *rule)
{
    enum { LIMIT_BYTES, LIMIT_US, QUANTUM, RED, CODEL, COUNT };
    PyObject *item[COUNT];
    int64_t quantum;
    if (le_py_convert_unpack(row, "queue", COUNT, item) < 0 ||
        py_convert_optional(item[LIMIT_BYTES], "limit_bytes", INT64_MAX, QUEUE_NO_LIMIT, &rule->limit_bytes) < 0 ||
        py_convert_optional(item[LIMIT_US], "limit_us", PY_CONVERT_MAX_US, QUEUE_NO_LIMIT, &rule->limit_us) < 0 ||
        le_py_convert_integer(item[QUANTUM], "quantum_bytes", 0, UINT32_MAX, &quantum) < 0)
        return -1;
    rule->quantum_bytes = (uint32_t)quantum;
    if (item[RED] != Py_None)
        return py_convert_red(item[RED], &rule->aqm);
    return item[CODEL] != Py_None ? py_convert_codel(item[CODEL], &rule->aqm) : 0;
}

static int py_convert_policy(PyObject *list, struct le_queue_policy *policy)
{
    Py_ssize_t count = PySequence_Size(list);
    if (count < 0)
        return -1;
    if (count < 1 || count > STATS_QUEUES) {
        PyErr_Format(PyExc_ValueError, "queues: 1 to %d class queues, not %zd", STATS_QUEUES, count);
        return -1;
    }
    PyObject *row[STATS_QUEUES];
    if (le_py_convert_unpack(list, "queues", count, row) < 0)
        return -1;
    policy->count = (unsigned)count;
    for (Py_ssize_t queue = 0; queue < count; queue++) {
        if (py_convert_rule(row[queue], &policy->rule[queue]) < 0)
            return -1;
        policy->managed |= policy->rule[queue].aqm.kind != AQM_NONE;
    }
    return 0;
}

int le_py_convert_policies(PyObject *lists, struct le_py_convert_policies *policies)
{
    *policies = (struct le_py_convert_policies){0};
    PyObject *fast = PySequence_Fast(lists, "queues: a sequence of lists of queues");
    if (!fast)
        return -1;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(fast);
    policies->item = PyMem_Calloc((size_t)count, sizeof *policies->item);
    if (!policies->item)
        PyErr_NoMemory();
    while (!PyErr_Occurred() && policies->count < count) {
        struct le_queue_policy *policy = le_queue_policy_new();
        if (!policy) {
            PyErr_NoMemory();
            break;
        }
        PyObject *list = PySequence_Fast_GET_ITEM(fast, policies->count);
        policies->item[policies->count++] = policy;
        py_convert_policy(list, policy);
    }
    Py_DECREF(fast);
    return PyErr_Occurred() ? -1 : 0;
}

void le_py_convert_release(struct le_py_convert_policies *policies)
{
    for (Py_ssize_t i = 0; i < policies->count; i++)
        le_queue_policy_release(policies->item[i]);
    PyMem_Free(policies->item);
}

/* (p, r, good, bad), None: no loss. */
static int py_convert_loss(PyObject *row, struct le_loss *loss)
{
    enum { P, R, GOOD, BAD, COUNT };
    PyObject *item[COUNT];
    *loss = (struct le_loss){0};
    if (row == Py_None)
        return 0;
    return le_py_convert_unpack(row, "loss", COUNT, item) < 0 ||
                   py_convert_probability(item[P], "loss p", &loss->p) < 0 ||
                   py_convert_probability(item[R], "loss r", &loss->r) < 0 ||
                   py_convert_probability(item[GOOD], "loss good", &loss->good) < 0 ||
                   py_convert_probability(item[BAD], "loss bad", &loss->bad) < 0
               ? -1
               : 0;
}

/* (spread_ns, number of the distribution, reorder), None: no jitter. */
static int py_convert_jitter(PyObject *row, struct le_jitter *jitter)
{
    enum { SPREAD, DISTRIBUTION, REORDER, COUNT };
    PyObject *item[COUNT];
    int64_t distribution;
    *jitter = (struct le_jitter){0};
    if (row == Py_None)
        return 0;
    if (le_py_convert_unpack(row, "jitter", COUNT, item) < 0 ||
        le_py_convert_integer(item[SPREAD], "jitter spread_ns", 0, PY_CONVERT_MAX_NS, &jitter->spread_ns) < 0 ||
        le_py_convert_integer(item[DISTRIBUTION], "jitter distribution", 0, JITTER_DISTRIBUTIONS - 1, &distribution) <
            0)
        return -1;
    int reorder = PyObject_IsTrue(item[REORDER]);
    jitter->distribution = (enum le_jitter_distribution)distribution;
    jitter->reorder = reorder == 1;
    return reorder < 0 ? -1 : 0;
}

int le_py_convert_model(PyObject *row, const struct le_py_convert_policies *policies, struct le_pipe_model *model)
{
    enum { RATE, DELAY, QUEUES, OVERHEAD, BUFFER, MTU, JITTER, LOSS, DUPLICATE, CORRUPT, COUNT };
    PyObject *item[COUNT];
    int64_t rate, delay, queues, overhead;
    uint64_t mtu;
    if (le_py_convert_unpack(row, "model", COUNT, item) < 0 ||
        le_py_convert_integer(item[RATE], "rate_bps", 1, PY_CONVERT_MAX_RATE_BPS, &rate) < 0 ||
        le_py_convert_integer(item[DELAY], "delay_ns", 0, PY_CONVERT_MAX_NS, &delay) < 0 ||
        le_py_convert_integer(item[QUEUES], "queues", 0, policies->count - 1, &queues) < 0 ||
        le_py_convert_integer(item[OVERHEAD], "overhead_bytes", -FRAME_HEADER_BYTES, PY_CONVERT_MAX_OVERHEAD_BYTES,
                              &overhead) < 0 ||
        py_convert_optional(item[BUFFER], "buffer_bytes", INT64_MAX, QUEUE_NO_LIMIT, &model->buffer_bytes) < 0 ||
        py_convert_optional(item[MTU], "mtu_bytes", UINT16_MAX, PIPE_NO_MTU, &mtu) < 0 ||
        py_convert_jitter(item[JITTER], &model->jitter) < 0 || py_convert_loss(item[LOSS], &model->loss) < 0 ||
        py_convert_probability(item[DUPLICATE], "duplicate", &model->duplicate) < 0 ||
        py_convert_probability(item[CORRUPT], "corrupt", &model->corrupt) < 0)
        return -1;
    model->rate_bps = (uint64_t)rate;
    model->delay_ns = delay;
    model->policy = policies->item[queues];
    model->overhead_bytes = (int32_t)overhead;
    model->mtu_bytes = (uint32_t)mtu;
    return 0;
}

int le_py_convert_check_point(const struct le_trace_point *point)
{
    if (point->at_ns > PY_CONVERT_MAX_TRACE_NS)
        PyErr_Format(PyExc_ValueError, "trace: at_ns %lld is not within 0..%lld", (long long)point->at_ns,
                     (long long)PY_CONVERT_MAX_TRACE_NS);
    else if (point->rate_bps == 0 || point->rate_bps > PY_CONVERT_MAX_RATE_BPS)
        PyErr_Format(PyExc_ValueError, "trace: rate_bps %llu is not within 1..%lld",
                     (unsigned long long)point->rate_bps, (long long)PY_CONVERT_MAX_RATE_BPS);
    else if (point->delay_ns < 0 || point->delay_ns > PY_CONVERT_MAX_NS)
        PyErr_Format(PyExc_ValueError, "trace: delay_ns %lld is not within 0..%lld", (long long)point->delay_ns,
                     (long long)PY_CONVERT_MAX_NS);
    else if (!(point->loss >= 0.0 && point->loss <= 1.0))
        PyErr_SetString(PyExc_ValueError, "trace: loss is not a probability");
    return PyErr_Occurred() ? -1 : 0;
}
