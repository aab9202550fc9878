#include "capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "stats.h"

#define CAPTURE_BLOCK_TYPE 6   /* Enhanced Packet Block */
#define CAPTURE_FIXED_BYTES 32 /* of a block, beside the frame */

struct le_capture *le_capture_open(int fd, uint32_t snap_bytes)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return NULL;
    if (file.st_size <= CAPTURE_RING_AT) {
        errno = EINVAL;
        return NULL;
    }
    struct le_capture *capture = malloc(sizeof *capture);
    if (!capture)
        return NULL;
    void *memory = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        free(capture);
        return NULL;
    }
    *capture = (struct le_capture){
        .ring = memory,
        .bytes = (uint8_t *)memory + CAPTURE_RING_AT,
        .size = (uint64_t)file.st_size - CAPTURE_RING_AT,
        .snap_bytes = snap_bytes,
    };
    return capture;
}

void le_capture_release(struct le_capture *capture)
{
    if (!capture || --capture->users > 0)
        return;
    munmap(capture->ring, CAPTURE_RING_AT + capture->size);
    free(capture);
}

/* Put bytes in at the position given, around the ring's end. */
static uint64_t capture_put(struct le_capture *capture, uint64_t at, const void *data, uint64_t length)
{
    uint64_t offset = at % capture->size;
    uint64_t first = length < capture->size - offset ? length : capture->size - offset;
    memcpy(capture->bytes + offset, data, first);
    memcpy(capture->bytes, (const uint8_t *)data + first, length - first);
    return at + length;
}

void le_capture_frame(struct le_capture *capture, uint32_t interface, uint64_t time_ns, const uint8_t *data,
                      uint32_t length, uint32_t tag_bytes)
{
    static const uint8_t zeros[4];
    uint32_t line_bytes = length - tag_bytes;
    uint32_t kept = line_bytes < capture->snap_bytes ? line_bytes : capture->snap_bytes;
    uint32_t pad = -kept & 3;
    uint32_t total = CAPTURE_FIXED_BYTES + kept + pad;
    uint64_t used = capture->head - __atomic_load_n(&capture->ring->tail, __ATOMIC_ACQUIRE);

    if (used > capture->size || capture->size - used < total) {
        le_stats_add(&capture->ring->missed[interface], 1);
        return;
    }
    const uint32_t block[7] = {CAPTURE_BLOCK_TYPE, total, interface,
                               (uint32_t)(time_ns >> 32), (uint32_t)time_ns, kept, line_bytes};
    uint32_t before_tag = kept < CAPTURE_TAG_AT ? kept : CAPTURE_TAG_AT;
    uint64_t at = capture_put(capture, capture->head, block, sizeof block);
    at = capture_put(capture, at, data, before_tag);
    at = capture_put(capture, at, data + before_tag + tag_bytes, kept - before_tag);
    at = capture_put(capture, at, zeros, pad);
    capture->head = capture_put(capture, at, &total, sizeof total);
    le_stats_add(&capture->ring->frames[interface], 1);
    __atomic_store_n(&capture->ring->head, capture->head, __ATOMIC_RELEASE);
}
