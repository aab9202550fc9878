/* Frames and the bounded pool they come from. */
#ifndef LINKENGINE_FRAME_H
#define LINKENGINE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX_BYTES 65568  /* longest frame carried: 64 KiB with Ethernet header and tags */
#define FRAME_SIZES 11         /* block sizes of the pool: 128 bytes, doubling, to 128 KiB */

struct frame {
    struct frame *next;    /* next in its queue, in flight or in a free list */
    struct frame *child;   /* in flight out of order: see flight.c */
    int64_t arrival_ns;    /* when it arrived */
    int64_t ideal_ns;      /* when it should have arrived; once its transmission starts, when it should be delivered */
    int64_t due_ns;        /* when it is to be delivered; set once its transmission starts */
    uint32_t length;       /* bytes of data, as written to the destination */
    uint32_t line_bytes;   /* bytes on the line: without a trunk's tag */
    uint32_t order;        /* how many were sent before it, modulo 2^32 */
    uint8_t size;          /* which block size of the pool it occupies */
    uint8_t queue;         /* its class queue */
    uint8_t data[];        /* from the destination address on */
};

struct frame_pool {
    size_t limit_bytes;                /* bound of held_bytes */
    size_t held_bytes;                 /* memory taken: frames in use and free lists */
    struct frame *spare[FRAME_SIZES];  /* free lists by block size */
};

struct frame_fifo {
    struct frame *head;  /* oldest */
    struct frame *tail;  /* newest; undefined when empty */
    uint64_t frames;     /* how many */
    uint64_t bytes;      /* sum of their line_bytes */
};

void frame_pool_init(struct frame_pool *pool, size_t limit_bytes);
void frame_pool_clear(struct frame_pool *pool);

/* A frame with room for length bytes; NULL when that would pass the pool's limit. */
struct frame *frame_new(struct frame_pool *pool, uint32_t length);
void frame_free(struct frame_pool *pool, struct frame *frame);

/* A frame with the data of one that came over a line, and, unless vlan is 0, with that tag put on for a trunk. length is
 * at least that of two addresses. NULL when that would pass the pool's limit. */
struct frame *frame_of_line(struct frame_pool *pool, const uint8_t *data, uint32_t length, uint16_t vlan);

/* Flip a bit of what was on the line: of a trunk's tag, none. */
void frame_flip_bit(struct frame *frame, uint32_t bit);

/* Another frame with the same data, length, queue and arrival; NULL when that would pass the pool's limit. */
struct frame *frame_copy(struct frame_pool *pool, const struct frame *frame);

static inline void frame_fifo_push(struct frame_fifo *fifo, struct frame *frame)
{
    frame->next = NULL;
    if (fifo->head)
        fifo->tail->next = frame;
    else
        fifo->head = frame;
    fifo->tail = frame;
    fifo->frames++;
    fifo->bytes += frame->line_bytes;
}

/* The oldest frame; the fifo must not be empty. */
static inline struct frame *frame_fifo_pop(struct frame_fifo *fifo)
{
    struct frame *frame = fifo->head;
    fifo->head = frame->next;
    fifo->frames--;
    fifo->bytes -= frame->line_bytes;
    return frame;
}

#endif
