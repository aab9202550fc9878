/* The shared-memory layout of everything the engine counts.
 *
 * One writer (the engine), any number of readers in other processes. Every field is an aligned 64-bit word that
 * is stored whole, so a reader never sees half a value; fields are not consistent with each other to the frame.
 * The buffer holds one engine_stats, then max_ports port_stats, max_pipes pipe_stats, and STATS_QUEUES * max_pipes
 * class_stats. The latter are allocated one by one, with the first frame of a class in a pipe, so that only used memory
 * is touched. emulation/links/counters.py mirrors these structs; STATS_LAYOUT changes with them.
 */
#ifndef LINKENGINE_STATS_H
#define LINKENGINE_STATS_H

#include <stdint.h>

#define STATS_LAYOUT 5           /* version of this layout */
#define STATS_QUEUES 8           /* class queues of a pipe, at most */
#define STATS_LATENESS_BINS 160  /* four bins an octave: the last starts at 7 * 2^38 ns, half an hour */
#define STATS_LONG_ROUND_NS 1000000 /* shorter times without a check are not counted */
#define STATS_CLASS_BINS 88      /* the same in units of STATS_CLASS_UNIT_NS: the last starts at 7.5 s */
#define STATS_CLASS_UNIT_NS 1024 /* a power of two, so that it divides fast */

struct le_engine_stats {
    uint64_t layout;                         /* STATS_LAYOUT */
    uint64_t ports;                          /* ports added so far */
    uint64_t pipes;                          /* pipes added so far */
    uint64_t memory_bytes;                   /* memory held by frames and by the pool's free lists */
    uint64_t rounds;                         /* turns of the loop */
    uint64_t rests;                          /* of them: those that first slept a coalescing interval, under load */
    uint64_t longest_round_ns; /* longest time without a check for arrivals (iteration, pause, oversleeping) */
    uint64_t lateness_max_ns;                /* worst lateness of a delivery */
    uint64_t lateness_max_at_ns;             /* when that was, CLOCK_REALTIME */
    uint64_t lateness_max_pipe;              /* on which pipe */
    uint64_t classes;                        /* class_stats handed out so far */
    uint64_t lateness[STATS_LATENESS_BINS];  /* deliveries by lateness, see le_stats_bin() */
    uint64_t long_rounds[STATS_LATENESS_BINS];  /* times without a check for arrivals, of STATS_LONG_ROUND_NS or more */
};

struct le_port_stats {
    uint64_t frames_in;   /* frames read */
    uint64_t bytes_in;    /* their bytes, trunk tag included */
    uint64_t frames_out;  /* frames written */
    uint64_t bytes_out;   /* their bytes, trunk tag included */
    uint64_t drop_runt;   /* frames shorter than an Ethernet header */
    uint64_t drop_vlan;   /* frames for which the port has no pipe: VLAN unknown or missing */
    uint64_t retired;     /* 1 once the device is gone and is no longer read */
    uint64_t waiting;     /* frames in its ring that the device has not taken yet, as of the last round */
    uint64_t rings_broken; /* times that the device broke the protocol of the rings, which ends the port */
    uint64_t reserved[7];  /* pads to a cache line */
};

struct le_pipe_stats {
    uint64_t frames_in;                   /* frames that arrived */
    uint64_t bytes_in;                    /* their bytes, without trunk tag */
    uint64_t frames_out;                  /* frames delivered */
    uint64_t bytes_out;                   /* their bytes, without trunk tag */
    uint64_t class_record[STATS_QUEUES];  /* by class queue: which class_stats, counted from 1; 0: none yet */
    uint64_t duplicated;                  /* frames that were duplicated */
    uint64_t corrupted;                   /* frames that had a bit flipped */
    uint64_t drop_mtu;                    /* longer than the MTU */
    uint64_t drop_loss;                   /* lost in transit by the loss model */
    uint64_t drop_silent;                 /* lost in a black hole */
    uint64_t drop_down;                   /* the pipe was down, or went down with them in it */
    uint64_t drop_memory;                 /* the frame pool was exhausted */
    uint64_t drop_machine;                /* the kernel did not accept the frame: EAGAIN, ENOBUFS */
    uint64_t drop_dst_down;               /* the destination's interface is down or gone */
    uint64_t queued_frames;               /* waiting for the link, as of the pipe's last event */
    uint64_t queued_bytes;                /* their bytes */
    uint64_t flight_frames;               /* on the link */
    uint64_t lateness_max_ns;             /* worst lateness of a delivery */
    uint64_t lateness_max_at_ns;          /* when that was, CLOCK_REALTIME */
    uint64_t reserved[6];                 /* pads to a cache line */
};

struct le_class_stats {
    uint64_t frames_in;                      /* frames of this class that arrived */
    uint64_t bytes_in;                       /* their bytes, without trunk tag */
    uint64_t frames_sent;                    /* frames put on the link */
    uint64_t bytes_sent;                     /* their bytes */
    uint64_t drop_tail;                      /* the queue was at its own limit */
    uint64_t drop_buffer;                    /* all queues together were at theirs */
    uint64_t drop_red;                       /* dropped early by RED */
    uint64_t drop_codel;                     /* dropped at the head by CoDel */
    uint64_t queue_ns;                       /* total waiting time of the frames sent */
    uint64_t queue_max_ns;                   /* the longest wait */
    uint64_t reserved[6];                    /* pads to a cache line */
    uint64_t queue_delay[STATS_CLASS_BINS];  /* frames sent, by how long they waited, see le_stats_class_bin() */
    uint64_t lateness[STATS_CLASS_BINS];     /* deliveries, by how late they were */
};

/* The class_stats of all pipes. */
struct le_stats_classes {
    struct le_class_stats *record;  /* in shared memory */
    uint64_t *used;                 /* engine_stats.classes */
};

static inline void le_stats_set(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static inline void le_stats_add(uint64_t *counter, uint64_t value)
{
    le_stats_set(counter, *counter + value);
}

/* The pipe's record of a class, created on first use. */
static inline struct le_class_stats *le_stats_class(struct le_stats_classes *classes, struct le_pipe_stats *pipe,
                                                    unsigned queue)
{
    if (!pipe->class_record[queue]) {
        le_stats_add(classes->used, 1); /* the record is counted before the pipe refers to it */
        le_stats_set(&pipe->class_record[queue], *classes->used);
    }
    return &classes->record[pipe->class_record[queue] - 1];
}

/* The histogram bin of a value: exact below 4, then four bins to each power of two. */
static inline unsigned le_stats_bin_of(uint64_t value, unsigned bins)
{
    if (value < 4)
        return (unsigned)value;
    unsigned octave = 63u - (unsigned)__builtin_clzll(value);
    unsigned bin = (octave - 1) << 2 | (unsigned)(value >> (octave - 2) & 3);
    return bin < bins ? bin : bins - 1;
}

static inline unsigned le_stats_bin(uint64_t lateness_ns)
{
    return le_stats_bin_of(lateness_ns, STATS_LATENESS_BINS);
}

static inline unsigned le_stats_class_bin(uint64_t time_ns)
{
    return le_stats_bin_of(time_ns / STATS_CLASS_UNIT_NS, STATS_CLASS_BINS);
}

#endif
