/* What the fuzzers share: numbers, settings and frames taken from the fuzzer's bytes, and what must hold of an engine
 * at any time. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

/* A claim that holds whatever the input; the fuzzer keeps an input for which it does not. */
#define FUZZ_CHECK(claim)                                                              \
    do {                                                                               \
        if (!(claim)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                                   \
        }                                                                              \
    } while (0)

struct fuzz_input {
    const uint8_t *at;   /* what comes next */
    const uint8_t *end;  /* behind the last byte */
};

/* The next bytes as a number, zeros behind the end. */
uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes);

/* A number from 0 to max. */
uint64_t fuzz_upto(struct fuzz_input *input, uint64_t max);

/* A probability: often 0 or 1. */
double fuzz_probability(struct fuzz_input *input);

/* Any model within the bounds that py_convert.c sets. The policy is new, with one user. */
struct le_pipe_model fuzz_model(struct fuzz_input *input);

/* Any trace of up to four points, with one user. */
struct le_trace *fuzz_trace(struct fuzz_input *input);

/* A frame of its own memory, which the caller frees, to the byte: a template or bytes of the input, or both. */
uint8_t *fuzz_frame(struct fuzz_input *input, uint32_t *length);

struct fuzz_state {
    struct le_engine engine;   /* what is tried */
    void *stats;               /* its counters' memory */
    struct fuzz_input *input;  /* where outcomes of deliveries come from */
    int64_t now_ns;            /* never decreases */
    int64_t polled_ns;         /* when it was last asked for what is due */
    int64_t delivered_ns;      /* due time of the last delivery */
};

/* An engine without ports, with little memory and any class tables. */
void fuzz_state_open(struct fuzz_state *fuzz, struct fuzz_input *input, uint32_t max_ports, uint32_t max_pipes);

/* Add a pipe, if it can be added. */
void fuzz_state_add(struct fuzz_state *fuzz, struct le_engine_pipe_spec spec);

/* Let time pass and deliver what is due. */
void fuzz_state_advance(struct fuzz_state *fuzz, int64_t step_ns);

/* Bounded memory, every frame accounted for, heap in order. */
void fuzz_state_check(const struct fuzz_state *fuzz);
void fuzz_state_close(struct fuzz_state *fuzz);

#endif
