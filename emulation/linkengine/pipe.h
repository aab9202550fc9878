/* One direction of a line, in virtual time: class queues, serialisation at rate, what happens on the way, propagation.
 *
 * No I/O and no clock: the caller says when a frame arrived and what time it is. What was decided depends only on
 * arrivals and changes, never on how often or how late the pipe is asked.
 */
#ifndef LINKENGINE_PIPE_H
#define LINKENGINE_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "capture.h"
#include "classify.h"
#include "in_flight.h"
#include "frame.h"
#include "frame_parse.h"
#include "jitter.h"
#include "loss.h"
#include "queue.h"
#include "stats.h"
#include "trace.h"

#define PIPE_NEVER INT64_MAX      /* no event to come */
#define PIPE_STAYS (-1)           /* a switch that a change leaves alone */
#define PIPE_NO_MTU UINT32_MAX    /* frames of any length pass */

struct le_pipe_model {
    uint64_t rate_bps;               /* line rate, bit/s, > 0 */
    int64_t delay_ns;                /* propagation, its mean */
    int32_t overhead_bytes;          /* per frame on the line beyond its own, from -FRAME_HEADER_BYTES */
    uint32_t mtu_bytes;              /* longest payload of an Ethernet frame, VLAN tags not counted */
    uint64_t buffer_bytes;           /* how much may wait in all queues together, QUEUE_NO_LIMIT: any */
    struct le_queue_policy *policy;  /* the class queues; the holder of the model has a reference */
    struct le_jitter jitter;         /* of the delay */
    struct le_loss loss;             /* on the way */
    double duplicate, corrupt;       /* probabilities on the way */
};

struct le_pipe_change {
    const struct le_pipe_model *model;  /* the new one, NULL: it stays */
    int down, blackhole, paused;        /* the new state of each switch: 0, 1 or PIPE_STAYS */
};

/* All times within are the pipe's own, which stand still while it is paused: the caller's less skew_ns. */
struct le_pipe {
    struct le_pipe_model model;               /* may change at any time */
    uint32_t dst_port;                        /* where frames come out */
    uint16_t dst_vlan;                        /* tag pushed on the way out, 0: none */
    bool down;                                /* carries nothing */
    bool blackhole;                           /* frames are sent and vanish */
    bool paused;                              /* time stands still, at paused_ns */
    bool lossy;                               /* the loss model is in its bad state */
    uint32_t heap_slot;                       /* its place in the engine's heap, HEAP_OUT: not in it */
    struct le_queue_set queues;               /* waiting for the line */
    struct le_in_flight in_flight;            /* sent, not yet delivered */
    int64_t line_ns;                          /* when the line gets free, whole nanoseconds */
    uint64_t line_rest;                       /* the rest of that, in 1/rate_bps nanoseconds */
    int64_t ideal_ns;                         /* when it would get free had every frame come when it should */
    int64_t early_ns;                         /* frames are delivered so much sooner, for what takes time behind it */
    int64_t last_due_ns;                      /* due_ns of the frame last sent: none overtakes it */
    int64_t skew_ns;                          /* how long it has been paused in all */
    int64_t paused_ns;                        /* the time at which it stands still */
    uint64_t random;                          /* state of its random numbers */
    struct le_capture *capture;               /* gets a copy of what comes out, NULL: none */
    uint32_t capture_interface;               /* which of the capture's interfaces it is */
    struct le_trace_place trace;              /* the trace it follows */
    const struct le_classify_tables *tables;  /* the engine's */
    struct le_frame_pool *pool;               /* the engine's */
    struct le_pipe_stats *stats;              /* in shared memory */
    struct le_stats_classes *classes;         /* the engine's */
};

/* A frame arrives at now_ns, which never decreases, and should have at ideal_ns: it is delivered as if it had, though
 * not before the line has sent it. data is copied; length >= FRAME_HEADER_BYTES. */
void le_pipe_arrive(struct le_pipe *pipe, const uint8_t *data, uint32_t length, int64_t now_ns, int64_t ideal_ns);

/* The next frame to be delivered by now_ns, NULL if there is none yet. The caller frees it. */
struct le_frame *le_pipe_take_due(struct le_pipe *pipe, int64_t now_ns);

/* When to call le_pipe_take_due next, PIPE_NEVER if nothing is on its way. */
int64_t le_pipe_next_event(const struct le_pipe *pipe);

/* Make room for what the model needs. Returns 0, or -1 when out of memory: it must not be set then. */
int le_pipe_prepare(struct le_pipe *pipe, const struct le_pipe_model *model);

/* Have the change, whose model is prepared, hold from now_ns on. The frame on the line keeps its end and frames in
 * flight their delay; going down drops both. */
void le_pipe_set(struct le_pipe *pipe, const struct le_pipe_change *change, int64_t now_ns);

/* Have the pipe follow a trace from now_ns on, NULL: none. What was set last holds until the next point. */
void le_pipe_follow(struct le_pipe *pipe, struct le_trace *trace, int64_t now_ns);

/* Record how late a frame of the pipe was delivered. */
void le_pipe_record_lateness(struct le_pipe *pipe, const struct le_frame *frame, uint64_t late_ns);

/* Give all frames back to the pool, uncounted, and what the pipe shares to its other users. */
void le_pipe_clear(struct le_pipe *pipe);

#endif
