#include "heap.h"

static void heap_place(struct le_heap *heap, uint32_t slot, struct le_heap_entry entry)
{
    heap->entry[slot] = entry;
    entry.pipe->heap_slot = slot;
}

static void heap_sift_up(struct le_heap *heap, uint32_t slot, struct le_heap_entry entry)
{
    while (slot > 0) {
        uint32_t parent = (slot - 1) / 4;
        if (heap->entry[parent].event_ns <= entry.event_ns)
            break;
        heap_place(heap, slot, heap->entry[parent]);
        slot = parent;
    }
    heap_place(heap, slot, entry);
}

static void heap_sift_down(struct le_heap *heap, uint32_t slot, struct le_heap_entry entry)
{
    for (;;) {
        uint32_t child = slot * 4 + 1, least = child;
        if (child >= heap->count)
            break;
        uint32_t last = child + 3 < heap->count ? child + 3 : heap->count - 1;
        while (++child <= last)
            if (heap->entry[child].event_ns < heap->entry[least].event_ns)
                least = child;
        if (heap->entry[least].event_ns >= entry.event_ns)
            break;
        heap_place(heap, slot, heap->entry[least]);
        slot = least;
    }
    heap_place(heap, slot, entry);
}

static void heap_remove(struct le_heap *heap, uint32_t slot)
{
    struct le_heap_entry last = heap->entry[--heap->count];
    heap->entry[slot].pipe->heap_slot = HEAP_OUT;
    if (slot == heap->count)
        return;
    if (slot > 0 && heap->entry[(slot - 1) / 4].event_ns > last.event_ns)
        heap_sift_up(heap, slot, last);
    else
        heap_sift_down(heap, slot, last);
}

void le_heap_update(struct le_heap *heap, struct le_pipe *pipe)
{
    struct le_heap_entry entry = {.event_ns = le_pipe_next_event(pipe), .pipe = pipe};
    uint32_t slot = pipe->heap_slot;

    if (entry.event_ns == PIPE_NEVER) {
        if (slot != HEAP_OUT)
            heap_remove(heap, slot);
    } else if (slot == HEAP_OUT) {
        heap_sift_up(heap, heap->count++, entry);
    } else if (entry.event_ns < heap->entry[slot].event_ns) {
        heap_sift_up(heap, slot, entry);
    } else if (entry.event_ns > heap->entry[slot].event_ns) {
        heap_sift_down(heap, slot, entry);
    }
}
