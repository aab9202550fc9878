/* Fuzzes what the flow engine reads from datagrams, and what it makes of it for its reports. */
#include "flowengine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(claim)                                                                   \
    do {                                                                               \
        if (!(claim)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                                   \
        }                                                                              \
    } while (0)

#define COOKIE 7
#define SENDERS 4
#define RTP_THERE 0
#define RTP_BACK 1
#define RTCP_THERE 2
#define NOW_NS 1700000000000000000

/* An engine with a call, without sockets: two RTP streams and the reports on them. */
static void open_call(struct fe_engine *engine, struct fe_sender senders[SENDERS], struct fe_reception streams[SENDERS])
{
    *engine = (struct fe_engine){.cookie = COOKIE, .senders = senders, .senders_count = SENDERS, .streams = streams};
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct fe_sender){.flow = i, .clock_hz = 8000, .start_ns = NOW_NS};
        senders[i].format = i < RTCP_THERE ? FE_RTP : FE_RTCP;
        senders[i].own = i & 1;
        senders[i].peer = !(i & 1);
    }
}

/* Whether what the engine writes is read as what it was. */
static void check_round_trip(struct fe_engine *engine, uint32_t seq, int64_t tx_ns)
{
    uint8_t head[FE_HEAD_BYTES];
    for (uint32_t flow = 0; flow < SENDERS; flow++) {
        struct fe_stamp stamp = {__builtin_bswap32(COOKIE), __builtin_bswap32(flow), __builtin_bswap32(seq),
                                 __builtin_bswap64((uint64_t)tx_ns)};
        struct fe_sender *sender = &engine->senders[flow];
        size_t count = sender->format == FE_RTP ? fe_write_rtp(head, &stamp, seq, 8)
                                                : fe_write_rtcp(engine, sender, head, &stamp, NOW_NS);
        struct fe_parsed parsed;
        CHECK(count <= FE_HEAD_BYTES);
        CHECK(fe_parse(head, count, COOKIE, &parsed) == 0);
        CHECK(parsed.format == sender->format && parsed.flow == flow && parsed.seq == seq && parsed.tx_ns == tx_ns);
        CHECK(fe_parse(head, count, COOKIE + 1, &parsed) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fe_sender senders[SENDERS];
    struct fe_reception streams[SENDERS] = {0};
    struct fe_engine engine;
    uint32_t seq = 0;
    int64_t rx_ns = NOW_NS;

    open_call(&engine, senders, streams);
    while (size > 0) { /* a length, then so many bytes in memory of their own */
        size_t count = bytes[0] < size - 1 ? bytes[0] : size - 1;
        uint8_t *datagram = malloc(count ? count : 1); /* to the byte, so that a read beyond is seen */
        struct fe_parsed parsed;
        memcpy(datagram, bytes + 1, count);
        if (fe_parse(datagram, count, COOKIE, &parsed) == 0) {
            CHECK(parsed.format < FE_FORMATS);
            fe_hear(&engine, &parsed, rx_ns);
            seq = parsed.seq;
        }
        rx_ns += count > 0 ? (int64_t)datagram[0] * 1000000 : 0;
        free(datagram);
        bytes += count + 1;
        size -= count + 1;
    }
    check_round_trip(&engine, seq, rx_ns);
    return 0;
}
