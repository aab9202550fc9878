/* Loss in transit: model of Gilbert (1960) and Elliott (1963). Bernoulli loss is the case p = 0. */
#ifndef LINKENGINE_LOSS_H
#define LINKENGINE_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "random.h"

struct le_loss {
    double p, r;       /* probability of turning from good to bad, and back, with each frame */
    double good, bad;  /* probability of losing a frame in either state */
};

/* Whether the next frame is lost; bad is the state of the link, which may change after it. */
static inline bool le_loss_drops(const struct le_loss *loss, bool *bad, uint64_t *random)
{
    bool lost = le_random_happens(random, *bad ? loss->bad : loss->good);
    if (le_random_happens(random, *bad ? loss->r : loss->p))
        *bad = !*bad;
    return lost;
}

#endif
