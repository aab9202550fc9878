#include "loss.h"

#include "random.h"

bool loss_strikes(const struct loss *loss, bool *bad, uint64_t *random)
{
    bool lost = random_happens(random, *bad ? loss->bad : loss->good);
    if (random_happens(random, *bad ? loss->r : loss->p))
        *bad = !*bad;
    return lost;
}
