#define _GNU_SOURCE /* ppoll */

#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LOOP_EVENTS 256            /* taken from the kernel at a time */
#define LOOP_READ_BUDGET 32        /* frames read from a port before the next one's turn */
#define LOOP_CONTROL UINT32_MAX    /* epoll's name for the control descriptor */
#define LOOP_CALL (UINT32_MAX - 1) /* and for the rings' eventfd */
#define LOOP_SPIN_NS 10000         /* shorter waits are not slept: falling asleep and waking up costs more */
#define LOOP_NS_PER_S 1000000000
/* The longest sleep. A TAP records no arrival times, so the time that frames waited while the process was not scheduled
 * is unknown; waking later than planned reveals it. The cost is 50 short iterations a second. */
#define LOOP_MAX_SLEEP_NS 20000000

static int64_t loop_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * LOOP_NS_PER_S + now.tv_nsec;
}

int64_t le_loop_now_ns(void)
{
    return loop_clock_ns(CLOCK_MONOTONIC);
}

int le_loop_init(struct le_loop *loop, struct le_engine *engine)
{
    *loop = (struct le_loop){
        .engine = engine,
        .ports = malloc(engine->max_ports * sizeof(struct le_loop_port)),
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .scratch = malloc(FRAME_MAX_BYTES),
        .too_long_fd = -1,
    };
    struct epoll_event call = {.events = EPOLLIN, .data.u32 = LOOP_CALL};
    if (le_ring_ports_init(&loop->rings, engine->max_ports) == 0 && loop->ports && loop->scratch &&
        loop->epoll_fd >= 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->rings.call_fd, &call) == 0)
        return 0;
    le_loop_clear(loop);
    return -1;
}

void le_loop_clear(struct le_loop *loop)
{
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    if (loop->too_long_fd >= 0)
        close(loop->too_long_fd);
    le_ring_ports_clear(&loop->rings);
    free(loop->ports);
    free(loop->scratch);
    *loop = (struct le_loop){.rings = {.call_fd = -1}, .epoll_fd = -1, .too_long_fd = -1};
}

/* A le_engine_too_long. */
static void loop_too_long(void *context, uint32_t pipe, uint32_t mtu_bytes, const uint8_t *data, uint32_t length)
{
    const struct le_loop *loop = context;
    struct le_loop_too_long head = {.pipe = pipe, .mtu_bytes = mtu_bytes};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    (void)!sendmsg(loop->too_long_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); /* a frame not reported is only lost */
}

int le_loop_report_too_long(struct le_loop *loop, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -1;
    if (loop->too_long_fd >= 0)
        close(loop->too_long_fd);
    loop->too_long_fd = copy;
    loop->engine->too_long = loop_too_long;
    loop->engine->too_long_context = loop;
    return 0;
}

int le_loop_watch(struct le_loop *loop, uint32_t port, int fd)
{
    /* Edge-triggered: a TAP whose device was deleted reports an error for ever, which must not keep the loop awake. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = port};
    loop->ports[port] = (struct le_loop_port){.fd = fd};
    if (fd < 0)
        return 0;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -1;
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int le_loop_watch_rings(struct le_loop *loop, uint32_t port, int memory_fd, uint32_t entries)
{
    struct le_ring_port *rings =
        le_ring_ports_add(&loop->rings, port, memory_fd, entries, &loop->engine->port_stats[port]);
    if (!rings)
        return -1;
    loop->ports[port] = (struct le_loop_port){.fd = -1, .rings = rings};
    return 0;
}

bool le_loop_set_rings(struct le_loop *loop, uint32_t port, bool active)
{
    struct le_ring_port *rings = loop->ports[port].rings;
    if (rings && active)
        le_ring_ports_activate(&loop->rings, rings);
    else if (rings)
        le_ring_ports_deactivate(&loop->rings, rings);
    return rings != NULL;
}

/* Record how late a delivery is. */
static void loop_record_lateness(struct le_loop *loop, struct le_pipe *pipe, uint64_t late_ns)
{
    struct le_engine_stats *stats = loop->engine->stats;
    le_stats_add(&stats->lateness[le_stats_bin(late_ns)], 1);
    if (late_ns <= pipe->stats->lateness_max_ns)
        return;
    uint64_t at_ns = (uint64_t)loop_clock_ns(CLOCK_REALTIME);
    le_stats_set(&pipe->stats->lateness_max_ns, late_ns);
    le_stats_set(&pipe->stats->lateness_max_at_ns, at_ns);
    if (late_ns <= stats->lateness_max_ns)
        return;
    le_stats_set(&stats->lateness_max_ns, late_ns);
    le_stats_set(&stats->lateness_max_at_ns, at_ns);
    le_stats_set(&stats->lateness_max_pipe, (uint64_t)(pipe - loop->engine->pipes));
}

/* Record how long the loop did not check for arrivals. */
static void loop_record_round(struct le_loop *loop, uint64_t round_ns)
{
    if (round_ns > loop->engine->stats->longest_round_ns)
        le_stats_set(&loop->engine->stats->longest_round_ns, round_ns);
    if (round_ns >= STATS_LONG_ROUND_NS)
        le_stats_add(&loop->engine->stats->long_rounds[le_stats_bin(round_ns)], 1);
}

void le_loop_restart_lateness(struct le_loop *loop)
{
    struct le_engine *engine = loop->engine;
    for (unsigned bin = 0; bin < STATS_LATENESS_BINS; bin++)
        le_stats_set(&engine->stats->lateness[bin], 0);
    le_stats_set(&engine->stats->lateness_max_ns, 0);
    le_stats_set(&engine->stats->lateness_max_at_ns, 0);
    le_stats_set(&engine->stats->lateness_max_pipe, 0);
    le_stats_set(&engine->stats->longest_round_ns, 0);
    le_engine_restart_lateness(engine);
    loop->left_ns = le_loop_now_ns();
}

/* The engine's sink: write the frame, and capture it as it left the link, whether or not the port accepts it. */
static enum le_engine_outcome loop_write(void *context, struct le_pipe *pipe, const struct le_frame *frame)
{
    struct le_loop *loop = context;
    uint64_t late_ns = (uint64_t)(le_loop_now_ns() - frame->due_ns);
    loop_record_lateness(loop, pipe, late_ns);
    le_pipe_record_lateness(pipe, frame, late_ns);

    if (pipe->capture)
        le_capture_frame(pipe->capture, pipe->capture_interface, (uint64_t)loop_clock_ns(CLOCK_REALTIME), frame->data,
                         frame->length, frame->length - frame->line_bytes);
    const struct le_loop_port *port = &loop->ports[pipe->dst_port];
    if (port->rings)
        return le_ring_ports_write(&loop->rings, port->rings, frame->data, frame->length);
    if (write(port->fd, frame->data, frame->length) >= 0)
        return ENGINE_DELIVERED;
    switch (errno) {
    case EIO:        /* a TAP that is administratively down */
    case EBADFD:     /* a TAP whose device was deleted */
    case EBADF:      /* a port without a descriptor */
    case EPIPE:      /* a socket without its peer */
    case ECONNRESET:
    case ENOTCONN:
        return ENGINE_PORT_DOWN;
    default:
        return ENGINE_REFUSED;
    }
}

void le_loop_deliver_due(struct le_loop *loop)
{
    le_engine_deliver_due(loop->engine, le_loop_now_ns(), loop_write, loop);
    le_ring_ports_publish(&loop->rings);
}

static void loop_push_ready(struct le_loop *loop, struct le_loop_port *port)
{
    if (port->ready || port->fd < 0)
        return;
    port->ready = true;
    port->next = NULL;
    if (loop->ready_head)
        loop->ready_tail->next = port;
    else
        loop->ready_head = port;
    loop->ready_tail = port;
}

static struct le_loop_port *loop_pop_ready(struct le_loop *loop)
{
    struct le_loop_port *port = loop->ready_head;
    if (port) {
        loop->ready_head = port->next;
        port->ready = false;
    }
    return port;
}

/* Read one port up to the budget; frames read together get the same arrival time. */
static void loop_read(struct le_loop *loop, struct le_loop_port *port)
{
    uint32_t number = (uint32_t)(port - loop->ports);
    int64_t now_ns = le_loop_now_ns();

    for (int budget = LOOP_READ_BUDGET; budget > 0; budget--) {
        ssize_t length = read(port->fd, loop->scratch, FRAME_MAX_BYTES);
        if (length <= 0) {
            if (length == 0 || errno != EAGAIN)
                le_stats_set(&loop->engine->port_stats[number].retired, 1);
            return; /* an edge signals the next frame; a deleted device has none */
        }
        le_engine_arrive(loop->engine, number, loop->scratch, (uint32_t)length, now_ns);
    }
    loop_push_ready(loop, port); /* there may be more */
}

/* Read the rings that have frames; their counters follow. Whether there were any. */
static bool loop_read_rings(struct le_loop *loop)
{
    uint32_t count = le_ring_ports_find(&loop->rings);
    for (uint32_t i = 0; i < count; i++) {
        le_ring_ports_read(&loop->rings, i, loop->engine, le_loop_now_ns());
        le_loop_deliver_due(loop);
    }
    le_ring_ports_count(&loop->rings);
    return count > 0;
}

/* Wait for events until the time given. */
static int loop_wait(struct le_loop *loop, struct epoll_event *events, int64_t until_ns)
{
    static bool no_pwait2; /* Linux before 5.11 */
    int64_t wait_ns = until_ns - le_loop_now_ns();
    if (wait_ns <= LOOP_SPIN_NS) {
        while (le_loop_now_ns() < until_ns)
            ;
        return epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, 0);
    }

    struct timespec timeout = {.tv_sec = wait_ns / LOOP_NS_PER_S, .tv_nsec = wait_ns % LOOP_NS_PER_S};
#ifdef SYS_epoll_pwait2
    if (!no_pwait2) {
        long count = syscall(SYS_epoll_pwait2, loop->epoll_fd, events, LOOP_EVENTS, &timeout, NULL, 0);
        if (count >= 0 || errno != ENOSYS)
            return (int)count;
        no_pwait2 = true;
    }
#endif
    struct pollfd poll = {.fd = loop->epoll_fd, .events = POLLIN};
    int ready = ppoll(&poll, 1, &timeout, NULL);
    return ready <= 0 ? ready : epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, 0);
}

/* Under load, sleep until the coalescing interval ends, whatever arrives. */
static void loop_coalesce(struct le_loop *loop)
{
    int64_t until_ns = loop->polled_ns + LOAD_INTERVAL_NS;
    if (loop->ready_head || loop->rings.due || !loop->load.loaded || le_loop_now_ns() >= until_ns)
        return;
    struct timespec until = {.tv_sec = until_ns / LOOP_NS_PER_S, .tv_nsec = until_ns % LOOP_NS_PER_S};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    le_stats_add(&loop->engine->stats->rests, 1);
}

/* Until when the loop may sleep. */
static int64_t loop_sleep_ns(const struct le_loop *loop)
{
    if (loop->ready_head || loop->rings.due)
        return le_loop_now_ns();
    bool polls = loop->rings.polled && loop->rings.active_count;
    int64_t due_ns = le_heap_earliest_ns(&loop->engine->heap);
    int64_t wake_ns = loop->polled_ns + (polls ? LOAD_INTERVAL_NS : LOOP_MAX_SLEEP_NS);
    if (due_ns >= wake_ns)
        return wake_ns;
    return due_ns > loop->polled_ns ? due_ns : loop->polled_ns; /* a change may make things due in the past */
}

/* One iteration: sleep until an event or a due time, deliver, then read every ready port up to its budget.
 * Returns 1 when the control descriptor is readable, 0 to go on, -1 with errno. */
static int loop_turn(struct le_loop *loop)
{
    struct epoll_event events[LOOP_EVENTS];
    int control = 0;
    loop_coalesce(loop);
    int64_t until_ns = loop_sleep_ns(loop);
    int count = loop_wait(loop, events, until_ns);
    int64_t start_ns = le_loop_now_ns();
    if (start_ns > until_ns)
        loop_record_round(loop, (uint64_t)(start_ns - until_ns));
    if (count < 0)
        return -1;
    loop->polled_ns = start_ns;
    bool due = le_heap_earliest_ns(&loop->engine->heap) <= start_ns;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 == LOOP_CONTROL)
            control = 1;
        else if (events[i].data.u32 == LOOP_CALL)
            le_ring_ports_called(&loop->rings);
        else
            loop_push_ready(loop, &loop->ports[events[i].data.u32]);
    }
    le_loop_deliver_due(loop);
    for (struct le_loop_port *last = loop->ready_tail, *port; (port = loop_pop_ready(loop));) {
        loop_read(loop, port);
        le_loop_deliver_due(loop);
        if (port == last)
            break;
    }
    struct le_load_turn turn = {.start_ns = start_ns, .due = due, .rings = loop->rings.active_count > 0};
    turn.found = loop_read_rings(loop);
    turn.end_ns = le_loop_now_ns();
    loop_record_round(loop, (uint64_t)(turn.end_ns - start_ns));
    le_load_add(&loop->load, &turn);
    le_ring_ports_poll(&loop->rings, loop->load.polls);
    le_stats_add(&loop->engine->stats->rounds, 1);
    return control;
}

int le_loop_run(struct le_loop *loop, int control_fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = LOOP_CONTROL};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, control_fd, &event) < 0)
        return -1;
    loop->polled_ns = le_loop_now_ns();
    if (loop->left_ns)
        loop_record_round(loop, (uint64_t)(loop->polled_ns - loop->left_ns));
    int turn;
    do
        turn = loop_turn(loop);
    while (turn == 0);
    int error = errno;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, control_fd, NULL);
    loop->left_ns = le_loop_now_ns();
    errno = error;
    return turn < 0 ? -1 : 0;
}
