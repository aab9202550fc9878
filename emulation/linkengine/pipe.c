#include "pipe.h"

#include <string.h>

#define PIPE_NS_PER_S 1000000000u
#define PIPE_ADDRESSES_BYTES 12  /* a VLAN tag follows the two addresses */

static void pipe_publish(struct pipe *pipe)
{
    stats_set(&pipe->stats->queued_frames, pipe->queues.frames);
    stats_set(&pipe->stats->queued_bytes, pipe->queues.bytes);
    stats_set(&pipe->stats->flight_frames, pipe->flight.frames);
}

/* The first whole nanosecond at which the line is free. */
static int64_t pipe_line_free_ns(const struct pipe *pipe)
{
    return pipe->line_ns + (pipe->line_rest != 0);
}

/* Put one frame on the line. The division's rest is carried to the next frame, so that the rate has no drift. */
static void pipe_transmit(struct pipe *pipe, struct frame *frame)
{
    if (pipe->line_ns < frame->arrival_ns) {
        pipe->line_ns = frame->arrival_ns;
        pipe->line_rest = 0;
    }
    uint64_t bits = 8 * (uint64_t)((int64_t)frame->line_bytes + pipe->model.overhead_bytes);
    uint64_t time = bits * PIPE_NS_PER_S + pipe->line_rest; /* in 1/rate ns */
    pipe->line_ns += (int64_t)(time / pipe->model.rate_bps);
    pipe->line_rest = time % pipe->model.rate_bps;

    if (loss_strikes(&pipe->model.loss, &pipe->lossy, &pipe->random)) {
        stats_add(&pipe->stats->drop_loss, 1);
        frame_free(pipe->pool, frame);
        return;
    }
    int64_t due_ns = pipe_line_free_ns(pipe) + pipe->model.delay_ns;
    if (due_ns < pipe->last_due_ns)
        due_ns = pipe->last_due_ns; /* the delay was shortened: still in order */
    pipe->last_due_ns = frame->due_ns = due_ns;
    frame_fifo_push(&pipe->flight, frame);
}

/* Take every decision the line had to take up to now_ns. Frames that arrive at the very moment the line gets free
 * are not yet considered. */
static void pipe_serve(struct pipe *pipe, int64_t now_ns)
{
    while (pipe->queues.frames && pipe_line_free_ns(pipe) <= now_ns)
        pipe_transmit(pipe, queue_pop(&pipe->queues, pipe->model.policy, pipe->model.overhead_bytes));
}

/* A copy of the frame as it will be written: with the trunk's tag, if the pipe ends on one. */
static struct frame *pipe_copy(struct pipe *pipe, const uint8_t *data, uint32_t length)
{
    uint32_t tag_bytes = pipe->dst_vlan ? 4 : 0;
    struct frame *frame = frame_new(pipe->pool, length + tag_bytes);
    if (!frame)
        return NULL;
    frame->line_bytes = length;
    memcpy(frame->data, data, PIPE_ADDRESSES_BYTES);
    if (tag_bytes) {
        const uint8_t tag[4] = {0x81, 0x00, (uint8_t)(pipe->dst_vlan >> 8), (uint8_t)pipe->dst_vlan};
        memcpy(frame->data + PIPE_ADDRESSES_BYTES, tag, sizeof tag);
    }
    memcpy(frame->data + PIPE_ADDRESSES_BYTES + tag_bytes, data + PIPE_ADDRESSES_BYTES,
           length - PIPE_ADDRESSES_BYTES);
    return frame;
}

/* Classes beyond the last queue share it. */
static unsigned pipe_queue_of(const struct pipe *pipe, const uint8_t *data, uint32_t length)
{
    unsigned queue = classify_frame(pipe->tables, data, length);
    return queue < pipe->model.policy->count ? queue : pipe->model.policy->count - 1;
}

static bool pipe_fits(const struct pipe *pipe, unsigned queue, uint32_t length)
{
    return queue_fits(&pipe->queues, pipe->model.policy, queue, length, pipe->model.overhead_bytes,
                      pipe->model.rate_bps);
}

void pipe_arrive(struct pipe *pipe, const uint8_t *data, uint32_t length, int64_t now_ns)
{
    stats_add(&pipe->stats->frames_in, 1);
    stats_add(&pipe->stats->bytes_in, length);
    if (pipe->down) {
        stats_add(&pipe->stats->drop_down, 1);
        return;
    }
    pipe_serve(pipe, now_ns);

    unsigned queue = pipe_queue_of(pipe, data, length);
    struct frame *frame;
    /* The limit is on what waits: a frame that finds the line free does not. */
    if (pipe_line_free_ns(pipe) > now_ns && !pipe_fits(pipe, queue, length)) {
        stats_add(&pipe->stats->drop_queue[queue], 1);
    } else if (!(frame = pipe_copy(pipe, data, length))) {
        stats_add(&pipe->stats->drop_memory, 1);
    } else {
        frame->arrival_ns = now_ns;
        queue_push(&pipe->queues, queue, frame);
        pipe_serve(pipe, now_ns);
    }
    pipe_publish(pipe);
}

struct frame *pipe_take_due(struct pipe *pipe, int64_t now_ns)
{
    struct frame *frame = NULL;
    pipe_serve(pipe, now_ns);
    if (pipe->flight.head && pipe->flight.head->due_ns <= now_ns)
        frame = frame_fifo_pop(&pipe->flight);
    pipe_publish(pipe);
    return frame;
}

/* While a frame is in flight its delivery is early enough to look at the queues again: it is due no sooner than
 * the line gets free, and the decisions in between depend on the past alone. */
int64_t pipe_next_event(const struct pipe *pipe)
{
    if (pipe->flight.head)
        return pipe->flight.head->due_ns;
    return pipe->queues.frames ? pipe_line_free_ns(pipe) : PIPE_NEVER;
}

static void pipe_drain(struct pipe *pipe)
{
    while (pipe->flight.head)
        frame_free(pipe->pool, frame_fifo_pop(&pipe->flight));
    while (pipe->queues.frames)
        frame_free(pipe->pool, queue_pop(&pipe->queues, pipe->model.policy, pipe->model.overhead_bytes));
}

void pipe_clear(struct pipe *pipe)
{
    pipe_drain(pipe);
    queue_policy_release(pipe->model.policy);
}

static void pipe_set_model(struct pipe *pipe, const struct pipe_model *model)
{
    if (model->rate_bps != pipe->model.rate_bps) {
        pipe->line_ns = pipe_line_free_ns(pipe);
        pipe->line_rest = 0;
    }
    queue_merge(&pipe->queues, model->policy->count);
    model->policy->users++;
    queue_policy_release(pipe->model.policy);
    pipe->model = *model;
}

static void pipe_go_down(struct pipe *pipe, int64_t now_ns)
{
    stats_add(&pipe->stats->drop_down, pipe->flight.frames + pipe->queues.frames);
    pipe_drain(pipe);
    pipe->line_ns = pipe->last_due_ns = now_ns; /* cuts the frame on the line off */
    pipe->line_rest = 0;
}

void pipe_set(struct pipe *pipe, const struct pipe_change *change, int64_t now_ns)
{
    pipe_serve(pipe, now_ns);
    if (change->model)
        pipe_set_model(pipe, change->model);
    if (change->down == 1 && !pipe->down)
        pipe_go_down(pipe, now_ns);
    if (change->down != PIPE_STAYS)
        pipe->down = change->down;
    pipe_publish(pipe);
}
