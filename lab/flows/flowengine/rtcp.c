/* The flow engine's RTCP: what is heard of RTP streams, and reports on it (RFC 3550, 6.4 and appendix A). */
#define _GNU_SOURCE
#include "flowengine.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FE_NTP_EPOCH_S 2208988800u /* from 1900, NTP's year 0, to 1970 */
#define FE_SECOND_NS 1000000000
#define FE_CNAME 1 /* item of SDES */
#define FE_CNAME_BYTES 17 /* "xxxxxxxx@helsewan" */
#define FE_LOST_MAX 0x7fffff
#define FE_LOST_MIN (-0x800000)


/* ---- times ----------------------------------------------------------------------------------- */

/* A time in units of a clock; overflows by wrapping round, as time stamps do. */
static uint32_t fe_units(int64_t time_ns, uint32_t clock_hz)
{
    int64_t whole_s = time_ns / FE_SECOND_NS, rest_ns = time_ns % FE_SECOND_NS;
    return (uint32_t)((uint64_t)whole_s * clock_hz + (uint64_t)(rest_ns * (int64_t)clock_hz / FE_SECOND_NS));
}

uint32_t fe_rtp_timestamp(const struct fe_engine *engine, const struct fe_sender *sender, int64_t time_ns)
{
    return fe_rtp_first_timestamp(engine->cookie, sender->flow) +
           fe_units(time_ns - sender->start_ns, sender->clock_hz);
}

/* ---- what is heard --------------------------------------------------------------------------- */

static void fe_hear_rtp(struct fe_reception *stream, const struct fe_parsed *parsed, int64_t rx_ns, uint32_t clock_hz)
{
    uint32_t transit = fe_units(rx_ns, clock_hz) - parsed->rtp_timestamp;
    int16_t ahead = (int16_t)(parsed->rtp_seq - (uint16_t)stream->max_seq);
    stream->received++;
    if (!stream->heard) {
        stream->heard = 1;
        stream->base_seq = stream->max_seq = parsed->rtp_seq;
    } else {
        int64_t change = (int32_t)(transit - stream->transit);
        stream->jitter += (uint32_t)llabs(change) - ((stream->jitter + 8) >> 4); /* A.8 */
        if (ahead > 0)
            stream->max_seq += (uint32_t)ahead;
    }
    stream->transit = transit;
}

void fe_hear(struct fe_engine *engine, const struct fe_parsed *parsed, int64_t rx_ns)
{
    if (parsed->flow >= engine->senders_count)
        return;
    const struct fe_sender *sender = &engine->senders[parsed->flow];
    if (sender->flow != parsed->flow || sender->format != parsed->format)
        return;
    if (parsed->format == FE_RTP)
        fe_hear_rtp(&engine->streams[parsed->flow], parsed, rx_ns, sender->clock_hz);
    if (parsed->format == FE_RTCP && parsed->sr_middle) {
        engine->streams[sender->own].last_sr = parsed->sr_middle;
        engine->streams[sender->own].last_sr_ns = rx_ns;
    }
}

/* ---- reports --------------------------------------------------------------------------------- */

static uint8_t *fe_put32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

/* The first word of a packet of ``bytes``: version 2, a count of blocks or chunks, type, length in words less one. */
static uint8_t *fe_put_start(uint8_t *at, unsigned blocks, unsigned type, size_t bytes)
{
    return fe_put32(at, (uint32_t)(0x80u | blocks) << 24 | (uint32_t)type << 16 | (uint32_t)(bytes / 4 - 1));
}

static uint8_t *fe_put_sender_info(uint8_t *at, const struct fe_engine *engine, const struct fe_sender *own,
                                   int64_t now_ns)
{
    uint64_t rest_ns = (uint64_t)(now_ns % FE_SECOND_NS);
    at = fe_put32(at, (uint32_t)(now_ns / FE_SECOND_NS + FE_NTP_EPOCH_S));
    at = fe_put32(at, (uint32_t)((rest_ns << 32) / FE_SECOND_NS));
    at = fe_put32(at, fe_rtp_timestamp(engine, own, now_ns));
    at = fe_put32(at, own->packets);
    return fe_put32(at, own->octets);
}

/* A report block (6.4.1), and the counts that the next one's share of loss starts from (A.3). */
static uint8_t *fe_put_block(uint8_t *at, struct fe_reception *stream, uint32_t ssrc, int64_t now_ns)
{
    uint32_t expected = stream->max_seq - stream->base_seq + 1;
    int64_t lost = (int64_t)expected - stream->received;
    int64_t due = expected - stream->expected_prior;
    int64_t missing = due - (int64_t)(stream->received - stream->received_prior);
    uint32_t fraction = due > 0 && missing > 0 ? (uint32_t)((missing << 8) / due) : 0;
    int64_t since_ns = stream->last_sr ? now_ns - stream->last_sr_ns : 0;
    lost = lost > FE_LOST_MAX ? FE_LOST_MAX : lost < FE_LOST_MIN ? FE_LOST_MIN : lost;
    stream->expected_prior = expected;
    stream->received_prior = stream->received;
    at = fe_put32(at, ssrc);
    at = fe_put32(at, (fraction > 255 ? 255 : fraction) << 24 | ((uint32_t)lost & 0xffffff));
    at = fe_put32(at, stream->max_seq);
    at = fe_put32(at, stream->jitter >> 4);
    at = fe_put32(at, stream->last_sr);
    return fe_put32(at, since_ns > 0 ? (uint32_t)((uint64_t)since_ns * 65536 / FE_SECOND_NS) : 0);
}

static uint8_t *fe_put_cname(uint8_t *at, uint32_t ssrc)
{
    char name[FE_CNAME_BYTES + 1];
    snprintf(name, sizeof(name), "%08x@helsewan", ssrc);
    at = fe_put_start(at, 1, FE_SDES, 28);
    at = fe_put32(at, ssrc);
    *at++ = FE_CNAME;
    *at++ = FE_CNAME_BYTES;
    memcpy(at, name, sizeof(name)); /* its last zero ends the chunk, which is a whole number of words */
    return at + sizeof(name);
}

size_t fe_write_rtcp(struct fe_engine *engine, struct fe_sender *sender, uint8_t *head, const struct fe_stamp *stamp,
                     int64_t now_ns)
{
    const struct fe_sender *own = &engine->senders[sender->own], *peer = &engine->senders[sender->peer];
    struct fe_reception *heard = &engine->streams[sender->peer];
    uint32_t ssrc = fe_ssrc(engine->cookie, own->flow);
    unsigned blocks = heard->received != heard->received_prior; /* of those heard since the last report (6.4) */
    int sends = own->packets != sender->reported[1]; /* since the last report but one (6.4) */
    uint8_t *at = fe_put_start(head, blocks, sends ? FE_SR : FE_RR, (sends ? 28 : 8) + 24 * blocks);
    sender->reported[1] = sender->reported[0];
    sender->reported[0] = own->packets;
    at = fe_put32(at, ssrc);
    if (sends)
        at = fe_put_sender_info(at, engine, own, now_ns);
    if (blocks)
        at = fe_put_block(at, heard, fe_ssrc(engine->cookie, peer->flow), now_ns);
    at = fe_put_cname(at, ssrc);
    at = fe_put_start(at, 0, FE_APP, 12 + sizeof(*stamp));
    at = fe_put32(at, ssrc);
    at = fe_put32(at, FE_MAGIC);
    memcpy(at, stamp, sizeof(*stamp));
    return (size_t)(at - head) + sizeof(*stamp);
}
