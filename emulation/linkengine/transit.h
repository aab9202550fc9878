/* Frames on their way through what is not the engine's: known again when they come back, with when they should have.
 *
 * A router between two lines takes time that the network it emulates does not have. The engine sees a frame go in and
 * come out; that it is the same it knows by what routers leave alone: addresses, and identification or flow label, of
 * the IP packet behind tags and labels, and the beginning of what it carries. So the next line can count from when the
 * frame should have come, not from when it did, and make up for the router as far as the line's delay allows.
 */
#ifndef LINKENGINE_TRANSIT_H
#define LINKENGINE_TRANSIT_H

#include <stdbool.h>
#include <stdint.h>

#define TRANSIT_SETS (1u << 12)     /* a power of two */
#define TRANSIT_WAYS 4              /* frames of a set, a cache line of them: what is lost of them is counted wrong */
#define TRANSIT_MOST_NS 5000000     /* longer is no router's doing: the frame counts from when it came */

struct le_transit_entry {
    uint64_t key;     /* what the frame is known by, 0: none */
    int64_t left_ns;  /* when it should have left the line before */
};

struct le_transit {
    bool follows; /* frames are followed; else each counts from when it came */
    int64_t origin_ns;                                          /* how late a frame is when it comes from no line */
    struct le_transit_entry entry[TRANSIT_SETS][TRANSIT_WAYS];  /* the last frames to leave, by their keys */
};

/* What a frame is known by, 0 when it is not followed: it is no IP packet, or stays between neighbours (TTL 255,
 * RFC 5082), where the same bytes come again and again. */
uint64_t le_transit_key(const uint8_t *data, uint32_t length);

/* A frame leaves a line, when it should be left_ns. */
void le_transit_leave(struct le_transit *transit, const uint8_t *data, uint32_t length, int64_t left_ns);

/* When a frame that arrives at now_ns should have arrived. */
int64_t le_transit_arrive(struct le_transit *transit, const uint8_t *data, uint32_t length, int64_t now_ns);

#endif
