/* SPDX-License-Identifier: MIT */
#include "prompt_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOW 1e9

static struct prompt_index x;

static int set_up(void **state)
{
    (void)state;
    x = (struct prompt_index){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    prompt_index_finish(&x);
    return 0;
}

static struct prompt_file *make(const char *identity, const char *text, uint64_t number)
{
    struct test_chain c;
    struct prompt_file *f = prompt_file_create(identity, "m", chain_of(&c, text));
    assert_non_null(f);
    f->number = number;
    f->bytes = 1000;
    f->tokens = 100;
    f->token_ms = 1;
    f->used = NOW;
    return f;
}

static struct prompt_file *add(const char *identity, const char *text, uint64_t number)
{
    struct prompt_file *f = make(identity, text, number);
    prompt_index_add(&x, f);
    return f;
}

static void assert_found(const char *identity, const char *text, uint64_t number, uint64_t messages)
{
    struct test_chain c;
    uint64_t common = 1;
    const struct prompt_file *f = prompt_index_find(&x, identity, chain_of(&c, text), &common);
    assert_int_equal(common, messages * MESSAGE);
    assert_int_equal(f ? f->number : 0, number);
}

static void the_longest_common_prefix_is_found(void **state)
{
    static const struct {
        const char *identity, *text;
        uint64_t number, messages;
    } cases[] = {
        {"a", "abc", 3, 3},   {"a", "abcx", 3, 3},  {"a", "abcde", 5, 5}, {"a", "abcdefgh", 5, 5},
        {"a", "axy", 6, 2},   {"a", "axyz", 6, 2},  {"a", "x", 0, 0},     {"a", "b", 8, 1},
        {"b", "abcde", 7, 2}, {"c", "abcde", 0, 0}, {"a", "1abc", 9, 2},  {"a", "2abc", 0, 0},
        {"a", "", 0, 0},      {"", "abc", 0, 0},    {"a", "zz", 0, 0},
    };
    (void)state;
    assert_found("a", "abc", 0, 0); /* of none */
    add("a", "abc", 3)->bytes = 900;
    add("a", "abcde", 5);
    add("a", "axq", 6);
    add("b", "abx", 7);
    add("a", "b", 8);
    add("a", "1abz", 9);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_found(cases[i].identity, cases[i].text, cases[i].number, cases[i].messages);
    assert_true(prompt_index_has(&x, "a") && prompt_index_has(&x, "b"));
    assert_false(prompt_index_has(&x, "aa") || prompt_index_has(&x, "c") ||
                 prompt_index_has(&x, ""));
}

static void the_smallest_of_equals_is_found(void **state)
{
    (void)state;
    add("a", "abx", 1)->bytes = 300;
    add("a", "aby", 2)->bytes = 200;
    add("a", "abz", 3)->bytes = 400;
    assert_found("a", "ab", 2, 2);
    assert_found("a", "abq", 2, 2);
    assert_found("a", "abz", 3, 3);
}

static void files_with_the_same_chain(void **state)
{
    (void)state;
    struct prompt_file *a = add("a", "abc", 1), *b = add("a", "abc", 2), *c = add("a", "abc", 3);
    prompt_index_remove(&x, b);
    prompt_file_destroy(b);
    assert_ptr_equal(prompt_index_get(&x, 1), a);
    assert_null(prompt_index_get(&x, 2));
    prompt_index_remove(&x, a);
    prompt_file_destroy(a);
    assert_ptr_equal(prompt_index_get(&x, 3), c);
    assert_found("a", "abcd", 3, 3);
    assert_int_equal(x.n, 1);
    assert_int_equal(x.bytes, 1000);
    assert_int_equal(x.points, 3);
}

/* Of chains with thousands of points only some are kept; these are compared with others one by one. */
static void chains_of_other_coarseness(void **state)
{
    struct test_chain c;
    uint64_t common;
    (void)state;
    add("a", "abcdef", 1);
    struct prompt_file *f = make("a", "abcdefgh", 2);
    f->chain.coarse = 1;
    memmove(f->chain.point, f->chain.point + 2, 6 * sizeof *f->chain.point); /* c to h */
    f->chain.n = 6;
    prompt_index_add(&x, f);
    const struct prompt_file *found = prompt_index_find(&x, "a", chain_of(&c, "abcdefgh"), &common);
    assert_int_equal(found->number, 2);
    assert_int_equal(common, 8 * MESSAGE);
    found = prompt_index_find(&x, "a", chain_of(&c, "abcd"), &common);
    assert_int_equal(common, 4 * MESSAGE);
    assert_null(prompt_index_find(&x, "b", chain_of(&c, "abcd"), &common));
}

static uint64_t superseded(const struct prompt_file *f)
{
    const struct prompt_file *old = prompt_index_superseded(&x, f);
    return old ? old->number : 0;
}

static void a_prefix_is_superseded(void **state)
{
    struct prompt_file *old;
    (void)state;
    add("a", "ab", 1);
    add("a", "abcx", 2);
    add("a", "abd", 3);
    add("b", "ab", 4);
    add("a", "1ab", 5);
    add("a", "a", 6);
    struct prompt_file *f = make("a", "abcd", 9);
    assert_int_equal(superseded(f), 1);
    prompt_index_add(&x, f); /* being there itself changes nothing */
    assert_int_equal(superseded(f), 1);
    old = prompt_index_get(&x, 1);
    prompt_index_remove(&x, old);
    prompt_file_destroy(old);
    assert_int_equal(superseded(f), 6);
    old = prompt_index_get(&x, 6);
    prompt_index_remove(&x, old);
    prompt_file_destroy(old);
    assert_int_equal(superseded(f), 0);
    /* a newer file that is shorter is no older one */
    add("a", "abc", 10);
    assert_int_equal(superseded(f), 0);
    assert_int_equal(superseded(add("a", "abcd", 11)), 9); /* equal; 10 would be next */
}

static void what_it_is_worth(void **state)
{
    static const struct {
        double gain_ms, age;
        uint64_t bytes;
        double worth;
    } cases[] = {
        {1000, 0, 1000, 1},          {1000, 3600, 1000, 0.5},
        {1000, 7200, 1000, 1.0 / 3}, {1000, 86400, 1000, 0.04},
        {2000, 0, 1000, 2},          {1000, 0, 2000, 0.5},
        {1000, -86400, 1000, 1},     {0, 0, 1000, 0},
        {1000, 0, 0, 1000},          {1000, 3600 * 99.0, 1000, 0.01},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_float_equal(prompt_worth(cases[i].gain_ms, cases[i].age, cases[i].bytes),
                           cases[i].worth, 1e-6);
}

static void assert_next_to_go(uint64_t number)
{
    struct prompt_file *f = prompt_index_least(&x, NOW);
    assert_int_equal(f->number, number);
    prompt_index_remove(&x, f);
    prompt_file_destroy(f);
}

static void the_least_worth_goes_first(void **state)
{
    struct prompt_file *f;
    (void)state;
    assert_null(prompt_index_least(&x, NOW));
    add("a", "a", 1);                    /* 0.1 ms a byte */
    add("a", "b", 2)->used = NOW - 3600; /* 0.05 */
    add("a", "c", 3)->bytes = 4000;      /* 0.025 */
    add("a", "d", 4)->token_ms = 2;      /* 0.2 */
    f = add("a", "e", 5);                /* 0.1, too, with more tokens and an older use */
    f->tokens = 200;
    f->used = NOW - 3600;
    add("a", "f", 6)->used = NOW + 5000; /* the clock was set back: 0.1, and not more */
    assert_next_to_go(3);
    assert_next_to_go(2);
    assert_next_to_go(5);
    assert_next_to_go(1);
    assert_next_to_go(6);
    assert_next_to_go(4);
}

static void whether_a_new_one_would_stay(void **state)
{
    (void)state;
    add("a", "a", 1); /* 0.1 ms a byte */
    add("a", "b", 2); /* 0.1 */
    assert_true(prompt_index_would_keep(&x, 200, 1000, 0, NOW));
    assert_true(prompt_index_would_keep(&x, 200, 1000, 2000, NOW));
    assert_false(prompt_index_would_keep(&x, 200, 1000, 2001, NOW));
    assert_true(prompt_index_would_keep(&x, 100, 1000, 1000, NOW));
    assert_false(prompt_index_would_keep(&x, 99, 1000, 1000, NOW));
}

static void all_of_a_model(void **state)
{
    struct prompt_file *out[3], *other = make("a", "b", 2);
    (void)state;
    mem_replace(&other->model, "n");
    assert_false(prompt_index_has_model(&x, "m"));
    add("a", "a", 1);
    prompt_index_add(&x, other);
    add("a", "c", 3);
    assert_true(prompt_index_has_model(&x, "m") && prompt_index_has_model(&x, "n"));
    assert_false(prompt_index_has_model(&x, "o"));
    assert_int_equal(prompt_index_remove_model(&x, "o", out), 0);
    assert_int_equal(prompt_index_remove_model(&x, "m", out), 2);
    assert_int_equal(out[0]->number + out[1]->number, 4);
    prompt_file_destroy(out[0]);
    prompt_file_destroy(out[1]);
    assert_false(prompt_index_has_model(&x, "m"));
    assert_found("a", "b", 2, 1);
    assert_found("a", "a", 0, 0);
    assert_int_equal(x.bytes, 1000);
    assert_int_equal(prompt_index_remove_model(&x, NULL, out), 1);
    prompt_file_destroy(out[0]);
    assert_int_equal(x.n, 0);
    assert_int_equal(x.points, 0);
}

/* Random prompts over few letters, against a comparison with each file. */
static void as_if_each_was_compared(void **state)
{
    struct test_chain c;
    (void)state;
    srand(7);
    for (uint64_t round = 1; round <= 3000; round++) {
        char text[9] = "";
        size_t len = 1 + (size_t)rand() % 8;
        for (size_t i = 0; i < len; i++)
            text[i] = (char)('a' + rand() % 3);
        uint64_t common, most = 0;
        const struct prompt_chain *chain = chain_of(&c, text);
        const struct prompt_file *found = prompt_index_find(&x, "a", chain, &common);
        for (size_t i = 0; i < x.n; i++) {
            uint64_t n = prompt_chain_common(&x.file[i]->chain, chain);
            most = n > most ? n : most;
        }
        assert_int_equal(common, most);
        assert_int_equal(found ? prompt_chain_common(&found->chain, chain) : 0, most);
        if (round % 3 == 0 && x.n) {
            struct prompt_file *f = x.file[(size_t)rand() % x.n];
            prompt_index_remove(&x, f);
            prompt_file_destroy(f);
        } else {
            add("a", text, round);
        }
    }
}

/* 10,000 conversations with the same first messages. The bound is generous: a few µs are usual. */
static void ten_thousand(void **state)
{
    struct test_chain c;
    struct timespec begin, end;
    uint64_t common;
    char text[CHAIN_POINTS + 1];
    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(text, sizeof text, "same-first-messages-%05u-and-further-ones", i);
        add("0123456789abcdef0123456789abcdef", text, i + 1);
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "same-first-messages-%05u-and-something-else", 9 * i);
        prompt_index_find(&x, "0123456789abcdef0123456789abcdef", chain_of(&c, text), &common);
        assert_int_equal(common, strlen("same-first-messages-00000-and-") * MESSAGE);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double us =
        (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
    print_message("find among 10,000: %.1f us each\n", us);
    assert_true(us < 1000);
}

#define INDEX_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INDEX_TEST(the_longest_common_prefix_is_found),
        INDEX_TEST(the_smallest_of_equals_is_found),
        INDEX_TEST(files_with_the_same_chain),
        INDEX_TEST(chains_of_other_coarseness),
        INDEX_TEST(a_prefix_is_superseded),
        INDEX_TEST(what_it_is_worth),
        INDEX_TEST(the_least_worth_goes_first),
        INDEX_TEST(whether_a_new_one_would_stay),
        INDEX_TEST(all_of_a_model),
        INDEX_TEST(as_if_each_was_compared),
        INDEX_TEST(ten_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
