/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/kernel.h"
#include "tree.h"

static void units(void **state)
{
    (void)state;
    assert_true(kernel_bytes("12") == 12);
    assert_true(kernel_bytes("12 kB") == 12 << 10);
    assert_true(kernel_bytes("12 KiB") == 12 << 10);
    assert_true(kernel_bytes("12\tMiB") == 12 << 20);
    assert_true(kernel_bytes("12 GiB") == 12ULL << 30);
    assert_true(kernel_bytes("") == 0 && kernel_bytes("max") == 0);
}

static void numbers(void **state)
{
    uint64_t n = 7;
    (void)state;
    assert_false(kernel_number(&n, "%s/absent", tree));
    tree_write("/word", "max\n");
    assert_false(kernel_number(&n, "%s/word", tree));
    tree_write("/empty", "%s", "");
    assert_false(kernel_number(&n, "%s/empty", tree));
    assert_true(n == 7);
    tree_write("/number", "9223372036854771712\n");
    assert_true(kernel_number(&n, "%s/%s", tree, "number"));
    assert_true(n == 9223372036854771712ULL);
}

static void path_too_long(void **state)
{
    char name[PATH_MAX + 8];
    uint64_t n = 7;
    (void)state;
    memset(name, '/', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(kernel_number(&n, "%s", name));
    assert_null(kernel_open("%s", name));
}

static void fields(void **state)
{
    uint64_t anon = 1, file = 2, absent = 3, similar = 4;
    const struct kernel_field wanted[] = {
        {"RssAnon", &anon}, {"inactive_file", &file}, {"Absent", &absent}, {"Rss", &similar}};
    (void)state;
    tree_write(
        "/status",
        "Name:\tx\nRssAnon:\t      100 kB\ninactive_file 4096\nalone\n\nRssAnonymous: 9 kB\n");
    kernel_fields(wanted, 4, "%s/status", tree);
    assert_true(anon == 100 << 10 && file == 4096 && absent == 3 && similar == 4);
    kernel_fields(wanted, 4, "%s/none", tree);
    assert_true(anon == 100 << 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units),
        cmocka_unit_test(numbers),
        cmocka_unit_test(path_too_long),
        cmocka_unit_test(fields),
    };
    return cmocka_run_group_tests(tests, tree_setup, tree_teardown);
}
