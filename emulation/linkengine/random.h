/* Random numbers of a pipe's own: splitmix64 (Steele, Lea and Flood, OOPSLA 2014), whose state is one word. */
#ifndef LINKENGINE_RANDOM_H
#define LINKENGINE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t le_random_word(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Uniform in [0, 1). */
static inline double le_random_share(uint64_t *state)
{
    return (double)(le_random_word(state) >> 11) * 0x1p-53;
}

/* Sample an event of this probability. Probability 0 uses no random number. */
static inline bool le_random_happens(uint64_t *state, double probability)
{
    return probability > 0 && le_random_share(state) < probability;
}

#endif
