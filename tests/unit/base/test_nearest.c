/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
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

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The same distance by its definition, cell by cell. */
static size_t reference(const char *a, const char *b)
{
    size_t d[17][17], la = strlen(a), lb = strlen(b);
    for (size_t i = 0; i <= la; i++)
        for (size_t j = 0; j <= lb; j++) {
            d[i][j] = i ? j ? least(d[i - 1][j], d[i][j - 1]) + 1 : i : j;
            if (i && j)
                d[i][j] = least(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[la][lb];
}

static void draw(char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        name[i] = (char)('a' + rand() % 3);
    name[len] = '\0';
}

static void distances_are_those_of_the_definition(void **state)
{
    char a[17], b[17];
    size_t near = 0;
    (void)state;
    srand(1);
    for (int i = 0; i < 20000; i++) {
        draw(a, (size_t)(1 + rand() % 16));
        draw(b, (size_t)(1 + rand() % 16));
        struct nearest n;
        nearest_init(&n, a);
        size_t limit = n.best_edits, d = reference(a, b);
        nearest_consider(&n, b);
        assert_int_equal(n.best != NULL, d < limit);
        assert_int_equal(n.best_edits, least(d, limit));
        near += d < limit;
    }
    assert_in_range(near, 300, 19700);
}

/* However many names there are, and however like the wanted one. */
static void the_work_of_a_search_is_bounded(void **state)
{
    static char names[20000][NEAREST_NAME_MAX + 1];
    char wanted[NEAREST_NAME_MAX + 1];
    struct nearest n;
    (void)state;
    memset(wanted, 'x', NEAREST_NAME_MAX);
    wanted[NEAREST_NAME_MAX] = '\0';
    nearest_init(&n, wanted);
    size_t most = n.letters_left;
    for (size_t i = 0; i < 20000; i++) {
        memset(names[i], 'x', NEAREST_NAME_MAX);
        memset(names[i] + NEAREST_NAME_MAX - 30, 'y', 30);
        nearest_consider(&n, names[i]);
    }
    assert_string_equal(n.best, names[0]);
    assert_true(n.letters_left < NEAREST_NAME_MAX && most < 20000 * NEAREST_NAME_MAX);
    nearest_consider(&n, wanted);
    assert_ptr_not_equal(n.best, wanted); /* the search is over */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slip_of_each_kind),
        cmocka_unit_test(another_word_is_not_near),
        cmocka_unit_test(the_fewest_edits_win),
        cmocka_unit_test(the_first_wins_a_draw),
        cmocka_unit_test(no_candidates),
        cmocka_unit_test(long_names_are_never_near),
        cmocka_unit_test(distances_are_those_of_the_definition),
        cmocka_unit_test(the_work_of_a_search_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
