/* The frames in flight, by due time: a queue for frames in order, and a heap for those that overtake. */
#ifndef LINKENGINE_IN_FLIGHT_H
#define LINKENGINE_IN_FLIGHT_H

#include <stdbool.h>

#include "frame.h"

struct le_in_flight {
    struct le_frame_fifo fifo;    /* frames that are due in the order they were sent */
    struct le_frame *overtaking;  /* frames due before one sent earlier: a pairing heap, NULL if there are none */
    uint32_t overtaking_frames;   /* how many */
    uint32_t sent;                /* frames that were pushed so far, modulo 2^32 */
};

/* Add a frame whose due_ns is set. */
void le_in_flight_push(struct le_in_flight *in_flight, struct le_frame *frame);

/* Whether a is due before b; of frames due at once, the one sent first. */
static inline bool le_in_flight_before(const struct le_frame *a, const struct le_frame *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : (int32_t)(a->order - b->order) < 0;
}

/* The frame due next, NULL if there is none. */
static inline struct le_frame *le_in_flight_head(const struct le_in_flight *in_flight)
{
    struct le_frame *head = in_flight->fifo.head;
    return in_flight->overtaking && (!head || le_in_flight_before(in_flight->overtaking, head)) ? in_flight->overtaking
                                                                                                : head;
}

/* Remove and return the head; there must be one. */
struct le_frame *le_in_flight_pop(struct le_in_flight *in_flight);

static inline uint64_t le_in_flight_frames(const struct le_in_flight *in_flight)
{
    return in_flight->fifo.frames + in_flight->overtaking_frames;
}

#endif
