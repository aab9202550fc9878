/* A source and a sink on the device's side of two ports of the link engine: frames at a rate into one's ring, all frames
 * out of the other's. Split virtqueues (Virtio 1.1, 2.6) as emulation/linkengine/vring.h lays them out.
 *
 * Compiled when a benchmark needs it (rings.py). */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES 12 /* struct virtio_net_hdr */
#define NO_INTERRUPT 1  /* in the flags of an available ring */
#define SECOND_NS 1000000000ll

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

struct used_entry {
    uint32_t id, length;
};

/* One ring; rings.py has the same structure. */
struct ring {
    uint8_t *memory;
    uint64_t desc, avail, used; /* offsets */
    uint16_t entries;           /* a power of two */
    uint16_t taken;             /* entries of the available ring, modulo 2^16 */
};

struct outcome {
    uint64_t sent, arrived, wrong; /* wrong: arrived with another length */
    int64_t took_ns;               /* until the last frame was sent */
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static uint16_t *words(const struct ring *ring, uint64_t offset)
{
    return (uint16_t *)(ring->memory + offset);
}

static uint16_t posted(const struct ring *ring)
{
    uint16_t index = atomic_load_explicit((_Atomic uint16_t *)(words(ring, ring->avail) + 1), memory_order_acquire);
    return (uint16_t)(index - ring->taken);
}

static struct descriptor *take(struct ring *ring, uint16_t *number)
{
    *number = words(ring, ring->avail)[2 + (ring->taken++ & (ring->entries - 1))];
    return (struct descriptor *)(ring->memory + ring->desc) + *number;
}

/* Return count descriptors, of which the last entries of the used ring have been written. */
static void publish(struct ring *ring, uint16_t count)
{
    _Atomic uint16_t *index = (_Atomic uint16_t *)(words(ring, ring->used) + 1);
    atomic_store_explicit(index, (uint16_t)(atomic_load_explicit(index, memory_order_relaxed) + count),
                          memory_order_release);
}

static void give(struct ring *ring, uint16_t ahead, uint16_t number, uint32_t length)
{
    uint16_t place = (uint16_t)(words(ring, ring->used)[1] + ahead) & (ring->entries - 1);
    struct used_entry *used = (struct used_entry *)(ring->memory + ring->used + 4) + place;
    used->id = number;
    used->length = length;
}

static uint16_t put(struct ring *ring, int call, const uint8_t *frame, uint32_t length, uint64_t wanted)
{
    uint16_t room = posted(ring), count = wanted < room ? (uint16_t)wanted : room;
    for (uint16_t done = 0; done < count; done++) {
        uint16_t number;
        uint8_t *buffer = ring->memory + take(ring, &number)->address;
        memset(buffer, 0, HEADER_BYTES);
        memcpy(buffer + HEADER_BYTES, frame, length);
        give(ring, done, number, HEADER_BYTES + length);
    }
    if (count) {
        publish(ring, count);
        atomic_thread_fence(memory_order_seq_cst);
        if (!(words(ring, ring->avail)[0] & NO_INTERRUPT)) {
            uint64_t one = 1;
            (void)!write(call, &one, sizeof one);
        }
    }
    return count;
}

static void drain(struct ring *ring, uint32_t length, struct outcome *outcome)
{
    uint16_t count = posted(ring);
    for (uint16_t done = 0; done < count; done++) {
        uint16_t number;
        const struct descriptor *desc = take(ring, &number);
        if (desc->length == HEADER_BYTES + length)
            outcome->arrived++;
        else
            outcome->wrong++;
        give(ring, done, number, 0);
    }
    if (count)
        publish(ring, count);
}

/* Send frames_per_s for send_ns, as evenly as pauses of pause_ns allow: what found the ring full is sent later. Take
 * frames until settle_ns after the last. call: the eventfd by which the engine wants to be told. */
void run_traffic(struct ring *source, struct ring *sink, int call, const uint8_t *frame, uint32_t length,
                 double frames_per_s, int64_t send_ns, int64_t settle_ns, int64_t pause_ns, struct outcome *outcome)
{
    struct timespec pause = {.tv_nsec = pause_ns};
    int64_t start = now_ns(), elapsed;
    memset(outcome, 0, sizeof *outcome);
    while ((elapsed = now_ns() - start) < send_ns + settle_ns) {
        if (elapsed < send_ns) {
            uint64_t due = (uint64_t)((double)elapsed * frames_per_s / 1e9);
            outcome->sent += put(source, call, frame, length, due - outcome->sent);
            outcome->took_ns = elapsed;
        }
        drain(sink, length, outcome);
        nanosleep(&pause, NULL);
    }
}
