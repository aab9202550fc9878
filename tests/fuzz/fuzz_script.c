/* An engine under a script of operations, in any order and at any time. */
#include "fuzz.h"

#define PORTS 5
#define PIPES 6
#define MOST_EARLY_NS 1000000000 /* as module_pipes.c has it */

enum operation {
    ADD_PORT,
    ADD_PIPE,
    ARRIVE,
    ADVANCE,
    CHANGE,
    SWITCH,
    FOLLOW,
    COMPENSATE,
    FOLLOW_FRAMES,
    RESTART,
    OPERATIONS
};

static void script_add_pipe(struct fuzz_state *fuzz)
{
    struct fuzz_input *input = fuzz->input;
    struct le_engine_pipe_spec spec = {
        .src_port = (uint32_t)fuzz_upto(input, PORTS), /* one that does not exist is among them */
        .dst_port = (uint32_t)fuzz_upto(input, PORTS),
        .src_vlan = (uint16_t)fuzz_upto(input, 3),
        .dst_vlan = (uint16_t)fuzz_upto(input, 3),
        .seed = fuzz_take(input, 8),
        .model = fuzz_model(input),
    };
    fuzz_state_add(fuzz, spec);
}

static void script_arrive(struct fuzz_state *fuzz)
{
    uint32_t length;
    if (!fuzz->engine.port_count)
        return;
    uint32_t port = (uint32_t)fuzz_upto(fuzz->input, fuzz->engine.port_count - 1);
    uint8_t *data = fuzz_frame(fuzz->input, &length);
    le_engine_arrive(&fuzz->engine, port, data, length, fuzz->now_ns);
    free(data);
}

static int script_state(struct fuzz_state *fuzz)
{
    return (int)fuzz_upto(fuzz->input, 2) - 1; /* PIPE_STAYS, off, on */
}

static void script_change(struct fuzz_state *fuzz, bool with_model)
{
    uint32_t pipe = (uint32_t)fuzz_upto(fuzz->input, fuzz->engine.pipe_count - 1);
    struct le_pipe_change change = {
        .down = script_state(fuzz), .blackhole = script_state(fuzz), .paused = script_state(fuzz)};
    struct le_pipe_model model;
    if (with_model) {
        model = fuzz_model(fuzz->input);
        FUZZ_CHECK(le_engine_prepare_pipe(&fuzz->engine, pipe, &model) == 0);
        change.model = &model;
    }
    le_engine_set_pipe(&fuzz->engine, pipe, &change, fuzz->now_ns);
    if (with_model)
        le_queue_policy_release(model.policy);
}

static void script_follow(struct fuzz_state *fuzz)
{
    uint32_t pipe = (uint32_t)fuzz_upto(fuzz->input, fuzz->engine.pipe_count - 1);
    struct le_trace *trace = fuzz_take(fuzz->input, 1) & 1 ? fuzz_trace(fuzz->input) : NULL;
    le_engine_follow(&fuzz->engine, pipe, trace, fuzz->now_ns);
    le_trace_release(trace);
}

static void script_compensate_delay(struct fuzz_state *fuzz)
{
    uint32_t pipe = (uint32_t)fuzz_upto(fuzz->input, fuzz->engine.pipe_count - 1);
    le_engine_compensate_delay(&fuzz->engine, pipe, (int64_t)fuzz_upto(fuzz->input, MOST_EARLY_NS));
}

static void script_step(struct fuzz_state *fuzz)
{
    static const int64_t step[] = {0, 1, 1000, 1000000, 1000000000, 3600000000000};
    enum operation operation = (enum operation)fuzz_upto(fuzz->input, OPERATIONS - 1);
    bool pipes = fuzz->engine.pipe_count;

    if (operation == ADD_PORT)
        le_engine_add_port(&fuzz->engine);
    else if (operation == ADD_PIPE)
        script_add_pipe(fuzz);
    else if (operation == ARRIVE)
        script_arrive(fuzz);
    else if (operation == ADVANCE)
        fuzz_state_advance(fuzz, step[fuzz_upto(fuzz->input, 5)] * (int64_t)fuzz_take(fuzz->input, 1));
    else if (operation == RESTART)
        le_engine_restart_lateness(&fuzz->engine);
    else if (operation == FOLLOW_FRAMES)
        le_engine_follow_frames(&fuzz->engine, (int64_t)fuzz_upto(fuzz->input, MOST_EARLY_NS));
    else if (pipes && operation == FOLLOW)
        script_follow(fuzz);
    else if (pipes && operation == COMPENSATE)
        script_compensate_delay(fuzz);
    else if (pipes)
        script_change(fuzz, operation == CHANGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.at = bytes, .end = bytes + size};
    struct fuzz_state fuzz;
    fuzz_state_open(&fuzz, &input, PORTS, PIPES);
    while (input.at < input.end) {
        script_step(&fuzz);
        fuzz_state_check(&fuzz);
    }
    fuzz_state_close(&fuzz);
    return 0;
}
