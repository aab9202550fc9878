#include "load.h"

#define LOAD_WINDOW_NS 4000000     /* over which the load is measured: a few trains of frames */
#define LOAD_LOADED_PERCENT 50     /* of a window spent working: under load from then on ... */
#define LOAD_EASED_PERCENT 20      /* ... until at most this: coalescing itself saves work */
/* Frames of many rings come and fall due at many times, each a wake-up, though work is little: the number of iterations
 * decides too. Percent of those that there are under load, one an interval. */
#define LOAD_CROWDED_PERCENT 150   /* iterations: under load from then on ... */
#define LOAD_SPARSE_PERCENT 60     /* ... until so few are of use */
#define LOAD_OFTEN_PERCENT 50      /* iterations that find frames in rings: polled from then on, as devices' signals,
                                      each a system call in a switch, cost more than looking does ... */
#define LOAD_RARE_PERCENT 25       /* ... until at most this */

/* Whether there were more than a share of the iterations that make one an interval. */
static bool load_above(uint32_t turns, int64_t window_ns, int64_t percent)
{
    return turns * LOAD_INTERVAL_NS * (int64_t)100 > window_ns * percent;
}

void le_load_add(struct le_load *load, const struct le_load_turn *turn)
{
    load->worked_ns += turn->end_ns - turn->start_ns;
    load->turns++;
    load->used_turns += turn->due || turn->found;
    load->ring_turns += turn->found;
    int64_t window_ns = turn->end_ns - load->window_ns;
    if (window_ns < LOAD_WINDOW_NS)
        return;
    bool busy = load->worked_ns * 100 > window_ns * (load->loaded ? LOAD_EASED_PERCENT : LOAD_LOADED_PERCENT);
    bool crowded = load->loaded ? load_above(load->used_turns, window_ns, LOAD_SPARSE_PERCENT)
                                : load_above(load->turns, window_ns, LOAD_CROWDED_PERCENT);
    bool often = load_above(load->ring_turns, window_ns, load->polls ? LOAD_RARE_PERCENT : LOAD_OFTEN_PERCENT);
    *load = (struct le_load){
        .window_ns = turn->end_ns,
        .loaded = busy || (crowded && turn->rings),
        .polls = busy || ((crowded || often) && turn->rings),
    };
}
