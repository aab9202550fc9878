#define _GNU_SOURCE /* ppoll */

#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOP_EVENTS 256            /* taken from the kernel at a time */
#define LOOP_READ_BUDGET 32        /* frames read from a port before the next one's turn */
#define LOOP_CONTROL UINT32_MAX    /* epoll's name for the control descriptor */
#define LOOP_NS_PER_S 1000000000
/* Under load the loop looks for arrivals and deliveries once in this time, as a network card moderates its interrupts:
 * a wake-up costs several times what a frame does, here and in the switch that gets it. A frame then waits half of it
 * on average, which is what a wake-up for it alone would take. */
#define LOOP_GRAIN_NS 80000
#define LOOP_WINDOW_NS 4000000     /* over which the load is measured: a few trains of frames */
#define LOOP_LOADED_PERCENT 50     /* of a window at work: under load from then on ... */
#define LOOP_EASED_PERCENT 20      /* ... until no more than this: the grain itself saves work */
/* The longest sleep. Frames that waited while the process was kept from running tell nothing of it, for a TAP keeps no
 * time of arrival; but who meant to be awake by now and was not, was kept. 50 short turns a second are the price. */
#define LOOP_GLANCE_NS 20000000

static int64_t loop_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * LOOP_NS_PER_S + now.tv_nsec;
}

int64_t loop_now_ns(void)
{
    return loop_clock_ns(CLOCK_MONOTONIC);
}

int loop_init(struct loop *loop, struct engine *engine)
{
    *loop = (struct loop){
        .engine = engine,
        .ports = malloc(engine->max_ports * sizeof(struct loop_port)),
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .scratch = malloc(FRAME_MAX_BYTES),
    };
    if (loop->ports && loop->scratch && loop->epoll_fd >= 0)
        return 0;
    loop_clear(loop);
    return -1;
}

void loop_clear(struct loop *loop)
{
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop->ports);
    free(loop->scratch);
    *loop = (struct loop){.epoll_fd = -1};
}

int loop_watch(struct loop *loop, uint32_t port, int fd)
{
    /* Edge-triggered: a TAP whose device is gone reports an error for ever, which must not keep the loop awake. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = port};
    loop->ports[port] = (struct loop_port){.fd = fd};
    if (fd < 0)
        return 0;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -1;
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Record how late a delivery is. */
static void loop_record_lateness(struct loop *loop, struct pipe *pipe, uint64_t late_ns)
{
    struct engine_stats *stats = loop->engine->stats;
    stats_add(&stats->lateness[stats_bin(late_ns)], 1);
    if (late_ns <= pipe->stats->lateness_max_ns)
        return;
    uint64_t at_ns = (uint64_t)loop_clock_ns(CLOCK_REALTIME);
    stats_set(&pipe->stats->lateness_max_ns, late_ns);
    stats_set(&pipe->stats->lateness_max_at_ns, at_ns);
    if (late_ns <= stats->lateness_max_ns)
        return;
    stats_set(&stats->lateness_max_ns, late_ns);
    stats_set(&stats->lateness_max_at_ns, at_ns);
    stats_set(&stats->lateness_max_pipe, (uint64_t)(pipe - loop->engine->pipes));
}

/* Record how long the loop did not look for arrivals. */
static void loop_record_round(struct loop *loop, uint64_t round_ns)
{
    if (round_ns > loop->engine->stats->longest_round_ns)
        stats_set(&loop->engine->stats->longest_round_ns, round_ns);
}

void loop_restart_lateness(struct loop *loop)
{
    struct engine *engine = loop->engine;
    for (unsigned bin = 0; bin < STATS_LATENESS_BINS; bin++)
        stats_set(&engine->stats->lateness[bin], 0);
    stats_set(&engine->stats->lateness_max_ns, 0);
    stats_set(&engine->stats->lateness_max_at_ns, 0);
    stats_set(&engine->stats->lateness_max_pipe, 0);
    stats_set(&engine->stats->longest_round_ns, 0);
    engine_restart_lateness(engine);
    loop->left_ns = loop_now_ns();
}

/* The engine's sink: write the frame, and have it captured as it left the line, whether the port takes it or not. */
static enum engine_outcome loop_write(void *context, struct pipe *pipe, const struct frame *frame)
{
    struct loop *loop = context;
    uint64_t late_ns = (uint64_t)(loop_now_ns() - frame->due_ns);
    loop_record_lateness(loop, pipe, late_ns);
    pipe_record_lateness(pipe, frame, late_ns);

    if (pipe->capture)
        capture_frame(pipe->capture, pipe->capture_interface, (uint64_t)loop_clock_ns(CLOCK_REALTIME), frame->data,
                      frame->length, frame->length - frame->line_bytes);
    if (write(loop->ports[pipe->dst_port].fd, frame->data, frame->length) >= 0)
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

void loop_deliver_due(struct loop *loop)
{
    engine_deliver_due(loop->engine, loop_now_ns(), loop_write, loop);
}

static void loop_push_ready(struct loop *loop, struct loop_port *port)
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

static struct loop_port *loop_pop_ready(struct loop *loop)
{
    struct loop_port *port = loop->ready_head;
    if (port) {
        loop->ready_head = port->next;
        port->ready = false;
    }
    return port;
}

/* Read one port up to the budget: frames that came together, at one time. */
static void loop_read(struct loop *loop, struct loop_port *port)
{
    uint32_t number = (uint32_t)(port - loop->ports);
    int64_t now_ns = loop_now_ns();

    for (int budget = LOOP_READ_BUDGET; budget > 0; budget--) {
        ssize_t length = read(port->fd, loop->scratch, FRAME_MAX_BYTES);
        if (length <= 0) {
            if (length == 0 || errno != EAGAIN)
                stats_set(&loop->engine->port_stats[number].retired, 1);
            return; /* an edge announces the next frame; there is none from what is gone */
        }
        engine_arrive(loop->engine, number, loop->scratch, (uint32_t)length, now_ns);
    }
    loop_push_ready(loop, port); /* there may be more */
}

/* Wait for events until the time given. */
static int loop_wait(struct loop *loop, struct epoll_event *events, int64_t until_ns)
{
    static bool no_pwait2; /* Linux before 5.11 */
    int64_t wait_ns = until_ns - loop_now_ns();
    if (wait_ns <= 0)
        return epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, 0);

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

/* Take a turn into account, and say at the end of a window whether the loop is under load. */
static void loop_weigh(struct loop *loop, int64_t start_ns, int64_t end_ns)
{
    loop->worked_ns += end_ns - start_ns;
    int64_t window_ns = end_ns - loop->window_ns;
    if (window_ns < LOOP_WINDOW_NS)
        return;
    loop->loaded = loop->worked_ns * 100 > window_ns * (loop->loaded ? LOOP_EASED_PERCENT : LOOP_LOADED_PERCENT);
    loop->window_ns = end_ns;
    loop->worked_ns = 0;
}

/* Under load, sleep until the grain is over, whatever arrives. */
static void loop_rest(struct loop *loop)
{
    int64_t until_ns = loop->looked_ns + LOOP_GRAIN_NS;
    if (loop->ready_head || !loop->loaded || loop_now_ns() >= until_ns)
        return;
    struct timespec until = {.tv_sec = until_ns / LOOP_NS_PER_S, .tv_nsec = until_ns % LOOP_NS_PER_S};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    stats_add(&loop->engine->stats->rests, 1);
}

/* Until when the loop may sleep. */
static int64_t loop_sleep_ns(const struct loop *loop)
{
    if (loop->ready_head)
        return loop_now_ns();
    int64_t due_ns = heap_earliest_ns(&loop->engine->heap), glance_ns = loop->looked_ns + LOOP_GLANCE_NS;
    if (due_ns >= glance_ns)
        return glance_ns;
    return due_ns > loop->looked_ns ? due_ns : loop->looked_ns; /* a change may make things due in the past */
}

/* One turn: sleep until something happens or gets due, deliver, then let every ready port have its budget.
 * Returns 1 when the control descriptor is readable, 0 to go on, -1 with errno. */
static int loop_turn(struct loop *loop)
{
    struct epoll_event events[LOOP_EVENTS];
    int control = 0;
    loop_rest(loop);
    int64_t until_ns = loop_sleep_ns(loop);
    int count = loop_wait(loop, events, until_ns);
    int64_t start_ns = loop_now_ns();
    if (start_ns > until_ns)
        loop_record_round(loop, (uint64_t)(start_ns - until_ns));
    if (count < 0)
        return -1;
    loop->looked_ns = start_ns;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 == LOOP_CONTROL)
            control = 1;
        else
            loop_push_ready(loop, &loop->ports[events[i].data.u32]);
    }
    loop_deliver_due(loop);
    for (struct loop_port *last = loop->ready_tail, *port; (port = loop_pop_ready(loop));) {
        loop_read(loop, port);
        loop_deliver_due(loop);
        if (port == last)
            break;
    }
    int64_t end_ns = loop_now_ns();
    loop_record_round(loop, (uint64_t)(end_ns - start_ns));
    loop_weigh(loop, start_ns, end_ns);
    stats_add(&loop->engine->stats->rounds, 1);
    return control;
}

int loop_run(struct loop *loop, int control_fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = LOOP_CONTROL};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, control_fd, &event) < 0)
        return -1;
    loop->looked_ns = loop_now_ns();
    if (loop->left_ns)
        loop_record_round(loop, (uint64_t)(loop->looked_ns - loop->left_ns));
    int turn;
    do
        turn = loop_turn(loop);
    while (turn == 0);
    int error = errno;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, control_fd, NULL);
    loop->left_ns = loop_now_ns();
    errno = error;
    return turn < 0 ? -1 : 0;
}
