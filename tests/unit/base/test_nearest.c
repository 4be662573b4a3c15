/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/nearest.h"

static const char *nearest_of(const char *wanted, const char *const *candidates)
{
    struct nearest n;
    nearest_init(&n, wanted);
    for (; *candidates; candidates++)
        nearest_consider(&n, *candidates);
    return n.best;
}
#define NEAREST(wanted, ...) nearest_of(wanted, (const char *const[]){__VA_ARGS__, NULL})

static void a_slip_of_each_kind(void **state)
{
    (void)state;
    static const char *const names[] = {"--host", "--port", "--ctx-size", NULL};
    assert_string_equal(nearest_of("--prt", names), "--port");   /* left out */
    assert_string_equal(nearest_of("--poort", names), "--port"); /* put in */
    assert_string_equal(nearest_of("--porc", names), "--port");  /* another */
    assert_string_equal(nearest_of("--prot", names), "--port");  /* in another order */
    assert_string_equal(nearest_of("--ctx_size", names), "--ctx-size");
    assert_string_equal(nearest_of("--port", names), "--port");
}

static void another_word_is_not_near(void **state)
{
    (void)state;
    assert_null(NEAREST("--frobnicate", "--host", "--port", "--ctx-size"));
    assert_null(NEAREST("abc", "xyz"));
    assert_null(NEAREST("", "--port"));
    /* Dashes, and half of a short word, are no likeness. */
    assert_null(NEAREST("--all", "--url", "--json"));
    assert_null(NEAREST("-x", "-m", "-h"));
    assert_null(NEAREST("--reason", "--json"));
}

static void the_fewest_edits_win(void **state)
{
    (void)state;
    assert_string_equal(NEAREST("--model", "--modal-x", "--models", "--moxelz"), "--models");
    assert_string_equal(NEAREST("--model", "--models", "--model"), "--model");
    assert_string_equal(NEAREST("--fro", "--url", "--for"), "--for"); /* two that changed places */
    assert_string_equal(NEAREST("-port", "--part", "--port"), "--port");
}

static void the_first_wins_a_draw(void **state)
{
    (void)state;
    assert_string_equal(NEAREST("--part", "--port", "--pert"), "--port");
}

static void no_candidates(void **state)
{
    (void)state;
    struct nearest n;
    nearest_init(&n, "x");
    assert_null(n.best);
}

static void long_names_are_never_near(void **state)
{
    (void)state;
    char longest[129], longer[130];
    memset(longest, 'x', sizeof longest);
    memset(longer, 'x', sizeof longer);
    longest[128] = longer[129] = '\0';
    assert_string_equal(NEAREST(longest, longest), longest);
    assert_null(NEAREST(longest, longer));
    assert_null(NEAREST(longer, longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slip_of_each_kind),  cmocka_unit_test(another_word_is_not_near),
        cmocka_unit_test(the_fewest_edits_win), cmocka_unit_test(the_first_wins_a_draw),
        cmocka_unit_test(no_candidates),        cmocka_unit_test(long_names_are_never_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
