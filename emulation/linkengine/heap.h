/* Pipes by the time of their next event: a 4-ary heap. */
#ifndef LINKENGINE_HEAP_H
#define LINKENGINE_HEAP_H

#include <stdint.h>

#include "pipe.h"

#define HEAP_OUT UINT32_MAX  /* heap_slot of a pipe without events */

struct le_heap_entry {
    int64_t event_ns;      /* when the pipe's next event is */
    struct le_pipe *pipe;  /* the pipe */
};

struct le_heap {
    struct le_heap_entry *entry;  /* room for every pipe; the earliest first */
    uint32_t count;               /* entries in use */
};

/* Insert, remove or move the pipe in the heap, by the time of its next event. */
void le_heap_update(struct le_heap *heap, struct le_pipe *pipe);

/* Time of the earliest event, PIPE_NEVER if there is none. */
static inline int64_t le_heap_earliest_ns(const struct le_heap *heap)
{
    return heap->count ? heap->entry[0].event_ns : PIPE_NEVER;
}

#endif
