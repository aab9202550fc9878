/* The class queues of a pipe: strict ones before all others, the rest by deficit round robin. */
#ifndef LINKENGINE_QUEUE_H
#define LINKENGINE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "aqm.h"
#include "frame.h"
#include "stats.h"

#define QUEUE_NO_LIMIT UINT64_MAX

struct le_queue_rule {
    uint64_t limit_bytes;    /* how much may wait, QUEUE_NO_LIMIT: any */
    uint64_t limit_us;       /* the same as time on the link, overhead counted; QUEUE_NO_LIMIT: any */
    uint32_t quantum_bytes;  /* deficit round robin: what a turn adds; 0: strict, lower number first */
    struct le_aqm_rule aqm;  /* active queue management */
};

/* How queues are served, shared by the pipes that have the same. */
struct le_queue_policy {
    uint32_t users;                           /* references held */
    unsigned count;                           /* queues in use, 1 to STATS_QUEUES */
    bool managed;                             /* a queue has active queue management */
    struct le_queue_rule rule[STATS_QUEUES];  /* by queue number */
};

struct le_queue_set {
    struct le_frame_fifo fifo[STATS_QUEUES];  /* the frames waiting */
    int64_t deficit[STATS_QUEUES];            /* link bytes a weighted queue may still send in its turn */
    struct le_aqm_state *aqm;                 /* by queue; NULL until a policy with active queue management comes */
    unsigned turn;                            /* the weighted queue whose turn it is */
    uint64_t frames;                          /* waiting in all queues */
    uint64_t bytes;                           /* their bytes */
};

/* A policy of one strict queue without limits, with one user; NULL when out of memory. */
struct le_queue_policy *le_queue_policy_new(void);
void le_queue_policy_release(struct le_queue_policy *policy);

/* Whether a frame of line_bytes fits under the limits of its queue, on a link of rate_bps where each frame takes
 * overhead_bytes beyond its own. */
bool le_queue_fits(const struct le_queue_set *set, const struct le_queue_policy *policy, unsigned queue,
                   uint32_t line_bytes, int32_t overhead_bytes, uint64_t rate_bps);

/* The queue that is next on the link; the set must not be empty. Deficit round robin as of Shreedhar and Varghese,
 * SIGCOMM 1995. overhead_bytes is what a frame takes on the link beyond its own. */
unsigned le_queue_next(struct le_queue_set *set, const struct le_queue_policy *policy, int32_t overhead_bytes);

static inline void le_queue_push(struct le_queue_set *set, unsigned queue, struct le_frame *frame)
{
    le_frame_fifo_push(&set->fifo[queue], frame);
    set->frames++;
    set->bytes += frame->line_bytes;
}

/* Remove and return the head of the queue, which must have one. */
static inline struct le_frame *le_queue_take(struct le_queue_set *set, unsigned queue)
{
    struct le_frame *frame = le_frame_fifo_pop(&set->fifo[queue]);
    set->frames--;
    set->bytes -= frame->line_bytes;
    return frame;
}

/* A frame of cost_bytes goes on the link from the queue. */
void le_queue_charge(struct le_queue_set *set, const struct le_queue_policy *policy, unsigned queue,
                     int64_t cost_bytes);

/* Give the set what the policy needs before it may be adopted. Returns 0, or -1 when out of memory. */
int le_queue_prepare(struct le_queue_set *set, const struct le_queue_policy *policy);

/* Change from one policy to another: frames of removed queues are moved to the last one. */
void le_queue_adopt(struct le_queue_set *set, const struct le_queue_policy *from, const struct le_queue_policy *to);

#endif
