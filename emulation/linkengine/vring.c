#include "vring.h"

#include <stdlib.h>
#include <string.h>

#define VRING_PAGE_BYTES 4096
#define VRING_DESC_WRITE 2             /* VIRTQ_DESC_F_WRITE */
#define VRING_AVAIL_NO_INTERRUPT 1     /* VIRTQ_AVAIL_F_NO_INTERRUPT */
#define VRING_PUBLISH_AT 32            /* frames: the device need not wait for longer bursts */
#define VRING_AHEAD 2                  /* frames to fetch ahead: the device wrote them on another core */

/* Take the next bytes of the block, from a multiple of unit on. */
static uint64_t vring_place(uint64_t *end, uint64_t bytes, uint64_t unit)
{
    uint64_t at = (*end + unit - 1) / unit * unit;
    *end = at + bytes;
    return at;
}

bool le_vring_layout(uint32_t entries, struct le_vring_layout *layout)
{
    uint64_t end = 0;
    if (entries < VRING_MIN_ENTRIES || entries > VRING_MAX_ENTRIES || entries & (entries - 1))
        return false;
    for (struct le_vring_place *place = layout->ring; place < layout->ring + VRING_RINGS; place++) {
        place->desc = vring_place(&end, entries * sizeof(struct le_vring_desc), VRING_LINE_BYTES);
        place->avail = vring_place(&end, sizeof(struct le_vring_avail) + (entries + 1) * sizeof(uint16_t),
                                   VRING_LINE_BYTES); /* one more: used_event, reserved by the standard */
        place->used = vring_place(&end, sizeof(struct le_vring_used) + entries * sizeof(struct le_vring_used_entry) +
                                            sizeof(uint16_t), VRING_LINE_BYTES); /* and avail_event */
    }
    for (struct le_vring_place *place = layout->ring; place < layout->ring + VRING_RINGS; place++)
        place->buffers = vring_place(&end, (uint64_t)entries * VRING_BUFFER_BYTES, VRING_PAGE_BYTES);
    layout->bytes = vring_place(&end, 0, VRING_PAGE_BYTES);
    return true;
}

int le_vring_init(struct le_vring *ring, uint8_t *memory, const struct le_vring_place *place, uint32_t entries)
{
    *ring = (struct le_vring){
        .desc = (struct le_vring_desc *)(memory + place->desc),
        .avail = (struct le_vring_avail *)(memory + place->avail),
        .used = (struct le_vring_used *)(memory + place->used),
        .buffers = memory + place->buffers,
        .buffers_at = place->buffers,
        .entries = (uint16_t)entries,
        .spare = malloc(entries * sizeof *ring->spare),
        .posted = calloc(entries, sizeof *ring->posted),
    };
    if (ring->spare && ring->posted)
        return 0;
    le_vring_clear(ring);
    return -1;
}

void le_vring_clear(struct le_vring *ring)
{
    free(ring->spare);
    free(ring->posted);
    *ring = (struct le_vring){0};
}

static uint8_t *vring_buffer(const struct le_vring *ring, uint32_t id)
{
    return ring->buffers + (size_t)id * VRING_BUFFER_BYTES;
}

/* Post the spare buffer that was returned last; the device sees it once it is published. */
static void vring_post(struct le_vring *ring)
{
    uint16_t id = ring->spare[ring->entries - ring->posted_count - 1];
    ring->avail->ring[ring->posted_idx & (ring->entries - 1)] = htole16(id);
    ring->posted[id] = true;
    ring->posted_idx++;
    ring->posted_count++;
    ring->unpublished++;
}

void le_vring_reset(struct le_vring *ring, bool receives)
{
    ring->posted_count = ring->posted_idx = ring->unpublished = ring->used_idx = 0;
    ring->broken = false;
    ring->used->flags = 0;
    __atomic_store_n(&ring->used->idx, 0, __ATOMIC_RELAXED);
    for (uint32_t id = 0; id < ring->entries; id++) {
        ring->desc[id] = (struct le_vring_desc){
            .address = htole64(ring->buffers_at + (uint64_t)id * VRING_BUFFER_BYTES),
            .length = htole32(VRING_BUFFER_BYTES),
            .flags = htole16(receives ? VRING_DESC_WRITE : 0),
        };
        ring->spare[id] = (uint16_t)(ring->entries - 1 - id); /* the first on top */
        ring->posted[id] = false;
    }
    while (receives && ring->posted_count < ring->entries)
        vring_post(ring);
    le_vring_publish(ring);
}

void le_vring_signal(struct le_vring *ring, bool wanted)
{
    __atomic_store_n(&ring->avail->flags, htole16(wanted ? 0 : VRING_AVAIL_NO_INTERRUPT), __ATOMIC_RELAXED);
}

void le_vring_publish(struct le_vring *ring)
{
    __atomic_store_n(&ring->avail->idx, htole16(ring->posted_idx), __ATOMIC_RELEASE);
    ring->unpublished = 0;
}

/* Take the next entry of the used ring, of which there must be one. Its descriptor, now spare, or -1: the ring is
 * broken. */
static int32_t vring_take_used(struct le_vring *ring, uint32_t *length)
{
    const struct le_vring_used_entry *entry = &ring->used->ring[ring->used_idx & (ring->entries - 1)];
    uint32_t id = le32toh(__atomic_load_n(&entry->id, __ATOMIC_RELAXED)); /* read once: the device may write again */
    *length = le32toh(__atomic_load_n(&entry->length, __ATOMIC_RELAXED));
    if (id >= ring->entries || !ring->posted[id]) {
        ring->broken = true;
        return -1;
    }
    ring->posted[id] = false;
    ring->posted_count--;
    ring->spare[ring->entries - ring->posted_count - 1] = (uint16_t)id;
    ring->used_idx++;
    return (int32_t)id;
}

uint32_t le_vring_reclaim(struct le_vring *ring)
{
    uint32_t length;
    if (ring->unpublished)
        le_vring_publish(ring); /* so that all that is posted may come back */
    for (uint32_t count = le_vring_pending(ring); count > 0; count--)
        if (vring_take_used(ring, &length) < 0) /* the length of what a device only reads means nothing */
            break;
    return ring->posted_count;
}

/* The C library's memcpy(). A compiler that knows the bound of the length puts "rep movs" in its place, after which the
 * processor waits: a fourth of the engine's time at 100,000 frames/s. */
static void vring_copy(uint8_t *to, const uint8_t *from, size_t length)
{
    __asm__("" : "+r"(length));
    memcpy(to, from, length);
}

bool le_vring_send(struct le_vring *ring, const uint8_t *data, uint32_t length)
{
    if (!ring->unpublished || ring->posted_count == ring->entries) /* once a burst: the device's core writes that line */
        le_vring_reclaim(ring);
    if (ring->broken || ring->posted_count == ring->entries || length > VRING_FRAME_BYTES)
        return false;
    uint16_t id = ring->spare[ring->entries - ring->posted_count - 1];
    uint8_t *buffer = vring_buffer(ring, id);
    memset(buffer, 0, VRING_HEADER_BYTES);
    vring_copy(buffer + VRING_HEADER_BYTES, data, length);
    ring->desc[id].length = htole32(VRING_HEADER_BYTES + length);
    vring_post(ring);
    if (ring->unpublished >= VRING_PUBLISH_AT)
        le_vring_publish(ring);
    return true;
}

uint32_t le_vring_receive(struct le_vring *ring, uint32_t budget, le_vring_take take, void *context)
{
    uint32_t pending = le_vring_pending(ring), done = 0;
    if (pending > budget)
        pending = budget;
    for (uint32_t i = 0; i < VRING_AHEAD && i < pending; i++)
        le_vring_prefetch_frame(ring, i);
    while (done < pending) {
        if (done + VRING_AHEAD < pending)
            le_vring_prefetch_frame(ring, VRING_AHEAD);
        uint32_t length;
        int32_t id = vring_take_used(ring, &length);
        if (id < 0)
            break;
        if (length < VRING_HEADER_BYTES || length > VRING_BUFFER_BYTES) {
            ring->broken = true;
            break;
        }
        take(context, vring_buffer(ring, (uint32_t)id) + VRING_HEADER_BYTES, length - VRING_HEADER_BYTES);
        done++;
    }
    if (!done)
        return 0;
    for (uint32_t i = 0; i < done; i++) /* only now: a buffer that is posted could be named twice by the entries taken */
        vring_post(ring);
    le_vring_publish(ring);
    return done;
}
