/* Frames and the bounded pool they come from. */
#ifndef LINKENGINE_FRAME_H
#define LINKENGINE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX_BYTES 65568  /* longest frame carried: 64 KiB with Ethernet header and tags */
#define FRAME_SIZES 11         /* block sizes of the pool: 128 bytes, doubling, to 128 KiB */

struct le_frame {
    struct le_frame *next;   /* next in its queue, in flight or in a free list */
    struct le_frame *child;  /* in flight out of order: see flight.c */
    int64_t arrival_ns;      /* when it arrived */
    int64_t ideal_ns; /* when it should have arrived; once its transmission starts, when it should be delivered */
    int64_t due_ns;          /* when it is to be delivered; set once its transmission starts */
    uint32_t length;         /* bytes of data, as written to the destination */
    uint32_t line_bytes;     /* bytes on the link: without a trunk's tag */
    uint32_t order;          /* how many were sent before it, modulo 2^32 */
    uint8_t size;            /* which block size of the pool it occupies */
    uint8_t queue;           /* its class queue */
    uint8_t data[];          /* from the destination address on */
};

struct le_frame_pool {
    size_t limit_bytes;                   /* bound of held_bytes */
    size_t held_bytes;                    /* memory taken: frames in use and free lists */
    struct le_frame *spare[FRAME_SIZES];  /* free lists by block size */
};

struct le_frame_fifo {
    struct le_frame *head;  /* oldest */
    struct le_frame *tail;  /* newest; undefined when empty */
    uint64_t frames;        /* how many */
    uint64_t bytes;         /* sum of their line_bytes */
};

void le_frame_pool_init(struct le_frame_pool *pool, size_t limit_bytes);
void le_frame_pool_clear(struct le_frame_pool *pool);

/* A frame with room for length bytes; NULL when that would pass the pool's limit. */
struct le_frame *le_frame_new(struct le_frame_pool *pool, uint32_t length);
void le_frame_free(struct le_frame_pool *pool, struct le_frame *frame);

/* A frame with the data of one that came over a link, and, unless vlan is 0, with that 802.1Q tag pushed for a trunk.
 * length: at least that of two addresses. NULL when that would exceed the pool's limit. */
struct le_frame *le_frame_from_link(struct le_frame_pool *pool, const uint8_t *data, uint32_t length, uint16_t vlan);

/* Flip a bit of the frame, but none of a trunk's tag, which is not on the link. */
void le_frame_flip_bit(struct le_frame *frame, uint32_t bit);

/* Another frame with the same data, length, queue and arrival; NULL when that would pass the pool's limit. */
struct le_frame *le_frame_copy(struct le_frame_pool *pool, const struct le_frame *frame);

static inline void le_frame_fifo_push(struct le_frame_fifo *fifo, struct le_frame *frame)
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
static inline struct le_frame *le_frame_fifo_pop(struct le_frame_fifo *fifo)
{
    struct le_frame *frame = fifo->head;
    fifo->head = frame->next;
    fifo->frames--;
    fifo->bytes -= frame->line_bytes;
    return frame;
}

#endif
