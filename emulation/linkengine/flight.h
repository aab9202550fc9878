/* The frames on their way, by due time: in order as a rule, with room for those that overtake. */
#ifndef LINKENGINE_FLIGHT_H
#define LINKENGINE_FLIGHT_H

#include <stdbool.h>

#include "frame.h"

struct flight {
    struct frame_fifo fifo;      /* frames that are due in the order they were sent */
    struct frame *overtaking;    /* frames due before one sent earlier: a pairing heap, NULL if there are none */
    uint32_t overtaking_frames;  /* how many */
    uint32_t sent;               /* frames that were pushed so far, modulo 2^32 */
};

/* due_ns is set. */
void flight_push(struct flight *flight, struct frame *frame);

/* Whether a is due before b; of frames due at once, the one sent first. */
static inline bool flight_before(const struct frame *a, const struct frame *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : (int32_t)(a->order - b->order) < 0;
}

/* The frame due next, NULL if there is none. */
static inline struct frame *flight_head(const struct flight *flight)
{
    struct frame *head = flight->fifo.head;
    return flight->overtaking && (!head || flight_before(flight->overtaking, head)) ? flight->overtaking : head;
}

/* Take the head; there must be one. */
struct frame *flight_pop(struct flight *flight);

static inline uint64_t flight_frames(const struct flight *flight)
{
    return flight->fifo.frames + flight->overtaking_frames;
}

#endif
