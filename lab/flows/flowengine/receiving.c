/* The flow engine's receivers: what has arrived at them becomes records. */
#define _GNU_SOURCE
#include "flowengine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define FE_BATCH 32 /* datagrams per receive call */
#define FE_ANCILLARY (CMSG_SPACE(sizeof(struct timespec)) + 2 * CMSG_SPACE(sizeof(uint32_t)))

/* Room for the datagrams of a receive call. */
struct fe_incoming {
    struct mmsghdr datagrams[FE_BATCH];
    struct iovec parts[FE_BATCH];
    uint8_t heads[FE_BATCH][FE_HEAD_BYTES];
    union {
        struct cmsghdr aligned;
        uint8_t bytes[FE_ANCILLARY];
    } ancillary[FE_BATCH];
    union fe_address from[FE_BATCH];
};

static void fe_read_ancillary(struct msghdr *message, struct fe_record *record, struct fe_receiver_counters *counters)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(part), sizeof(stamp));
            record->rx_ns = (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec;
            record->timed = 1;
        } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_RXQ_OVFL) {
            uint32_t dropped;
            memcpy(&dropped, CMSG_DATA(part), sizeof(dropped));
            counters->dropped = dropped;
        } else if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_TOS) {
            record->tos = *CMSG_DATA(part);
        } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_TCLASS) {
            int traffic_class;
            memcpy(&traffic_class, CMSG_DATA(part), sizeof(traffic_class));
            record->tos = (uint8_t)traffic_class;
        }
    }
}

static void fe_keep_record(struct fe_engine *engine, const struct fe_record *record)
{
    uint64_t at = atomic_load_explicit(&engine->recorded, memory_order_relaxed);
    if (at == engine->records_max) {
        atomic_fetch_add_explicit(&engine->unrecorded, 1, memory_order_relaxed);
        return;
    }
    engine->records[at] = *record;
    atomic_store_explicit(&engine->recorded, at + 1, memory_order_release);
}

static void fe_take_datagram(struct fe_engine *engine, uint32_t index, struct mmsghdr *datagram, int64_t step_ns)
{
    struct fe_receiver_counters *counters = &engine->receiver_counters[index];
    const union fe_address *from = datagram->msg_hdr.msg_name;
    size_t count = datagram->msg_len < FE_HEAD_BYTES ? datagram->msg_len : FE_HEAD_BYTES;
    struct fe_parsed parsed;
    struct fe_record record = {0};

    fe_read_ancillary(&datagram->msg_hdr, &record, counters);
    if (fe_parse(datagram->msg_hdr.msg_iov->iov_base, count, engine->cookie, &parsed) < 0) {
        counters->invalid++;
        return;
    }
    counters->received++;
    if (record.timed)
        record.rx_ns -= step_ns; /* the kernel stamps with the clock that was set */
    else
        record.rx_ns = fe_now_ns(engine);
    record.tx_ns = parsed.tx_ns;
    record.flow = parsed.flow;
    record.seq = parsed.seq;
    record.receiver = engine->receivers[index].id;
    record.source = from->any.sa_family == AF_INET ? ntohl(from->v4.sin_addr.s_addr) : 0;
    record.bytes = (uint16_t)datagram->msg_len;
    fe_keep_record(engine, &record);
    fe_hear(engine, &parsed, record.rx_ns);
}

static void fe_receive(struct fe_engine *engine, uint32_t index, int64_t step_ns)
{
    struct mmsghdr *datagrams = engine->incoming->datagrams;
    int fd = engine->receivers[index].fd;

    /* MSG_TRUNC: msg_len is the datagram's true length although only its header is copied. */
    int count = recvmmsg(fd, datagrams, FE_BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
    for (int i = 0; i < count; i++) {
        fe_take_datagram(engine, index, &datagrams[i], step_ns);
        datagrams[i].msg_hdr.msg_namelen = sizeof(union fe_address); /* the kernel has changed both */
        datagrams[i].msg_hdr.msg_controllen = FE_ANCILLARY;
    }
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        engine->receiver_counters[index].errors++; /* the failed read cleared it */
    if (count < 0) { /* a queued ICMP error, if any, would keep the socket readable */
        struct msghdr discard = {0};
        (void)!recvmsg(fd, &discard, MSG_ERRQUEUE | MSG_DONTWAIT);
    }
}

int fe_receive_ready(struct fe_engine *engine)
{
    struct epoll_event events[FE_EVENTS];
    int count = epoll_wait(engine->epoll_fd, events, FE_EVENTS, 0);
    int64_t step_ns = count > 0 ? fe_engine_clock_step_ns(engine) : 0;
    for (int i = 0; i < count; i++)
        fe_receive(engine, events[i].data.u32, step_ns);
    return count;
}

int fe_incoming_open(struct fe_engine *engine)
{
    struct fe_incoming *in = engine->incoming = calloc(1, sizeof(*in));
    if (!in)
        return -1;
    for (int i = 0; i < FE_BATCH; i++) {
        in->parts[i] = (struct iovec){in->heads[i], FE_HEAD_BYTES};
        in->datagrams[i].msg_hdr = (struct msghdr){
            .msg_name = &in->from[i], .msg_namelen = sizeof(in->from[i]), .msg_iov = &in->parts[i], .msg_iovlen = 1,
            .msg_control = &in->ancillary[i], .msg_controllen = FE_ANCILLARY,
        };
    }
    return 0;
}

void fe_incoming_close(struct fe_engine *engine)
{
    free(engine->incoming);
    engine->incoming = NULL;
}
