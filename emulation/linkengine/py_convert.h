/* Converts rows of Python numbers (from emulation/links/model_rows.py) to the engine's values. All functions return 0,
 * or -1 with an exception that names the field in Python's terms. */
#ifndef LINKENGINE_PY_CONVERT_H
#define LINKENGINE_PY_CONVERT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "pipe.h"

/* The queue policies that the rows of one request name by number. */
struct le_py_convert_policies {
    struct le_queue_policy **item;  /* a reference to each */
    Py_ssize_t count;               /* how many */
};

/* The items of a row, borrowed; the row must have count of them. */
int le_py_convert_unpack(PyObject *row, const char *what, Py_ssize_t count, PyObject **items);

/* An integer in [min, max]; name is the field's. */
int le_py_convert_integer(PyObject *value, const char *name, int64_t min, int64_t max, int64_t *result);

/* Policies: a sequence of queue lists. To be released, also after a failure. */
int le_py_convert_policies(PyObject *lists, struct le_py_convert_policies *policies);
void le_py_convert_release(struct le_py_convert_policies *policies);

/* A pipe's model; its policy is borrowed from policies. */
int le_py_convert_model(PyObject *row, const struct le_py_convert_policies *policies, struct le_pipe_model *model);

/* Whether a trace's point is within the engine's limits. */
int le_py_convert_check_point(const struct le_trace_point *point);

/* A switch of a change: True, False or None for PIPE_STAYS. */
int le_py_convert_switch(PyObject *value, int *result);

#endif
