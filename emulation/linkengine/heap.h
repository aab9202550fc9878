/* Pipes by the time of their next event: a 4-ary heap. */
#ifndef LINKENGINE_HEAP_H
#define LINKENGINE_HEAP_H

#include <stdint.h>

#include "pipe.h"

#define HEAP_OUT UINT32_MAX  /* heap_slot of a pipe without events */

struct heap_entry {
    int64_t event_ns;   /* when the pipe's next event is */
    struct pipe *pipe;  /* the pipe */
};

struct heap {
    struct heap_entry *entry;  /* room for every pipe; the earliest first */
    uint32_t count;            /* entries in use */
};

/* Put the pipe where its next event belongs: in, out or elsewhere in the heap. */
void heap_update(struct heap *heap, struct pipe *pipe);

/* Time of the earliest event, PIPE_NEVER if there is none. */
static inline int64_t heap_earliest_ns(const struct heap *heap)
{
    return heap->count ? heap->entry[0].event_ns : PIPE_NEVER;
}

#endif
