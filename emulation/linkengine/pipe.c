#include "pipe.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"

#define PIPE_NS_PER_S 1000000000u

static void pipe_publish(struct pipe *pipe)
{
    stats_set(&pipe->stats->queued_frames, pipe->queues.frames);
    stats_set(&pipe->stats->queued_bytes, pipe->queues.bytes);
    stats_set(&pipe->stats->flight_frames, flight_frames(&pipe->flight));
}

static struct class_stats *pipe_class_stats(const struct pipe *pipe, unsigned queue)
{
    return stats_class(pipe->classes, pipe->stats, queue);
}

/* The pipe's own time. */
static int64_t pipe_time(const struct pipe *pipe, int64_t now_ns)
{
    return pipe->frozen ? pipe->frozen_ns : now_ns - pipe->skew_ns;
}

/* The first whole nanosecond at which the line is free. */
static int64_t pipe_line_free_ns(const struct pipe *pipe)
{
    return pipe->line_ns + (pipe->line_rest != 0);
}

/* Nothing was sent until now: the next frame starts now, not when the line got free. */
static void pipe_rest_line(struct pipe *pipe, int64_t now_ns)
{
    if (pipe->line_ns < now_ns) {
        pipe->line_ns = now_ns;
        pipe->line_rest = 0;
    }
}

/* A rate starts on a whole nanosecond: the rest was of the old one. */
static void pipe_set_rate(struct pipe *pipe, uint64_t rate_bps)
{
    pipe->line_ns = pipe_line_free_ns(pipe);
    pipe->line_rest = 0;
    pipe->model.rate_bps = rate_bps;
}

static void pipe_set_loss(struct pipe *pipe, const struct loss *loss)
{
    if (memcmp(loss, &pipe->model.loss, sizeof *loss) != 0)
        pipe->lossy = false;
    pipe->model.loss = *loss;
}

/* Go by the trace as it stands at time_ns. Its points set the rate even if it stays the same, so that nothing depends
 * on how many of them are passed at once. */
static void pipe_heed_trace(struct pipe *pipe, int64_t time_ns)
{
    if (time_ns < pipe->trace.next_ns)
        return;
    const struct trace_point *point = trace_advance(&pipe->trace, time_ns);
    if (pipe->trace.trace->has_rate)
        pipe_set_rate(pipe, point->rate_bps);
    if (pipe->trace.trace->has_delay)
        pipe->model.delay_ns = point->delay_ns;
    if (pipe->trace.trace->has_loss)
        pipe_set_loss(pipe, &(struct loss){.r = 1, .good = point->loss, .bad = 1});
}

static void pipe_corrupt(struct pipe *pipe, struct frame *frame)
{
    uint64_t bits = 8 * (uint64_t)frame->line_bytes;
    frame_flip_bit(frame, (uint32_t)((unsigned __int128)random_word(&pipe->random) * bits >> 64));
    stats_add(&pipe->stats->corrupted, 1);
}

/* When a frame whose last bit has just been sent is due. What came late makes up for it, and what is to be early is,
 * as far as the delay allows. */
static int64_t pipe_due_ns(struct pipe *pipe, struct frame *frame)
{
    int64_t delay_ns = pipe->model.delay_ns;
    if (pipe->model.jitter.spread_ns)
        delay_ns += jitter_draw(&pipe->model.jitter, &pipe->random);
    frame->ideal_ns = pipe->ideal_ns + (delay_ns > 0 ? delay_ns : 0);
    int64_t due_ns = frame->ideal_ns - pipe->early_ns;
    if (due_ns < pipe_line_free_ns(pipe))
        due_ns = pipe_line_free_ns(pipe);
    if (due_ns < pipe->last_due_ns && !pipe->model.jitter.reorder)
        return pipe->last_due_ns;
    return due_ns;
}

/* Let a frame, or the copy of one, travel until due_ns. */
static void pipe_fly(struct pipe *pipe, struct frame *frame, int64_t due_ns)
{
    frame->due_ns = due_ns;
    if (due_ns > pipe->last_due_ns)
        pipe->last_due_ns = due_ns;
    flight_push(&pipe->flight, frame);
}

/* What happens to a frame that was sent, in the order of the random numbers it takes: loss, duplication, corruption,
 * jitter. What the model does not have takes none. */
static void pipe_leave(struct pipe *pipe, struct frame *frame)
{
    struct frame *copy = NULL;
    bool lost = loss_strikes(&pipe->model.loss, &pipe->lossy, &pipe->random);
    if (lost || pipe->silent) {
        stats_add(lost ? &pipe->stats->drop_loss : &pipe->stats->drop_silent, 1);
        frame_free(pipe->pool, frame);
        return;
    }
    bool doubled = random_happens(&pipe->random, pipe->model.duplicate);
    if (random_happens(&pipe->random, pipe->model.corrupt))
        pipe_corrupt(pipe, frame);
    int64_t due_ns = pipe_due_ns(pipe, frame);
    if (doubled) {
        stats_add(&pipe->stats->duplicated, 1);
        if (!(copy = frame_copy(pipe->pool, frame)))
            stats_add(&pipe->stats->drop_memory, 1);
    }
    pipe_fly(pipe, frame, due_ns);
    if (copy)
        pipe_fly(pipe, copy, due_ns);
}

static void pipe_count_sent(struct pipe *pipe, const struct frame *frame, uint64_t waited_ns)
{
    struct class_stats *stats = pipe_class_stats(pipe, frame->queue);
    stats_add(&stats->frames_sent, 1);
    stats_add(&stats->bytes_sent, frame->line_bytes);
    stats_add(&stats->queue_ns, waited_ns);
    if (waited_ns > stats->queue_max_ns)
        stats_set(&stats->queue_max_ns, waited_ns);
    stats_add(&stats->queue_delay[stats_class_bin(waited_ns)], 1);
}

/* The frame that goes on the line at now_ns. CoDel never drops the last of a queue. */
static struct frame *pipe_choose(struct pipe *pipe, int64_t now_ns)
{
    struct queue_set *queues = &pipe->queues;
    unsigned queue = queue_next(queues, pipe->model.policy, pipe->model.overhead_bytes);
    struct frame *frame = queue_take(queues, queue);
    const struct aqm_rule *rule = &pipe->model.policy->rule[queue].aqm;

    for (bool again = false; rule->kind == AQM_CODEL; again = true) {
        if (!aqm_codel_drops(rule, &queues->aqm[queue], now_ns - frame->arrival_ns, queues->fifo[queue].bytes,
                             now_ns, again))
            break;
        stats_add(&pipe_class_stats(pipe, queue)->drop_codel, 1);
        frame_free(pipe->pool, frame);
        frame = queue_take(queues, queue);
    }
    queue_charge(queues, pipe->model.policy, queue, (int64_t)frame->line_bytes + pipe->model.overhead_bytes);
    return frame;
}

/* Put the next frame on the line, which is free. The division's rest is carried to the frame after it, so that the
 * rate has no drift. */
static void pipe_transmit(struct pipe *pipe)
{
    int64_t start_ns = pipe_line_free_ns(pipe);
    struct frame *frame = pipe_choose(pipe, start_ns);
    int64_t ideal_ns = frame->ideal_ns > pipe->ideal_ns ? frame->ideal_ns : pipe->ideal_ns; /* of its start */
    uint64_t bits = 8 * (uint64_t)((int64_t)frame->line_bytes + pipe->model.overhead_bytes);
    uint64_t time = bits * PIPE_NS_PER_S + pipe->line_rest; /* in 1/rate ns */
    pipe->line_ns += (int64_t)(time / pipe->model.rate_bps);
    pipe->line_rest = time % pipe->model.rate_bps;
    pipe->ideal_ns = pipe_line_free_ns(pipe) - (start_ns - ideal_ns);
    pipe_count_sent(pipe, frame, (uint64_t)(start_ns - frame->arrival_ns));
    pipe_leave(pipe, frame);
}

/* Take every decision the line had to take up to time_ns. Frames that arrive and changes that are made at the very
 * moment the line gets free are not yet considered. */
static void pipe_serve(struct pipe *pipe, int64_t time_ns)
{
    if (pipe->frozen)
        return;
    for (int64_t free_ns; pipe->queues.frames && (free_ns = pipe_line_free_ns(pipe)) <= time_ns;) {
        pipe_heed_trace(pipe, free_ns - 1);
        pipe_transmit(pipe);
    }
}

/* Classes beyond the last queue share it. */
static unsigned pipe_queue_of(const struct pipe *pipe, const uint8_t *data, uint32_t length)
{
    unsigned queue = classify_frame(pipe->tables, data, length);
    return queue < pipe->model.policy->count ? queue : pipe->model.policy->count - 1;
}

static bool pipe_too_long(const struct pipe *pipe, const uint8_t *data, uint32_t length)
{
    uint32_t payload = length - CLASSIFY_HEADER_BYTES;
    return payload > pipe->model.mtu_bytes && payload - classify_tag_bytes(data, length) > pipe->model.mtu_bytes;
}

static bool pipe_red_drops(struct pipe *pipe, unsigned queue, const uint8_t *data, uint32_t length)
{
    const struct aqm_rule *rule = &pipe->model.policy->rule[queue].aqm;
    return rule->kind == AQM_RED &&
           aqm_red_drops(rule, &pipe->queues.aqm[queue], pipe->queues.fifo[queue].bytes,
                         classify_precedence(data, length), &pipe->random);
}

/* Where the frame's drop is counted if its class queue does not take it, else NULL. The limits are on what waits:
 * a frame that finds the line free does not. */
static uint64_t *pipe_refuses(struct pipe *pipe, unsigned queue, const uint8_t *data, uint32_t length, bool waits)
{
    const struct pipe_model *model = &pipe->model;
    if (pipe_red_drops(pipe, queue, data, length))
        return &pipe_class_stats(pipe, queue)->drop_red;
    if (!waits)
        return NULL;
    if (!queue_fits(&pipe->queues, model->policy, queue, length, model->overhead_bytes, model->rate_bps))
        return &pipe_class_stats(pipe, queue)->drop_tail;
    if (pipe->queues.bytes + length > model->buffer_bytes)
        return &pipe_class_stats(pipe, queue)->drop_buffer;
    return NULL;
}

/* Queue a frame, or drop it. The line has taken its decisions up to time_ns. */
static void pipe_queue(struct pipe *pipe, const uint8_t *data, uint32_t length, int64_t time_ns, int64_t ideal_ns)
{
    bool waits = pipe->frozen || pipe_line_free_ns(pipe) > time_ns;
    unsigned queue = pipe_queue_of(pipe, data, length);
    struct class_stats *stats = pipe_class_stats(pipe, queue);
    stats_add(&stats->frames_in, 1);
    stats_add(&stats->bytes_in, length);
    uint64_t *drop = pipe_refuses(pipe, queue, data, length, waits);
    struct frame *frame = drop ? NULL : frame_of_line(pipe->pool, data, length, pipe->dst_vlan);

    if (drop) {
        stats_add(drop, 1);
    } else if (!frame) {
        stats_add(&pipe->stats->drop_memory, 1);
    } else {
        frame->arrival_ns = time_ns;
        frame->ideal_ns = ideal_ns;
        frame->queue = (uint8_t)queue;
        if (!waits)
            pipe_rest_line(pipe, time_ns);
        queue_push(&pipe->queues, queue, frame);
        if (pipe->model.policy->rule[queue].aqm.kind == AQM_CODEL)
            aqm_codel_arrival(&pipe->queues.aqm[queue], length);
        pipe_serve(pipe, time_ns);
    }
}

void pipe_arrive(struct pipe *pipe, const uint8_t *data, uint32_t length, int64_t now_ns, int64_t ideal_ns)
{
    int64_t time_ns = pipe_time(pipe, now_ns);
    stats_add(&pipe->stats->frames_in, 1);
    stats_add(&pipe->stats->bytes_in, length);
    if (pipe->down) {
        stats_add(&pipe->stats->drop_down, 1);
    } else if (pipe_too_long(pipe, data, length)) {
        stats_add(&pipe->stats->drop_mtu, 1);
    } else {
        pipe_serve(pipe, time_ns);
        pipe_heed_trace(pipe, time_ns);
        pipe_queue(pipe, data, length, time_ns, pipe->frozen ? time_ns : ideal_ns - pipe->skew_ns);
        pipe_publish(pipe);
    }
}

struct frame *pipe_take_due(struct pipe *pipe, int64_t now_ns)
{
    if (pipe->frozen)
        return NULL;
    int64_t time_ns = pipe_time(pipe, now_ns);
    struct frame *frame = NULL, *head;
    pipe_serve(pipe, time_ns);
    if ((head = flight_head(&pipe->flight)) && head->due_ns <= time_ns) {
        frame = flight_pop(&pipe->flight);
        frame->due_ns += pipe->skew_ns;
        frame->ideal_ns += pipe->skew_ns;
    }
    pipe_publish(pipe);
    return frame;
}

/* While a frame is in flight its delivery is early enough to look at the queues again, unless frames overtake: it is
 * due no sooner than the line gets free, and the decisions in between depend on the past alone. */
int64_t pipe_next_event(const struct pipe *pipe)
{
    const struct frame *head = flight_head(&pipe->flight);
    int64_t time_ns = head ? head->due_ns : PIPE_NEVER;
    if (pipe->queues.frames && (!head || pipe->model.jitter.reorder) && pipe_line_free_ns(pipe) < time_ns)
        time_ns = pipe_line_free_ns(pipe);
    return pipe->frozen || time_ns == PIPE_NEVER ? PIPE_NEVER : time_ns + pipe->skew_ns;
}

void pipe_record_lateness(struct pipe *pipe, const struct frame *frame, uint64_t late_ns)
{
    stats_add(&pipe_class_stats(pipe, frame->queue)->lateness[stats_class_bin(late_ns)], 1);
}

static void pipe_drain(struct pipe *pipe)
{
    while (flight_head(&pipe->flight))
        frame_free(pipe->pool, flight_pop(&pipe->flight));
    for (unsigned queue = 0; queue < STATS_QUEUES; queue++) {
        while (pipe->queues.fifo[queue].head)
            frame_free(pipe->pool, queue_take(&pipe->queues, queue));
        pipe->queues.deficit[queue] = 0;
    }
    pipe->queues.turn = 0;
}

void pipe_clear(struct pipe *pipe)
{
    pipe_drain(pipe);
    free(pipe->queues.aqm);
    queue_policy_release(pipe->model.policy);
    trace_release(pipe->trace.trace);
}

int pipe_prepare(struct pipe *pipe, const struct pipe_model *model)
{
    return queue_prepare(&pipe->queues, model->policy);
}

static void pipe_set_model(struct pipe *pipe, const struct pipe_model *model)
{
    if (model->rate_bps != pipe->model.rate_bps)
        pipe_set_rate(pipe, model->rate_bps);
    pipe_set_loss(pipe, &model->loss);
    queue_adopt(&pipe->queues, pipe->model.policy, model->policy);
    model->policy->users++;
    queue_policy_release(pipe->model.policy);
    pipe->model = *model;
}

static void pipe_go_down(struct pipe *pipe, int64_t time_ns)
{
    stats_add(&pipe->stats->drop_down, flight_frames(&pipe->flight) + pipe->queues.frames);
    pipe_drain(pipe);
    pipe->line_ns = pipe->ideal_ns = pipe->last_due_ns = time_ns; /* cuts the frame on the line off */
    pipe->line_rest = 0;
}

static void pipe_set_frozen(struct pipe *pipe, bool frozen, int64_t now_ns)
{
    int64_t time_ns = pipe_time(pipe, now_ns);
    if (frozen) {
        pipe->frozen_ns = time_ns;
    } else {
        pipe->skew_ns = now_ns - time_ns;
        if (pipe_line_free_ns(pipe) <= time_ns)
            pipe_rest_line(pipe, time_ns); /* what came meanwhile came at this moment */
    }
    pipe->frozen = frozen;
}

void pipe_set(struct pipe *pipe, const struct pipe_change *change, int64_t now_ns)
{
    int64_t time_ns = pipe_time(pipe, now_ns);
    pipe_serve(pipe, time_ns);
    pipe_heed_trace(pipe, time_ns);
    if (change->model)
        pipe_set_model(pipe, change->model);
    if (change->down == 1 && !pipe->down)
        pipe_go_down(pipe, time_ns);
    if (change->down != PIPE_STAYS)
        pipe->down = change->down;
    if (change->silent != PIPE_STAYS)
        pipe->silent = change->silent;
    if (change->frozen != PIPE_STAYS && change->frozen != pipe->frozen)
        pipe_set_frozen(pipe, change->frozen, now_ns);
    pipe_publish(pipe);
}

void pipe_follow(struct pipe *pipe, struct trace *trace, int64_t now_ns)
{
    int64_t time_ns = pipe_time(pipe, now_ns);
    pipe_serve(pipe, time_ns);
    pipe_heed_trace(pipe, time_ns);
    trace_follow(&pipe->trace, trace, time_ns);
}
