#include "flight.h"

/* Pairing heaps (Fredman, Sedgewick, Sleator and Tarjan, 1986): next is a frame's next sibling. */
static struct frame *flight_merge(struct frame *a, struct frame *b)
{
    if (!a || !b)
        return a ? a : b;
    if (flight_before(b, a)) {
        struct frame *first = b;
        b = a;
        a = first;
    }
    b->next = a->child;
    a->child = b;
    return a;
}

/* What is left of a heap without its root: its children merged in pairs, then the pairs into one. */
static struct frame *flight_without_root(const struct frame *root)
{
    struct frame *pairs = NULL, *heap = NULL;
    for (struct frame *child = root->child, *rest; child; child = rest) {
        struct frame *sibling = child->next;
        rest = sibling ? sibling->next : NULL;
        struct frame *pair = flight_merge(child, sibling);
        pair->next = pairs;
        pairs = pair;
    }
    for (struct frame *pair = pairs, *rest; pair; pair = rest) {
        rest = pair->next;
        heap = flight_merge(heap, pair);
    }
    return heap;
}

void flight_push(struct flight *flight, struct frame *frame)
{
    frame->order = flight->sent++;
    if (!flight->fifo.head || frame->due_ns >= flight->fifo.tail->due_ns) {
        frame_fifo_push(&flight->fifo, frame);
        return;
    }
    frame->next = frame->child = NULL;
    flight->overtaking = flight_merge(flight->overtaking, frame);
    flight->overtaking_frames++;
}

struct frame *flight_pop(struct flight *flight)
{
    struct frame *head = flight_head(flight);
    if (head == flight->fifo.head)
        return frame_fifo_pop(&flight->fifo);
    flight->overtaking = flight_without_root(head);
    flight->overtaking_frames--;
    return head;
}
