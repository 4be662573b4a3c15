/* SPDX-License-Identifier: MIT */
/* A request's target: what is encoded comes back, and a value that was put in is found. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/target.h"

static void round_trip(const char *text)
{
    char *encoded = target_encode(text);
    char *decoded = target_decode(encoded, strlen(encoded));
    if (!decoded || strcmp(decoded, text) != 0)
        abort();
    size_t room = strlen(encoded) + 32;
    char *target = malloc(room);
    snprintf(target, room, "/x?a=b&model=%s&c", encoded);
    char *value = target_query(target, "model");
    if (!value || strcmp(value, text) != 0 || target_path_len(target) != 2)
        abort();
    free(value);
    free(target);
    free(decoded);
    free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (target_path_len(text) > strlen(text))
        abort();
    char *value = target_query(text, "model");
    if (value && strlen(value) >= size)
        abort();
    free(value);
    free(target_query(text, ""));
    char *decoded = target_decode(text, strlen(text));
    if (decoded && strlen(decoded) > strlen(text))
        abort();
    free(decoded);
    round_trip(text);
    free(text);
    return 0;
}
