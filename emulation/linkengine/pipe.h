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
#include "frame.h"
#include "loss.h"
#include "queue.h"
#include "stats.h"

#define PIPE_NEVER INT64_MAX  /* no event to come */
#define PIPE_STAYS (-1)       /* a switch that a change leaves alone */

struct pipe_model {
    uint64_t rate_bps;            /* line rate, bit/s, > 0 */
    int64_t delay_ns;             /* propagation */
    int32_t overhead_bytes;       /* per frame on the line beyond its own, from -CLASSIFY_HEADER_BYTES */
    struct queue_policy *policy;  /* the class queues; the holder of the model has a reference */
    struct loss loss;             /* on the way */
};

struct pipe_change {
    const struct pipe_model *model;  /* the new one, NULL: it stays */
    int down, silent, frozen;        /* the new state of each switch: 0, 1 or PIPE_STAYS */
};

struct pipe {
    struct pipe_model model;               /* may change at any time */
    uint32_t dst_port;                     /* where frames come out */
    uint16_t dst_vlan;                     /* tag pushed on the way out, 0: none */
    bool down;                             /* carries nothing */
    bool lossy;                            /* the loss model is in its bad state */
    struct queue_set queues;               /* waiting for the line */
    struct frame_fifo flight;              /* sent, not yet delivered, by due_ns */
    int64_t line_ns;                       /* when the line gets free, whole nanoseconds */
    uint64_t line_rest;                    /* the rest of that, in 1/rate_bps nanoseconds */
    int64_t last_due_ns;                   /* due_ns of the frame last sent: none overtakes it */
    uint64_t random;                       /* state of its random numbers */
    struct capture *capture;               /* gets a copy of what comes out, NULL: none */
    uint32_t capture_interface;            /* which of the capture's interfaces it is */
    uint32_t heap_slot;                    /* its place in the engine's heap, HEAP_OUT: not in it */
    const struct classify_tables *tables;  /* the engine's */
    struct frame_pool *pool;               /* the engine's */
    struct pipe_stats *stats;              /* in shared memory */
};

/* A frame arrives at now_ns, which never decreases. data is copied; length >= CLASSIFY_HEADER_BYTES. */
void pipe_arrive(struct pipe *pipe, const uint8_t *data, uint32_t length, int64_t now_ns);

/* The next frame to be delivered by now_ns, NULL if there is none yet. The caller frees it. */
struct frame *pipe_take_due(struct pipe *pipe, int64_t now_ns);

/* When to call pipe_take_due next, PIPE_NEVER if nothing is on its way. */
int64_t pipe_next_event(const struct pipe *pipe);

/* Have the change hold from now_ns on. The frame on the line keeps its end and frames in flight their delay;
 * going down drops both. */
void pipe_set(struct pipe *pipe, const struct pipe_change *change, int64_t now_ns);

/* Give all frames back to the pool, uncounted, and the model's policy to its other users. */
void pipe_clear(struct pipe *pipe);

#endif
