/* The class queues of a pipe: strict ones before all others, the rest by deficit round robin. */
#ifndef LINKENGINE_QUEUE_H
#define LINKENGINE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "stats.h"

#define QUEUE_NO_LIMIT UINT64_MAX

struct queue_rule {
    uint64_t limit_bytes;    /* how much may wait, QUEUE_NO_LIMIT: any */
    uint64_t limit_us;       /* the same as time on the line, overhead counted; QUEUE_NO_LIMIT: any */
    uint32_t quantum_bytes;  /* deficit round robin: what a turn adds; 0: strict, lower number first */
};

/* How queues are served, shared by the pipes that have the same. */
struct queue_policy {
    uint32_t users;                        /* references held */
    unsigned count;                        /* queues in use, 1 to STATS_QUEUES */
    struct queue_rule rule[STATS_QUEUES];  /* by queue number */
};

struct queue_set {
    struct frame_fifo fifo[STATS_QUEUES];  /* the frames waiting */
    int64_t deficit[STATS_QUEUES];         /* line bytes a weighted queue may still send in its turn */
    unsigned turn;                         /* the weighted queue whose turn it is */
    uint64_t frames;                       /* waiting in all queues */
    uint64_t bytes;                        /* their bytes */
};

/* A policy of one strict queue without limits, with one user; NULL when out of memory. */
struct queue_policy *queue_policy_new(void);
void queue_policy_release(struct queue_policy *policy);

/* Whether a frame of line_bytes fits under the limits of its queue, on a line of rate_bps where each frame takes
 * overhead_bytes beyond its own. */
bool queue_fits(const struct queue_set *set, const struct queue_policy *policy, unsigned queue, uint32_t line_bytes,
                int32_t overhead_bytes, uint64_t rate_bps);
void queue_push(struct queue_set *set, unsigned queue, struct frame *frame);

/* Take the frame that is next on the line; the set must not be empty. Deficit round robin as of Shreedhar and
 * Varghese, SIGCOMM 1995. */
struct frame *queue_pop(struct queue_set *set, const struct queue_policy *policy, int32_t overhead_bytes);

/* Have frames of queues beyond count wait in the last one. */
void queue_merge(struct queue_set *set, unsigned count);

#endif
