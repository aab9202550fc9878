/* Variation of the propagation delay around its mean. */
#ifndef LINKENGINE_JITTER_H
#define LINKENGINE_JITTER_H

#include <stdbool.h>
#include <stdint.h>

#define JITTER_PARETO_SHAPE 3.0   /* as in emulation/links/pipe_model.py */
#define JITTER_MOST_DEVIATIONS 4  /* samples are limited to this */

enum le_jitter_distribution { JITTER_UNIFORM, JITTER_NORMAL, JITTER_PARETO, JITTER_DISTRIBUTIONS };

struct le_jitter {
    int64_t spread_ns;  /* uniform: half the width; else the standard deviation; 0: no jitter */
    enum le_jitter_distribution distribution;
    bool reorder;       /* frames may overtake each other */
};

/* Sample the next frame's deviation from the mean delay, ns; there must be jitter. */
int64_t le_jitter_sample(const struct le_jitter *jitter, uint64_t *random);

#endif
