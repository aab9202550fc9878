/* The flow engine's senders: a heap by due time, and what is due in as few system calls as its sockets allow. */
#define _GNU_SOURCE
#include "flowengine.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FE_SENDS 64 /* datagrams collected before they are sent: a bit of a uint64_t each */

/* The datagrams collected for sending; what is the same for all is set once. */
struct fe_outgoing {
    struct mmsghdr datagrams[FE_SENDS]; /* in the order of the system calls: those of a socket together */
    struct iovec parts[FE_SENDS][2];    /* head and zeros of each */
    uint8_t heads[FE_SENDS][FE_HEAD_BYTES]; /* what stands before the zeros */
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } marks[FE_SENDS];
    uint32_t senders[FE_SENDS];  /* whose each is, in the order they came due */
    int64_t due_ns[FE_SENDS];    /* when each was due */
    uint32_t seqs[FE_SENDS];     /* its sequence number */
    struct fe_entry entries[FE_SENDS]; /* its line of the table; zeros without one */
    uint32_t order[FE_SENDS];    /* of the datagrams of a call: index into the four above */
    uint32_t count;              /* collected */
    uint8_t zeros[FE_PAYLOAD_MAX];
};

/* ---- the heap of senders by due time ------------------------------------------------------- */

static int fe_heap_before(const struct fe_engine *engine, uint32_t a, uint32_t b)
{
    return engine->senders[engine->heap[a]].due_ns < engine->senders[engine->heap[b]].due_ns;
}

static void fe_heap_swap(struct fe_engine *engine, uint32_t a, uint32_t b)
{
    uint32_t kept = engine->heap[a];
    engine->heap[a] = engine->heap[b];
    engine->heap[b] = kept;
}

void fe_heap_push(struct fe_engine *engine, uint32_t sender)
{
    uint32_t at = engine->heap_count++;
    engine->heap[at] = sender;
    while (at > 0 && fe_heap_before(engine, at, (at - 1) / 2)) {
        fe_heap_swap(engine, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void fe_heap_sink_top(struct fe_engine *engine)
{
    uint32_t at = 0;
    for (;;) {
        uint32_t first = at, left = 2 * at + 1, right = left + 1;
        if (left < engine->heap_count && fe_heap_before(engine, left, first))
            first = left;
        if (right < engine->heap_count && fe_heap_before(engine, right, first))
            first = right;
        if (first == at)
            return;
        fe_heap_swap(engine, at, first);
        at = first;
    }
}

static void fe_heap_drop_top(struct fe_engine *engine)
{
    engine->heap[0] = engine->heap[--engine->heap_count];
    fe_heap_sink_top(engine);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void fe_count_send_error(struct fe_sender_counters *counters, int error)
{
    switch (error) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENODEV:
    case ENXIO:
    case EADDRNOTAVAIL:
        counters->unreachable++;
        break;
    case ECONNREFUSED:
        counters->refused++;
        break;
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        counters->full++;
        break;
    default:
        counters->failed++;
    }
}

/* Writes the head of the collected datagram ``from`` at ``at`` of a call; returns its length. */
static size_t fe_write_head(struct fe_engine *engine, struct fe_sender *sender, uint32_t at, uint32_t from,
                            int64_t now_ns)
{
    struct fe_outgoing *out = engine->outgoing;
    const struct fe_entry *entry = &out->entries[from];
    struct fe_stamp stamp = {htobe32(engine->cookie), htobe32(sender->flow), htobe32(out->seqs[from]),
                             htobe64((uint64_t)now_ns)};
    if (sender->format == FE_RTP) {
        uint32_t timestamp = fe_rtp_timestamp(engine, sender, out->due_ns[from] - entry->age_ns);
        int marked = sender->count ? entry->marker : out->seqs[from] == 0; /* a paced stream is one talk spurt */
        return fe_write_rtp(out->heads[at], &stamp, timestamp, (uint8_t)(marked << 7 | sender->payload_type));
    }
    if (sender->format == FE_RTCP)
        return fe_write_rtcp(engine, sender, out->heads[at], &stamp, now_ns);
    return fe_write_plain(out->heads[at], &stamp);
}

/* Fills datagram ``at`` of a call that is about to be made at ``now_ns`` with the collected one ``from``. */
static void fe_fill(struct fe_engine *engine, uint32_t at, uint32_t from, int64_t now_ns)
{
    struct fe_outgoing *out = engine->outgoing;
    uint32_t index = out->senders[from];
    struct fe_sender *sender = &engine->senders[index];
    struct fe_sender_counters *counters = &engine->sender_counters[index];
    struct cmsghdr *mark = &out->marks[at].header;
    int six = sender->to.any.sa_family == AF_INET6;
    int64_t late_ns = now_ns > out->due_ns[from] ? now_ns - out->due_ns[from] : 0;
    uint64_t bucket = (uint64_t)late_ns / FE_LATENESS_STEP_NS;

    engine->lateness[bucket < engine->lateness_buckets ? bucket : engine->lateness_buckets - 1]++;
    if (late_ns > counters->worst_late_ns)
        counters->worst_late_ns = late_ns;
    out->order[at] = from;
    size_t head_bytes = fe_write_head(engine, sender, at, from, now_ns);
    size_t bytes = out->entries[from].bytes ? out->entries[from].bytes : sender->payload_bytes;
    if (bytes > FE_PAYLOAD_MAX)
        bytes = FE_PAYLOAD_MAX; /* the table is the caller's */
    out->parts[at][0].iov_len = head_bytes;
    out->parts[at][1].iov_len = bytes > head_bytes && sender->format != FE_RTCP ? bytes - head_bytes : 0;
    mark->cmsg_level = six ? IPPROTO_IPV6 : IPPROTO_IP;
    mark->cmsg_type = six ? IPV6_TCLASS : IP_TOS;
    memcpy(CMSG_DATA(mark), &sender->tos, sizeof(sender->tos));
    out->datagrams[at].msg_hdr.msg_name = &sender->to;
    out->datagrams[at].msg_hdr.msg_namelen = six ? sizeof(sender->to.v6) : sizeof(sender->to.v4);
}

/* Counts datagram ``at`` of a call as sent. */
static void fe_count_sent(struct fe_engine *engine, uint32_t at)
{
    struct fe_outgoing *out = engine->outgoing;
    uint32_t index = out->senders[out->order[at]];
    engine->sender_counters[index].sent++;
    engine->senders[index].packets++;
    engine->senders[index].octets +=
        (uint32_t)(out->parts[at][0].iov_len + out->parts[at][1].iov_len - FE_RTP_HEADER_BYTES);
}

/* Sends the first ``count`` datagrams over ``fd``. */
static void fe_send_filled(struct fe_engine *engine, int fd, uint32_t count)
{
    struct fe_outgoing *out = engine->outgoing;
    uint32_t done = 0;
    int retried = 0;
    while (done < count) {
        int sent = sendmmsg(fd, &out->datagrams[done], count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            for (uint32_t end = done + (uint32_t)sent; done < end; done++)
                fe_count_sent(engine, done);
            retried = 0;
        } else if (sent < 0 && errno == ECONNREFUSED && !retried) {
            retried = 1; /* a send may fail, without sending, by the ICMP error of an earlier datagram: once more */
        } else {
            fe_count_send_error(&engine->sender_counters[out->senders[out->order[done]]], sent < 0 ? errno : EAGAIN);
            done++;
            retried = 0;
        }
    }
}

/* Sends what was collected: one call for each socket. */
static void fe_flush(struct fe_engine *engine)
{
    struct fe_outgoing *out = engine->outgoing;
    uint64_t left = out->count == FE_SENDS ? UINT64_MAX : ((uint64_t)1 << out->count) - 1;
    for (uint32_t first = 0; first < out->count; first++) {
        if (!(left >> first & 1))
            continue;
        int fd = engine->senders[out->senders[first]].fd;
        int64_t now_ns = fe_now_ns(engine);
        uint32_t count = 0;
        for (uint32_t i = first; i < out->count; i++) {
            if (left >> i & 1 && engine->senders[out->senders[i]].fd == fd) {
                left &= ~((uint64_t)1 << i);
                fe_fill(engine, count++, i, now_ns);
            }
        }
        fe_send_filled(engine, fd, count);
    }
    out->count = 0;
}

/* Moves on to the sender's next burst, or the next line of its part of the table; whether there is one. */
static int fe_advance(const struct fe_engine *engine, struct fe_sender *sender)
{
    if (sender->count == 0) {
        sender->due_ns += sender->interval_ns;
        return sender->due_ns < sender->stop_ns;
    }
    if (++sender->next == sender->count) {
        sender->next = 0;
        sender->base_ns += sender->period_ns;
        if (sender->period_ns == 0)
            return 0;
    }
    sender->due_ns = sender->base_ns + engine->table[sender->first + sender->next].due_ns;
    return sender->due_ns < sender->stop_ns;
}

int64_t fe_send_due(struct fe_engine *engine)
{
    struct fe_outgoing *out = engine->outgoing;
    int64_t now_ns = fe_now_ns(engine);
    while (engine->heap_count > 0 && out->count < FE_SENDS) {
        uint32_t index = engine->heap[0];
        struct fe_sender *sender = &engine->senders[index];
        if (sender->due_ns > now_ns)
            break;
        if (sender->burst_left == 0)
            sender->burst_left = sender->burst;
        for (; sender->burst_left > 0 && out->count < FE_SENDS; sender->burst_left--, out->count++) {
            out->senders[out->count] = index;
            out->due_ns[out->count] = sender->due_ns;
            out->seqs[out->count] = sender->seq++;
            out->entries[out->count] =
                sender->count ? engine->table[sender->first + sender->next] : (struct fe_entry){0};
        }
        if (sender->burst_left > 0)
            break; /* the rest of the burst: next time */
        if (fe_advance(engine, sender))
            fe_heap_sink_top(engine);
        else
            fe_heap_drop_top(engine);
    }
    fe_flush(engine);
    return engine->heap_count > 0 ? engine->senders[engine->heap[0]].due_ns : 0;
}

/* ---- its memory ---------------------------------------------------------------------------- */

int fe_outgoing_open(struct fe_engine *engine)
{
    struct fe_outgoing *out = engine->outgoing = calloc(1, sizeof(*out));
    if (!out)
        return -1;
    for (uint32_t i = 0; i < FE_SENDS; i++) {
        out->marks[i].header.cmsg_len = CMSG_LEN(sizeof(int));
        out->parts[i][0].iov_base = out->heads[i];
        out->parts[i][1].iov_base = out->zeros;
        out->datagrams[i].msg_hdr = (struct msghdr){
            .msg_iov = out->parts[i], .msg_iovlen = 2,
            .msg_control = &out->marks[i], .msg_controllen = sizeof(out->marks[i]),
        };
    }
    return 0;
}

void fe_outgoing_close(struct fe_engine *engine)
{
    free(engine->outgoing);
    engine->outgoing = NULL;
}
