#include "aqm.h"

#include <math.h>

#include "random.h"

bool le_aqm_red_drops(const struct le_aqm_rule *rule, struct le_aqm_state *state, uint64_t queue_bytes,
                      unsigned precedence, uint64_t *random)
{
    const struct le_aqm_curve *curve = &rule->curve[precedence - 1];
    state->average_bytes += ldexp((double)queue_bytes - state->average_bytes, -(int)rule->weight_shift);
    if (state->average_bytes < (double)curve->min_bytes)
        return false;
    if (state->average_bytes >= (double)curve->max_bytes)
        return true;
    double share = (state->average_bytes - (double)curve->min_bytes) / (double)(curve->max_bytes - curve->min_bytes);
    return le_random_happens(random, curve->most * share);
}

/* RFC 8289, 5.6: the control law. */
static int64_t aqm_codel_law(const struct le_aqm_rule *rule, int64_t from_ns, uint32_t count)
{
    return from_ns + (int64_t)((double)rule->interval_ns / sqrt(count));
}

/* RFC 8289, 5.5: whether the delay has been above target for an interval. */
static bool aqm_codel_above(const struct le_aqm_rule *rule, struct le_aqm_state *state, int64_t waited_ns,
                            uint64_t behind_bytes, int64_t now_ns)
{
    if (waited_ns < rule->target_ns || behind_bytes <= state->longest_bytes) {
        state->first_above_ns = 0;
        return false;
    }
    if (state->first_above_ns == 0) {
        state->first_above_ns = now_ns + rule->interval_ns;
        return false;
    }
    return now_ns >= state->first_above_ns;
}

/* RFC 8289, 5.4: begin dropping, at the rate that held the queue last time if that was not long ago. */
static void aqm_codel_enter(const struct le_aqm_rule *rule, struct le_aqm_state *state, int64_t now_ns)
{
    uint32_t delta = state->count - state->last_count;
    state->dropping = state->entered = true;
    state->count = delta > 1 && now_ns - state->drop_next_ns < 16 * rule->interval_ns ? delta : 1;
    state->drop_next_ns = aqm_codel_law(rule, now_ns, state->count);
    state->last_count = state->count;
}

bool le_aqm_codel_drops(const struct le_aqm_rule *rule, struct le_aqm_state *state, int64_t waited_ns,
                        uint64_t behind_bytes, int64_t now_ns, bool again)
{
    bool above = aqm_codel_above(rule, state, waited_ns, behind_bytes, now_ns);

    if (!again)
        state->entered = false;
    if (state->entered)
        return false; /* dropping begins with one frame */
    if (!state->dropping) {
        if (above)
            aqm_codel_enter(rule, state, now_ns);
        return above;
    }
    if (!above) {
        state->dropping = false;
        return false;
    }
    if (again)
        state->drop_next_ns = aqm_codel_law(rule, state->drop_next_ns, state->count);
    if (now_ns < state->drop_next_ns)
        return false;
    state->count++;
    return true;
}
