/* Split virtqueues (Virtio 1.1, 2.6) of a network port, from the driver's side: memory in, no I/O, no clock.
 *
 * A port has two rings in one block of memory that it shares with the device: the device puts frames into ring 0 and
 * takes frames from ring 1. Buffers have a fixed size and place; a frame fills one, behind a header of zeros. Features:
 * VIRTIO_F_VERSION_1 alone. Addresses in the rings are offsets in the block.
 *
 * The device may write anything anywhere in the block at any time. Which buffers it has, which are free and where they
 * are is therefore kept in private memory; what is read from the block is checked, and a ring in which something is
 * wrong is broken until it is reset.
 */
#ifndef LINKENGINE_VRING_H
#define LINKENGINE_VRING_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VRING_RECEIVE 0             /* ring number: from the device */
#define VRING_TRANSMIT 1            /* ring number: to the device */
#define VRING_RINGS 2
#define VRING_MIN_ENTRIES 2
#define VRING_MAX_ENTRIES 32768     /* Virtio's own limit */
#define VRING_HEADER_BYTES 12       /* struct virtio_net_hdr, before each frame */
#define VRING_BUFFER_BYTES 2048
#define VRING_LINE_BYTES 64         /* of a processor's cache; parts of rings start on lines of their own */
#define VRING_FRAME_BYTES (VRING_BUFFER_BYTES - VRING_HEADER_BYTES) /* longest frame */

/* Where a ring's parts are, as offsets in the block. */
struct le_vring_place {
    uint64_t desc;     /* descriptor table */
    uint64_t avail;    /* available ring, written by the driver */
    uint64_t used;     /* used ring, written by the device */
    uint64_t buffers;  /* one of VRING_BUFFER_BYTES for each descriptor */
};

struct le_vring_layout {
    uint64_t bytes;                           /* size of the block, whole pages */
    struct le_vring_place ring[VRING_RINGS];  /* by ring number */
};

struct le_vring_desc {
    uint64_t address;  /* of the buffer */
    uint32_t length;   /* of the buffer, or of header and frame in it */
    uint16_t flags;    /* VRING_DESC_WRITE: the device writes it */
    uint16_t next;     /* unused: no chains */
};

struct le_vring_avail {
    uint16_t flags;   /* VRING_AVAIL_NO_INTERRUPT */
    uint16_t idx;     /* entries posted so far, modulo 2^16 */
    uint16_t ring[];  /* descriptors posted */
};

struct le_vring_used_entry {
    uint32_t id;      /* descriptor */
    uint32_t length;  /* bytes that the device wrote */
};

struct le_vring_used {
    uint16_t flags;                     /* not looked at: the device polls */
    uint16_t idx;                       /* entries used so far, modulo 2^16 */
    struct le_vring_used_entry ring[];  /* descriptors used */
};

/* What is looked at to see whether there is anything comes first: one line of the cache for each of hundreds. */
struct le_vring {
    struct le_vring_used *used;    /* in the block */
    uint16_t entries;              /* a power of two */
    uint16_t used_idx;             /* entries of the used ring taken so far, modulo 2^16 */
    uint16_t posted_count;         /* descriptors that the device has, unpublished ones included */
    uint16_t posted_idx;           /* entries posted so far, modulo 2^16 */
    uint16_t unpublished;          /* of them: those the device has not been shown */
    bool broken;                   /* the device broke the protocol */
    struct le_vring_avail *avail;  /* in the block */
    struct le_vring_desc *desc;    /* in the block; only written */
    uint8_t *buffers;              /* in the block */
    uint16_t *spare;               /* descriptors that the device does not have, the last returned on top */
    bool *posted;                  /* by descriptor: the device has it */
    uint64_t buffers_at;           /* offset of the buffers in the block */
};

/* The layout for rings of entries each. False when that is no power of two within the limits. */
bool le_vring_layout(uint32_t entries, struct le_vring_layout *layout);

/* A ring without a device, in the block at memory, to be reset before use. Returns 0, or -1 when out of memory. */
int le_vring_init(struct le_vring *ring, uint8_t *memory, const struct le_vring_place *place, uint32_t entries);
void le_vring_clear(struct le_vring *ring);

/* Begin anew, without frames, all indices 0, while no device works on the ring. receives: post all buffers to be
 * written by the device; else they are for sending. */
void le_vring_reset(struct le_vring *ring, bool receives);

/* Whether the device is to signal each use of a buffer; takes effect for the device some time after a full barrier. */
void le_vring_signal(struct le_vring *ring, bool wanted);

/* Copy a frame into a buffer. False when no buffer is free or the frame is too long. The device sees it once
 * le_vring_publish() was called. */
bool le_vring_send(struct le_vring *ring, const uint8_t *data, uint32_t length);

/* Show the device what was posted. */
void le_vring_publish(struct le_vring *ring);

/* Take back the buffers that the device has sent. Returns how many frames it has yet to send. */
uint32_t le_vring_reclaim(struct le_vring *ring);

/* Handed a frame that the device put into a buffer: it may overwrite data, and must not keep it. length: 0 to
 * VRING_FRAME_BYTES. The device may go on writing to data. */
typedef void (*le_vring_take)(void *context, uint8_t *data, uint32_t length);

/* Hand over up to budget frames and give their buffers back to the device. Returns how many there were. */
uint32_t le_vring_receive(struct le_vring *ring, uint32_t budget, le_vring_take take, void *context);

/* Entries of the used ring that have not been taken. More than the device has buffers: the ring is broken, and 0. */
static inline uint32_t le_vring_pending(struct le_vring *ring)
{
    uint16_t idx = le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE));
    uint16_t count = (uint16_t)(idx - ring->used_idx);
    if (count > ring->posted_count)
        ring->broken = true;
    return ring->broken ? 0 : count;
}

/* Fetch ahead of their use: the used ring's index, the next entry, and the beginning of the frame that is so many
 * entries further. */
static inline void le_vring_prefetch_index(const struct le_vring *ring)
{
    __builtin_prefetch(ring->used);
}

static inline void le_vring_prefetch_entry(const struct le_vring *ring)
{
    __builtin_prefetch(&ring->used->ring[ring->used_idx & (ring->entries - 1u)]);
}

static inline void le_vring_prefetch_frame(const struct le_vring *ring, uint32_t further)
{
    const struct le_vring_used_entry *entry = &ring->used->ring[(ring->used_idx + further) & (ring->entries - 1u)];
    uint32_t id = le32toh(__atomic_load_n(&entry->id, __ATOMIC_RELAXED)) & (ring->entries - 1u);
    const uint8_t *buffer = ring->buffers + (size_t)id * VRING_BUFFER_BYTES;
    __builtin_prefetch(buffer);
    __builtin_prefetch(buffer + VRING_LINE_BYTES);
}

#endif
