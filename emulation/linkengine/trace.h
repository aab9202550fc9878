/* Link traces: settings of a recorded link that change at given times. */
#ifndef LINKENGINE_TRACE_H
#define LINKENGINE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_NEVER INT64_MAX  /* no point to come */

/* As emulation/links/trace.py packs them. */
struct le_trace_point {
    int64_t at_ns;      /* from the start of the trace, increasing */
    uint64_t rate_bps;  /* line rate from then on */
    int64_t delay_ns;   /* propagation delay */
    double loss;        /* probability of losing a frame */
};

/* Shared by the pipes that follow it. */
struct le_trace {
    uint32_t users;                 /* references held */
    bool has_rate;                  /* which columns it has; the others stay the model's */
    bool has_delay;
    bool has_loss;
    int64_t repeat_ns;              /* restarts after this time, 0: never */
    size_t count;                   /* points, at least 1 */
    struct le_trace_point point[];  /* in order of time */
};

/* A pipe's position in a trace. */
struct le_trace_position {
    struct le_trace *trace;  /* holds a reference; NULL: follows none */
    int64_t start_ns;        /* when the pipe began to follow it */
    int64_t next_ns;         /* when the next point is, TRACE_NEVER: past the last */
};

/* A trace with room for count points and one user, its other members zero; NULL when out of memory. */
struct le_trace *le_trace_new(size_t count);
void le_trace_release(struct le_trace *trace);

/* Follow trace from now_ns on (NULL: none); takes a reference. */
void le_trace_follow(struct le_trace_position *position, struct le_trace *trace, int64_t now_ns);

/* The point that holds at now_ns, which is next_ns or later. Earlier points not yet applied are skipped. */
const struct le_trace_point *le_trace_advance(struct le_trace_position *position, int64_t now_ns);

#endif
