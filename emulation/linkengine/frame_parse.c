#include "frame_parse.h"

#include <stdbool.h>

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_VLAN = 0x8100, /* IEEE 802.1Q customer tag */
    TYPE_IPV6 = 0x86dd,
    TYPE_MPLS = 0x8847,
    TYPE_MPLS_UPSTREAM = 0x8848, /* upstream-assigned label, RFC 5332 */
    TYPE_SVLAN = 0x88a8,         /* IEEE 802.1ad service tag */
};

static unsigned frame_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

uint32_t le_frame_tag_bytes(const uint8_t *data, uint32_t length)
{
    uint32_t at = FRAME_HEADER_BYTES;
    for (int tags = 0; tags < FRAME_TAGS && length >= at + FRAME_TAG_BYTES; tags++) {
        unsigned type = frame_u16(data + at - 2);
        if (type != TYPE_VLAN && type != TYPE_SVLAN)
            break;
        at += FRAME_TAG_BYTES;
    }
    return at - FRAME_HEADER_BYTES;
}

/* Offset of what follows the label stack that begins at the given offset, 0 if its bottom was not found. */
static uint32_t frame_behind_labels(const uint8_t *data, uint32_t length, uint32_t at)
{
    for (int labels = 0; labels < FRAME_LABELS && length >= at + FRAME_LABEL_BYTES; labels++) {
        bool bottom = data[at + 2] & 1;
        at += FRAME_LABEL_BYTES;
        if (bottom)
            return at;
    }
    return 0;
}

struct le_frame_layout le_frame_parse(const uint8_t *data, uint32_t length)
{
    struct le_frame_layout layout = {0};
    if (length < FRAME_HEADER_BYTES)
        return layout;
    layout.tag_bytes = le_frame_tag_bytes(data, length);
    uint32_t at = FRAME_HEADER_BYTES + layout.tag_bytes; /* the version implied by the type */
    unsigned type = frame_u16(data + at - 2);
    bool labelled = type == TYPE_MPLS || type == TYPE_MPLS_UPSTREAM;

    if (labelled) {
        if (length < at + FRAME_LABEL_BYTES)
            return layout;
        layout.labels_at = at;
        at = frame_behind_labels(data, length, at);
    }
    if (at == 0 || length < at + 2)
        return layout;
    unsigned version = data[at] >> 4;
    if ((version == 4 && (labelled || type == TYPE_IPV4)) || (version == 6 && (labelled || type == TYPE_IPV6))) {
        layout.packet_at = at;
        layout.version = version;
    }
    return layout;
}

int le_frame_vlan(const uint8_t *data, uint32_t length)
{
    if (length < FRAME_HEADER_BYTES + FRAME_TAG_BYTES || frame_u16(data + FRAME_ADDRESSES_BYTES) != TYPE_VLAN)
        return -1;
    return (int)(frame_u16(data + FRAME_HEADER_BYTES) & 0xfff);
}
