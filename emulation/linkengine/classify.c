#include "classify.h"

#include <stdbool.h>

#define CLASSIFY_TAGS 2         /* VLAN tags looked behind */
#define CLASSIFY_TAG_BYTES 4
#define CLASSIFY_LABELS 8       /* MPLS labels looked behind */
#define CLASSIFY_LABEL_BYTES 4

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_VLAN = 0x8100,  /* IEEE 802.1Q customer tag */
    TYPE_SVLAN = 0x88a8, /* IEEE 802.1ad service tag */
    TYPE_IPV6 = 0x86dd,
    TYPE_MPLS = 0x8847,
    TYPE_MPLS_UPSTREAM = 0x8848, /* RFC 5332 */
};

static unsigned classify_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

uint32_t le_classify_tag_bytes(const uint8_t *data, uint32_t length)
{
    uint32_t at = CLASSIFY_HEADER_BYTES;
    for (int tags = 0; tags < CLASSIFY_TAGS && length >= at + CLASSIFY_TAG_BYTES; tags++) {
        unsigned type = classify_u16(data + at - 2);
        if (type != TYPE_VLAN && type != TYPE_SVLAN)
            break;
        at += CLASSIFY_TAG_BYTES;
    }
    return at - CLASSIFY_HEADER_BYTES;
}

static bool classify_is_mpls(unsigned type)
{
    return type == TYPE_MPLS || type == TYPE_MPLS_UPSTREAM;
}

/* The code point of the IP header at that place, -1 if there is none. */
static int classify_dscp(const uint8_t *data, uint32_t length, uint32_t at)
{
    if (length < at + 2)
        return -1;
    if (data[at] >> 4 == 4)
        return data[at + 1] >> 2;
    return data[at] >> 4 == 6 ? (int)(classify_u16(data + at) >> 6 & 0x3f) : -1;
}

/* Whether the header that the type announces is of the IP version it says. */
static bool classify_is_ip(unsigned type, unsigned version)
{
    return (type == TYPE_IPV4 && version == 4) || (type == TYPE_IPV6 && version == 6);
}

unsigned le_classify_frame(const struct le_classify_tables *tables, const uint8_t *data, uint32_t length)
{
    if (length < CLASSIFY_HEADER_BYTES)
        return tables->queue_of_other;
    uint32_t at = CLASSIFY_HEADER_BYTES + le_classify_tag_bytes(data, length); /* start of what the type announces */
    unsigned type = classify_u16(data + at - 2);

    if (classify_is_mpls(type) && length >= at + CLASSIFY_LABEL_BYTES)
        return tables->queue_of_tc[data[at + 2] >> 1 & 7];
    int dscp = classify_dscp(data, length, at);
    if (dscp < 0 || !classify_is_ip(type, data[at] >> 4))
        return tables->queue_of_other;
    return tables->queue_of_dscp[dscp];
}

unsigned le_classify_precedence(const uint8_t *data, uint32_t length)
{
    uint32_t at = CLASSIFY_HEADER_BYTES + le_classify_tag_bytes(data, length);
    unsigned type = classify_u16(data + at - 2);
    int dscp = -1;

    if (classify_is_mpls(type)) {
        bool bottom = false;
        for (int labels = 0; labels < CLASSIFY_LABELS && !bottom && length >= at + CLASSIFY_LABEL_BYTES; labels++) {
            bottom = data[at + 2] & 1;
            at += CLASSIFY_LABEL_BYTES;
        }
        if (bottom)
            dscp = classify_dscp(data, length, at); /* what it is shows in its first four bits (RFC 4928) */
    } else if (length > at && classify_is_ip(type, data[at] >> 4)) {
        dscp = classify_dscp(data, length, at);
    }
    int class = dscp >> 3, precedence = dscp >> 1 & 3;
    bool assured = dscp >= 0 && class >= 1 && class <= 4 && precedence && !(dscp & 1);
    return assured ? (unsigned)precedence : 1;
}

int le_classify_vlan(const uint8_t *data, uint32_t length)
{
    if (length < CLASSIFY_HEADER_BYTES + 4 || classify_u16(data + 12) != TYPE_VLAN)
        return -1;
    return (int)(classify_u16(data + 14) & 0xfff);
}
