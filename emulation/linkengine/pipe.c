#include "pipe.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"

#define PIPE_NS_PER_S 1000000000u

static void pipe_publish(struct le_pipe *pipe)
{
    le_stats_set(&pipe->stats->queued_frames, pipe->queues.frames);
    le_stats_set(&pipe->stats->queued_bytes, pipe->queues.bytes);
    le_stats_set(&pipe->stats->flight_frames, le_in_flight_frames(&pipe->in_flight));
}

static struct le_class_stats *pipe_class_stats(const struct le_pipe *pipe, unsigned queue)
{
    return le_stats_class(pipe->classes, pipe->stats, queue);
}

/* The pipe's own time. */
static int64_t pipe_time(const struct le_pipe *pipe, int64_t now_ns)
{
    return pipe->paused ? pipe->paused_ns : now_ns - pipe->skew_ns;
}

/* The first whole nanosecond at which the link is free. */
static int64_t pipe_line_free_ns(const struct le_pipe *pipe)
{
    return pipe->line_ns + (pipe->line_rest != 0);
}

/* Nothing was sent until now: the next frame starts now, not when the link got free. */
static void pipe_rest_line(struct le_pipe *pipe, int64_t now_ns)
{
    if (pipe->line_ns < now_ns) {
        pipe->line_ns = now_ns;
        pipe->line_rest = 0;
    }
}

/* A new rate starts on a whole nanosecond: the remainder belongs to the old one. */
static void pipe_set_rate(struct le_pipe *pipe, uint64_t rate_bps)
{
    pipe->line_ns = pipe_line_free_ns(pipe);
    pipe->line_rest = 0;
    pipe->model.rate_bps = rate_bps;
}

static void pipe_set_loss(struct le_pipe *pipe, const struct le_loss *loss)
{
    if (memcmp(loss, &pipe->model.loss, sizeof *loss) != 0)
        pipe->lossy = false;
    pipe->model.loss = *loss;
}

/* Apply the trace's point that holds at time_ns. Points set the rate even if it stays the same, so that the result does
 * not depend on how many of them are passed at once. */
static void pipe_apply_trace(struct le_pipe *pipe, int64_t time_ns)
{
    if (time_ns < pipe->trace.next_ns)
        return;
    const struct le_trace_point *point = le_trace_advance(&pipe->trace, time_ns);
    if (pipe->trace.trace->has_rate)
        pipe_set_rate(pipe, point->rate_bps);
    if (pipe->trace.trace->has_delay)
        pipe->model.delay_ns = point->delay_ns;
    if (pipe->trace.trace->has_loss)
        pipe_set_loss(pipe, &(struct le_loss){.r = 1, .good = point->loss, .bad = 1});
}

static void pipe_corrupt(struct le_pipe *pipe, struct le_frame *frame)
{
    uint64_t bits = 8 * (uint64_t)frame->line_bytes;
    le_frame_flip_bit(frame, (uint32_t)((unsigned __int128)le_random_word(&pipe->random) * bits >> 64));
    le_stats_add(&pipe->stats->corrupted, 1);
}

/* Due time of a frame whose last bit has just been sent. Late arrival and delay compensation are subtracted, as far as
 * the delay allows. */
static int64_t pipe_due_ns(struct le_pipe *pipe, struct le_frame *frame)
{
    int64_t delay_ns = pipe->model.delay_ns;
    if (pipe->model.jitter.spread_ns)
        delay_ns += le_jitter_sample(&pipe->model.jitter, &pipe->random);
    frame->ideal_ns = pipe->ideal_ns + (delay_ns > 0 ? delay_ns : 0);
    int64_t due_ns = frame->ideal_ns - pipe->early_ns;
    if (due_ns < pipe_line_free_ns(pipe))
        due_ns = pipe_line_free_ns(pipe);
    if (due_ns < pipe->last_due_ns && !pipe->model.jitter.reorder)
        return pipe->last_due_ns;
    return due_ns;
}

/* Put a frame, or a copy of one, in flight until due_ns. */
static void pipe_propagate(struct le_pipe *pipe, struct le_frame *frame, int64_t due_ns)
{
    frame->due_ns = due_ns;
    if (due_ns > pipe->last_due_ns)
        pipe->last_due_ns = due_ns;
    le_in_flight_push(&pipe->in_flight, frame);
}

/* Process a frame that was sent, in the order in which random numbers are used: loss, duplication, corruption, jitter.
 * Effects that the model does not have use none. */
static void pipe_impair(struct le_pipe *pipe, struct le_frame *frame)
{
    struct le_frame *copy = NULL;
    bool lost = le_loss_drops(&pipe->model.loss, &pipe->lossy, &pipe->random);
    if (lost || pipe->blackhole) {
        le_stats_add(lost ? &pipe->stats->drop_loss : &pipe->stats->drop_silent, 1);
        le_frame_free(pipe->pool, frame);
        return;
    }
    bool doubled = le_random_happens(&pipe->random, pipe->model.duplicate);
    if (le_random_happens(&pipe->random, pipe->model.corrupt))
        pipe_corrupt(pipe, frame);
    int64_t due_ns = pipe_due_ns(pipe, frame);
    if (doubled) {
        le_stats_add(&pipe->stats->duplicated, 1);
        if (!(copy = le_frame_copy(pipe->pool, frame)))
            le_stats_add(&pipe->stats->drop_memory, 1);
    }
    pipe_propagate(pipe, frame, due_ns);
    if (copy)
        pipe_propagate(pipe, copy, due_ns);
}

static void pipe_count_sent(struct le_pipe *pipe, const struct le_frame *frame, uint64_t waited_ns)
{
    struct le_class_stats *stats = pipe_class_stats(pipe, frame->queue);
    le_stats_add(&stats->frames_sent, 1);
    le_stats_add(&stats->bytes_sent, frame->line_bytes);
    le_stats_add(&stats->queue_ns, waited_ns);
    if (waited_ns > stats->queue_max_ns)
        le_stats_set(&stats->queue_max_ns, waited_ns);
    le_stats_add(&stats->queue_delay[le_stats_class_bin(waited_ns)], 1);
}

/* The frame that goes on the link at now_ns. CoDel never drops the last of a queue. */
static struct le_frame *pipe_choose(struct le_pipe *pipe, int64_t now_ns)
{
    struct le_queue_set *queues = &pipe->queues;
    unsigned queue = le_queue_next(queues, pipe->model.policy, pipe->model.overhead_bytes);
    struct le_frame *frame = le_queue_take(queues, queue);
    const struct le_aqm_rule *rule = &pipe->model.policy->rule[queue].aqm;

    for (bool again = false; rule->kind == AQM_CODEL; again = true) {
        if (!le_aqm_codel_drops(rule, &queues->aqm[queue], now_ns - frame->arrival_ns, queues->fifo[queue].bytes,
                                now_ns, again))
            break;
        le_stats_add(&pipe_class_stats(pipe, queue)->drop_codel, 1);
        le_frame_free(pipe->pool, frame);
        frame = le_queue_take(queues, queue);
    }
    le_queue_charge(queues, pipe->model.policy, queue, (int64_t)frame->line_bytes + pipe->model.overhead_bytes);
    return frame;
}

/* Put the next frame on the link, which is free. The division's rest is carried to the frame after it, so that the
 * rate has no drift. */
static void pipe_transmit(struct le_pipe *pipe)
{
    int64_t start_ns = pipe_line_free_ns(pipe);
    struct le_frame *frame = pipe_choose(pipe, start_ns);
    int64_t ideal_ns = frame->ideal_ns > pipe->ideal_ns ? frame->ideal_ns : pipe->ideal_ns; /* of its start */
    uint64_t bits = 8 * (uint64_t)((int64_t)frame->line_bytes + pipe->model.overhead_bytes);
    uint64_t time = bits * PIPE_NS_PER_S + pipe->line_rest; /* in 1/rate ns */
    pipe->line_ns += (int64_t)(time / pipe->model.rate_bps);
    pipe->line_rest = time % pipe->model.rate_bps;
    pipe->ideal_ns = pipe_line_free_ns(pipe) - (start_ns - ideal_ns);
    pipe_count_sent(pipe, frame, (uint64_t)(start_ns - frame->arrival_ns));
    pipe_impair(pipe, frame);
}

/* Make all transmission decisions up to time_ns. Frames that arrive and changes that are made exactly when the link
 * becomes free are not yet considered. */
static void pipe_serve(struct le_pipe *pipe, int64_t time_ns)
{
    if (pipe->paused)
        return;
    for (int64_t free_ns; pipe->queues.frames && (free_ns = pipe_line_free_ns(pipe)) <= time_ns;) {
        pipe_apply_trace(pipe, free_ns - 1);
        pipe_transmit(pipe);
    }
}

/* Classes beyond the last queue share it. */
static unsigned pipe_queue_of(const struct le_pipe *pipe, const uint8_t *data, uint32_t length)
{
    unsigned queue = le_classify_frame(pipe->tables, data, length);
    return queue < pipe->model.policy->count ? queue : pipe->model.policy->count - 1;
}

static bool pipe_too_long(const struct le_pipe *pipe, const uint8_t *data, uint32_t length)
{
    uint32_t payload = length - FRAME_HEADER_BYTES;
    return payload > pipe->model.mtu_bytes && payload - le_frame_tag_bytes(data, length) > pipe->model.mtu_bytes;
}

static bool pipe_red_drops(struct le_pipe *pipe, unsigned queue, const uint8_t *data, uint32_t length)
{
    const struct le_aqm_rule *rule = &pipe->model.policy->rule[queue].aqm;
    return rule->kind == AQM_RED && le_aqm_red_drops(rule, &pipe->queues.aqm[queue], pipe->queues.fifo[queue].bytes,
                                                     le_classify_precedence(data, length), &pipe->random);
}

/* The counter of the frame's drop if its class queue does not accept it, else NULL. The limits apply to waiting frames:
 * a frame that arrives at an idle link does not wait. */
static uint64_t *pipe_refuses(struct le_pipe *pipe, unsigned queue, const uint8_t *data, uint32_t length, bool waits)
{
    const struct le_pipe_model *model = &pipe->model;
    if (pipe_red_drops(pipe, queue, data, length))
        return &pipe_class_stats(pipe, queue)->drop_red;
    if (!waits)
        return NULL;
    if (!le_queue_fits(&pipe->queues, model->policy, queue, length, model->overhead_bytes, model->rate_bps))
        return &pipe_class_stats(pipe, queue)->drop_tail;
    if (pipe->queues.bytes + length > model->buffer_bytes)
        return &pipe_class_stats(pipe, queue)->drop_buffer;
    return NULL;
}

/* Queue a frame, or drop it. All transmission decisions up to time_ns have been made. */
static void pipe_queue(struct le_pipe *pipe, const uint8_t *data, uint32_t length, int64_t time_ns, int64_t ideal_ns)
{
    bool waits = pipe->paused || pipe_line_free_ns(pipe) > time_ns;
    unsigned queue = pipe_queue_of(pipe, data, length);
    struct le_class_stats *stats = pipe_class_stats(pipe, queue);
    le_stats_add(&stats->frames_in, 1);
    le_stats_add(&stats->bytes_in, length);
    uint64_t *drop = pipe_refuses(pipe, queue, data, length, waits);
    struct le_frame *frame = drop ? NULL : le_frame_from_link(pipe->pool, data, length, pipe->dst_vlan);

    if (drop) {
        le_stats_add(drop, 1);
    } else if (!frame) {
        le_stats_add(&pipe->stats->drop_memory, 1);
    } else {
        frame->arrival_ns = time_ns;
        frame->ideal_ns = ideal_ns;
        frame->queue = (uint8_t)queue;
        if (!waits)
            pipe_rest_line(pipe, time_ns);
        le_queue_push(&pipe->queues, queue, frame);
        if (pipe->model.policy->rule[queue].aqm.kind == AQM_CODEL)
            le_aqm_codel_arrival(&pipe->queues.aqm[queue], length);
        pipe_serve(pipe, time_ns);
    }
}

/* Whether to tell of a frame that is too long; the time of the last one told is kept. */
static bool pipe_tells(struct le_pipe *pipe, int64_t now_ns)
{
    if (now_ns < pipe->tell_ns)
        return false;
    pipe->tell_ns = now_ns + PIPE_TOLD_NS;
    return true;
}

bool le_pipe_arrive(struct le_pipe *pipe, const uint8_t *data, uint32_t length, int64_t now_ns, int64_t ideal_ns)
{
    int64_t time_ns = pipe_time(pipe, now_ns);
    le_stats_add(&pipe->stats->frames_in, 1);
    le_stats_add(&pipe->stats->bytes_in, length);
    if (pipe->down) {
        le_stats_add(&pipe->stats->drop_down, 1);
    } else if (pipe_too_long(pipe, data, length)) {
        le_stats_add(&pipe->stats->drop_mtu, 1);
        return pipe_tells(pipe, now_ns);
    } else {
        pipe_serve(pipe, time_ns);
        pipe_apply_trace(pipe, time_ns);
        pipe_queue(pipe, data, length, time_ns, pipe->paused ? time_ns : ideal_ns - pipe->skew_ns);
        pipe_publish(pipe);
    }
    return false;
}

struct le_frame *le_pipe_take_due(struct le_pipe *pipe, int64_t now_ns)
{
    if (pipe->paused)
        return NULL;
    int64_t time_ns = pipe_time(pipe, now_ns);
    struct le_frame *frame = NULL, *head;
    pipe_serve(pipe, time_ns);
    if ((head = le_in_flight_head(&pipe->in_flight)) && head->due_ns <= time_ns) {
        frame = le_in_flight_pop(&pipe->in_flight);
        frame->due_ns += pipe->skew_ns;
        frame->ideal_ns += pipe->skew_ns;
    }
    pipe_publish(pipe);
    return frame;
}

/* While a frame is in flight its delivery is early enough to look at the queues again, unless frames overtake: it is
 * due no sooner than the link gets free, and the decisions in between depend on the past alone. */
int64_t le_pipe_next_event(const struct le_pipe *pipe)
{
    const struct le_frame *head = le_in_flight_head(&pipe->in_flight);
    int64_t time_ns = head ? head->due_ns : PIPE_NEVER;
    if (pipe->queues.frames && (!head || pipe->model.jitter.reorder) && pipe_line_free_ns(pipe) < time_ns)
        time_ns = pipe_line_free_ns(pipe);
    return pipe->paused || time_ns == PIPE_NEVER ? PIPE_NEVER : time_ns + pipe->skew_ns;
}

void le_pipe_record_lateness(struct le_pipe *pipe, const struct le_frame *frame, uint64_t late_ns)
{
    le_stats_add(&pipe_class_stats(pipe, frame->queue)->lateness[le_stats_class_bin(late_ns)], 1);
}

static void pipe_drain(struct le_pipe *pipe)
{
    while (le_in_flight_head(&pipe->in_flight))
        le_frame_free(pipe->pool, le_in_flight_pop(&pipe->in_flight));
    for (unsigned queue = 0; queue < STATS_QUEUES; queue++) {
        while (pipe->queues.fifo[queue].head)
            le_frame_free(pipe->pool, le_queue_take(&pipe->queues, queue));
        pipe->queues.deficit[queue] = 0;
    }
    pipe->queues.turn = 0;
}

void le_pipe_clear(struct le_pipe *pipe)
{
    pipe_drain(pipe);
    free(pipe->queues.aqm);
    le_queue_policy_release(pipe->model.policy);
    le_trace_release(pipe->trace.trace);
}

int le_pipe_prepare(struct le_pipe *pipe, const struct le_pipe_model *model)
{
    return le_queue_prepare(&pipe->queues, model->policy);
}

static void pipe_set_model(struct le_pipe *pipe, const struct le_pipe_model *model)
{
    if (model->rate_bps != pipe->model.rate_bps)
        pipe_set_rate(pipe, model->rate_bps);
    pipe_set_loss(pipe, &model->loss);
    le_queue_adopt(&pipe->queues, pipe->model.policy, model->policy);
    model->policy->users++;
    le_queue_policy_release(pipe->model.policy);
    pipe->model = *model;
}

static void pipe_go_down(struct le_pipe *pipe, int64_t time_ns)
{
    le_stats_add(&pipe->stats->drop_down, le_in_flight_frames(&pipe->in_flight) + pipe->queues.frames);
    pipe_drain(pipe);
    pipe->line_ns = pipe->ideal_ns = pipe->last_due_ns = time_ns; /* cuts the frame on the link off */
    pipe->line_rest = 0;
}

static void pipe_set_paused(struct le_pipe *pipe, bool paused, int64_t now_ns)
{
    int64_t time_ns = pipe_time(pipe, now_ns);
    if (paused) {
        pipe->paused_ns = time_ns;
    } else {
        pipe->skew_ns = now_ns - time_ns;
        if (pipe_line_free_ns(pipe) <= time_ns)
            pipe_rest_line(pipe, time_ns); /* frames that arrived meanwhile count as arriving now */
    }
    pipe->paused = paused;
}

void le_pipe_set(struct le_pipe *pipe, const struct le_pipe_change *change, int64_t now_ns)
{
    int64_t time_ns = pipe_time(pipe, now_ns);
    pipe_serve(pipe, time_ns);
    pipe_apply_trace(pipe, time_ns);
    if (change->model)
        pipe_set_model(pipe, change->model);
    if (change->down == 1 && !pipe->down)
        pipe_go_down(pipe, time_ns);
    if (change->down != PIPE_STAYS)
        pipe->down = change->down;
    if (change->blackhole != PIPE_STAYS)
        pipe->blackhole = change->blackhole;
    if (change->paused != PIPE_STAYS && change->paused != pipe->paused)
        pipe_set_paused(pipe, change->paused, now_ns);
    pipe_publish(pipe);
}

void le_pipe_follow(struct le_pipe *pipe, struct le_trace *trace, int64_t now_ns)
{
    int64_t time_ns = pipe_time(pipe, now_ns);
    pipe_serve(pipe, time_ns);
    pipe_apply_trace(pipe, time_ns);
    le_trace_follow(&pipe->trace, trace, time_ns);
}
