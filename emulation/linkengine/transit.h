/* Frames in transit through nodes outside the engine: recognised when they return, with their ideal arrival time.
 *
 * A router between two links adds processing delay that the emulated network does not have. The engine sees a frame
 * enter and leave it, and recognises it by fields that routers do not change: addresses, identification or flow label
 * of the IP packet behind tags and labels, and the start of its payload. The next link can then time the frame from
 * its ideal arrival, not the actual one, and compensate the router's delay as far as the link's delay allows.
 */
#ifndef LINKENGINE_TRANSIT_H
#define LINKENGINE_TRANSIT_H

#include <stdbool.h>
#include <stdint.h>

#define TRANSIT_SETS (1u << 12)     /* a power of two */
#define TRANSIT_WAYS 4              /* frames of a set, one cache line: evicted frames count as coming from no link */
#define TRANSIT_MOST_NS 5000000     /* maximum deviation, ns: beyond it the actual arrival counts */

struct le_transit_entry {
    uint64_t key;     /* the frame's key, 0: none */
    int64_t left_ns;  /* when it should have left the link before */
};

struct le_transit {
    bool follows; /* frames are recognised; else the actual arrival counts */
    int64_t origin_ns;                                          /* how late a frame is when it comes from no link */
    struct le_transit_entry entry[TRANSIT_SETS][TRANSIT_WAYS];  /* the last frames to leave, by their keys */
};

/* The key of a frame, 0 when it is not tracked: it is no IP packet, or is link-local traffic (TTL 255, RFC 5082), which
 * repeats the same bytes. */
uint64_t le_transit_key(const uint8_t *data, uint32_t length);

/* Record a frame that leaves a link, ideally at left_ns. */
void le_transit_leave(struct le_transit *transit, const uint8_t *data, uint32_t length, int64_t left_ns);

/* The ideal arrival time of a frame that arrives at now_ns. */
int64_t le_transit_arrive(struct le_transit *transit, const uint8_t *data, uint32_t length, int64_t now_ns);

#endif
