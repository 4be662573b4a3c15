/* SPDX-License-Identifier: MIT */
/*
 * Products of figures that files and arguments give, which may be anything: they stop at PRODUCT_MAX, so that neither
 * they nor the sum of a few hundred of them wraps to a small figure.
 */
#ifndef HOSTLER_ENGINE_LLAMA_PRODUCT_H
#define HOSTLER_ENGINE_LLAMA_PRODUCT_H

#include <stdint.h>

#define PRODUCT_MAX ((uint64_t)1 << 54) /* bytes: 16 PiB, more than a machine has */

static inline uint64_t product_bound(uint64_t n)
{
    return n < PRODUCT_MAX ? n : PRODUCT_MAX;
}

static inline uint64_t product(uint64_t a, uint64_t b)
{
    uint64_t n;
    return __builtin_mul_overflow(a, b, &n) ? PRODUCT_MAX : product_bound(n);
}

#endif
