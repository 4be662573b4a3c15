/* SPDX-License-Identifier: MIT */
/* Values as people write them in options, variables and presets. Each 0 or a negative errno with a
 * text that quotes the value and says what is wanted. Times have a file of their own. */
#ifndef HOSTLER_BASE_VALUE_H
#define HOSTLER_BASE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A whole number of at most INT_MAX, which is what llama-server takes, 0 or more. Blanks may surround it. */
int value_count(const char *text, unsigned *out, struct error *err)
    __attribute__((warn_unused_result));
/* A whole number. Blanks may surround it. */
int value_int(const char *text, int *out, struct error *err) __attribute__((warn_unused_result));
/* A duration (duration.h), in ms. */
int value_time(const char *text, uint64_t *ms, struct error *err)
    __attribute__((warn_unused_result));
/* Bytes: `1048576`, or with K, M, G, T, also in small letters, as KiB, MiB, …: `512M`, `8GiB`,
 * `1.5G`; by 1024 each. GB is refused: for some it is by 1000. Less than 2^63, JSON's whole
 * numbers. */
int value_memory(const char *text, uint64_t *bytes, struct error *err)
    __attribute__((warn_unused_result));
/* llama.cpp's words for on and off: on, enabled, true, 1; off, disabled, false, 0. */
int value_truth(const char *text, bool *on, struct error *err) __attribute__((warn_unused_result));

#endif
