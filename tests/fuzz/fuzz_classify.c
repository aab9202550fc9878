/* Classifying bytes of any length, which lie at the very end of their memory. */
#include <string.h>

#include "fuzz.h"

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
    FUZZ_CHECK(length >= CLASSIFY_HEADER_BYTES || le_classify_frame(&tables, data, length) == 72);
    FUZZ_CHECK(le_transit_key(data, length) == le_transit_key(bytes, length));
    FUZZ_CHECK(le_classify_vlan(data, length) >= -1 && le_classify_vlan(data, length) < ENGINE_VLANS);
    if (length >= CLASSIFY_HEADER_BYTES) { /* shorter frames do not get that far */
        uint32_t tag_bytes = le_classify_tag_bytes(data, length);
        unsigned precedence = le_classify_precedence(data, length);
        FUZZ_CHECK(tag_bytes <= 8 && tag_bytes % 4 == 0 && CLASSIFY_HEADER_BYTES + tag_bytes <= length);
        FUZZ_CHECK(precedence >= 1 && precedence <= AQM_PRECEDENCES);
    }
    FUZZ_CHECK(memcmp(data, bytes, size) == 0);
    free(data);
    return 0;
}
