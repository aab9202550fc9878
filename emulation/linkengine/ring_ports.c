#define _GNU_SOURCE /* F_GET_SEALS */

#include "ring_ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_PORTS_BUDGET 64 /* frames read from a port before the next one's turn */
#define RING_PORTS_AHEAD 8   /* ports whose indices are fetched ahead */

int le_ring_ports_init(struct le_ring_ports *ports, uint32_t max_ports)
{
    *ports = (struct le_ring_ports){
        .all = calloc(max_ports, sizeof *ports->all),
        .active = calloc(max_ports, sizeof *ports->active),
        .found = calloc(max_ports, sizeof *ports->found),
        .dirty = calloc(max_ports, sizeof *ports->dirty),
        .waiting = calloc(max_ports, sizeof *ports->waiting),
        .call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
    };
    if (ports->all && ports->active && ports->found && ports->dirty && ports->waiting && ports->call_fd >= 0)
        return 0;
    le_ring_ports_clear(ports);
    return -1;
}

static void ring_ports_free(struct le_ring_port *port)
{
    for (unsigned i = 0; i < VRING_RINGS; i++)
        le_vring_clear(&port->ring[i]);
    if (port->memory)
        munmap(port->memory, port->bytes);
    free(port);
}

void le_ring_ports_clear(struct le_ring_ports *ports)
{
    for (uint32_t i = 0; i < ports->count; i++)
        ring_ports_free(ports->all[i]);
    if (ports->call_fd >= 0)
        close(ports->call_fd);
    free(ports->all);
    free(ports->active);
    free(ports->found);
    free(ports->dirty);
    free(ports->waiting);
    *ports = (struct le_ring_ports){.call_fd = -1};
}

/* Map the memory, which must have the size and never lose it: reading behind its end would end the process. NULL with
 * errno. */
static uint8_t *ring_ports_map(int memory_fd, uint64_t bytes)
{
    struct stat status;
    int seals = fcntl(memory_fd, F_GET_SEALS);
    if (seals < 0 || fstat(memory_fd, &status) < 0)
        return NULL; /* EINVAL: it is no memfd */
    if (!(seals & F_SEAL_SHRINK) || (uint64_t)status.st_size < bytes) {
        errno = EINVAL;
        return NULL;
    }
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

struct le_ring_port *le_ring_ports_add(struct le_ring_ports *ports, uint32_t number, int memory_fd, uint32_t entries,
                                       struct le_port_stats *stats)
{
    struct le_vring_layout layout;
    if (!le_vring_layout(entries, &layout)) {
        errno = EINVAL;
        return NULL;
    }
    struct le_ring_port *port = aligned_alloc(VRING_LINE_BYTES, sizeof *port);
    if (!port)
        return NULL;
    *port = (struct le_ring_port){.bytes = layout.bytes, .stats = stats, .number = number, .slot = RING_PORTS_IDLE};
    if (!(port->memory = ring_ports_map(memory_fd, layout.bytes)))
        goto failed;
    for (unsigned i = 0; i < VRING_RINGS; i++)
        if (le_vring_init(&port->ring[i], port->memory, &layout.ring[i], entries) < 0)
            goto failed;
    ports->all[ports->count++] = port;
    return port;
failed:;
    int error = errno;
    ring_ports_free(port);
    errno = error;
    return NULL;
}

/* The device need not tell that it took a frame: buffers are reclaimed before they are used. */
static void ring_ports_signal(const struct le_ring_ports *ports, struct le_ring_port *port)
{
    le_vring_signal(&port->ring[VRING_RECEIVE], !ports->polled);
    le_vring_signal(&port->ring[VRING_TRANSMIT], false);
}

void le_ring_ports_activate(struct le_ring_ports *ports, struct le_ring_port *port)
{
    for (unsigned i = 0; i < VRING_RINGS; i++)
        le_vring_reset(&port->ring[i], i == VRING_RECEIVE);
    ring_ports_signal(ports, port);
    le_stats_set(&port->stats->waiting, 0);
    if (port->slot == RING_PORTS_IDLE) {
        port->slot = ports->active_count++;
        ports->active[port->slot] = port;
    }
    ports->due = true;
}

void le_ring_ports_deactivate(struct le_ring_ports *ports, struct le_ring_port *port)
{
    if (port->slot == RING_PORTS_IDLE)
        return;
    struct le_ring_port *last = ports->active[--ports->active_count];
    ports->active[port->slot] = last;
    last->slot = port->slot;
    port->slot = RING_PORTS_IDLE;
    le_stats_set(&port->stats->waiting, 0);
    ports->due = true; /* the last one may have been passed over in this round */
}

/* End a port whose device broke the protocol. */
static void ring_ports_break(struct le_ring_ports *ports, struct le_ring_port *port)
{
    if (port->slot == RING_PORTS_IDLE)
        return;
    le_stats_add(&port->stats->rings_broken, 1);
    le_ring_ports_deactivate(ports, port);
}

void le_ring_ports_called(struct le_ring_ports *ports)
{
    uint64_t count;
    (void)!read(ports->call_fd, &count, sizeof count); /* before the rings are looked at: a later call is not lost */
    ports->due = true;
}

void le_ring_ports_poll(struct le_ring_ports *ports, bool polled)
{
    if (polled == ports->polled)
        return;
    ports->polled = polled;
    for (uint32_t i = 0; i < ports->active_count; i++)
        ring_ports_signal(ports, ports->active[i]);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* devices look at the flag after they put a frame in, the engine for frames
                                                after it set the flag: one of them sees what the other did */
    ports->due = true;
}

/* The device's core wrote what is read here: misses of the cache that need not be waited for one by one. */
uint32_t le_ring_ports_find(struct le_ring_ports *ports)
{
    ports->found_count = 0;
    if (!ports->due && !ports->polled)
        return 0;
    ports->due = false;
    for (uint32_t slot = 0; slot < ports->active_count;) {
        if (slot + RING_PORTS_AHEAD < ports->active_count)
            le_vring_prefetch_index(&ports->active[slot + RING_PORTS_AHEAD]->ring[VRING_RECEIVE]);
        struct le_ring_port *port = ports->active[slot];
        struct le_vring *ring = &port->ring[VRING_RECEIVE];
        if (le_vring_pending(ring) > 0) {
            le_vring_prefetch_entry(ring);
            ports->found[ports->found_count++] = port;
        }
        if (ring->broken)
            ring_ports_break(ports, port); /* the last one takes its slot */
        else
            slot++;
    }
    if (ports->found_count)
        le_vring_prefetch_frame(&ports->found[0]->ring[VRING_RECEIVE], 0);
    return ports->found_count;
}

struct ring_ports_burst {
    struct le_engine *engine;
    uint32_t number;  /* of the port */
    int64_t now_ns;   /* of arrival */
};

/* A le_vring_take. */
static void ring_ports_arrive(void *context, uint8_t *data, uint32_t length)
{
    const struct ring_ports_burst *burst = context;
    le_engine_arrive(burst->engine, burst->number, data, length, burst->now_ns);
}

void le_ring_ports_read(struct le_ring_ports *ports, uint32_t found, struct le_engine *engine, int64_t now_ns)
{
    struct le_ring_port *port = ports->found[found];
    struct le_vring *ring = &port->ring[VRING_RECEIVE];
    struct ring_ports_burst burst = {.engine = engine, .number = port->number, .now_ns = now_ns};
    if (found + 1 < ports->found_count)
        le_vring_prefetch_frame(&ports->found[found + 1]->ring[VRING_RECEIVE], 0);
    if (port->slot == RING_PORTS_IDLE)
        return; /* its other ring was found broken meanwhile */
    uint32_t count = le_vring_receive(ring, RING_PORTS_BUDGET, ring_ports_arrive, &burst);
    if (ring->broken)
        ring_ports_break(ports, port);
    if (count == RING_PORTS_BUDGET)
        ports->due = true;
}

enum le_engine_outcome le_ring_ports_write(struct le_ring_ports *ports, struct le_ring_port *port, const uint8_t *data,
                                           uint32_t length)
{
    struct le_vring *ring = &port->ring[VRING_TRANSMIT];
    if (port->slot == RING_PORTS_IDLE)
        return ENGINE_PORT_DOWN;
    if (!le_vring_send(ring, data, length)) {
        if (!ring->broken)
            return ENGINE_REFUSED;
        ring_ports_break(ports, port);
        return ENGINE_PORT_DOWN;
    }
    if (!port->dirty) {
        port->dirty = true;
        ports->dirty[ports->dirty_count++] = port;
    }
    return ENGINE_DELIVERED;
}

void le_ring_ports_publish(struct le_ring_ports *ports)
{
    for (uint32_t i = 0; i < ports->dirty_count; i++) {
        struct le_ring_port *port = ports->dirty[i];
        le_vring_publish(&port->ring[VRING_TRANSMIT]);
        port->dirty = false;
        if (!port->waiting) {
            port->waiting = true;
            ports->waiting[ports->waiting_count++] = port;
        }
    }
    ports->dirty_count = 0;
}

void le_ring_ports_count(struct le_ring_ports *ports)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ports->waiting_count; i++) {
        struct le_ring_port *port = ports->waiting[i];
        struct le_vring *ring = &port->ring[VRING_TRANSMIT];
        bool active = port->slot != RING_PORTS_IDLE;
        uint32_t frames = active ? le_vring_reclaim(ring) : 0;
        if (active && ring->broken) {
            ring_ports_break(ports, port);
            frames = 0;
        }
        le_stats_set(&port->stats->waiting, frames);
        port->waiting = frames > 0;
        if (frames)
            ports->waiting[kept++] = port;
    }
    ports->waiting_count = kept;
}
