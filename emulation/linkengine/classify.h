/* Which class queue a frame belongs to. */
#ifndef LINKENGINE_CLASSIFY_H
#define LINKENGINE_CLASSIFY_H

#include <stdint.h>

#define CLASSIFY_HEADER_BYTES 14  /* Ethernet: two addresses and a type */

struct le_classify_tables {
    uint8_t queue_of_dscp[64];  /* IPv4 and IPv6, by differentiated services code point (RFC 2474) */
    uint8_t queue_of_tc[8];     /* MPLS, by the top label's traffic class (RFC 5462) */
    uint8_t queue_of_other;     /* ARP, LLDP and whatever else is neither, and what is cut short */
};

/* The queue number of a frame of any bytes and any length. Looks behind up to two VLAN tags. */
unsigned le_classify_frame(const struct le_classify_tables *tables, const uint8_t *data, uint32_t length);

/* The drop precedence, 1 to 3, of an assured-forwarding code point (RFC 2597), also behind MPLS labels; 1 for all
 * other frames. */
unsigned le_classify_precedence(const uint8_t *data, uint32_t length);

/* Bytes of the VLAN tags, two at most, that follow the addresses. */
uint32_t le_classify_tag_bytes(const uint8_t *data, uint32_t length);

/* The VLAN id of the outer 802.1Q tag, -1 if the frame has none. */
int le_classify_vlan(const uint8_t *data, uint32_t length);

#endif
