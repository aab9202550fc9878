#include "engine.h"

#include <stdlib.h>
#include <string.h>

size_t le_engine_stats_bytes(uint32_t max_ports, uint32_t max_pipes)
{
    return sizeof(struct le_engine_stats) + max_ports * sizeof(struct le_port_stats) +
           max_pipes * (sizeof(struct le_pipe_stats) + STATS_QUEUES * sizeof(struct le_class_stats));
}

int le_engine_init(struct le_engine *engine, void *stats, uint32_t max_ports, uint32_t max_pipes, size_t memory_bytes)
{
    *engine = (struct le_engine){
        .ports = calloc(max_ports, sizeof(struct le_engine_port)),
        .pipes = calloc(max_pipes, sizeof(struct le_pipe)),
        .max_ports = max_ports,
        .max_pipes = max_pipes,
        .heap = {.entry = calloc(max_pipes, sizeof(struct le_heap_entry))},
        .transit = calloc(1, sizeof(struct le_transit)),
        .stats = stats,
    };
    engine->port_stats = (struct le_port_stats *)(engine->stats + 1);
    engine->pipe_stats = (struct le_pipe_stats *)(engine->port_stats + max_ports);
    engine->classes = (struct le_stats_classes){
        .record = (struct le_class_stats *)(engine->pipe_stats + max_pipes),
        .used = &engine->stats->classes,
    };
    le_frame_pool_init(&engine->pool, memory_bytes);
    if (!engine->ports || !engine->pipes || !engine->heap.entry || !engine->transit) {
        le_engine_clear(engine);
        return -1;
    }
    le_stats_set(&engine->stats->layout, STATS_LAYOUT);
    return 0;
}

void le_engine_clear(struct le_engine *engine)
{
    for (uint32_t i = 0; i < engine->pipe_count; i++)
        le_pipe_clear(&engine->pipes[i]);
    for (uint32_t i = 0; i < engine->port_count; i++)
        free(engine->ports[i].pipe_of_vlan);
    le_frame_pool_clear(&engine->pool);
    free(engine->ports);
    free(engine->pipes);
    free(engine->heap.entry);
    free(engine->transit);
    *engine = (struct le_engine){0};
}

int64_t le_engine_add_port(struct le_engine *engine)
{
    if (engine->port_count == engine->max_ports)
        return -1;
    engine->ports[engine->port_count].pipe = ENGINE_NO_PIPE;
    le_stats_set(&engine->stats->ports, engine->port_count + 1);
    return engine->port_count++;
}

const char *le_engine_refuse_pipe(const struct le_engine *engine, const struct le_engine_pipe_spec *spec)
{
    if (engine->pipe_count == engine->max_pipes)
        return "the maximum number of pipes is reached";
    if (spec->src_port >= engine->port_count || spec->dst_port >= engine->port_count)
        return "no such port";
    const struct le_engine_port *port = &engine->ports[spec->src_port];
    if (spec->src_vlan == 0 ? port->pipe_of_vlan != NULL : port->pipe != ENGINE_NO_PIPE)
        return "a port is either plain or a trunk";
    if (spec->src_vlan == 0 ? port->pipe != ENGINE_NO_PIPE
                            : port->pipe_of_vlan && port->pipe_of_vlan[spec->src_vlan] != ENGINE_NO_PIPE)
        return "another pipe leaves from this port and VLAN";
    return NULL;
}

/* Assign frames of the port and VLAN to the pipe. Returns -1 when out of memory. */
static int engine_attach(struct le_engine_port *port, uint16_t vlan, uint32_t pipe)
{
    if (vlan == 0) {
        port->pipe = pipe;
        return 0;
    }
    if (!port->pipe_of_vlan) {
        port->pipe_of_vlan = malloc(ENGINE_VLANS * sizeof *port->pipe_of_vlan);
        if (!port->pipe_of_vlan)
            return -1;
        memset(port->pipe_of_vlan, 0xff, ENGINE_VLANS * sizeof *port->pipe_of_vlan); /* ENGINE_NO_PIPE */
    }
    port->pipe_of_vlan[vlan] = pipe;
    return 0;
}

int64_t le_engine_add_pipe(struct le_engine *engine, const struct le_engine_pipe_spec *spec)
{
    uint32_t number = engine->pipe_count;
    struct le_pipe *pipe = &engine->pipes[number];

    *pipe = (struct le_pipe){
        .model = spec->model,
        .dst_port = spec->dst_port,
        .dst_vlan = spec->dst_vlan,
        .random = spec->seed,
        .heap_slot = HEAP_OUT,
        .trace = {.next_ns = TRACE_NEVER},
        .tables = &engine->tables,
        .pool = &engine->pool,
        .stats = &engine->pipe_stats[number],
        .classes = &engine->classes,
    };
    if (le_pipe_prepare(pipe, &spec->model) < 0)
        return -1;
    if (engine_attach(&engine->ports[spec->src_port], spec->src_vlan, number) < 0) {
        free(pipe->queues.aqm);
        return -1;
    }
    pipe->model.policy->users++;
    le_stats_set(&engine->stats->pipes, number + 1);
    return engine->pipe_count++;
}

void le_engine_arrive(struct le_engine *engine, uint32_t number, uint8_t *data, uint32_t length, int64_t now_ns)
{
    const struct le_engine_port *port = &engine->ports[number];
    struct le_port_stats *stats = &engine->port_stats[number];
    uint32_t pipe = port->pipe;

    le_stats_add(&stats->frames_in, 1);
    le_stats_add(&stats->bytes_in, length);
    if (length < FRAME_HEADER_BYTES) {
        le_stats_add(&stats->drop_runt, 1);
        return;
    }
    if (port->pipe_of_vlan) {
        int vlan = le_frame_vlan(data, length);
        pipe = vlan < 0 ? ENGINE_NO_PIPE : port->pipe_of_vlan[vlan];
    }
    if (pipe == ENGINE_NO_PIPE) {
        le_stats_add(&stats->drop_vlan, 1);
        return;
    }
    if (port->pipe_of_vlan) {
        memmove(data + FRAME_TAG_BYTES, data, FRAME_ADDRESSES_BYTES); /* the addresses, over the tag */
        data += FRAME_TAG_BYTES;
        length -= FRAME_TAG_BYTES;
    }
    int64_t ideal_ns = le_transit_arrive(engine->transit, data, length, now_ns);
    if (le_pipe_arrive(&engine->pipes[pipe], data, length, now_ns, ideal_ns) && engine->too_long)
        engine->too_long(engine->too_long_context, pipe, engine->pipes[pipe].model.mtu_bytes, data, length);
    le_heap_update(&engine->heap, &engine->pipes[pipe]);
    le_stats_set(&engine->stats->memory_bytes, engine->pool.held_bytes);
}

/* Write a frame to its port and count the result. */
static void engine_deliver(struct le_engine *engine, struct le_pipe *pipe, struct le_frame *frame, le_engine_sink sink,
                           void *context)
{
    struct le_port_stats *port_stats = &engine->port_stats[pipe->dst_port];

    switch (sink(context, pipe, frame)) {
    case ENGINE_DELIVERED:
        le_transit_leave(engine->transit, frame->data, frame->length, frame->ideal_ns);
        le_stats_add(&pipe->stats->frames_out, 1);
        le_stats_add(&pipe->stats->bytes_out, frame->line_bytes);
        le_stats_add(&port_stats->frames_out, 1);
        le_stats_add(&port_stats->bytes_out, frame->length);
        break;
    case ENGINE_REFUSED:
        le_stats_add(&pipe->stats->drop_machine, 1);
        break;
    case ENGINE_PORT_DOWN:
        le_stats_add(&pipe->stats->drop_dst_down, 1);
        break;
    }
    le_frame_free(&engine->pool, frame);
}

/* A pipe is advanced to its event, not to now: its later frames must not overtake other pipes' frames. */
void le_engine_deliver_due(struct le_engine *engine, int64_t now_ns, le_engine_sink sink, void *context)
{
    for (int64_t event_ns; (event_ns = le_heap_earliest_ns(&engine->heap)) <= now_ns;) {
        struct le_pipe *pipe = engine->heap.entry[0].pipe;
        struct le_frame *frame = le_pipe_take_due(pipe, event_ns);
        le_heap_update(&engine->heap, pipe);
        if (frame)
            engine_deliver(engine, pipe, frame, sink, context);
    }
}

int le_engine_prepare_pipe(struct le_engine *engine, uint32_t number, const struct le_pipe_model *model)
{
    return le_pipe_prepare(&engine->pipes[number], model);
}

void le_engine_set_pipe(struct le_engine *engine, uint32_t number, const struct le_pipe_change *change, int64_t now_ns)
{
    struct le_pipe *pipe = &engine->pipes[number];
    le_pipe_set(pipe, change, now_ns);
    le_heap_update(&engine->heap, pipe);
}

void le_engine_follow(struct le_engine *engine, uint32_t number, struct le_trace *trace, int64_t now_ns)
{
    struct le_pipe *pipe = &engine->pipes[number];
    le_pipe_follow(pipe, trace, now_ns);
    le_heap_update(&engine->heap, pipe);
}

void le_engine_restart_lateness(struct le_engine *engine)
{
    for (uint32_t pipe = 0; pipe < engine->pipe_count; pipe++) {
        le_stats_set(&engine->pipe_stats[pipe].lateness_max_ns, 0);
        le_stats_set(&engine->pipe_stats[pipe].lateness_max_at_ns, 0);
    }
    for (uint64_t record = 0; record < engine->stats->classes; record++)
        for (unsigned bin = 0; bin < STATS_CLASS_BINS; bin++)
            le_stats_set(&engine->classes.record[record].lateness[bin], 0);
}

void le_engine_follow_frames(struct le_engine *engine, int64_t origin_ns)
{
    engine->transit->follows = true;
    engine->transit->origin_ns = origin_ns;
}

void le_engine_compensate_delay(struct le_engine *engine, uint32_t pipe, int64_t early_ns)
{
    engine->pipes[pipe].early_ns = early_ns;
}
