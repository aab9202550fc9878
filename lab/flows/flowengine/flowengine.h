/* The flow engine: one thread that sends paced UDP datagrams from many sockets, receives on as many,
 * and writes one record per received datagram. Plain C; module.c is the Python binding.
 *
 * All times are nanoseconds of CLOCK_REALTIME as it was when the engine first ran, going on by
 * CLOCK_MONOTONIC: the kernel's receive timestamps are CLOCK_REALTIME's, and are corrected where that
 * was set meanwhile. One-way delay is then the difference of two readings of one clock. */
#ifndef HELSEWAN_FLOWENGINE_H
#define HELSEWAN_FLOWENGINE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>

#define FE_MAGIC 0x48535746u /* "HSWF" */
#define FE_HEADER_BYTES 24
#define FE_PAYLOAD_MAX 65507     /* the largest UDP payload over IPv4 */
#define FE_LATENESS_STEP_NS 20000 /* width of a lateness bin */

/* Header of each datagram's payload; integers in network byte order. */
struct fe_header {
    uint32_t magic;  /* FE_MAGIC */
    uint32_t cookie; /* the run it belongs to */
    uint32_t flow;   /* flow id */
    uint32_t seq;    /* counts the flow's due datagrams from 0 */
    uint64_t tx_ns;  /* clock reading right before the send */
} __attribute__((packed));

/* Record of a valid datagram that was received. */
struct fe_record {
    int64_t tx_ns;     /* from its header */
    int64_t rx_ns;     /* the kernel's receive timestamp */
    uint32_t flow;     /* from its header */
    uint32_t seq;      /* from its header */
    uint32_t receiver; /* id of the receiver it arrived at */
    uint32_t source;   /* IPv4 source address, host byte order; 0 over IPv6 */
    uint16_t bytes;    /* UDP payload length */
    uint8_t tos;       /* IPv4 TOS or IPv6 traffic class on arrival */
    uint8_t timed;     /* 1: rx_ns is the kernel's; 0: read after the receive call */
    uint32_t reserved; /* 0 */
};

/* A sender's counters; sent + all errors = datagrams that were due. */
struct fe_sender_counters {
    uint64_t sent;        /* accepted by the kernel */
    uint64_t unreachable; /* no route, host or interface */
    uint64_t refused;     /* an ICMP error reported on the socket, twice in a row */
    uint64_t full;        /* no room in the socket or the interface queue */
    uint64_t failed;      /* any other error */
    int64_t worst_late_ns; /* largest (send - due) */
};

/* A receiver's counters. */
struct fe_receiver_counters {
    uint64_t received; /* valid datagrams, recorded or not */
    uint64_t invalid;  /* datagrams that are not of this run */
    uint64_t dropped;  /* datagrams the kernel dropped because the socket's buffer was full */
    uint64_t errors;   /* errors the socket reported (ICMP) */
};

/* A socket address of either IP version. */
union fe_address {
    struct sockaddr any;    /* its family */
    struct sockaddr_in v4;  /* if that is AF_INET */
    struct sockaddr_in6 v6; /* if that is AF_INET6 */
};

/* A paced sender. */
struct fe_sender {
    int fd;                      /* UDP socket of the destination's IP version, borrowed */
    union fe_address to;         /* destination */
    int64_t due_ns;              /* when the next burst is due */
    int64_t stop_ns;             /* nothing is due from here on */
    int64_t interval_ns;         /* between bursts */
    uint32_t burst;              /* datagrams per burst */
    uint32_t burst_left;         /* of a burst that is being sent; 0: none */
    uint32_t payload_bytes;      /* UDP payload of each */
    uint32_t flow;               /* flow id */
    uint32_t seq;                /* next sequence number */
    int tos;                     /* IPv4 TOS or IPv6 traffic class to send with */
};

/* A listening socket. */
struct fe_receiver {
    int fd;      /* UDP socket, borrowed */
    uint32_t id; /* receiver number in its records */
};

/* The engine; the arrays are owned by the caller, the lists by the engine. */
struct fe_engine {
    struct fe_record *records;                     /* filled from the front */
    uint64_t records_max;                          /* size of records */
    _Atomic uint64_t recorded;                     /* records in use */
    _Atomic uint64_t unrecorded;                   /* valid datagrams not recorded: the array was full */
    struct fe_sender_counters *sender_counters;    /* one per sender, in order of adding */
    uint32_t senders_max;                          /* size of sender_counters */
    struct fe_receiver_counters *receiver_counters; /* one per receiver, in order of adding */
    uint32_t receivers_max;                        /* size of receiver_counters */
    uint64_t *lateness;                            /* histogram of (send - due); the last bin is open */
    uint32_t lateness_buckets;                     /* bins in lateness */
    uint32_t cookie;                               /* datagrams with another cookie are invalid */

    struct fe_sender *senders;     /* senders_max of them, owned */
    uint32_t senders_count;        /* in use */
    struct fe_receiver *receivers; /* receivers_max of them, owned */
    uint32_t receivers_count;      /* in use */
    uint32_t *heap;                /* indices of unfinished senders, a binary heap by due_ns, owned */
    uint32_t heap_count;           /* in use */
    struct fe_outgoing *outgoing;  /* room for the datagrams of a send call, owned */
    struct fe_incoming *incoming;  /* room for the datagrams of a receive call, owned */
    int epoll_fd;                  /* all receivers, owned */
    int64_t clock_offset_ns;       /* CLOCK_REALTIME - CLOCK_MONOTONIC at the first run */
    int clock_seen;                /* clock_offset_ns is set */
};

/* Outcomes of fe_engine_run. */
enum fe_outcome {
    FE_STOPPED = 0,     /* the control fd became readable */
    FE_INTERRUPTED = 1, /* a signal arrived: run again after handling it */
    FE_FAILED = -1,     /* errno says why */
};

/* Allocates the lists; the caller has set the arrays, their sizes and the cookie. 0, or -1 with errno. */
int fe_engine_open(struct fe_engine *engine);

/* Frees everything the engine owns; idempotent, also after a failed open. */
void fe_engine_close(struct fe_engine *engine);

/* Copies ``sender``, whose due_ns is its start. 0, or -1 with errno (ENOSPC: the list is full). */
int fe_engine_add_sender(struct fe_engine *engine, const struct fe_sender *sender);

/* Receives from ``fd``, a socket of either IP version, with timestamps, TOS and drop counts enabled.
 * 0, or -1 with errno (ENOSPC: the list is full). */
int fe_engine_add_receiver(struct fe_engine *engine, int fd, uint32_t id);

/* Sends and receives until ``control_fd`` is readable. */
enum fe_outcome fe_engine_run(struct fe_engine *engine, int control_fd);

/* By how much CLOCK_REALTIME was set since the first run, ns; 0 before it. */
int64_t fe_engine_clock_step_ns(const struct fe_engine *engine);

/* Start the engine's clock; does nothing if it has started. */
void fe_clock_start(struct fe_engine *engine);

/* Now on the engine's clock. */
int64_t fe_now_ns(const struct fe_engine *engine);

/* ---- between the engine's own files --------------------------------------------------------- */

/* Allocates the room for sends and receives, close frees it. 0, or -1 with errno. */
int fe_outgoing_open(struct fe_engine *engine);
void fe_outgoing_close(struct fe_engine *engine);
int fe_incoming_open(struct fe_engine *engine);
void fe_incoming_close(struct fe_engine *engine);

/* Adds a sender to the heap. */
void fe_heap_push(struct fe_engine *engine, uint32_t sender);

/* Sends some of what is due; returns when the next burst is due, which may be now; 0 when none is. */
int64_t fe_send_due(struct fe_engine *engine);

/* Reads from some receivers that have datagrams; returns from how many. More may be left if it is FE_EVENTS. */
int fe_receive_ready(struct fe_engine *engine);

#define FE_EVENTS 64 /* receivers read at a time */

#endif
