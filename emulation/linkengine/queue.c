#include "queue.h"

#include <stdlib.h>

#define QUEUE_US_PER_S 1000000u

struct le_queue_policy *le_queue_policy_new(void)
{
    struct le_queue_policy *policy = calloc(1, sizeof *policy);
    if (!policy)
        return NULL;
    policy->users = policy->count = 1;
    for (unsigned queue = 0; queue < STATS_QUEUES; queue++)
        policy->rule[queue] = (struct le_queue_rule){.limit_bytes = QUEUE_NO_LIMIT, .limit_us = QUEUE_NO_LIMIT};
    return policy;
}

void le_queue_policy_release(struct le_queue_policy *policy)
{
    if (policy && --policy->users == 0)
        free(policy);
}

bool le_queue_fits(const struct le_queue_set *set, const struct le_queue_policy *policy, unsigned queue,
                   uint32_t line_bytes, int32_t overhead_bytes, uint64_t rate_bps)
{
    const struct le_frame_fifo *fifo = &set->fifo[queue];
    const struct le_queue_rule *rule = &policy->rule[queue];
    uint64_t bytes = fifo->bytes + line_bytes;

    if (bytes > rule->limit_bytes)
        return false;
    if (rule->limit_us == QUEUE_NO_LIMIT)
        return true;
    uint64_t bits = 8 * (bytes + (fifo->frames + 1) * (uint64_t)(int64_t)overhead_bytes);
    return (unsigned __int128)bits * QUEUE_US_PER_S <= (unsigned __int128)rule->limit_us * rate_bps;
}

unsigned le_queue_next(struct le_queue_set *set, const struct le_queue_policy *policy, int32_t overhead_bytes)
{
    for (unsigned queue = 0; queue < policy->count; queue++)
        if (policy->rule[queue].quantum_bytes == 0 && set->fifo[queue].head)
            return queue;
    for (;;) {
        unsigned turn = set->turn;
        const struct le_frame *head = set->fifo[turn].head;
        if (head && set->deficit[turn] >= (int64_t)head->line_bytes + overhead_bytes)
            return turn;
        set->turn = turn = (turn + 1) % policy->count;
        if (set->fifo[turn].head)
            set->deficit[turn] += policy->rule[turn].quantum_bytes;
    }
}

void le_queue_charge(struct le_queue_set *set, const struct le_queue_policy *policy, unsigned queue, int64_t cost_bytes)
{
    if (policy->rule[queue].quantum_bytes == 0)
        return;
    set->deficit[queue] -= cost_bytes; /* below 0 where the head was dropped and a longer frame took its place */
    if (!set->fifo[queue].head)
        set->deficit[queue] = 0; /* an empty queue keeps no deficit */
}

int le_queue_prepare(struct le_queue_set *set, const struct le_queue_policy *policy)
{
    if (policy->managed && !set->aqm)
        set->aqm = calloc(STATS_QUEUES, sizeof *set->aqm);
    return policy->managed && !set->aqm ? -1 : 0;
}

void le_queue_adopt(struct le_queue_set *set, const struct le_queue_policy *from, const struct le_queue_policy *to)
{
    for (unsigned queue = 0; queue < STATS_QUEUES; queue++) {
        if (set->aqm && from->rule[queue].aqm.kind != to->rule[queue].aqm.kind)
            set->aqm[queue] = (struct le_aqm_state){0};
        if (to->rule[queue].quantum_bytes == 0)
            set->deficit[queue] = 0;
        while (queue >= to->count && set->fifo[queue].head) {
            struct le_frame *frame = le_frame_fifo_pop(&set->fifo[queue]);
            frame->queue = (uint8_t)(to->count - 1);
            le_frame_fifo_push(&set->fifo[frame->queue], frame);
        }
    }
    set->turn %= to->count;
}
