/* The flow engine's datagrams on the wire: written, and read from whatever bytes arrive. See flowengine.h. */
#define _GNU_SOURCE
#include "flowengine.h"

#include <endian.h>
#include <string.h>

#define FE_VERSION 0x80         /* RTP and RTCP version 2, no padding */
#define FE_VERSION_MASK 0xe0    /* version and padding of an RTCP packet */
#define FE_RTCP_FIRST_TYPE 192  /* second byte: RTCP packet types are 192 to 223, which no RTP in use has (RFC 5761, 4) */
#define FE_RTCP_LAST_TYPE 223
#define FE_SR_HEADER_BYTES 16 /* up to the NTP time stamp's end */
#define FE_APP_HEADER_BYTES 12

/* Scrambles a number (the finaliser of splitmix64). */
static uint64_t fe_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

static uint64_t fe_stream_key(uint32_t cookie, uint32_t flow)
{
    return fe_mix((uint64_t)cookie << 32 | flow);
}

uint32_t fe_ssrc(uint32_t cookie, uint32_t flow)
{
    return (uint32_t)(fe_stream_key(cookie, flow) >> 32);
}

uint16_t fe_rtp_first_seq(uint32_t cookie, uint32_t flow)
{
    return (uint16_t)fe_stream_key(cookie, flow);
}

uint32_t fe_rtp_first_timestamp(uint32_t cookie, uint32_t flow)
{
    return (uint32_t)fe_mix(fe_stream_key(cookie, flow));
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint32_t fe_read32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return be32toh(value);
}

static uint16_t fe_read16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* Reads a stamp, all of whose bytes are there. 0, or -1: it is of another run. */
static int fe_read_stamp(const uint8_t *bytes, uint32_t cookie, struct fe_parsed *parsed)
{
    struct fe_stamp stamp;
    memcpy(&stamp, bytes, sizeof(stamp));
    parsed->flow = be32toh(stamp.flow);
    parsed->seq = be32toh(stamp.seq);
    parsed->tx_ns = (int64_t)be64toh(stamp.tx_ns);
    return be32toh(stamp.cookie) == cookie ? 0 : -1;
}

static int fe_parse_rtp(const uint8_t *bytes, size_t count, uint32_t cookie, struct fe_parsed *parsed)
{
    if (count < FE_RTP_BYTES || fe_read_stamp(bytes + FE_RTP_HEADER_BYTES, cookie, parsed) < 0)
        return -1;
    parsed->format = FE_RTP;
    parsed->rtp_seq = fe_read16(bytes + 2);
    parsed->rtp_timestamp = fe_read32(bytes + 4);
    return fe_read32(bytes + 8) == fe_ssrc(cookie, parsed->flow) ? 0 : -1;
}

/* Goes through the packets of a compound one, each as long as it says (in 32-bit words beyond the first). */
static int fe_parse_rtcp(const uint8_t *bytes, size_t count, uint32_t cookie, struct fe_parsed *parsed)
{
    parsed->format = FE_RTCP;
    for (size_t at = 0; count - at >= 4;) {
        const uint8_t *packet = bytes + at;
        size_t length = ((size_t)fe_read16(packet + 2) + 1) * 4;
        if ((packet[0] & FE_VERSION_MASK) != FE_VERSION || length > count - at)
            return -1;
        if (at == 0 && packet[1] != FE_SR && packet[1] != FE_RR)
            return -1; /* the first is a report (RFC 3550, 6.1) */
        if (at == 0 && packet[1] == FE_SR && length >= FE_SR_HEADER_BYTES)
            parsed->sr_middle = (uint32_t)fe_read16(packet + 10) << 16 | fe_read16(packet + 12);
        if (packet[1] == FE_APP && length >= FE_APP_HEADER_BYTES + sizeof(struct fe_stamp) &&
            fe_read32(packet + 8) == FE_MAGIC)
            return fe_read_stamp(packet + FE_APP_HEADER_BYTES, cookie, parsed);
        at += length;
    }
    return -1;
}

int fe_parse(const uint8_t *bytes, size_t count, uint32_t cookie, struct fe_parsed *parsed)
{
    *parsed = (struct fe_parsed){0};
    if (count >= FE_HEADER_BYTES && fe_read32(bytes) == FE_MAGIC)
        return fe_read_stamp(bytes + 4, cookie, parsed);
    if (count < 4 || (bytes[0] & FE_VERSION_MASK) != FE_VERSION)
        return -1;
    if (bytes[1] >= FE_RTCP_FIRST_TYPE && bytes[1] <= FE_RTCP_LAST_TYPE)
        return fe_parse_rtcp(bytes, count, cookie, parsed);
    return bytes[0] == FE_VERSION ? fe_parse_rtp(bytes, count, cookie, parsed) : -1;
}

/* ---- writing --------------------------------------------------------------------------------- */

size_t fe_write_plain(uint8_t *head, const struct fe_stamp *stamp)
{
    uint32_t magic = htobe32(FE_MAGIC);
    memcpy(head, &magic, sizeof(magic));
    memcpy(head + sizeof(magic), stamp, sizeof(*stamp));
    return FE_HEADER_BYTES;
}

size_t fe_write_rtp(uint8_t *head, const struct fe_stamp *stamp, uint32_t timestamp, uint8_t type_and_marker)
{
    uint32_t cookie = be32toh(stamp->cookie), flow = be32toh(stamp->flow);
    uint16_t seq = htobe16((uint16_t)(fe_rtp_first_seq(cookie, flow) + be32toh(stamp->seq)));
    uint32_t words[] = {htobe32(timestamp), htobe32(fe_ssrc(cookie, flow))};
    head[0] = FE_VERSION;
    head[1] = type_and_marker;
    memcpy(head + 2, &seq, sizeof(seq));
    memcpy(head + 4, words, sizeof(words));
    memcpy(head + FE_RTP_HEADER_BYTES, stamp, sizeof(*stamp));
    return FE_RTP_BYTES;
}
