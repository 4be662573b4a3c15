/* SPDX-License-Identifier: MIT */
/* A request's target: path and query, percent-decoded on demand. RFC 3986; `+` in a query is a
 * blank, as web forms have it. */
#ifndef HOSTLER_HTTP_TARGET_H
#define HOSTLER_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the path in `target` (up to `?` or `#`). */
size_t target_path_len(const char *target);
/* The decoded value of the last query parameter `name`, which is the one that llama-server looks
 * at; the caller frees it. NULL when there is none. A parameter without `=` has the value "". Malformed escapes stay as they are; %00 ends a
 * value's use as a string, so such a value counts as absent. */
char *target_query(const char *target, const char *name);
/* The parameters one after the other: `*at` begins at the target's end of the path. Both texts are
 * decoded, and the caller's to free; those with an encoded zero byte are passed over. False after
 * the last. */
bool target_next(const char **at, char **name, char **value);
/* Percent-decodes `len` bytes; the caller frees. NULL on an encoded zero byte. */
char *target_decode(const char *text, size_t len);
/* Percent-encodes everything but unreserved characters; the caller frees. */
char *target_encode(const char *text);

#endif
