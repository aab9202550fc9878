#include "jitter.h"

#include <math.h>

#include "random.h"

/* Box and Muller (1958): the standard normal distribution. */
static double jitter_normal(uint64_t *random)
{
    double radius = sqrt(-2.0 * log(1.0 - le_random_share(random)));
    return radius * cos(2.0 * M_PI * le_random_share(random));
}

/* The Pareto distribution of JITTER_PARETO_SHAPE and scale 1, minus its mean, divided by its standard deviation. */
static double jitter_pareto(uint64_t *random)
{
    const double shape = JITTER_PARETO_SHAPE, mean = shape / (shape - 1);
    const double deviation = sqrt(shape / (shape - 2)) / (shape - 1);
    return (pow(1.0 - le_random_share(random), -1 / shape) - mean) / deviation;
}

int64_t le_jitter_sample(const struct le_jitter *jitter, uint64_t *random)
{
    double deviations = jitter->distribution == JITTER_UNIFORM  ? 2 * le_random_share(random) - 1
                        : jitter->distribution == JITTER_NORMAL ? jitter_normal(random)
                                                                : jitter_pareto(random);
    deviations = fmax(-JITTER_MOST_DEVIATIONS, fmin(deviations, JITTER_MOST_DEVIATIONS));
    return llround(deviations * (double)jitter->spread_ns);
}
