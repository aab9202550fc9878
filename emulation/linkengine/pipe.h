/* One direction of a link, in virtual time: class queues, serialisation at rate, impairments in transit, propagation.
 *
 * No I/O and no clock: the caller passes arrival times and the current time. Results depend only on arrivals and
 * changes, not on how often or how late the pipe is called.
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
#define PIPE_TOLD_NS 1000000      /* the least time between two frames that le_pipe_arrive() says are too long */

struct le_pipe_model {
    uint64_t rate_bps;               /* line rate, bit/s, > 0 */
    int64_t delay_ns;                /* propagation, its mean */
    int32_t overhead_bytes;          /* per frame on the link beyond its own, from -FRAME_HEADER_BYTES */
    uint32_t mtu_bytes;              /* longest payload of an Ethernet frame, VLAN tags not counted */
    uint64_t buffer_bytes;           /* how much may wait in all queues together, QUEUE_NO_LIMIT: any */
    struct le_queue_policy *policy;  /* the class queues; the holder of the model has a reference */
    struct le_jitter jitter;         /* of the delay */
    struct le_loss loss;             /* in transit */
    double duplicate, corrupt;       /* probabilities in transit */
};

struct le_pipe_change {
    const struct le_pipe_model *model;  /* the new one, NULL: it stays */
    int down, blackhole, paused;        /* the new state of each switch: 0, 1 or PIPE_STAYS */
};

/* All times within are the pipe's own, which stop while it is paused: the caller's minus skew_ns. */
struct le_pipe {
    struct le_pipe_model model;               /* may change at any time */
    uint32_t dst_port;                        /* where frames come out */
    uint16_t dst_vlan;                        /* tag pushed on delivery, 0: none */
    bool down;                                /* carries nothing */
    bool blackhole;                           /* black hole: frames are sent and lost */
    bool paused;                              /* paused: time stopped at paused_ns */
    bool lossy;                               /* the loss model is in its bad state */
    uint32_t heap_slot;                       /* its place in the engine's heap, HEAP_OUT: not in it */
    struct le_queue_set queues;               /* waiting for the link */
    struct le_in_flight in_flight;            /* sent, not yet delivered */
    int64_t line_ns;                          /* when the link gets free, whole nanoseconds */
    uint64_t line_rest;                       /* the rest of that, in 1/rate_bps nanoseconds */
    int64_t ideal_ns;                         /* when it would get free if every frame had arrived in time */
    int64_t early_ns;                         /* delay compensation: frames are delivered this much earlier */
    int64_t last_due_ns;                      /* due_ns of the frame last sent: none overtakes it */
    int64_t skew_ns;                          /* how long it has been paused in all */
    int64_t paused_ns;                        /* the time at which it was paused */
    uint64_t random;                          /* state of its random numbers */
    struct le_capture *capture;               /* gets a copy of delivered frames, NULL: none */
    uint32_t capture_interface;               /* which of the capture's interfaces it is */
    int64_t tell_ns;                          /* from when on a frame that is too long is told again */
    struct le_trace_position trace;              /* the trace it follows */
    const struct le_classify_tables *tables;  /* the engine's */
    struct le_frame_pool *pool;               /* the engine's */
    struct le_pipe_stats *stats;              /* in shared memory */
    struct le_stats_classes *classes;         /* the engine's */
};

/* A frame arrives at now_ns, which never decreases, and should have arrived at ideal_ns: it is delivered as if it had,
 * but not before the link has sent it. data is copied; length >= FRAME_HEADER_BYTES. Returns whether the frame was
 * dropped because it is longer than the MTU, and none was for PIPE_TOLD_NS. */
bool le_pipe_arrive(struct le_pipe *pipe, const uint8_t *data, uint32_t length, int64_t now_ns, int64_t ideal_ns);

/* The next frame to be delivered by now_ns, NULL if there is none yet. The caller frees it. */
struct le_frame *le_pipe_take_due(struct le_pipe *pipe, int64_t now_ns);

/* When to call le_pipe_take_due next, PIPE_NEVER if no event is to come. */
int64_t le_pipe_next_event(const struct le_pipe *pipe);

/* Make room for what the model needs. Returns 0, or -1 when out of memory: it must not be set then. */
int le_pipe_prepare(struct le_pipe *pipe, const struct le_pipe_model *model);

/* Apply the change, whose model is prepared, from now_ns on. The frame being sent keeps its end and frames in flight
 * keep their delay; going down drops both. */
void le_pipe_set(struct le_pipe *pipe, const struct le_pipe_change *change, int64_t now_ns);

/* Let the pipe follow a trace from now_ns on, NULL: none. The last values set hold until the next point. */
void le_pipe_follow(struct le_pipe *pipe, struct le_trace *trace, int64_t now_ns);

/* Record how late a frame of the pipe was delivered. */
void le_pipe_record_lateness(struct le_pipe *pipe, const struct le_frame *frame, uint64_t late_ns);

/* Return all frames to the pool, uncounted, and release the pipe's references to shared objects. */
void le_pipe_clear(struct le_pipe *pipe);

#endif
