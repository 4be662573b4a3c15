/* SPDX-License-Identifier: MIT */
/* Clients of the origins that tests play. */
#ifndef HOSTLER_TESTS_ORIGIN_TEST_H
#define HOSTLER_TESTS_ORIGIN_TEST_H

#include "loop_test.h"

#include "http/client.h"

static inline struct http_client *client_at(uv_loop_t *loop, const char *path, unsigned max)
{
    struct http_origin address;
    struct http_origin_traits traits = {.max_connections = max, .keep_ms = 3000, .field_max = 8000};
    assert_int_equal(http_origin_unix(&address, path), 0);
    return http_client_create(loop, &address, &traits, 0);
}

static inline struct http_client *client_to(struct loop_test *t, unsigned max)
{
    return client_at(&t->loop, t->path, max);
}

#endif
