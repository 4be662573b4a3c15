/* SPDX-License-Identifier: MIT */
/* What the limit of open files leaves to clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/descriptors.h"

static void others_have_theirs_first(void **state)
{
    (void)state;
    for (unsigned long limit = 128; limit < 100000; limit += 777) {
        unsigned clients = descriptors_clients(0, 4, limit);
        assert_true(2UL * clients + 4 * 8 + 48 + 16 + 32 <= limit || clients == 4);
    }
    assert_int_equal(descriptors_clients(0, 4, 1024), 448);
    assert_true(descriptors_clients(0, 0, 1024) < descriptors_clients(0, 4, 1024));
}

static void what_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(descriptors_clients(100, 4, 1024), 100);
    assert_int_equal(descriptors_clients(5000, 4, 1024), 448);
    assert_int_equal(descriptors_clients(80000, 4, 1UL << 20), 80000);
    assert_int_equal(descriptors_clients(0, 4, ~0UL), 50000);
}

static void however_low_it_is(void **state)
{
    (void)state;
    assert_int_equal(descriptors_clients(0, 4, 0), 4);
    assert_int_equal(descriptors_clients(1, 4, 0), 1);
}

/* What is open now, and `more`. */
static void set_limit(int more)
{
    struct rlimit limit;
    int next = dup(STDERR_FILENO);
    assert_int_equal(close(next), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)(next + more);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void too_few_for_any_engine(void **state)
{
    (void)state;
    struct error err = {0};
    set_limit(12);
    assert_int_equal(descriptors_check(&err), 0);
    set_limit(11);
    assert_int_equal(descriptors_check(&err), -EMFILE);
    assert_non_null(strstr(err.text, "leaves 11 for engines"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_have_theirs_first),
        cmocka_unit_test(what_is_asked_for),
        cmocka_unit_test(however_low_it_is),
        cmocka_unit_test(too_few_for_any_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
