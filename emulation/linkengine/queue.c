#include "queue.h"

#include <stdlib.h>

#define QUEUE_US_PER_S 1000000u

struct queue_policy *queue_policy_new(void)
{
    struct queue_policy *policy = calloc(1, sizeof *policy);
    if (!policy)
        return NULL;
    policy->users = policy->count = 1;
    for (unsigned queue = 0; queue < STATS_QUEUES; queue++)
        policy->rule[queue] = (struct queue_rule){.limit_bytes = QUEUE_NO_LIMIT, .limit_us = QUEUE_NO_LIMIT};
    return policy;
}

void queue_policy_release(struct queue_policy *policy)
{
    if (policy && --policy->users == 0)
        free(policy);
}

bool queue_fits(const struct queue_set *set, const struct queue_policy *policy, unsigned queue, uint32_t line_bytes,
                int32_t overhead_bytes, uint64_t rate_bps)
{
    const struct frame_fifo *fifo = &set->fifo[queue];
    const struct queue_rule *rule = &policy->rule[queue];
    uint64_t bytes = fifo->bytes + line_bytes;

    if (bytes > rule->limit_bytes)
        return false;
    if (rule->limit_us == QUEUE_NO_LIMIT)
        return true;
    uint64_t bits = 8 * (bytes + (fifo->frames + 1) * (uint64_t)(int64_t)overhead_bytes);
    return (unsigned __int128)bits * QUEUE_US_PER_S <= (unsigned __int128)rule->limit_us * rate_bps;
}

void queue_push(struct queue_set *set, unsigned queue, struct frame *frame)
{
    frame_fifo_push(&set->fifo[queue], frame);
    set->frames++;
    set->bytes += frame->line_bytes;
}

static unsigned queue_next_weighted(struct queue_set *set, const struct queue_policy *policy, int32_t overhead_bytes)
{
    for (;;) {
        unsigned turn = set->turn;
        const struct frame *head = set->fifo[turn].head;
        if (head && set->deficit[turn] >= (int64_t)head->line_bytes + overhead_bytes) {
            set->deficit[turn] -= (int64_t)head->line_bytes + overhead_bytes;
            if (!head->next)
                set->deficit[turn] = 0; /* a queue that runs empty saves nothing up */
            return turn;
        }
        set->turn = turn = (turn + 1) % policy->count;
        if (set->fifo[turn].head)
            set->deficit[turn] += policy->rule[turn].quantum_bytes;
    }
}

struct frame *queue_pop(struct queue_set *set, const struct queue_policy *policy, int32_t overhead_bytes)
{
    unsigned queue = 0;
    while (queue < policy->count && !(policy->rule[queue].quantum_bytes == 0 && set->fifo[queue].head))
        queue++;
    if (queue == policy->count)
        queue = queue_next_weighted(set, policy, overhead_bytes);

    struct frame *frame = frame_fifo_pop(&set->fifo[queue]);
    set->frames--;
    set->bytes -= frame->line_bytes;
    return frame;
}

void queue_merge(struct queue_set *set, unsigned count)
{
    for (unsigned queue = count; queue < STATS_QUEUES; queue++) {
        while (set->fifo[queue].head)
            frame_fifo_push(&set->fifo[count - 1], frame_fifo_pop(&set->fifo[queue]));
        set->deficit[queue] = 0;
    }
    set->turn %= count;
}
