#include "passage.h"

#include <string.h>

enum {
    PASSAGE_ADDRESSES_BYTES = 12,
    PASSAGE_TYPE_IPV4 = 0x0800,
    PASSAGE_TYPE_IPV6 = 0x86dd,
    PASSAGE_TYPE_VLAN = 0x8100,
    PASSAGE_TYPE_MPLS = 0x8847,
    PASSAGE_IPV4_BYTES = 20,
    PASSAGE_IPV6_BYTES = 40,
    PASSAGE_LINK_TTL = 255,
    PASSAGE_CARRIED_BYTES = 32, /* headers of TCP or UDP, and what makes datagrams differ behind them */
};

static unsigned passage_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* Where the IP packet begins, 0 if there is none. */
static uint32_t passage_packet(const uint8_t *data, uint32_t length)
{
    uint32_t at = PASSAGE_ADDRESSES_BYTES;
    while (length >= at + 4 && passage_u16(data + at) == PASSAGE_TYPE_VLAN)
        at += 4;
    if (length < at + 2)
        return 0;
    unsigned type = passage_u16(data + at);
    at += 2;
    if (type == PASSAGE_TYPE_MPLS) {
        bool bottom = false;
        for (; !bottom && length >= at + 4; at += 4)
            bottom = data[at + 2] & 1;
        if (!bottom)
            return 0;
    } else if (type != PASSAGE_TYPE_IPV4 && type != PASSAGE_TYPE_IPV6) {
        return 0;
    }
    if (length >= at + PASSAGE_IPV4_BYTES && data[at] >> 4 == 4)
        return at;
    return length >= at + PASSAGE_IPV6_BYTES && data[at] >> 4 == 6 ? at : 0;
}

static uint64_t passage_mix(uint64_t hash, const uint8_t *data, uint32_t length)
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

uint64_t passage_key(const uint8_t *data, uint32_t length)
{
    uint32_t at = passage_packet(data, length);
    bool six = at && data[at] >> 4 == 6;
    if (at == 0 || data[at + (six ? 7 : 8)] == PASSAGE_LINK_TTL)
        return 0;
    uint64_t hash;
    if (six) {
        hash = passage_mix(length - at, data + at + 2, 5); /* flow label, length, next header */
        hash = passage_mix(hash, data + at + 8, 32);       /* addresses */
        at += PASSAGE_IPV6_BYTES;
    } else {
        hash = passage_mix(length - at, data + at + 2, 6);          /* length, identification, fragment */
        hash = passage_mix(hash ^ data[at + 9], data + at + 12, 8); /* protocol, addresses */
        at += PASSAGE_IPV4_BYTES;
    }
    uint32_t carried = length - at < PASSAGE_CARRIED_BYTES ? length - at : PASSAGE_CARRIED_BYTES;
    hash = passage_mix(hash, data + at, carried);
    return hash ? hash : 1;
}

/* The frames that are known by keys like this one. */
static struct passage_entry *passage_set(struct passage *passage, uint64_t key)
{
    return passage->entry[key >> 32 & (PASSAGE_SETS - 1)];
}

void passage_leave(struct passage *passage, const uint8_t *data, uint32_t length, int64_t left_ns)
{
    uint64_t key = passage->follows ? passage_key(data, length) : 0;
    if (!key)
        return;
    struct passage_entry *set = passage_set(passage, key), *oldest = set;
    for (struct passage_entry *entry = set + 1; entry < set + PASSAGE_WAYS; entry++)
        if (entry->left_ns < oldest->left_ns)
            oldest = entry;
    *oldest = (struct passage_entry){.key = key, .left_ns = left_ns};
}

int64_t passage_arrive(struct passage *passage, const uint8_t *data, uint32_t length, int64_t now_ns)
{
    uint64_t key = passage->follows ? passage_key(data, length) : 0;
    if (!key)
        return now_ns;
    struct passage_entry *set = passage_set(passage, key), *last = NULL;
    for (struct passage_entry *entry = set; entry < set + PASSAGE_WAYS; entry++)
        if (entry->key == key && (!last || entry->left_ns > last->left_ns)) /* the same bytes may have left before */
            last = entry;
    if (!last)
        return now_ns - passage->origin_ns;
    int64_t left_ns = last->left_ns, late_ns = now_ns - left_ns;
    *last = (struct passage_entry){0}; /* what comes again is another */
    return late_ns < PASSAGE_MOST_NS && late_ns > -PASSAGE_MOST_NS ? left_ns : now_ns;
}
