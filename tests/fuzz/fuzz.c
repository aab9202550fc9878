#include "fuzz.h"

#include <string.h>

#define FUZZ_SMALLEST_MEMORY 4096
#define FUZZ_MOST_MEMORY (1 << 20)
#define FUZZ_HOUR_NS 3600000000000
#define FUZZ_MOST_RATE_BPS 10000000000000u
#define FUZZ_MOST_OVERHEAD 4096
#define FUZZ_TEMPLATE_BYTES 40

uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes)
{
    uint64_t value = 0;
    while (bytes--)
        value = value << 8 | (input->at < input->end ? *input->at++ : 0);
    return value;
}

uint64_t fuzz_upto(struct fuzz_input *input, uint64_t max)
{
    unsigned bytes = 1;
    while (bytes < 8 && max >> 8 * bytes)
        bytes++;
    uint64_t value = fuzz_take(input, bytes);
    return max == UINT64_MAX ? value : value % (max + 1);
}

double fuzz_probability(struct fuzz_input *input)
{
    uint64_t byte = fuzz_take(input, 1);
    return byte < 128 ? 0 : byte == 255 ? 1 : (double)(byte - 127) / 128;
}

/* A number of any size: as many bits of max as the input says. */
static uint64_t fuzz_scaled(struct fuzz_input *input, uint64_t max)
{
    return fuzz_upto(input, max >> fuzz_upto(input, 63));
}

static struct le_aqm_rule fuzz_aqm(struct fuzz_input *input)
{
    struct le_aqm_rule rule = {.kind = (enum le_aqm_kind)fuzz_upto(input, AQM_CODEL)};
    if (rule.kind == AQM_RED) {
        rule.weight_shift = (unsigned)fuzz_upto(input, 32);
        for (unsigned i = 0; i < AQM_PRECEDENCES; i++) {
            rule.curve[i].min_bytes = fuzz_scaled(input, INT64_MAX / 2);
            rule.curve[i].max_bytes = rule.curve[i].min_bytes + fuzz_scaled(input, INT64_MAX / 2);
            rule.curve[i].most = fuzz_probability(input);
        }
    } else if (rule.kind == AQM_CODEL) {
        rule.target_ns = (int64_t)fuzz_scaled(input, FUZZ_HOUR_NS);
        rule.interval_ns = 1 + (int64_t)fuzz_scaled(input, FUZZ_HOUR_NS - 1);
    }
    return rule;
}

static uint64_t fuzz_limit(struct fuzz_input *input)
{
    return fuzz_take(input, 1) & 1 ? QUEUE_NO_LIMIT : fuzz_scaled(input, INT64_MAX);
}

static struct le_queue_policy *fuzz_policy(struct fuzz_input *input)
{
    struct le_queue_policy *policy = le_queue_policy_new();
    FUZZ_CHECK(policy);
    policy->count = 1 + (unsigned)fuzz_upto(input, STATS_QUEUES - 1);
    for (unsigned queue = 0; queue < policy->count; queue++) {
        struct le_queue_rule *rule = &policy->rule[queue];
        rule->limit_bytes = fuzz_limit(input);
        rule->limit_us = fuzz_take(input, 1) & 1 ? QUEUE_NO_LIMIT : fuzz_scaled(input, 3600000000);
        /* quanta below a frame are allowed, though not of one byte: rounds without end */
        rule->quantum_bytes = fuzz_take(input, 1) & 1 ? 0 : 64 + (uint32_t)fuzz_scaled(input, UINT32_MAX - 64);
        rule->aqm = fuzz_aqm(input);
        policy->managed |= rule->aqm.kind != AQM_NONE;
    }
    return policy;
}

struct le_pipe_model fuzz_model(struct fuzz_input *input)
{
    return (struct le_pipe_model){
        .rate_bps = 1 + fuzz_scaled(input, FUZZ_MOST_RATE_BPS - 1),
        .delay_ns = (int64_t)fuzz_scaled(input, FUZZ_HOUR_NS),
        .overhead_bytes = (int32_t)fuzz_upto(input, FUZZ_MOST_OVERHEAD + FRAME_HEADER_BYTES) - FRAME_HEADER_BYTES,
        .mtu_bytes = fuzz_take(input, 1) & 1 ? PIPE_NO_MTU : (uint32_t)fuzz_upto(input, FRAME_MAX_BYTES),
        .buffer_bytes = fuzz_limit(input),
        .policy = fuzz_policy(input),
        .jitter = {.spread_ns = fuzz_take(input, 1) & 1 ? 0 : (int64_t)fuzz_scaled(input, FUZZ_HOUR_NS),
                   .distribution = (enum le_jitter_distribution)fuzz_upto(input, JITTER_DISTRIBUTIONS - 1),
                   .reorder = fuzz_take(input, 1) & 1},
        .loss = {.p = fuzz_probability(input), .r = fuzz_probability(input),
                 .good = fuzz_probability(input), .bad = fuzz_probability(input)},
        .duplicate = fuzz_probability(input),
        .corrupt = fuzz_probability(input),
    };
}

struct le_trace *fuzz_trace(struct fuzz_input *input)
{
    struct le_trace *trace = le_trace_new(1 + fuzz_upto(input, 3));
    FUZZ_CHECK(trace);
    trace->has_rate = fuzz_take(input, 1) & 1;
    trace->has_delay = fuzz_take(input, 1) & 1;
    trace->has_loss = fuzz_take(input, 1) & 1;
    int64_t at_ns = 0;
    for (size_t i = 0; i < trace->count; i++) {
        trace->point[i] = (struct le_trace_point){
            .at_ns = at_ns,
            .rate_bps = 1 + fuzz_scaled(input, FUZZ_MOST_RATE_BPS - 1),
            .delay_ns = (int64_t)fuzz_scaled(input, FUZZ_HOUR_NS),
            .loss = fuzz_probability(input),
        };
        at_ns += 1 + (int64_t)fuzz_scaled(input, FUZZ_HOUR_NS);
    }
    trace->repeat_ns = fuzz_take(input, 1) & 1 ? at_ns : 0;
    return trace;
}

/* The beginnings of frames, some of which are broken. */
static const uint8_t fuzz_template[][FUZZ_TEMPLATE_BYTES - 12] = {
    {0x08, 0x00, 0x45, 0xb8},                                                    /* IPv4, EF */
    {0x08, 0x00, 0x45, 0x30},                                                    /* IPv4, AF12 */
    {0x08, 0x00, 0x65, 0xb8},                                                    /* IPv4 that says it is IPv6 */
    {0x86, 0xdd, 0x6b, 0x80},                                                    /* IPv6 */
    {0x81, 0x00, 0x00, 0x01, 0x08, 0x00, 0x45, 0x48},                            /* VLAN 1, IPv4 */
    {0x81, 0x00, 0x0f, 0xff, 0x81, 0x00, 0x00, 0x02, 0x88, 0x47, 0, 1, 0xa1, 1}, /* two tags, MPLS, cut */
    {0x88, 0xa8, 0x00, 0x02, 0x81, 0x00, 0x00, 0x01, 0x81, 0x00, 0x00, 0x01},    /* three tags */
    {0x88, 0x47, 0x00, 0x01, 0x0a, 0x40, 0x00, 0x02, 0x0b, 0x40, 0x45, 0x88},    /* two labels, IPv4 */
    {0x88, 0x48, 0x00, 0x01, 0x00, 0x40, 0x00, 0x02, 0x00, 0x40, 0x00, 0x02},    /* labels without an end */
    {0x08, 0x06, 0x00, 0x01},                                                    /* ARP */
};

uint8_t *fuzz_frame(struct fuzz_input *input, uint32_t *length)
{
    static const uint32_t limit[] = {13, 64, 1600, FRAME_MAX_BYTES}; /* runts, short, full and the longest */
    uint8_t head[FUZZ_TEMPLATE_BYTES] = {0};
    uint64_t kind = fuzz_take(input, 1);
    *length = (uint32_t)fuzz_upto(input, limit[kind & 3]);
    memcpy(head + 12, fuzz_template[(kind >> 2) % (sizeof fuzz_template / sizeof *fuzz_template)], sizeof head - 12);
    for (uint64_t changes = fuzz_upto(input, 7); changes; changes--)
        head[fuzz_upto(input, sizeof head - 1)] = (uint8_t)fuzz_take(input, 1);
    uint8_t *data = malloc(*length ? *length : 1);
    FUZZ_CHECK(data);
    memset(data, 0, *length);
    memcpy(data, head, *length < sizeof head ? *length : sizeof head);
    return data;
}

void fuzz_state_open(struct fuzz_state *fuzz, struct fuzz_input *input, uint32_t max_ports, uint32_t max_pipes)
{
    *fuzz = (struct fuzz_state){.stats = calloc(1, le_engine_stats_bytes(max_ports, max_pipes)), .input = input};
    size_t memory_bytes = FUZZ_SMALLEST_MEMORY + fuzz_upto(input, FUZZ_MOST_MEMORY);
    FUZZ_CHECK(fuzz->stats && le_engine_init(&fuzz->engine, fuzz->stats, max_ports, max_pipes, memory_bytes) == 0);
    for (unsigned dscp = 0; dscp < 64; dscp++)
        fuzz->engine.tables.queue_of_dscp[dscp] = (uint8_t)(dscp % STATS_QUEUES);
    for (unsigned tc = 0; tc < 8; tc++)
        fuzz->engine.tables.queue_of_tc[tc] = (uint8_t)tc;
    fuzz->engine.tables.queue_of_other = (uint8_t)fuzz_upto(input, STATS_QUEUES - 1);
}

void fuzz_state_add(struct fuzz_state *fuzz, struct le_engine_pipe_spec spec)
{
    if (!le_engine_refuse_pipe(&fuzz->engine, &spec))
        FUZZ_CHECK(le_engine_add_pipe(&fuzz->engine, &spec) >= 0);
    le_queue_policy_release(spec.model.policy);
}

static enum le_engine_outcome fuzz_sink(void *context, struct le_pipe *pipe, const struct le_frame *frame)
{
    struct fuzz_state *fuzz = context;
    FUZZ_CHECK(frame->due_ns <= fuzz->now_ns);
    FUZZ_CHECK(frame->due_ns >= fuzz->polled_ns);    /* what was due before was delivered before */
    FUZZ_CHECK(frame->due_ns >= fuzz->delivered_ns); /* the earliest first */
    FUZZ_CHECK(frame->length == frame->line_bytes + (pipe->dst_vlan ? 4 : 0));
    FUZZ_CHECK(!pipe->paused && !pipe->down);
    fuzz->delivered_ns = frame->due_ns;
    return (enum le_engine_outcome)fuzz_upto(fuzz->input, ENGINE_PORT_DOWN);
}

void fuzz_state_advance(struct fuzz_state *fuzz, int64_t step_ns)
{
    fuzz->now_ns += step_ns;
    le_engine_deliver_due(&fuzz->engine, fuzz->now_ns, fuzz_sink, fuzz);
    fuzz->polled_ns = fuzz->now_ns;
}

/* Every frame that came in, and every duplicate, is out, dropped for one cause, queued or on its way. */
static void fuzz_check_pipe(const struct fuzz_state *fuzz, const struct le_pipe *pipe)
{
    const struct le_pipe_stats *stats = pipe->stats;
    uint64_t frames = 0, bytes = 0, dropped = stats->drop_mtu + stats->drop_loss + stats->drop_silent +
                                              stats->drop_down + stats->drop_memory + stats->drop_machine +
                                              stats->drop_dst_down;
    for (unsigned queue = 0; queue < STATS_QUEUES; queue++) {
        frames += pipe->queues.fifo[queue].frames;
        bytes += pipe->queues.fifo[queue].bytes;
        if (!stats->class_record[queue])
            continue;
        const struct le_class_stats *class = &fuzz->engine.classes.record[stats->class_record[queue] - 1];
        dropped += class->drop_tail + class->drop_buffer + class->drop_red + class->drop_codel;
    }
    FUZZ_CHECK(frames == pipe->queues.frames && bytes == pipe->queues.bytes);
    FUZZ_CHECK(stats->frames_in + stats->duplicated ==
               stats->frames_out + dropped + frames + le_in_flight_frames(&pipe->in_flight));
    FUZZ_CHECK(!pipe->down || (!frames && !le_in_flight_frames(&pipe->in_flight)));
}

static void fuzz_check_heap(const struct le_engine *engine)
{
    const struct le_heap *heap = &engine->heap;
    uint32_t waiting = 0;
    for (uint32_t slot = 0; slot < heap->count; slot++) {
        FUZZ_CHECK(heap->entry[slot].pipe->heap_slot == slot);
        FUZZ_CHECK(heap->entry[slot].event_ns == le_pipe_next_event(heap->entry[slot].pipe));
        FUZZ_CHECK(slot == 0 || heap->entry[(slot - 1) / 4].event_ns <= heap->entry[slot].event_ns);
    }
    for (uint32_t i = 0; i < engine->pipe_count; i++)
        waiting += le_pipe_next_event(&engine->pipes[i]) != PIPE_NEVER;
    FUZZ_CHECK(waiting == heap->count);
}

void fuzz_state_check(const struct fuzz_state *fuzz)
{
    const struct le_engine *engine = &fuzz->engine;
    uint64_t arrived = 0, came = 0;
    FUZZ_CHECK(engine->pool.held_bytes <= engine->pool.limit_bytes);
    for (uint32_t i = 0; i < engine->port_count; i++)
        arrived += engine->port_stats[i].frames_in - engine->port_stats[i].drop_runt - engine->port_stats[i].drop_vlan;
    for (uint32_t i = 0; i < engine->pipe_count; i++) {
        came += engine->pipe_stats[i].frames_in;
        fuzz_check_pipe(fuzz, &engine->pipes[i]);
    }
    FUZZ_CHECK(arrived == came);
    fuzz_check_heap(engine);
}

void fuzz_state_close(struct fuzz_state *fuzz)
{
    le_engine_clear(&fuzz->engine);
    free(fuzz->stats);
}
