#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define ENGINE_TAG_BYTES 4

size_t engine_stats_bytes(uint32_t max_ports, uint32_t max_pipes)
{
    return sizeof(struct engine_stats) + max_ports * sizeof(struct port_stats) +
           max_pipes * (sizeof(struct pipe_stats) + STATS_QUEUES * sizeof(struct class_stats));
}

int engine_init(struct engine *engine, void *stats, uint32_t max_ports, uint32_t max_pipes, size_t memory_bytes)
{
    *engine = (struct engine){
        .ports = calloc(max_ports, sizeof(struct engine_port)),
        .pipes = calloc(max_pipes, sizeof(struct pipe)),
        .max_ports = max_ports,
        .max_pipes = max_pipes,
        .heap = {.entry = calloc(max_pipes, sizeof(struct heap_entry))},
        .passage = calloc(1, sizeof(struct passage)),
        .stats = stats,
    };
    engine->port_stats = (struct port_stats *)(engine->stats + 1);
    engine->pipe_stats = (struct pipe_stats *)(engine->port_stats + max_ports);
    engine->classes = (struct stats_classes){
        .record = (struct class_stats *)(engine->pipe_stats + max_pipes),
        .used = &engine->stats->classes,
    };
    frame_pool_init(&engine->pool, memory_bytes);
    if (!engine->ports || !engine->pipes || !engine->heap.entry || !engine->passage) {
        engine_clear(engine);
        return -1;
    }
    stats_set(&engine->stats->layout, STATS_LAYOUT);
    return 0;
}

void engine_clear(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->pipe_count; i++)
        pipe_clear(&engine->pipes[i]);
    for (uint32_t i = 0; i < engine->port_count; i++)
        free(engine->ports[i].pipe_of_vlan);
    frame_pool_clear(&engine->pool);
    free(engine->ports);
    free(engine->pipes);
    free(engine->heap.entry);
    free(engine->passage);
    *engine = (struct engine){0};
}

int64_t engine_add_port(struct engine *engine)
{
    if (engine->port_count == engine->max_ports)
        return -1;
    engine->ports[engine->port_count].pipe = ENGINE_NO_PIPE;
    stats_set(&engine->stats->ports, engine->port_count + 1);
    return engine->port_count++;
}

const char *engine_refuse_pipe(const struct engine *engine, const struct engine_pipe_spec *spec)
{
    if (engine->pipe_count == engine->max_pipes)
        return "no room for another pipe";
    if (spec->src_port >= engine->port_count || spec->dst_port >= engine->port_count)
        return "no such port";
    const struct engine_port *port = &engine->ports[spec->src_port];
    if (spec->src_vlan == 0 ? port->pipe_of_vlan != NULL : port->pipe != ENGINE_NO_PIPE)
        return "a port is either plain or a trunk";
    if (spec->src_vlan == 0 ? port->pipe != ENGINE_NO_PIPE
                            : port->pipe_of_vlan && port->pipe_of_vlan[spec->src_vlan] != ENGINE_NO_PIPE)
        return "another pipe leaves from this port and VLAN";
    return NULL;
}

/* Have frames of the port and VLAN go to the pipe. Returns -1 when out of memory. */
static int engine_attach(struct engine_port *port, uint16_t vlan, uint32_t pipe)
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

int64_t engine_add_pipe(struct engine *engine, const struct engine_pipe_spec *spec)
{
    uint32_t number = engine->pipe_count;
    struct pipe *pipe = &engine->pipes[number];

    *pipe = (struct pipe){
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
    if (pipe_prepare(pipe, &spec->model) < 0)
        return -1;
    if (engine_attach(&engine->ports[spec->src_port], spec->src_vlan, number) < 0) {
        free(pipe->queues.aqm);
        return -1;
    }
    pipe->model.policy->users++;
    stats_set(&engine->stats->pipes, number + 1);
    return engine->pipe_count++;
}

void engine_arrive(struct engine *engine, uint32_t number, uint8_t *data, uint32_t length, int64_t now_ns)
{
    const struct engine_port *port = &engine->ports[number];
    struct port_stats *stats = &engine->port_stats[number];
    uint32_t pipe = port->pipe;

    stats_add(&stats->frames_in, 1);
    stats_add(&stats->bytes_in, length);
    if (length < CLASSIFY_HEADER_BYTES) {
        stats_add(&stats->drop_runt, 1);
        return;
    }
    if (port->pipe_of_vlan) {
        int vlan = classify_vlan(data, length);
        pipe = vlan < 0 ? ENGINE_NO_PIPE : port->pipe_of_vlan[vlan];
    }
    if (pipe == ENGINE_NO_PIPE) {
        stats_add(&stats->drop_vlan, 1);
        return;
    }
    if (port->pipe_of_vlan) {
        memmove(data + ENGINE_TAG_BYTES, data, CLASSIFY_HEADER_BYTES - 2); /* the addresses, over the tag */
        data += ENGINE_TAG_BYTES;
        length -= ENGINE_TAG_BYTES;
    }
    int64_t ideal_ns = passage_arrive(engine->passage, data, length, now_ns);
    pipe_arrive(&engine->pipes[pipe], data, length, now_ns, ideal_ns);
    heap_update(&engine->heap, &engine->pipes[pipe]);
    stats_set(&engine->stats->memory_bytes, engine->pool.held_bytes);
}

/* Hand a frame to its port and count what became of it. */
static void engine_deliver(struct engine *engine, struct pipe *pipe, struct frame *frame, engine_sink sink,
                           void *context)
{
    struct port_stats *port_stats = &engine->port_stats[pipe->dst_port];

    switch (sink(context, pipe, frame)) {
    case ENGINE_DELIVERED:
        passage_leave(engine->passage, frame->data, frame->length, frame->ideal_ns);
        stats_add(&pipe->stats->frames_out, 1);
        stats_add(&pipe->stats->bytes_out, frame->line_bytes);
        stats_add(&port_stats->frames_out, 1);
        stats_add(&port_stats->bytes_out, frame->length);
        break;
    case ENGINE_REFUSED:
        stats_add(&pipe->stats->drop_machine, 1);
        break;
    case ENGINE_PORT_DOWN:
        stats_add(&pipe->stats->drop_dst_down, 1);
        break;
    }
    frame_free(&engine->pool, frame);
}

/* A pipe is asked as of its event, not of now: what it then has for later must not overtake other pipes' frames. */
void engine_deliver_due(struct engine *engine, int64_t now_ns, engine_sink sink, void *context)
{
    for (int64_t event_ns; (event_ns = heap_earliest_ns(&engine->heap)) <= now_ns;) {
        struct pipe *pipe = engine->heap.entry[0].pipe;
        struct frame *frame = pipe_take_due(pipe, event_ns);
        heap_update(&engine->heap, pipe);
        if (frame)
            engine_deliver(engine, pipe, frame, sink, context);
    }
}

int engine_prepare_pipe(struct engine *engine, uint32_t number, const struct pipe_model *model)
{
    return pipe_prepare(&engine->pipes[number], model);
}

void engine_set_pipe(struct engine *engine, uint32_t number, const struct pipe_change *change, int64_t now_ns)
{
    struct pipe *pipe = &engine->pipes[number];
    pipe_set(pipe, change, now_ns);
    heap_update(&engine->heap, pipe);
}

void engine_follow(struct engine *engine, uint32_t number, struct trace *trace, int64_t now_ns)
{
    struct pipe *pipe = &engine->pipes[number];
    pipe_follow(pipe, trace, now_ns);
    heap_update(&engine->heap, pipe);
}

void engine_restart_lateness(struct engine *engine)
{
    for (uint32_t pipe = 0; pipe < engine->pipe_count; pipe++) {
        stats_set(&engine->pipe_stats[pipe].lateness_max_ns, 0);
        stats_set(&engine->pipe_stats[pipe].lateness_max_at_ns, 0);
    }
    for (uint64_t record = 0; record < engine->stats->classes; record++)
        for (unsigned bin = 0; bin < STATS_CLASS_BINS; bin++)
            stats_set(&engine->classes.record[record].lateness[bin], 0);
}

void engine_follow_frames(struct engine *engine, int64_t origin_ns)
{
    engine->passage->follows = true;
    engine->passage->origin_ns = origin_ns;
}

void engine_compensate_delay(struct engine *engine, uint32_t pipe, int64_t early_ns)
{
    engine->pipes[pipe].early_ns = early_ns;
}
