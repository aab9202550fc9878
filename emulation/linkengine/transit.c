#include "transit.h"

#include <string.h>

#include "frame_parse.h"

enum {
    TRANSIT_IPV4_BYTES = 20,
    TRANSIT_IPV6_BYTES = 40,
    TRANSIT_NEIGHBOUR_TTL = 255,
    TRANSIT_PAYLOAD_BYTES = 32, /* headers of TCP or UDP, and the payload bytes that distinguish datagrams */
};

static uint64_t transit_mix(uint64_t hash, const uint8_t *data, uint32_t length)
{
    for (uint64_t word; length > 0; data += sizeof word) {
        uint32_t taken = length < sizeof word ? length : (uint32_t)sizeof word;
        word = 0;
        memcpy(&word, data, taken);
        length -= taken;
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

uint64_t le_transit_key(const uint8_t *data, uint32_t length)
{
    struct le_frame_layout layout = le_frame_parse(data, length);
    uint32_t at = layout.packet_at;
    bool six = layout.version == 6;
    if (!at || length < at + (six ? TRANSIT_IPV6_BYTES : TRANSIT_IPV4_BYTES) ||
        data[at + (six ? 7 : 8)] == TRANSIT_NEIGHBOUR_TTL)
        return 0;
    uint64_t hash;
    if (six) {
        hash = transit_mix(length - at, data + at + 2, 5); /* flow label, length, next header */
        hash = transit_mix(hash, data + at + 8, 32);       /* addresses */
        at += TRANSIT_IPV6_BYTES;
    } else {
        hash = transit_mix(length - at, data + at + 2, 6);          /* length, identification, fragment */
        hash = transit_mix(hash ^ data[at + 9], data + at + 12, 8); /* protocol, addresses */
        at += TRANSIT_IPV4_BYTES;
    }
    uint32_t payload_bytes = length - at < TRANSIT_PAYLOAD_BYTES ? length - at : TRANSIT_PAYLOAD_BYTES;
    hash = transit_mix(hash, data + at, payload_bytes);
    return hash ? hash : 1;
}

/* The set of frames that the key belongs to. */
static struct le_transit_entry *transit_set(struct le_transit *transit, uint64_t key)
{
    return transit->entry[key >> 32 & (TRANSIT_SETS - 1)];
}

void le_transit_leave(struct le_transit *transit, const uint8_t *data, uint32_t length, int64_t left_ns)
{
    uint64_t key = transit->follows ? le_transit_key(data, length) : 0;
    if (!key)
        return;
    struct le_transit_entry *set = transit_set(transit, key), *oldest = set;
    for (struct le_transit_entry *entry = set + 1; entry < set + TRANSIT_WAYS; entry++)
        if (entry->left_ns < oldest->left_ns)
            oldest = entry;
    *oldest = (struct le_transit_entry){.key = key, .left_ns = left_ns};
}

int64_t le_transit_arrive(struct le_transit *transit, const uint8_t *data, uint32_t length, int64_t now_ns)
{
    uint64_t key = transit->follows ? le_transit_key(data, length) : 0;
    if (!key)
        return now_ns;
    struct le_transit_entry *set = transit_set(transit, key), *last = NULL;
    for (struct le_transit_entry *entry = set; entry < set + TRANSIT_WAYS; entry++)
        if (entry->key == key && (!last || entry->left_ns > last->left_ns)) /* the same bytes may have left before */
            last = entry;
    if (!last)
        return now_ns - transit->origin_ns;
    int64_t left_ns = last->left_ns, late_ns = now_ns - left_ns;
    *last = (struct le_transit_entry){0}; /* a later frame with this key is another one */
    return late_ns < TRANSIT_MOST_NS && late_ns > -TRANSIT_MOST_NS ? left_ns : now_ns;
}
