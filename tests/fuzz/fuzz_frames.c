/* Frames of any kind into a plain port and a trunk, whose pipes have any settings. */
#include "fuzz.h"

#define PLAIN 0
#define TRUNK 1
#define PORTS 3
#define PIPES 4

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.at = bytes, .end = bytes + size};
    struct fuzz_world world;
    fuzz_world_open(&world, &input, PORTS, PIPES);
    for (unsigned port = 0; port < PORTS; port++)
        FUZZ_CHECK(le_engine_add_port(&world.engine) == port);
    const struct le_engine_pipe_spec ends[PIPES] = {
        {.src_port = PLAIN, .dst_port = TRUNK, .dst_vlan = 1},
        {.src_port = TRUNK, .src_vlan = 1, .dst_port = PLAIN},
        {.src_port = TRUNK, .src_vlan = 2, .dst_port = TRUNK, .dst_vlan = 4094},
        {.src_port = TRUNK, .src_vlan = 4094, .dst_port = 2},
    };
    for (unsigned i = 0; i < PIPES; i++) {
        struct le_engine_pipe_spec spec = ends[i];
        spec.seed = fuzz_take(&input, 1);
        spec.model = fuzz_model(&input);
        fuzz_world_add(&world, spec);
    }
    while (input.at < input.end) {
        uint32_t length, port = (uint32_t)fuzz_upto(&input, PORTS - 1);
        uint8_t *data = fuzz_frame(&input, &length);
        le_engine_arrive(&world.engine, port, data, length, world.now_ns);
        free(data);
        fuzz_world_check(&world);
        fuzz_world_advance(&world, (int64_t)fuzz_upto(&input, UINT32_MAX));
        fuzz_world_check(&world);
    }
    fuzz_world_close(&world);
    return 0;
}
