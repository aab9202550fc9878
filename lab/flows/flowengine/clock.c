/* The engine's clock: CLOCK_REALTIME as it was at the first run, going on by CLOCK_MONOTONIC. */
#include "flowengine.h"

#include <stdlib.h>
#include <time.h>

#define FE_CLOCK_STEP_MIN_NS 1000000 /* less is no step: the clocks are read one after the other */
#define FE_CLOCK_ATTEMPTS 5

static int64_t fe_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* CLOCK_REALTIME minus CLOCK_MONOTONIC. */
static int64_t fe_clock_difference_ns(void)
{
    int64_t difference_ns = 0;
    for (int attempt = 0; attempt < FE_CLOCK_ATTEMPTS; attempt++) { /* preempted between the readings: read again */
        int64_t before_ns = fe_clock_ns(CLOCK_MONOTONIC);
        int64_t real_ns = fe_clock_ns(CLOCK_REALTIME);
        int64_t spread_ns = fe_clock_ns(CLOCK_MONOTONIC) - before_ns;
        difference_ns = real_ns - before_ns - spread_ns / 2;
        if (spread_ns < FE_CLOCK_STEP_MIN_NS / 2)
            break;
    }
    return difference_ns;
}

void fe_clock_start(struct fe_engine *engine)
{
    if (engine->clock_seen)
        return;
    engine->clock_offset_ns = fe_clock_difference_ns();
    engine->clock_seen = 1;
}

int64_t fe_now_ns(const struct fe_engine *engine)
{
    return fe_clock_ns(CLOCK_MONOTONIC) + engine->clock_offset_ns;
}

int64_t fe_engine_clock_step_ns(const struct fe_engine *engine)
{
    int64_t step_ns = engine->clock_seen ? fe_clock_difference_ns() - engine->clock_offset_ns : 0;
    return llabs(step_ns) < FE_CLOCK_STEP_MIN_NS ? 0 : step_ns;
}
