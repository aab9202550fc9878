/* The ports of an engine whose frames pass through virtqueues (vring.h): mapping their memory, what is worked and when.
 *
 * One eventfd serves all devices: they write it after putting in a frame, unless told not to. While a loop sleeps until
 * events, it looks at the rings when the eventfd was written; a loop that looks once an interval anyway has devices
 * write nothing.
 */
#ifndef LINKENGINE_RING_PORTS_H
#define LINKENGINE_RING_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "vring.h"

#define RING_PORTS_IDLE UINT32_MAX

struct le_ring_port {
    _Alignas(VRING_LINE_BYTES) struct le_vring ring[VRING_RINGS]; /* by ring number */
    uint8_t *memory;                    /* the block, mapped */
    size_t bytes;                       /* its size */
    struct le_port_stats *stats;        /* in shared memory */
    uint32_t number;                    /* the port's */
    uint32_t slot;                      /* its place among the active ones, RING_PORTS_IDLE: it is not worked */
    bool dirty;                         /* in the list of that name */
    bool waiting;                       /* in the list of that name */
};

struct le_ring_ports {
    struct le_ring_port **all;      /* in order of addition */
    struct le_ring_port **active;   /* worked ones, in no order */
    struct le_ring_port **found;    /* ones to be read; some may have ended since */
    struct le_ring_port **dirty;    /* ones with frames to be published */
    struct le_ring_port **waiting;  /* ones that had frames for the device to take when last looked at */
    uint32_t count;                 /* of each list: how many there are */
    uint32_t active_count;
    uint32_t found_count;
    uint32_t dirty_count;
    uint32_t waiting_count;
    int call_fd;                    /* the eventfd that devices write */
    bool polled;                    /* devices do not write it */
    bool due;                       /* the rings are to be looked at */
};

/* Returns 0, or -1 with errno. */
int le_ring_ports_init(struct le_ring_ports *ports, uint32_t max_ports);
void le_ring_ports_clear(struct le_ring_ports *ports);

/* The port whose rings, of entries each, are in the memory of memory_fd, a memfd that can never become smaller (sealed
 * with F_SEAL_SHRINK). It is not worked yet. NULL with errno; EINVAL when memory_fd is no such memory, or too small. */
struct le_ring_port *le_ring_ports_add(struct le_ring_ports *ports, uint32_t number, int memory_fd, uint32_t entries,
                                       struct le_port_stats *stats);

/* Begin anew with empty rings, before a device works on them, or end. */
void le_ring_ports_activate(struct le_ring_ports *ports, struct le_ring_port *port);
void le_ring_ports_deactivate(struct le_ring_ports *ports, struct le_ring_port *port);

/* The eventfd was written. */
void le_ring_ports_called(struct le_ring_ports *ports);

/* polled: the rings are looked at once an interval, and devices need not write the eventfd. When it ends, the rings are
 * due: what came in before the devices knew was not told. */
void le_ring_ports_poll(struct le_ring_ports *ports, bool polled);

/* Find the ports that have frames to be read, once the rings are due or polled. Ports that broke the protocol are ended.
 * Returns how many were found, for le_ring_ports_read(). */
uint32_t le_ring_ports_find(struct le_ring_ports *ports);

/* Hand the frames that the found port of that number, from 0, has, up to a budget, to the engine, as having arrived at
 * now_ns. When there are more the rings stay due. */
void le_ring_ports_read(struct le_ring_ports *ports, uint32_t found, struct le_engine *engine, int64_t now_ns);

/* Put a frame into the port's ring, where the device sees it after le_ring_ports_publish(). */
enum le_engine_outcome le_ring_ports_write(struct le_ring_ports *ports, struct le_ring_port *port, const uint8_t *data,
                                           uint32_t length);

/* Show the devices what was written. */
void le_ring_ports_publish(struct le_ring_ports *ports);

/* Bring the ports' counters of frames that wait for the device up to date. */
void le_ring_ports_count(struct le_ring_ports *ports);

#endif
