/* Variation of the propagation delay around its mean. */
#ifndef LINKENGINE_JITTER_H
#define LINKENGINE_JITTER_H

#include <stdbool.h>
#include <stdint.h>

#define JITTER_PARETO_SHAPE 3.0   /* as emulation/links/pipe_model.py has it */
#define JITTER_MOST_DEVIATIONS 4  /* draws end there */

enum le_jitter_distribution { JITTER_UNIFORM, JITTER_NORMAL, JITTER_PARETO, JITTER_DISTRIBUTIONS };

struct le_jitter {
    int64_t spread_ns;  /* uniform: half the width; else the standard deviation; 0: no jitter */
    enum le_jitter_distribution distribution;
    bool reorder;       /* frames may overtake each other */
};

/* How much later than the mean the next frame is, ns; there is jitter. */
int64_t le_jitter_sample(const struct le_jitter *jitter, uint64_t *random);

#endif
