/* Classifying bytes of any length, which lie at the very end of their memory. */
#include <string.h>

#include "fuzz.h"

/* What a layout points to is within the frame, in the order in which it comes. */
static void check_layout(struct le_frame_layout layout, uint32_t length)
{
    uint32_t behind_tags = FRAME_HEADER_BYTES + layout.tag_bytes;
    FUZZ_CHECK(!layout.labels_at || (layout.labels_at == behind_tags && layout.labels_at + FRAME_LABEL_BYTES <= length));
    FUZZ_CHECK(!layout.packet_at || (layout.packet_at >= behind_tags && layout.packet_at + 2 <= length));
    FUZZ_CHECK(layout.packet_at ? layout.version == 4 || layout.version == 6 : layout.version == 0);
    FUZZ_CHECK(layout.packet_at <= behind_tags + FRAME_LABELS * FRAME_LABEL_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct le_classify_tables tables;
    if (size > FRAME_MAX_BYTES)
        return 0;
    for (unsigned i = 0; i < sizeof tables.queue_of_dscp; i++)
        tables.queue_of_dscp[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof tables.queue_of_tc; i++)
        tables.queue_of_tc[i] = (uint8_t)(64 + i);
    tables.queue_of_other = 72;

    uint8_t *data = malloc(size ? size : 1);
    FUZZ_CHECK(data);
    memcpy(data, bytes, size);
    uint32_t length = (uint32_t)size;
    FUZZ_CHECK(le_classify_frame(&tables, data, length) <= 72);
    FUZZ_CHECK(length >= FRAME_HEADER_BYTES || le_classify_frame(&tables, data, length) == 72);
    check_layout(le_frame_parse(data, length), length);
    FUZZ_CHECK(le_transit_key(data, length) == le_transit_key(bytes, length));
    FUZZ_CHECK(le_frame_vlan(data, length) >= -1 && le_frame_vlan(data, length) < ENGINE_VLANS);
    if (length >= FRAME_HEADER_BYTES) { /* shorter frames do not get that far */
        uint32_t tag_bytes = le_frame_tag_bytes(data, length);
        unsigned precedence = le_classify_precedence(data, length);
        FUZZ_CHECK(tag_bytes <= FRAME_TAGS * FRAME_TAG_BYTES && tag_bytes % FRAME_TAG_BYTES == 0 && FRAME_HEADER_BYTES + tag_bytes <= length);
        FUZZ_CHECK(precedence >= 1 && precedence <= AQM_PRECEDENCES);
    }
    FUZZ_CHECK(memcmp(data, bytes, size) == 0);
    free(data);
    return 0;
}
