/* SPDX-License-Identifier: MIT */
/* The field Range of a request for parts of a file: RFC 9110, 14.2. */
#ifndef HOSTLER_HTTP_BYTE_RANGE_H
#define HOSTLER_HTTP_BYTE_RANGE_H

#include <stddef.h>
#include <stdint.h>

#define BYTE_RANGES_MAX 16 /* of a request */

struct byte_range {
    uint64_t first, last; /* both included */
};

/* The parts of `size` bytes that `field` asks for, in its order, at most BYTE_RANGES_MAX. 0: it is malformed, asks for too many,
 * or for one that lies outside: as with llama-server it is not satisfied then, whatever the others are. */
size_t byte_ranges_parse(struct byte_range out[BYTE_RANGES_MAX], const char *field, uint64_t size);

#endif
