#include "classify.h"

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

unsigned classify_frame(const struct classify_tables *tables, const uint8_t *data, uint32_t length)
{
    uint32_t at = CLASSIFY_HEADER_BYTES; /* start of what the type announces */
    if (length < at)
        return tables->queue_of_other;
    unsigned type = classify_u16(data + at - 2);

    for (int tags = 0; tags < 2 && (type == TYPE_VLAN || type == TYPE_SVLAN) && length >= at + 4; tags++) {
        at += 4;
        type = classify_u16(data + at - 2);
    }
    if (type == TYPE_IPV4 && length >= at + 2 && data[at] >> 4 == 4)
        return tables->queue_of_dscp[data[at + 1] >> 2];
    if (type == TYPE_IPV6 && length >= at + 2 && data[at] >> 4 == 6)
        return tables->queue_of_dscp[classify_u16(data + at) >> 6 & 0x3f];
    if ((type == TYPE_MPLS || type == TYPE_MPLS_UPSTREAM) && length >= at + 4)
        return tables->queue_of_tc[data[at + 2] >> 1 & 7];
    return tables->queue_of_other;
}

int classify_vlan(const uint8_t *data, uint32_t length)
{
    if (length < CLASSIFY_HEADER_BYTES + 4 || classify_u16(data + 12) != TYPE_VLAN)
        return -1;
    return (int)(classify_u16(data + 14) & 0xfff);
}
