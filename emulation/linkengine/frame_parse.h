/* Layout of an Ethernet frame: VLAN tags, MPLS label stack, IP header. The only module that reads headers' types.
 *
 * Known tags: IEEE 802.1Q (0x8100) and 802.1ad (0x88a8); MPLS by 0x8847 and 0x8848 (RFC 3032, RFC 5332). Nothing behind
 * the frame's end is read, and at most FRAME_TAGS tags and FRAME_LABELS labels are skipped.
 */
#ifndef LINKENGINE_FRAME_PARSE_H
#define LINKENGINE_FRAME_PARSE_H

#include <stdint.h>

#define FRAME_ADDRESSES_BYTES 12 /* destination and source; a VLAN tag follows them */
#define FRAME_HEADER_BYTES 14    /* the addresses and a type */
#define FRAME_TAG_BYTES 4        /* a VLAN tag */
#define FRAME_LABEL_BYTES 4      /* an MPLS label stack entry */
#define FRAME_TAGS 2             /* VLAN tags skipped, at most */
#define FRAME_LABELS 8           /* MPLS labels skipped, at most */

struct le_frame_layout {
    uint32_t tag_bytes;  /* of the VLAN tags, FRAME_TAGS at most, that follow the addresses */
    uint32_t labels_at;  /* offset of the MPLS label stack, 0: there is none, or its first entry is truncated */
    uint32_t packet_at;  /* offset of the IP header, of which at least two bytes exist; 0: there is none */
    unsigned version;    /* of the IP header: 4 or 6, 0 without one */
};

/* The layout of a frame of any bytes and any length. An IP header's version must agree with the type that announces it;
 * behind labels its first four bits say what it is (RFC 4928). */
struct le_frame_layout le_frame_parse(const uint8_t *data, uint32_t length);

/* Bytes of the VLAN tags alone, as in struct le_frame_layout. */
uint32_t le_frame_tag_bytes(const uint8_t *data, uint32_t length);

/* The VLAN id of the outer 802.1Q tag, -1 if the frame has none: it identifies the link on a trunk. */
int le_frame_vlan(const uint8_t *data, uint32_t length);

#endif
