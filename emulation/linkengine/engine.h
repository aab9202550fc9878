/* Ports and pipes together, in virtual time and without I/O: what loop.c runs and what tests simulate. */
#ifndef LINKENGINE_ENGINE_H
#define LINKENGINE_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "classify.h"
#include "frame.h"
#include "frame_parse.h"
#include "heap.h"
#include "transit.h"
#include "pipe.h"
#include "queue.h"
#include "stats.h"
#include "trace.h"

#define ENGINE_VLANS 4096
#define ENGINE_NO_PIPE UINT32_MAX

struct le_engine_port {
    uint32_t pipe;           /* the pipe that leaves from it, ENGINE_NO_PIPE: none, or a trunk */
    uint32_t *pipe_of_vlan;  /* of a trunk: the pipe of each VLAN; else NULL */
};

/* Told of a frame that was dropped because it is longer than its pipe's MTU. */
typedef void (*le_engine_too_long)(void *context, uint32_t pipe, uint32_t mtu_bytes, const uint8_t *data,
                                   uint32_t length);

struct le_engine {
    struct le_classify_tables tables;  /* for all pipes */
    struct le_frame_pool pool;         /* for all pipes */
    struct le_engine_port *ports;      /* by number */
    struct le_pipe *pipes;             /* by number */
    uint32_t port_count, max_ports;    /* in use, maximum */
    uint32_t pipe_count, max_pipes;    /* in use, maximum */
    struct le_transit *transit;        /* frames between two links */
    struct le_heap heap;               /* pipes with events to come */
    struct le_engine_stats *stats;     /* in shared memory */
    struct le_port_stats *port_stats;  /* in shared memory, by port number */
    struct le_pipe_stats *pipe_stats;  /* in shared memory, by pipe number */
    struct le_stats_classes classes;   /* in shared memory, as handed out */
    le_engine_too_long too_long;       /* NULL: nobody is told */
    void *too_long_context;            /* its first argument */
};

struct le_engine_pipe_spec {
    uint32_t src_port, dst_port;  /* where frames come from and go to */
    uint16_t src_vlan, dst_vlan;  /* tag stripped and pushed, 0: none */
    uint64_t seed;                /* of its random numbers */
    struct le_pipe_model model;   /* at the start; the pipe takes a reference of its own to the policy */
};

enum le_engine_outcome {
    ENGINE_DELIVERED,  /* the port took the frame */
    ENGINE_REFUSED,    /* the kernel did not accept it */
    ENGINE_PORT_DOWN,  /* the port's interface is down or deleted */
};

/* Hands a frame that is due to its port. */
typedef enum le_engine_outcome (*le_engine_sink)(void *context, struct le_pipe *pipe, const struct le_frame *frame);

/* Bytes of shared memory an engine needs. */
size_t le_engine_stats_bytes(uint32_t max_ports, uint32_t max_pipes);

/* stats: zeroed, aligned to 8, of le_engine_stats_bytes(). Returns 0, or -1 when out of memory. */
int le_engine_init(struct le_engine *engine, void *stats, uint32_t max_ports, uint32_t max_pipes, size_t memory_bytes);
void le_engine_clear(struct le_engine *engine);

/* Adds a port; its number, or -1 when there is no room. */
int64_t le_engine_add_port(struct le_engine *engine);

/* Reason why the specification cannot be added as a pipe, NULL if it can. */
const char *le_engine_refuse_pipe(const struct le_engine *engine, const struct le_engine_pipe_spec *spec);

/* Adds a pipe that le_engine_refuse_pipe() accepts; returns its number, or -1 when out of memory. */
int64_t le_engine_add_pipe(struct le_engine *engine, const struct le_engine_pipe_spec *spec);

/* A frame was read from a port. data may be overwritten. */
void le_engine_arrive(struct le_engine *engine, uint32_t port, uint8_t *data, uint32_t length, int64_t now_ns);

/* Deliver all that is due by now_ns, earliest first. */
void le_engine_deliver_due(struct le_engine *engine, int64_t now_ns, le_engine_sink sink, void *context);

/* Make room in the pipe for what the model needs. Returns 0, or -1 when out of memory. */
int le_engine_prepare_pipe(struct le_engine *engine, uint32_t pipe, const struct le_pipe_model *model);

/* Change a pipe; a new model is prepared. */
void le_engine_set_pipe(struct le_engine *engine, uint32_t pipe, const struct le_pipe_change *change, int64_t now_ns);

/* Let a pipe follow a trace, to which it takes a reference; NULL: none. */
void le_engine_follow(struct le_engine *engine, uint32_t pipe, struct le_trace *trace, int64_t now_ns);

/* Reset the lateness statistics of each pipe and class. */
void le_engine_restart_lateness(struct le_engine *engine);

/* From now on recognise frames that return from the node they were delivered to, and time them from when they should
 * have arrived. origin_ns: how long frames that come from no pipe have been in transit when they are read. */
void le_engine_follow_frames(struct le_engine *engine, int64_t origin_ns);

/* Deliver the pipe's frames early_ns earlier from now on, as far as its delay allows. */
void le_engine_compensate_delay(struct le_engine *engine, uint32_t pipe, int64_t early_ns);

#endif
