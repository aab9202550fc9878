/* The shared-memory layout of everything the engine counts.
 *
 * One writer (the engine), any number of readers in other processes. Every field is an aligned 64-bit word that
 * is stored whole, so a reader never sees half a value; fields are not consistent with each other to the frame.
 * The buffer holds one engine_stats, then max_ports port_stats, then max_pipes pipe_stats. emulation/counters.py
 * mirrors these structs; STATS_LAYOUT changes with them.
 */
#ifndef LINKENGINE_STATS_H
#define LINKENGINE_STATS_H

#include <stdint.h>

#define STATS_LAYOUT 1           /* version of this layout */
#define STATS_QUEUES 8           /* class queues of a pipe, at most */
#define STATS_LATENESS_BINS 160  /* four bins an octave: the last starts at 2^40 ns, 18 minutes */

struct engine_stats {
    uint64_t layout;               /* STATS_LAYOUT */
    uint64_t ports;                /* ports added so far */
    uint64_t pipes;                /* pipes added so far */
    uint64_t memory_bytes;         /* memory held by frames and by the pool's free lists */
    uint64_t rounds;               /* turns of the loop */
    uint64_t longest_round_ns;     /* longest time without a look for arrivals (turn without its sleep, pause) */
    uint64_t lateness_max_ns;      /* worst lateness of a delivery */
    uint64_t lateness_max_at_ns;   /* when that was, CLOCK_REALTIME */
    uint64_t lateness_max_pipe;    /* on which pipe */
    uint64_t lateness[STATS_LATENESS_BINS]; /* deliveries by lateness, see stats_bin() */
};

struct port_stats {
    uint64_t frames_in;   /* frames read */
    uint64_t bytes_in;    /* their bytes, trunk tag included */
    uint64_t frames_out;  /* frames written */
    uint64_t bytes_out;   /* their bytes, trunk tag included */
    uint64_t drop_runt;   /* frames shorter than an Ethernet header */
    uint64_t drop_vlan;   /* frames for which the port has no pipe: VLAN unknown or missing */
    uint64_t retired;     /* 1 once the device is gone and is no longer read */
    uint64_t reserved;    /* pads to a cache line */
};

struct pipe_stats {
    uint64_t frames_in;                 /* frames that arrived */
    uint64_t bytes_in;                  /* their bytes, without trunk tag */
    uint64_t frames_out;                /* frames delivered */
    uint64_t bytes_out;                 /* their bytes, without trunk tag */
    uint64_t drop_queue[STATS_QUEUES];  /* tail drops, per class queue */
    uint64_t drop_down;                 /* the pipe was down, or went down over them */
    uint64_t drop_loss;                 /* lost on the line, as asked for */
    uint64_t drop_memory;               /* the frame pool was exhausted */
    uint64_t drop_machine;              /* the kernel did not take the frame: EAGAIN, ENOBUFS */
    uint64_t drop_dst_down;             /* the destination's interface is down or gone */
    uint64_t queued_frames;             /* waiting for the line, as of the pipe's last event */
    uint64_t queued_bytes;              /* their bytes */
    uint64_t flight_frames;             /* on the line */
    uint64_t lateness_max_ns;           /* worst lateness of a delivery */
    uint64_t lateness_max_at_ns;        /* when that was, CLOCK_REALTIME */
    uint64_t reserved[2];               /* pads to a cache line */
};

static inline void stats_set(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static inline void stats_add(uint64_t *counter, uint64_t value)
{
    stats_set(counter, *counter + value);
}

/* The histogram bin of a lateness: exact below 4 ns, then four bins to each power of two. */
static inline unsigned stats_bin(uint64_t lateness_ns)
{
    if (lateness_ns < 4)
        return (unsigned)lateness_ns;
    unsigned octave = 63u - (unsigned)__builtin_clzll(lateness_ns);
    unsigned bin = (octave - 1) << 2 | (unsigned)(lateness_ns >> (octave - 2) & 3);
    return bin < STATS_LATENESS_BINS ? bin : STATS_LATENESS_BINS - 1;
}

#endif
