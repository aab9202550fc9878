/* Capture: copies of the frames that leave pipes, in a ring in shared memory, for a process that writes them to a file.
 *
 * The engine writes each frame as a pcapng Enhanced Packet Block (draft-ietf-opsawg-pcapng), so the reader only copies
 * the bytes to the file. One writer, one reader; neither waits for the other: a frame for which there is no room is
 * counted as missed. emulation/links/capture.py mirrors struct le_capture_ring.
 */
#ifndef LINKENGINE_CAPTURE_H
#define LINKENGINE_CAPTURE_H

#include <stdint.h>

#define CAPTURE_INTERFACES 2    /* pipes of one capture, at most: a link's two directions */
#define CAPTURE_RING_AT 4096    /* the ring's bytes start here, after struct le_capture_ring */
#define CAPTURE_TAG_AT 12       /* offset of a trunk's tag, which is not captured */

struct le_capture_ring {
    uint64_t head;                        /* bytes put in so far; by the engine */
    uint64_t frames[CAPTURE_INTERFACES];  /* frames put in, by interface; by the engine */
    uint64_t missed[CAPTURE_INTERFACES];  /* frames without room, by interface; by the engine */
    uint64_t reserved[3];                 /* tail on a cache line of its own */
    uint64_t tail;                        /* bytes taken out so far; by the reader */
};

struct le_capture {
    struct le_capture_ring *ring;  /* shared memory */
    uint8_t *bytes;                /* the ring's bytes in it */
    uint64_t size;                 /* how many there are */
    uint64_t head;                 /* private copy: the value in shared memory is not trusted */
    uint32_t snap_bytes;           /* how much of a frame is kept */
    unsigned users;                /* pipes that put frames in */
};

/* Map the ring that fd holds. NULL with errno when it is none. */
struct le_capture *le_capture_open(int fd, uint32_t snap_bytes);

/* Release a reference; the last one unmaps. NULL is allowed. */
void le_capture_release(struct le_capture *capture);

/* Put a frame of length bytes in, without the tag_bytes at CAPTURE_TAG_AT. time_ns: CLOCK_REALTIME. */
void le_capture_frame(struct le_capture *capture, uint32_t interface, uint64_t time_ns, const uint8_t *data,
                      uint32_t length, uint32_t tag_bytes);

#endif
