/* The Engine object of the Python module helsewan.emulation._linkengine. */
#ifndef LINKENGINE_MODULE_H
#define LINKENGINE_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "engine.h"
#include "loop.h"

struct le_module_engine {
    PyObject_HEAD Py_buffer
        counters;       /* the caller's zeroed memory that stats live in; touched only where something is counted */
    struct le_engine engine;  /* ports, pipes, frames */
    struct le_loop loop;      /* descriptors */
    bool ready;               /* engine and loop are initialised */
    bool running;             /* run() is at work, without the GIL */
};

/* Returns 0, or -1 with an exception while run() is at work in another thread. */
int le_module_check_idle(const struct le_module_engine *self);

/* Engine.add_pipes(queues, pipes): adds pipes, each a row, whose models name their class queues by number in queues;
 * returns their numbers. When one is refused, those before it were added. */
PyObject *le_pipes_add(struct le_module_engine *self, PyObject *args);

/* Engine.set_pipes(queues, changes, now_ns): applies all changes at the same time, or, if one is refused, none. */
PyObject *le_pipes_set(struct le_module_engine *self, PyObject *args);

/* Engine.start_capture(pipes, fd, snap_bytes): puts a copy of what comes out of up to two pipes, from now on, into the
 * ring of capture.h that fd holds; the interface is the pipe's place in the sequence. */
PyObject *le_captures_start(struct le_module_engine *self, PyObject *args);

/* Engine.stop_capture(pipes): no more copies once it returns. */
PyObject *le_captures_stop(struct le_module_engine *self, PyObject *args);

/* End all captures. */
void le_captures_clear(struct le_module_engine *self);

/* Engine.follow_trace(pipes, points, repeat_ns, has_rate, has_delay, has_loss, now_ns): lets pipes follow packed
 * struct le_trace_point from now_ns on, or, with None for points, no trace. */
PyObject *le_pipes_follow(struct le_module_engine *self, PyObject *args);

/* Engine.compensate_delay(rows): pipes deliver earlier from now on, by rows of (pipe, early_ns). */
PyObject *le_pipes_compensate_delay(struct le_module_engine *self, PyObject *args);

/* Engine.follow_frames(origin_ns): see le_engine_follow_frames(). */
PyObject *le_pipes_follow_frames(struct le_module_engine *self, PyObject *args);

/* Engine.add_rings(fd, entries): adds a port over two virtqueues of entries each, in the memory of fd, as
 * le_loop_watch_rings() has it; its number. */
PyObject *le_rings_add(struct le_module_engine *self, PyObject *args);

/* Engine.set_rings(ports, active): begins to work the ports' rings, emptied, or ends; all or none. */
PyObject *le_rings_set(struct le_module_engine *self, PyObject *args);

/* Engine.call_fd(): the eventfd that the devices of all rings write; it stays the engine's. */
PyObject *le_rings_call_fd(struct le_module_engine *self, PyObject *unused);

/* vring_layout(entries): (bytes of memory, (desc, avail, used) of ring 0, the same of ring 1), offsets in it. */
PyObject *le_rings_layout(PyObject *module, PyObject *args);

/* Engine.simulate(arrivals, until_ns, prompt=True): arrivals (time_ns, port, frame) go through the pipes that run()
 * uses, in virtual time; returns the deliveries up to until_ns as [(due_ns, port, frame)]. Unless prompt, the engine
 * looks for what is due only at the end. */
PyObject *le_simulate_run(struct le_module_engine *self, PyObject *args, PyObject *keywords);

#endif
