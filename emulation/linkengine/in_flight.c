#include "in_flight.h"

/* Pairing heaps (Fredman, Sedgewick, Sleator and Tarjan, 1986): next is a frame's next sibling. */
static struct le_frame *in_flight_merge(struct le_frame *a, struct le_frame *b)
{
    if (!a || !b)
        return a ? a : b;
    if (le_in_flight_before(b, a)) {
        struct le_frame *first = b;
        b = a;
        a = first;
    }
    b->next = a->child;
    a->child = b;
    return a;
}

/* Remove the root of a heap: its children are merged in pairs, then the pairs into one heap. */
static struct le_frame *in_flight_without_root(const struct le_frame *root)
{
    struct le_frame *pairs = NULL, *heap = NULL;
    for (struct le_frame *child = root->child, *rest; child; child = rest) {
        struct le_frame *sibling = child->next;
        rest = sibling ? sibling->next : NULL;
        struct le_frame *pair = in_flight_merge(child, sibling);
        pair->next = pairs;
        pairs = pair;
    }
    for (struct le_frame *pair = pairs, *rest; pair; pair = rest) {
        rest = pair->next;
        heap = in_flight_merge(heap, pair);
    }
    return heap;
}

void le_in_flight_push(struct le_in_flight *in_flight, struct le_frame *frame)
{
    frame->order = in_flight->sent++;
    if (!in_flight->fifo.head || frame->due_ns >= in_flight->fifo.tail->due_ns) {
        le_frame_fifo_push(&in_flight->fifo, frame);
        return;
    }
    frame->next = frame->child = NULL;
    in_flight->overtaking = in_flight_merge(in_flight->overtaking, frame);
    in_flight->overtaking_frames++;
}

struct le_frame *le_in_flight_pop(struct le_in_flight *in_flight)
{
    struct le_frame *head = le_in_flight_head(in_flight);
    if (head == in_flight->fifo.head)
        return le_frame_fifo_pop(&in_flight->fifo);
    in_flight->overtaking = in_flight_without_root(head);
    in_flight->overtaking_frames--;
    return head;
}
