/* The flow engine's loop: see flowengine.h. */
#define _GNU_SOURCE
#include "flowengine.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FE_BATCH 32       /* datagrams per receive call */
#define FE_EVENTS 64      /* events per wait */
#define FE_FIRE_MAX 64    /* bursts sent between two checks of the receivers */
#define FE_CONTROL UINT64_MAX
#define FE_TIMER (UINT64_MAX - 1)
#define FE_ANCILLARY (CMSG_SPACE(sizeof(struct timespec)) + 2 * CMSG_SPACE(sizeof(uint32_t)))

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

static void fe_heap_push(struct fe_engine *engine, uint32_t sender)
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

static void fe_send_one(struct fe_engine *engine, struct fe_sender *sender, struct fe_sender_counters *counters)
{
    struct fe_header *header = (struct fe_header *)engine->payload;
    int64_t now_ns = fe_now_ns(engine);
    int64_t late_ns = now_ns > sender->due_ns ? now_ns - sender->due_ns : 0;
    uint64_t bucket = (uint64_t)late_ns / FE_LATENESS_STEP_NS;
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } ancillary = {.header = {CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TOS}};
    int six = sender->to.any.sa_family == AF_INET6;
    struct iovec part = {engine->payload, sender->payload_bytes};
    struct msghdr message = {
        .msg_name = &sender->to, .msg_namelen = six ? sizeof(sender->to.v6) : sizeof(sender->to.v4),
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary),
    };
    ssize_t sent;

    if (six) {
        ancillary.header.cmsg_level = IPPROTO_IPV6;
        ancillary.header.cmsg_type = IPV6_TCLASS;
    }
    memcpy(CMSG_DATA(&ancillary.header), &sender->tos, sizeof(sender->tos));

    engine->lateness[bucket < engine->lateness_buckets ? bucket : engine->lateness_buckets - 1]++;
    if (late_ns > counters->worst_late_ns)
        counters->worst_late_ns = late_ns;
    header->magic = htobe32(FE_MAGIC);
    header->cookie = htobe32(engine->cookie);
    header->flow = htobe32(sender->flow);
    header->seq = htobe32(sender->seq++);
    header->tx_ns = htobe64((uint64_t)now_ns);
    /* A send may fail with the ICMP error that an earlier datagram caused, without sending: try once more. */
    for (int attempt = 0; attempt < 2; attempt++) {
        sent = sendmsg(sender->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0 || errno != ECONNREFUSED)
            break;
    }
    if (sent >= 0)
        counters->sent++;
    else
        fe_count_send_error(counters, errno);
}

/* Sends what is due; returns when the next burst is due, 0 when none is. */
static int64_t fe_send_due(struct fe_engine *engine)
{
    for (int fired = 0; engine->heap_count > 0; fired++) {
        uint32_t index = engine->heap[0];
        struct fe_sender *sender = &engine->senders[index];
        if (fired == FE_FIRE_MAX || sender->due_ns > fe_now_ns(engine))
            return sender->due_ns;
        for (uint32_t i = 0; i < sender->burst; i++)
            fe_send_one(engine, sender, &engine->sender_counters[index]);
        sender->due_ns += sender->interval_ns;
        if (sender->due_ns < sender->stop_ns)
            fe_heap_sink_top(engine);
        else
            fe_heap_drop_top(engine);
    }
    return 0;
}

/* ---- receiving ----------------------------------------------------------------------------- */

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
    struct fe_header header;
    struct fe_record record = {0};

    fe_read_ancillary(&datagram->msg_hdr, &record, counters);
    memcpy(&header, datagram->msg_hdr.msg_iov->iov_base, sizeof(header));
    if (datagram->msg_len < FE_HEADER_BYTES || be32toh(header.magic) != FE_MAGIC ||
        be32toh(header.cookie) != engine->cookie) {
        counters->invalid++;
        return;
    }
    counters->received++;
    if (record.timed)
        record.rx_ns -= step_ns; /* the kernel stamps with the clock that was set */
    else
        record.rx_ns = fe_now_ns(engine);
    record.tx_ns = (int64_t)be64toh(header.tx_ns);
    record.flow = be32toh(header.flow);
    record.seq = be32toh(header.seq);
    record.receiver = engine->receivers[index].id;
    record.source = from->any.sa_family == AF_INET ? ntohl(from->v4.sin_addr.s_addr) : 0;
    record.bytes = (uint16_t)datagram->msg_len;
    fe_keep_record(engine, &record);
}

static void fe_receive(struct fe_engine *engine, uint32_t index)
{
    uint8_t heads[FE_BATCH][FE_HEADER_BYTES];
    union {
        struct cmsghdr aligned;
        uint8_t bytes[FE_ANCILLARY];
    } ancillary[FE_BATCH];
    union fe_address from[FE_BATCH];
    struct iovec parts[FE_BATCH];
    struct mmsghdr datagrams[FE_BATCH];
    int fd = engine->receivers[index].fd;

    for (int i = 0; i < FE_BATCH; i++) {
        parts[i] = (struct iovec){heads[i], FE_HEADER_BYTES};
        datagrams[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &parts[i], .msg_iovlen = 1,
            .msg_control = &ancillary[i], .msg_controllen = FE_ANCILLARY,
        };
    }
    /* MSG_TRUNC: msg_len is the datagram's true length although only its header is copied. */
    int count = recvmmsg(fd, datagrams, FE_BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
    int64_t step_ns = count > 0 ? fe_engine_clock_step_ns(engine) : 0;
    for (int i = 0; i < count; i++)
        fe_take_datagram(engine, index, &datagrams[i], step_ns);
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        engine->receiver_counters[index].errors++; /* the failed read cleared it */
    if (count < 0) { /* a queued ICMP error, if any, would keep the socket readable */
        struct msghdr discard = {0};
        (void)!recvmsg(fd, &discard, MSG_ERRQUEUE | MSG_DONTWAIT);
    }
}

/* ---- the loop ------------------------------------------------------------------------------ */

static int fe_poll_add(struct fe_engine *engine, int fd, uint64_t tag, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = tag};
    return epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int fe_arm(struct fe_engine *engine, int64_t due_ns)
{
    if (due_ns == engine->armed_ns)
        return 0;
    int64_t at_ns = due_ns ? due_ns - engine->clock_offset_ns : 0; /* 0 disarms; what is due was sent before */
    if (due_ns && at_ns < 1)
        at_ns = 1;
    struct itimerspec when = {.it_value = {at_ns / 1000000000, at_ns % 1000000000}};
    engine->armed_ns = due_ns;
    return timerfd_settime(engine->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static enum fe_outcome fe_loop(struct fe_engine *engine)
{
    struct epoll_event events[FE_EVENTS];
    for (;;) {
        int64_t due_ns = fe_send_due(engine);
        if (fe_arm(engine, due_ns) < 0)
            return FE_FAILED;
        int count = epoll_wait(engine->epoll_fd, events, FE_EVENTS, -1);
        if (count < 0)
            return errno == EINTR ? FE_INTERRUPTED : FE_FAILED;
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == FE_CONTROL)
                return FE_STOPPED;
            if (events[i].data.u64 == FE_TIMER)
                engine->armed_ns = 0; /* it has expired: set it again */
            else
                fe_receive(engine, (uint32_t)events[i].data.u64);
        }
    }
}

enum fe_outcome fe_engine_run(struct fe_engine *engine, int control_fd)
{
    enum fe_outcome outcome;
    fe_clock_start(engine);
    if (fe_poll_add(engine, control_fd, FE_CONTROL, EPOLLIN) < 0)
        return FE_FAILED;
    outcome = fe_loop(engine);
    int kept = errno;
    epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, control_fd, NULL);
    errno = kept;
    return outcome;
}

/* ---- building and tearing down ------------------------------------------------------------- */

int fe_engine_open(struct fe_engine *engine)
{
    int status = -1;
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    engine->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    engine->senders = calloc(engine->senders_max + 1u, sizeof(*engine->senders));
    engine->receivers = calloc(engine->receivers_max + 1u, sizeof(*engine->receivers));
    engine->heap = calloc(engine->senders_max + 1u, sizeof(*engine->heap));
    engine->payload = calloc(1, FE_PAYLOAD_MAX);
    if (engine->epoll_fd < 0 || engine->timer_fd < 0 || !engine->senders || !engine->receivers || !engine->heap ||
        !engine->payload)
        goto cleanup;
    /* Edge-triggered, so that the expired timer need not be read. */
    status = fe_poll_add(engine, engine->timer_fd, FE_TIMER, EPOLLIN | EPOLLET);
cleanup:
    if (status < 0) {
        int kept = errno;
        fe_engine_close(engine);
        errno = kept;
    }
    return status;
}

void fe_engine_close(struct fe_engine *engine)
{
    if (engine->epoll_fd >= 0)
        close(engine->epoll_fd);
    if (engine->timer_fd >= 0)
        close(engine->timer_fd);
    engine->epoll_fd = engine->timer_fd = -1;
    free(engine->senders);
    free(engine->receivers);
    free(engine->heap);
    free(engine->payload);
    engine->senders = NULL;
    engine->receivers = NULL;
    engine->heap = NULL;
    engine->payload = NULL;
}

int fe_engine_add_sender(struct fe_engine *engine, const struct fe_sender *sender)
{
    if (engine->senders_count == engine->senders_max) {
        errno = ENOSPC;
        return -1;
    }
    uint32_t index = engine->senders_count++;
    engine->senders[index] = *sender;
    if (sender->due_ns < sender->stop_ns)
        fe_heap_push(engine, index);
    return 0;
}

int fe_engine_add_receiver(struct fe_engine *engine, int fd, uint32_t id)
{
    int on = 1, domain = AF_INET;
    socklen_t domain_bytes = sizeof(domain);
    if (engine->receivers_count == engine->receivers_max) {
        errno = ENOSPC;
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_bytes) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) < 0)
        return -1;
    if (domain == AF_INET6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on)) < 0
                           : setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on)) < 0)
        return -1;
    if (fe_poll_add(engine, fd, engine->receivers_count, EPOLLIN) < 0)
        return -1;
    engine->receivers[engine->receivers_count++] = (struct fe_receiver){.fd = fd, .id = id};
    return 0;
}
