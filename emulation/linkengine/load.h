/* How busy a loop is: whether it looks for arrivals and deliveries once an interval, whatever comes, and whether it
 * polls rings, whose devices then signal nothing. Decided at the end of windows of some milliseconds. Pure. */
#ifndef LINKENGINE_LOAD_H
#define LINKENGINE_LOAD_H

#include <stdbool.h>
#include <stdint.h>

/* Under load the loop checks for arrivals and deliveries once per this interval, like interrupt moderation of a network
 * card: a wake-up costs several times as much as a frame, here and in the receiving switch. A frame then waits half of
 * the interval on average, about as long as a wake-up for it alone would take. */
#define LOAD_INTERVAL_NS 80000

struct le_load {
    int64_t window_ns;    /* when the present window began */
    int64_t worked_ns;    /* of it: time awake */
    uint32_t turns;       /* in it: iterations */
    uint32_t used_turns;  /* of them: those in which frames were due or in rings */
    uint32_t ring_turns;  /* of them: those in which frames were in rings */
    bool loaded;          /* one iteration an interval */
    bool polls;           /* rings are looked at once an interval at least */
};

/* What an iteration of the loop did. */
struct le_load_turn {
    int64_t start_ns, end_ns;  /* awake */
    bool due;                  /* frames were to be delivered */
    bool found;                /* frames were in rings */
    bool rings;                /* there are rings */
};

/* Account for an iteration. */
void le_load_add(struct le_load *load, const struct le_load_turn *turn);

#endif
