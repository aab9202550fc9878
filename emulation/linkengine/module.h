/* The Engine object of the Python module helsewan.emulation._linkengine. */
#ifndef LINKENGINE_MODULE_H
#define LINKENGINE_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "engine.h"
#include "loop.h"

struct module_engine {
    PyObject_HEAD
    Py_buffer counters;    /* the caller's zeroed memory that stats live in; touched only where something is counted */
    struct engine engine;  /* ports, pipes, frames */
    struct loop loop;      /* descriptors */
    bool ready;            /* engine and loop are initialised */
    bool running;          /* run() is at work, without the GIL */
};

/* Returns 0, or -1 with an exception while run() is at work in another thread. */
int module_check_idle(const struct module_engine *self);

/* Engine.add_pipes(queues, pipes): adds pipes, each a row, whose models name their class queues by number in queues;
 * returns their numbers. When one is refused, those before it were added. */
PyObject *pipes_add(struct module_engine *self, PyObject *args);

/* Engine.set_pipes(queues, changes, now_ns): has all changes hold from one moment on, or, if one is refused, none. */
PyObject *pipes_set(struct module_engine *self, PyObject *args);

/* Engine.start_capture(pipes, fd, snap_bytes): puts a copy of what comes out of up to two pipes, from now on, into the
 * ring of capture.h that fd holds; the interface is the pipe's place in the sequence. */
PyObject *captures_start(struct module_engine *self, PyObject *args);

/* Engine.stop_capture(pipes): no more copies once it returns. */
PyObject *captures_stop(struct module_engine *self, PyObject *args);

/* End all captures. */
void captures_clear(struct module_engine *self);

/* Engine.follow_trace(pipes, points, repeat_ns, has_rate, has_delay, has_loss, now_ns): has pipes follow packed
 * struct trace_point from one moment on, or, with None for points, no trace any more. */
PyObject *pipes_follow(struct module_engine *self, PyObject *args);

/* Engine.compensate_delay(rows): pipes deliver sooner from now on, by rows of (pipe, early_ns). */
PyObject *pipes_compensate_delay(struct module_engine *self, PyObject *args);

/* Engine.follow_frames(origin_ns): see engine_follow_frames(). */
PyObject *pipes_follow_frames(struct module_engine *self, PyObject *args);

/* Engine.simulate(arrivals, until_ns, prompt=True): arrivals (time_ns, port, frame) go through the pipes that run()
 * uses, in virtual time; returns the deliveries up to until_ns as [(due_ns, port, frame)]. Unless prompt, the engine
 * looks for what is due only at the end. */
PyObject *simulate_run(struct module_engine *self, PyObject *args, PyObject *keywords);

#endif
