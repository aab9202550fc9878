#include "queue.h"

bool queue_fits(const struct queue_set *set, unsigned queue, uint32_t line_bytes)
{
    return set->fifo[queue].bytes + line_bytes <= set->limit_bytes[queue];
}

void queue_push(struct queue_set *set, unsigned queue, struct frame *frame)
{
    frame_fifo_push(&set->fifo[queue], frame);
    set->frames++;
    set->bytes += frame->line_bytes;
}

static unsigned queue_next_weighted(struct queue_set *set, const struct queue_discipline *discipline,
                                    uint32_t overhead_bytes)
{
    for (;;) {
        unsigned turn = set->turn;
        const struct frame *head = set->fifo[turn].head;
        if (head && set->deficit[turn] >= head->line_bytes + overhead_bytes) {
            set->deficit[turn] -= head->line_bytes + overhead_bytes;
            if (!head->next)
                set->deficit[turn] = 0; /* a queue that runs empty saves nothing up */
            return turn;
        }
        set->turn = turn = (turn + 1) % discipline->count;
        if (set->fifo[turn].head)
            set->deficit[turn] += discipline->quantum_bytes[turn];
    }
}

struct frame *queue_pop(struct queue_set *set, const struct queue_discipline *discipline, uint32_t overhead_bytes)
{
    unsigned queue = 0;
    while (queue < discipline->count && !(discipline->quantum_bytes[queue] == 0 && set->fifo[queue].head))
        queue++;
    if (queue == discipline->count)
        queue = queue_next_weighted(set, discipline, overhead_bytes);

    struct frame *frame = frame_fifo_pop(&set->fifo[queue]);
    set->frames--;
    set->bytes -= frame->line_bytes;
    return frame;
}
