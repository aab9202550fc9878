/* The class queues of a pipe: strict ones before all others, the rest by deficit round robin. */
#ifndef LINKENGINE_QUEUE_H
#define LINKENGINE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "stats.h"

struct queue_discipline {
    unsigned count;                        /* queues in use, 1 to STATS_QUEUES */
    uint32_t quantum_bytes[STATS_QUEUES];  /* deficit round robin: what a turn adds; 0: strict, lower number first */
};

struct queue_set {
    struct frame_fifo fifo[STATS_QUEUES];  /* the frames waiting */
    uint64_t limit_bytes[STATS_QUEUES];    /* how many bytes may wait */
    uint64_t deficit[STATS_QUEUES];        /* line bytes a weighted queue may still send in its turn */
    unsigned turn;                         /* the weighted queue whose turn it is */
    uint64_t frames;                       /* waiting in all queues */
    uint64_t bytes;                        /* their bytes */
};

/* Whether a frame of line_bytes fits under the queue's limit. */
bool queue_fits(const struct queue_set *set, unsigned queue, uint32_t line_bytes);
void queue_push(struct queue_set *set, unsigned queue, struct frame *frame);

/* Take the frame that is next on the line; the set must not be empty. overhead_bytes is what each frame costs
 * on the line beyond its own bytes. Deficit round robin as of Shreedhar and Varghese, SIGCOMM 1995. */
struct frame *queue_pop(struct queue_set *set, const struct queue_discipline *discipline, uint32_t overhead_bytes);

#endif
