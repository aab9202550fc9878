/* The flow engine: one thread that sends UDP datagrams from many sockets, paced or by a table of due times and sizes,
 * receives on as many, and writes one record per received datagram. Plain C; module.c is the Python binding.
 *
 * All times are nanoseconds of CLOCK_REALTIME as it was when the engine first ran, going on by
 * CLOCK_MONOTONIC: the kernel's receive timestamps are CLOCK_REALTIME's, and are corrected where that
 * was set meanwhile. One-way delay is then the difference of two readings of one clock. */
#ifndef HELSEWAN_FLOWENGINE_H
#define HELSEWAN_FLOWENGINE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FE_MAGIC 0x48535746u /* "HSWF" */
#define FE_HEADER_BYTES 24       /* of a plain datagram: magic and stamp */
#define FE_RTP_HEADER_BYTES 12   /* RFC 3550, 5.1, without CSRC and extension */
#define FE_RTP_BYTES 32          /* RTP header and stamp: G.729's 20 ms, the smallest payload of all, hold a stamp */
#define FE_RTCP_BYTES 112        /* the longest report: SR with a block, SDES, APP */
#define FE_HEAD_BYTES FE_RTCP_BYTES /* no format has more before its zeros */
#define FE_PAYLOAD_MAX 65507     /* the largest UDP payload over IPv4 */
#define FE_LATENESS_STEP_NS 20000 /* width of a lateness bin */
#define FE_NO_SENDER UINT32_MAX

/* What a datagram's payload looks like. Zeros follow the stamp of the first two. */
enum fe_format {
    FE_PLAIN, /* magic, stamp */
    FE_RTP,   /* RTP header (RFC 3550, 5.1), stamp; the SSRC is fe_ssrc() of the stamp's flow */
    FE_RTCP,  /* compound packet (6.1): SR or RR, SDES with CNAME, APP named "HSWF" whose data is the stamp */
    FE_FORMATS
};

/* Types of the packets of a compound RTCP packet (RFC 3550, 12.1). */
enum fe_rtcp_type { FE_SR = 200, FE_RR = 201, FE_SDES = 202, FE_APP = 204 };

/* What the engine has to know of every datagram; integers in network byte order. */
struct fe_stamp {
    uint32_t cookie; /* the run it belongs to */
    uint32_t flow;   /* flow id */
    uint32_t seq;    /* counts the flow's due datagrams from 0 */
    uint64_t tx_ns;  /* clock reading right before the send */
} __attribute__((packed));

/* A line of the table of schedules: a datagram. */
struct fe_entry {
    int64_t due_ns;  /* from the schedule's begin */
    uint32_t age_ns; /* of what it carries when due: an RTP time stamp is that much older */
    uint16_t bytes;  /* UDP payload; 0: the sender's payload_bytes */
    uint8_t marker;  /* RTP marker bit */
    uint8_t unused;  /* 0 */
};

/* Record of a valid datagram that was received. */
struct fe_record {
    int64_t tx_ns;     /* from its stamp */
    int64_t rx_ns;     /* the kernel's receive timestamp */
    uint32_t flow;     /* from its stamp */
    uint32_t seq;      /* from its stamp */
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

/* A sender: a burst every interval, or what its part of the table says. */
struct fe_sender {
    int fd;                      /* UDP socket of the destination's IP version, borrowed */
    union fe_address to;         /* destination */
    int64_t due_ns;              /* when the next burst is due */
    int64_t stop_ns;             /* nothing is due from here on */
    int64_t interval_ns;         /* between bursts */
    uint32_t burst;              /* datagrams per burst */
    uint32_t burst_left;         /* of a burst that is being sent; 0: none */
    uint32_t payload_bytes;      /* UDP payload of each, where the table does not say it */
    uint32_t flow;               /* flow id */
    uint32_t seq;                /* next sequence number */
    int tos;                     /* IPv4 TOS or IPv6 traffic class to send with */
    uint32_t first;              /* its part of the table */
    uint32_t count;              /* entries of that; 0: it has none, and is paced by the interval */
    uint32_t next;               /* entry that is due next, from first on */
    int64_t base_ns;             /* the time to which the entries' due times are added */
    int64_t period_ns;           /* by which the base moves on after the last entry; 0: nothing follows it */
    int64_t start_ns;            /* the RTP clock's zero */
    uint8_t format;              /* enum fe_format */
    uint8_t payload_type;        /* of RTP */
    uint32_t clock_hz;           /* of RTP time stamps */
    uint32_t own;                /* FE_RTCP: the sender of the stream that it reports on as a sender */
    uint32_t peer;               /* FE_RTCP: the sender of the stream that it reports on as a receiver */
    uint32_t packets;            /* FE_RTP: accepted by the kernel, modulo 2^32 as a sender report has it */
    uint32_t octets;             /* FE_RTP: payload of those */
    uint32_t reported[2];        /* FE_RTCP: own's packets at the last two reports */
};

/* What was heard of an RTP stream, for report blocks (RFC 3550, 6.4.1, A.1, A.3 and A.8). */
struct fe_reception {
    int heard;               /* a datagram has arrived */
    uint32_t base_seq;       /* its sequence number */
    uint32_t max_seq;        /* highest one, extended by cycles */
    uint32_t received;       /* datagrams */
    uint32_t expected_prior; /* at the last report */
    uint32_t received_prior; /* at the last report */
    uint32_t transit;        /* of the last datagram, in the stream's clock units */
    uint32_t jitter;         /* in sixteenths of clock units */
    uint32_t last_sr;        /* the middle 32 bits of the last sender report's NTP time stamp; 0: none yet */
    int64_t last_sr_ns;      /* when that arrived */
};

/* A datagram of this run as fe_parse() found it. */
struct fe_parsed {
    enum fe_format format;
    uint32_t flow;          /* from its stamp */
    uint32_t seq;           /* from its stamp */
    int64_t tx_ns;          /* from its stamp */
    uint16_t rtp_seq;       /* FE_RTP: sequence number */
    uint32_t rtp_timestamp; /* FE_RTP: time stamp */
    uint32_t sr_middle;     /* FE_RTCP: the middle 32 bits of a sender report's NTP time stamp; 0: a receiver report */
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
    const struct fe_entry *table;                  /* the schedules of all senders */
    uint32_t table_count;                          /* entries in table */

    struct fe_sender *senders;     /* senders_max of them, owned */
    uint32_t senders_count;        /* in use */
    struct fe_reception *streams;  /* of each sender's flow if that is RTP and its id the sender's index, owned */
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

/* Copies ``sender``, whose due_ns is its start; one with entries begins at entry ``next``, its base_ns is set. 0, or
 * -1 with errno (ENOSPC: the list is full; EINVAL: its part is not in the table, or a stream it reports on no RTP). */
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

/* ---- datagrams (datagram.c): no input or output, no state but what is given ------------------ */

/* The SSRC of a flow's RTP stream in a run. */
uint32_t fe_ssrc(uint32_t cookie, uint32_t flow);

/* The first sequence number and time stamp of a flow's RTP stream. */
uint16_t fe_rtp_first_seq(uint32_t cookie, uint32_t flow);
uint32_t fe_rtp_first_timestamp(uint32_t cookie, uint32_t flow);

/* Reads a datagram of which the first ``count`` bytes are given. 0, or -1: it is not of this run. Any bytes may come. */
int fe_parse(const uint8_t *bytes, size_t count, uint32_t cookie, struct fe_parsed *parsed);

/* Write what stands before the zeros into ``head`` (FE_HEAD_BYTES); return its length. */
size_t fe_write_plain(uint8_t *head, const struct fe_stamp *stamp);
size_t fe_write_rtp(uint8_t *head, const struct fe_stamp *stamp, uint32_t timestamp, uint8_t type_and_marker);

/* ---- reports (rtcp.c) ------------------------------------------------------------------------ */

/* A time since the stream's start as an RTP time stamp. */
uint32_t fe_rtp_timestamp(const struct fe_engine *engine, const struct fe_sender *sender, int64_t time_ns);

/* Counts a datagram of this run that arrived at ``rx_ns`` for the reports. */
void fe_hear(struct fe_engine *engine, const struct fe_parsed *parsed, int64_t rx_ns);

/* Writes ``sender``'s report at ``now_ns`` into ``head`` (FE_RTCP_BYTES); returns its length. */
size_t fe_write_rtcp(struct fe_engine *engine, struct fe_sender *sender, uint8_t *head, const struct fe_stamp *stamp,
                     int64_t now_ns);

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
