/* Frames of any kind into a plain port and a trunk, whose pipes have any settings. */
#include "fuzz.h"

#define PLAIN 0
#define TRUNK 1
#define PORTS 3
#define PIPES 4

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.at = bytes, .end = bytes + size};
    struct fuzz_state fuzz;
    fuzz_state_open(&fuzz, &input, PORTS, PIPES);
    for (unsigned port = 0; port < PORTS; port++)
        FUZZ_CHECK(le_engine_add_port(&fuzz.engine) == port);
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
        fuzz_state_add(&fuzz, spec);
    }
    while (input.at < input.end) {
        uint32_t length, port = (uint32_t)fuzz_upto(&input, PORTS - 1);
        uint8_t *data = fuzz_frame(&input, &length);
        le_engine_arrive(&fuzz.engine, port, data, length, fuzz.now_ns);
        free(data);
        fuzz_state_check(&fuzz);
        fuzz_state_advance(&fuzz, (int64_t)fuzz_upto(&input, UINT32_MAX));
        fuzz_state_check(&fuzz);
    }
    fuzz_state_close(&fuzz);
    return 0;
}
