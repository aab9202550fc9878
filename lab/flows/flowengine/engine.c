/* The flow engine's loop: see flowengine.h.
 *
 * A wake-up costs more than a datagram, so that wake-ups are kept FE_WAKE_NS apart, and each sends all that came due:
 * a little late, which is recorded. Datagrams wait in their sockets for up to FE_READ_NS: they have the kernel's
 * time. While none arrive, the next one wakes the engine. */
#define _GNU_SOURCE
#include "flowengine.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FE_WAKE_NS 100000    /* between two wake-ups for sends, at least */
#define FE_READ_NS 5000000   /* between two rounds of reading, at least */
#define FE_SLACK_NS 1        /* by which the kernel may delay a wake-up for its own convenience */

/* ---- the loop ------------------------------------------------------------------------------ */

/* Waits until ``until_ns`` (0: for ever) or until the control fd is readable; with ``and_datagrams`` also until one
 * has arrived. Returns whether the control fd is readable, or -1 with errno. */
static int fe_wait(struct fe_engine *engine, int control_fd, int64_t until_ns, int and_datagrams)
{
    struct pollfd watched[] = {{control_fd, POLLIN, 0}, {engine->epoll_fd, POLLIN, 0}};
    int64_t left_ns = until_ns ? until_ns - fe_now_ns(engine) : 0;
    struct timespec time = {0};
    if (left_ns > 0)
        time = (struct timespec){left_ns / 1000000000, left_ns % 1000000000};
    if (ppoll(watched, and_datagrams ? 2 : 1, until_ns ? &time : NULL, NULL) < 0)
        return -1;
    return watched[0].revents != 0;
}

static enum fe_outcome fe_loop(struct fe_engine *engine, int control_fd)
{
    int64_t read_ns = 0;  /* when the receivers are read next; 0: when a datagram has arrived */
    int64_t round_ns = 0; /* when the last round began */
    int stopping = 0;
    for (;;) {
        int64_t due_ns = fe_send_due(engine), now_ns = fe_now_ns(engine);
        if (now_ns >= read_ns || stopping) {
            int count = fe_receive_ready(engine);
            if (count < 0 && errno != EINTR)
                return FE_FAILED;
            if (count == FE_EVENTS)
                continue; /* after sending what came due meanwhile */
            if (stopping)
                return FE_STOPPED;
            read_ns = count > 0 ? now_ns + FE_READ_NS : 0;
        }
        int64_t until_ns = read_ns;
        if (due_ns) {
            int64_t send_ns = due_ns > round_ns + FE_WAKE_NS ? due_ns : round_ns + FE_WAKE_NS;
            until_ns = until_ns && until_ns < send_ns ? until_ns : send_ns;
        }
        stopping = fe_wait(engine, control_fd, until_ns, read_ns == 0);
        if (stopping < 0)
            return errno == EINTR ? FE_INTERRUPTED : FE_FAILED;
        round_ns = fe_now_ns(engine);
    }
}

enum fe_outcome fe_engine_run(struct fe_engine *engine, int control_fd)
{
    int slack_ns = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    fe_clock_start(engine);
    prctl(PR_SET_TIMERSLACK, FE_SLACK_NS, 0, 0, 0);
    enum fe_outcome outcome = fe_loop(engine, control_fd);
    int kept = errno;
    if (slack_ns > 0)
        prctl(PR_SET_TIMERSLACK, slack_ns, 0, 0, 0);
    errno = kept;
    return outcome;
}

/* ---- building and tearing down ------------------------------------------------------------- */

int fe_engine_open(struct fe_engine *engine)
{
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    engine->senders = calloc(engine->senders_max + 1u, sizeof(*engine->senders));
    engine->streams = calloc(engine->senders_max + 1u, sizeof(*engine->streams));
    engine->receivers = calloc(engine->receivers_max + 1u, sizeof(*engine->receivers));
    engine->heap = calloc(engine->senders_max + 1u, sizeof(*engine->heap));
    if (engine->epoll_fd >= 0 && engine->senders && engine->streams && engine->receivers &&
        engine->heap &&
        fe_outgoing_open(engine) == 0 && fe_incoming_open(engine) == 0)
        return 0;
    int kept = errno;
    fe_engine_close(engine);
    errno = kept;
    return -1;
}

void fe_engine_close(struct fe_engine *engine)
{
    if (engine->epoll_fd >= 0)
        close(engine->epoll_fd);
    engine->epoll_fd = -1;
    free(engine->senders);
    free(engine->streams);
    free(engine->receivers);
    free(engine->heap);
    fe_outgoing_close(engine);
    fe_incoming_close(engine);
    engine->senders = NULL;
    engine->streams = NULL;
    engine->receivers = NULL;
    engine->heap = NULL;
}

/* Whether ``index`` is a sender that carries an RTP stream. */
static int fe_is_stream(const struct fe_engine *engine, uint32_t index)
{
    return index < engine->senders_count && engine->senders[index].format == FE_RTP;
}

int fe_engine_add_sender(struct fe_engine *engine, const struct fe_sender *sender)
{
    int in_table = sender->count == 0 || (sender->next < sender->count && sender->first < engine->table_count &&
                                          sender->count <= engine->table_count - sender->first);
    int reports = sender->format != FE_RTCP || (fe_is_stream(engine, sender->own) && fe_is_stream(engine, sender->peer));
    if (!in_table || !reports) {
        errno = EINVAL;
        return -1;
    }
    if (engine->senders_count == engine->senders_max) {
        errno = ENOSPC;
        return -1;
    }
    uint32_t index = engine->senders_count++;
    engine->senders[index] = *sender;
    if (sender->count)
        engine->senders[index].due_ns = sender->base_ns + engine->table[sender->first + sender->next].due_ns;
    if (engine->senders[index].due_ns < sender->stop_ns)
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
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = engine->receivers_count};
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -1;
    engine->receivers[engine->receivers_count++] = (struct fe_receiver){.fd = fd, .id = id};
    return 0;
}
