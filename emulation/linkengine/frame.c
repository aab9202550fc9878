#include "frame.h"

#include <stdlib.h>
#include <string.h>

#include "frame_parse.h"

#define FRAME_SMALLEST_SHIFT 7 /* the smallest block: 128 bytes */

static size_t frame_block_bytes(unsigned size)
{
    return (size_t)1 << (FRAME_SMALLEST_SHIFT + size);
}

static unsigned frame_size_for(uint32_t length)
{
    unsigned size = 0;
    while (frame_block_bytes(size) < sizeof(struct le_frame) + length)
        size++;
    return size;
}

void le_frame_pool_init(struct le_frame_pool *pool, size_t limit_bytes)
{
    *pool = (struct le_frame_pool){.limit_bytes = limit_bytes};
}

void le_frame_pool_clear(struct le_frame_pool *pool)
{
    for (unsigned size = 0; size < FRAME_SIZES; size++) {
        struct le_frame *frame = pool->spare[size];
        while (frame) {
            struct le_frame *next = frame->next;
            free(frame);
            pool->held_bytes -= frame_block_bytes(size);
            frame = next;
        }
        pool->spare[size] = NULL;
    }
}

struct le_frame *le_frame_new(struct le_frame_pool *pool, uint32_t length)
{
    unsigned size = frame_size_for(length);
    struct le_frame *frame = pool->spare[size];

    if (frame) {
        pool->spare[size] = frame->next;
    } else {
        size_t block = frame_block_bytes(size);
        if (pool->held_bytes + block > pool->limit_bytes)
            le_frame_pool_clear(pool); /* free blocks of other sizes may use up the limit */
        if (pool->held_bytes + block > pool->limit_bytes || !(frame = malloc(block)))
            return NULL;
        pool->held_bytes += block;
    }
    frame->next = NULL;
    frame->length = length;
    frame->size = (uint8_t)size;
    return frame;
}

void le_frame_free(struct le_frame_pool *pool, struct le_frame *frame)
{
    frame->next = pool->spare[frame->size];
    pool->spare[frame->size] = frame;
}

struct le_frame *le_frame_from_link(struct le_frame_pool *pool, const uint8_t *data, uint32_t length, uint16_t vlan)
{
    uint32_t tag_bytes = vlan ? FRAME_TAG_BYTES : 0;
    struct le_frame *frame = le_frame_new(pool, length + tag_bytes);
    if (!frame)
        return NULL;
    frame->line_bytes = length;
    memcpy(frame->data, data, FRAME_ADDRESSES_BYTES);
    if (vlan) {
        const uint8_t tag[FRAME_TAG_BYTES] = {0x81, 0x00, (uint8_t)(vlan >> 8), (uint8_t)vlan};
        memcpy(frame->data + FRAME_ADDRESSES_BYTES, tag, sizeof tag);
    }
    memcpy(frame->data + FRAME_ADDRESSES_BYTES + tag_bytes, data + FRAME_ADDRESSES_BYTES,
           length - FRAME_ADDRESSES_BYTES);
    return frame;
}

void le_frame_flip_bit(struct le_frame *frame, uint32_t bit)
{
    uint32_t byte = bit / 8;
    if (byte >= FRAME_ADDRESSES_BYTES)
        byte += frame->length - frame->line_bytes;
    frame->data[byte] ^= (uint8_t)(1 << bit % 8);
}

struct le_frame *le_frame_copy(struct le_frame_pool *pool, const struct le_frame *frame)
{
    struct le_frame *copy = le_frame_new(pool, frame->length);
    if (!copy)
        return NULL;
    copy->arrival_ns = frame->arrival_ns;
    copy->ideal_ns = frame->ideal_ns;
    copy->line_bytes = frame->line_bytes;
    copy->queue = frame->queue;
    memcpy(copy->data, frame->data, frame->length);
    return copy;
}
