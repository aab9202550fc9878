#include "trace.h"

#include <stdlib.h>

struct le_trace *le_trace_new(size_t count)
{
    struct le_trace *trace = calloc(1, sizeof *trace + count * sizeof trace->point[0]);
    if (!trace)
        return NULL;
    trace->users = 1;
    trace->count = count;
    return trace;
}

void le_trace_release(struct le_trace *trace)
{
    if (trace && --trace->users == 0)
        free(trace);
}

void le_trace_follow(struct le_trace_position *position, struct le_trace *trace, int64_t now_ns)
{
    if (trace)
        trace->users++;
    le_trace_release(position->trace);
    *position = (struct le_trace_position){
        .trace = trace,
        .start_ns = now_ns,
        .next_ns = trace ? now_ns + trace->point[0].at_ns : TRACE_NEVER,
    };
}

/* Number of points up to the given time since the start of a round. */
static size_t trace_points_by(const struct le_trace *trace, int64_t time_ns)
{
    size_t from = 0, to = trace->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (trace->point[middle].at_ns <= time_ns)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

const struct le_trace_point *le_trace_advance(struct le_trace_position *position, int64_t now_ns)
{
    const struct le_trace *trace = position->trace;
    int64_t round = trace->repeat_ns ? (now_ns - position->start_ns) / trace->repeat_ns : 0;
    int64_t round_ns = position->start_ns + round * trace->repeat_ns;
    size_t passed = trace_points_by(trace, now_ns - round_ns);
    if (passed < trace->count)
        position->next_ns = round_ns + trace->point[passed].at_ns;
    else if (trace->repeat_ns)
        position->next_ns = round_ns + trace->repeat_ns + trace->point[0].at_ns;
    else
        position->next_ns = TRACE_NEVER;
    return &trace->point[(passed ? passed : trace->count) - 1]; /* none yet in this round: the last point of the previous one */
}
