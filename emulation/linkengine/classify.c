#include "classify.h"

#include <stdbool.h>

#include "frame_parse.h"

/* The differentiated services code point of the IP header, which must exist. */
static unsigned classify_dscp(const uint8_t *data, const struct le_frame_layout *layout)
{
    const uint8_t *header = data + layout->packet_at;
    if (layout->version == 4)
        return header[1] >> 2;
    return (header[0] & 0xfu) << 2 | header[1] >> 6;
}

unsigned le_classify_frame(const struct le_classify_tables *tables, const uint8_t *data, uint32_t length)
{
    struct le_frame_layout layout = le_frame_parse(data, length);
    if (layout.labels_at)
        return tables->queue_of_tc[data[layout.labels_at + 2] >> 1 & 7];
    if (layout.packet_at)
        return tables->queue_of_dscp[classify_dscp(data, &layout)];
    return tables->queue_of_other;
}

unsigned le_classify_precedence(const uint8_t *data, uint32_t length)
{
    struct le_frame_layout layout = le_frame_parse(data, length);
    if (!layout.packet_at)
        return 1;
    unsigned dscp = classify_dscp(data, &layout), class = dscp >> 3, precedence = dscp >> 1 & 3;
    bool assured = class >= 1 && class <= 4 && precedence && !(dscp & 1);
    return assured ? precedence : 1;
}
