/* Active queue management: decides whether a frame is dropped although there is room for it.
 *
 * RED (Floyd and Jacobson, IEEE/ACM ToN 1993) judges arrivals by the queue's average length, CoDel (RFC 8289) judges
 * the head of the queue by how long it waited.
 */
#ifndef LINKENGINE_AQM_H
#define LINKENGINE_AQM_H

#include <stdbool.h>
#include <stdint.h>

#define AQM_PRECEDENCES 3  /* drop precedences of an assured-forwarding class, RFC 2597 */

enum le_aqm_kind { AQM_NONE, AQM_RED, AQM_CODEL };

struct le_aqm_curve {
    uint64_t min_bytes, max_bytes;  /* averages from which some and all are dropped */
    double most;                    /* drop probability just below max_bytes */
};

struct le_aqm_rule {
    enum le_aqm_kind kind;
    unsigned weight_shift;                       /* RED: the average moves by 2^-weight_shift of the difference */
    struct le_aqm_curve curve[AQM_PRECEDENCES];  /* RED: by drop precedence; the same for all without precedences */
    int64_t target_ns, interval_ns;              /* CoDel: acceptable standing delay, and for how long it may stand */
};

/* State of a queue; zeroed at the start. */
struct le_aqm_state {
    double average_bytes;    /* RED: of the queue's length */
    int64_t first_above_ns;  /* CoDel: when the delay will have been above target for an interval, 0: it is not */
    int64_t drop_next_ns;    /* CoDel: when to drop next while dropping */
    uint32_t count;          /* CoDel: frames dropped since dropping began */
    uint32_t last_count;     /* CoDel: count when dropping last began */
    uint32_t longest_bytes;  /* CoDel: the longest frame that came so far */
    bool dropping;           /* CoDel: in the dropping state */
    bool entered;            /* CoDel: entered it with this transmission */
};

/* RED: a frame of drop precedence 1 to 3 arrives at a queue of the given bytes; returns whether it is dropped. */
bool le_aqm_red_drops(const struct le_aqm_rule *rule, struct le_aqm_state *state, uint64_t queue_bytes,
                      unsigned precedence, uint64_t *random);

/* CoDel: a frame of the given bytes was queued. */
static inline void le_aqm_codel_arrival(struct le_aqm_state *state, uint32_t bytes)
{
    if (bytes > state->longest_bytes)
        state->longest_bytes = bytes;
}

/* CoDel: the head of the queue could be sent at now_ns; whether it is dropped instead. again: it comes to the head
 * because the one before it was dropped for the same transmission. behind_bytes: what waits behind it. */
bool le_aqm_codel_drops(const struct le_aqm_rule *rule, struct le_aqm_state *state, int64_t waited_ns,
                        uint64_t behind_bytes, int64_t now_ns, bool again);

#endif
