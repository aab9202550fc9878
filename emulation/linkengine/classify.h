/* Classification: which class queue a frame belongs to, and its drop precedence. */
#ifndef LINKENGINE_CLASSIFY_H
#define LINKENGINE_CLASSIFY_H

#include <stdint.h>

struct le_classify_tables {
    uint8_t queue_of_dscp[64];  /* IPv4 and IPv6, by differentiated services code point (RFC 2474) */
    uint8_t queue_of_tc[8];     /* MPLS, by the top label's traffic class (RFC 5462) */
    uint8_t queue_of_other;     /* ARP, LLDP, other types, truncated frames */
};

/* The queue number of a frame of any bytes and any length, also behind VLAN tags (see frame_parse.h). */
unsigned le_classify_frame(const struct le_classify_tables *tables, const uint8_t *data, uint32_t length);

/* The drop precedence, 1 to 3, of an assured-forwarding code point (RFC 2597), also behind MPLS labels; 1 for all
 * other frames. */
unsigned le_classify_precedence(const uint8_t *data, uint32_t length);

#endif
