/* Rings under a device that writes anything anywhere in their memory, between calls in any order. */
#include <string.h>

#include "fuzz.h"
#include "vring.h"

#define MOST_ENTRIES_SHIFT 5

enum operation {
    SEND,
    PUBLISH,
    RECLAIM,
    RECEIVE,
    SIGNAL,
    RESET,
    SCRIBBLE,  /* a byte anywhere */
    USE,       /* an entry of the used ring, of any kind */
    TAKE,      /* what a device does that keeps to the protocol */
    OPERATIONS
};

struct rings {
    struct fuzz_input *input;
    struct le_vring_layout layout;
    struct le_vring ring[VRING_RINGS];
    uint8_t *memory;            /* the block, whose end is that of its memory */
    uint16_t at[VRING_RINGS];   /* of a device that keeps to the protocol: entries taken */
    uint32_t entries;
};

/* A le_vring_take. */
static void rings_take(void *context, uint8_t *data, uint32_t length)
{
    const struct rings *rings = context;
    const struct le_vring_place *place = &rings->layout.ring[VRING_RECEIVE];
    uint64_t at = (uint64_t)(data - rings->memory);
    FUZZ_CHECK(length <= VRING_FRAME_BYTES);
    FUZZ_CHECK(at >= place->buffers + VRING_HEADER_BYTES);
    FUZZ_CHECK(at + length <= place->buffers + (uint64_t)rings->entries * VRING_BUFFER_BYTES);
    FUZZ_CHECK((at - place->buffers) % VRING_BUFFER_BYTES == VRING_HEADER_BYTES);
    memset(data, 0xaa, length);
}

/* Every descriptor is either posted or spare, and that once. */
static void rings_check(const struct rings *rings, unsigned number)
{
    const struct le_vring *ring = &rings->ring[number];
    uint32_t posted = 0;
    bool spare[1 << MOST_ENTRIES_SHIFT] = {false};
    FUZZ_CHECK(ring->posted_count <= ring->entries);
    for (uint32_t id = 0; id < ring->entries; id++)
        posted += ring->posted[id];
    FUZZ_CHECK(posted == ring->posted_count);
    for (uint32_t i = 0; i < (uint32_t)(ring->entries - posted); i++) {
        FUZZ_CHECK(ring->spare[i] < ring->entries && !ring->posted[ring->spare[i]] && !spare[ring->spare[i]]);
        spare[ring->spare[i]] = true;
    }
    FUZZ_CHECK(number == VRING_TRANSMIT || ring->broken || posted == ring->entries);
    FUZZ_CHECK(ring->unpublished <= posted);
}

static void rings_send(struct rings *rings)
{
    static const uint8_t frame[VRING_FRAME_BYTES + 1];
    uint32_t length = (uint32_t)fuzz_upto(rings->input, VRING_FRAME_BYTES + 1);
    bool sent = le_vring_send(&rings->ring[VRING_TRANSMIT], frame, length);
    FUZZ_CHECK(!sent || (length <= VRING_FRAME_BYTES && !rings->ring[VRING_TRANSMIT].broken));
}

static void rings_receive(struct rings *rings)
{
    uint32_t budget = (uint32_t)fuzz_upto(rings->input, 64);
    FUZZ_CHECK(le_vring_receive(&rings->ring[VRING_RECEIVE], budget, rings_take, rings) <= budget);
}

static void rings_use(struct rings *rings, unsigned number)
{
    struct le_vring_used *used = rings->ring[number].used;
    uint64_t kind = fuzz_take(rings->input, 1);
    struct le_vring_used_entry *entry = &used->ring[used->idx & (rings->entries - 1)];
    entry->id = (uint32_t)(kind & 1 ? fuzz_take(rings->input, 4) : fuzz_upto(rings->input, rings->entries));
    entry->length = (uint32_t)(kind & 2 ? fuzz_take(rings->input, 4) : fuzz_upto(rings->input, VRING_BUFFER_BYTES + 1));
    used->idx += (uint16_t)(kind & 4 ? fuzz_take(rings->input, 2) : 1);
}

static void rings_use_well(struct rings *rings, unsigned number)
{
    struct le_vring *ring = &rings->ring[number];
    if (ring->avail->idx == rings->at[number])
        return;
    struct le_vring_used_entry *entry = &ring->used->ring[ring->used->idx & (rings->entries - 1)];
    entry->id = ring->avail->ring[rings->at[number]++ & (rings->entries - 1)];
    entry->length = VRING_HEADER_BYTES + (uint32_t)fuzz_upto(rings->input, VRING_FRAME_BYTES);
    ring->used->idx++;
}

static void rings_reset(struct rings *rings, unsigned number)
{
    le_vring_reset(&rings->ring[number], number == VRING_RECEIVE);
    FUZZ_CHECK(le_vring_pending(&rings->ring[number]) == 0 && !rings->ring[number].broken);
    rings->at[number] = 0;
}

static void rings_operate(struct rings *rings)
{
    enum operation operation = (enum operation)fuzz_upto(rings->input, OPERATIONS - 1);
    unsigned number = (unsigned)fuzz_upto(rings->input, VRING_RINGS - 1);
    switch (operation) {
    case SEND:
        rings_send(rings);
        break;
    case PUBLISH:
        le_vring_publish(&rings->ring[VRING_TRANSMIT]);
        break;
    case RECLAIM:
        FUZZ_CHECK(le_vring_reclaim(&rings->ring[VRING_TRANSMIT]) <= rings->entries);
        break;
    case RECEIVE:
        rings_receive(rings);
        break;
    case SIGNAL:
        le_vring_signal(&rings->ring[number], fuzz_take(rings->input, 1) & 1);
        break;
    case RESET:
        rings_reset(rings, number);
        break;
    case SCRIBBLE:
        rings->memory[fuzz_upto(rings->input, rings->layout.bytes - 1)] = (uint8_t)fuzz_take(rings->input, 1);
        break;
    case USE:
        rings_use(rings, number);
        break;
    default:
        rings_use_well(rings, number);
    }
    rings_check(rings, number);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.at = bytes, .end = bytes + size};
    struct rings rings = {.input = &input, .entries = 1u << (1 + fuzz_upto(&input, MOST_ENTRIES_SHIFT - 1))};
    FUZZ_CHECK(!le_vring_layout(rings.entries + 1, &rings.layout) && le_vring_layout(rings.entries, &rings.layout));
    rings.memory = aligned_alloc(4096, rings.layout.bytes);
    FUZZ_CHECK(rings.memory);
    memset(rings.memory, 0xff, rings.layout.bytes); /* whatever was there before */
    for (unsigned number = 0; number < VRING_RINGS; number++) {
        FUZZ_CHECK(le_vring_init(&rings.ring[number], rings.memory, &rings.layout.ring[number], rings.entries) == 0);
        rings_reset(&rings, number);
    }
    while (input.at < input.end)
        rings_operate(&rings);
    for (unsigned number = 0; number < VRING_RINGS; number++) {
        rings_check(&rings, number);
        le_vring_clear(&rings.ring[number]);
    }
    free(rings.memory);
    return 0;
}
