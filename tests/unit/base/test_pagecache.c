/* SPDX-License-Identifier: MIT */
#include "base/pagecache.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

static bool forbidden;

/* In place of the C library's: which pages are there, or, as in a sandbox, that nobody tells. */
int mincore(void *start, size_t len, unsigned char *vec)
{
    (void)start;
    (void)len;
    *vec = 0;
    if (forbidden)
        errno = EPERM;
    return forbidden ? -1 : 0;
}

static void nothing_is_there(void **state)
{
    (void)state;
    forbidden = false;
    assert_true(pagecache_share("/proc/self/exe") == 0);
}

static void all_counts_as_there_where_nobody_tells(void **state)
{
    (void)state;
    forbidden = true;
    assert_true(pagecache_share("/proc/self/exe") == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_there),
        cmocka_unit_test(all_counts_as_there_where_nobody_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
