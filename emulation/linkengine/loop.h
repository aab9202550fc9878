/* The loop that runs an engine in real time over file descriptors. */
#ifndef LINKENGINE_LOOP_H
#define LINKENGINE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "load.h"
#include "ring_ports.h"

struct le_loop_port {
    int fd;                     /* TAP or socket, non-blocking; -1: rings, or only simulated */
    struct le_ring_port *rings; /* its rings, NULL: none */
    bool ready;                 /* may have frames to read: in the ready list */
    struct le_loop_port *next;  /* in the ready list */
};

struct le_loop {
    struct le_engine *engine;         /* the engine that it runs */
    struct le_loop_port *ports;       /* by port number */
    struct le_ring_ports rings;       /* those that have rings */
    int epoll_fd;                     /* watches all descriptors of ports, edge-triggered, and the rings' eventfd */
    struct le_loop_port *ready_head;  /* ports to read, the longest waiting first */
    struct le_loop_port *ready_tail;  /* the last of them; undefined when there is none */
    int64_t polled_ns;                /* when it last checked for arrivals */
    struct le_load load;              /* how busy it is */
    int64_t left_ns;                  /* when le_loop_run last returned, 0: it never ran */
    uint8_t *scratch;                 /* the frame being read */
    int too_long_fd;                  /* where frames are reported that are longer than an MTU, -1: nowhere */
};

/* Returns 0, or -1 with errno. */
int le_loop_init(struct le_loop *loop, struct le_engine *engine);
void le_loop_clear(struct le_loop *loop);

/* Read and write this port's frames on fd, which is made non-blocking and stays the caller's to close. -1: a port that
 * is only simulated. Returns 0, or -1 with errno. */
int le_loop_watch(struct le_loop *loop, uint32_t port, int fd);

/* Read and write this port's frames through rings of entries each in the memory of memory_fd, as le_ring_ports_add()
 * has it; inactive at first. Returns 0, or -1 with errno. */
int le_loop_watch_rings(struct le_loop *loop, uint32_t port, int memory_fd, uint32_t entries);

/* Begin to work the port's rings, emptied, or end. False: the port has none. */
bool le_loop_set_rings(struct le_loop *loop, uint32_t port, bool active);

/* Before each frame that is reported, in native byte order. */
struct le_loop_too_long {
    uint32_t pipe;       /* by number */
    uint32_t mtu_bytes;  /* of its model */
};

/* Report frames that are longer than their pipe's MTU, each as a message on a copy of fd, a socket that keeps message
 * boundaries: struct le_loop_too_long, then the frame. What the socket has no room for is not reported. Returns 0, or
 * -1 with errno. */
int le_loop_report_too_long(struct le_loop *loop, int fd);

/* Run until control_fd is readable. Returns 0, or -1 with errno; EINTR after a signal. */
int le_loop_run(struct le_loop *loop, int control_fd);

/* Deliver all frames that are due now. */
void le_loop_deliver_due(struct le_loop *loop);

/* Reset all lateness statistics and the longest iteration. */
void le_loop_restart_lateness(struct le_loop *loop);

/* CLOCK_MONOTONIC, the engine's clock. */
int64_t le_loop_now_ns(void);

#endif
