/* SPDX-License-Identifier: MIT */
#include "cli/doctor/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void raises(unsigned long soft, unsigned long hard, const char *want)
{
    struct doctor_remedy remedy = doctor_raise_limit(7, soft, hard);
    const char *prlimit = strstr(remedy.command, "prlimit"); /* perhaps behind `sudo ` */
    assert_string_equal(prlimit, want);
    assert_non_null(strstr(remedy.remark, "LimitNOFILE"));
    free(remedy.command);
    free(remedy.remark);
}

static void test_a_limit_is_raised_never_lowered(void **state)
{
    (void)state;
    raises(1000, 500000, "prlimit --pid 7 --nofile=65536:");
    raises(1000, 8192, "prlimit --pid 7 --nofile=8192:");
    raises(1000, 1000, "prlimit --pid 7 --nofile=65536:65536");
    raises(70000, 500000, "prlimit --pid 7 --nofile=140000:");
    raises(70000, 100000, "prlimit --pid 7 --nofile=100000:");
    raises(100000, 100000, "prlimit --pid 7 --nofile=200000:200000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_limit_is_raised_never_lowered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
