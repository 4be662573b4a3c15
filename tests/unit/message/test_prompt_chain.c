/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "message/prompt_chain.h"

/* A point of the prompt numbered `prompt`, which is as all others up to its number. */
static struct prompt_point point(uint64_t at, uint64_t prompt)
{
    uint64_t same = at <= prompt ? 0 : prompt + 1;
    return (struct prompt_point){.at = at,
                                 .hash = {.low = at * 8191 + same, .high = UINT64_MAX - at}};
}

static struct prompt_chain chain(size_t n, uint64_t prompt)
{
    struct prompt_chain c = {.head = {.low = 1, .high = UINT64_MAX}};
    size_t cap = 0;
    for (size_t i = 1; i < n; i++)
        assert_int_equal(prompt_chain_add(&c, &cap, point(i, prompt)), 0);
    assert_int_equal(prompt_chain_end(&c, &cap, point(n, prompt)), 0);
    return c;
}

static void what_is_common_is_found(void **state)
{
    (void)state;
    for (uint64_t same = 0; same <= 40; same++) {
        struct prompt_chain a = chain(20, 100), b = chain(40, same);
        uint64_t expected = same < 20 ? same : 20;
        assert_int_equal(prompt_chain_common(&a, &b), expected);
        assert_int_equal(prompt_chain_common(&b, &a), expected);
        b.head.low++;
        assert_int_equal(prompt_chain_common(&a, &b), 0);
        prompt_chain_finish(&a);
        prompt_chain_finish(&b);
    }
}

static void of_an_empty_one_nothing_is_common(void **state)
{
    (void)state;
    struct prompt_chain a = chain(5, 0), none = {.head = a.head};
    assert_int_equal(prompt_chain_common(&a, &none), 0);
    assert_int_equal(prompt_chain_common(&none, &a), 0);
    assert_int_equal(prompt_chain_common(&none, &none), 0);
    assert_false(prompt_chain_equal(&a, &none));
    prompt_chain_finish(&a);
    prompt_chain_finish(&none);
}

static void the_end_always_remains(void **state)
{
    (void)state;
    for (size_t n = PROMPT_POINTS_MAX - 2; n < PROMPT_POINTS_MAX + 3; n++) {
        struct prompt_chain c = chain(n, 0);
        assert_int_equal(c.bytes, n);
        assert_int_equal(c.point[c.n - 1].at, n);
        assert_true(c.n <= PROMPT_POINTS_MAX);
        assert_int_equal(c.coarse > 0, n > PROMPT_POINTS_MAX);
        prompt_chain_finish(&c);
    }
}

static void a_coarse_one_is_compared_with_a_finer_one(void **state)
{
    (void)state;
    struct prompt_chain fine = chain(8000, 7000), coarse = chain(50000, 100000);
    assert_true(coarse.coarse >= 3);
    /* Every eighth point or so remains. */
    uint64_t common = prompt_chain_common(&fine, &coarse);
    assert_true(common > 6900 && common <= 7000);
    assert_int_equal(prompt_chain_common(&coarse, &fine), common);
    assert_int_equal(prompt_chain_common(&coarse, &coarse), 50000);
    prompt_chain_finish(&fine);
    prompt_chain_finish(&coarse);
}

static void a_copy_is_equal(void **state)
{
    (void)state;
    struct prompt_chain a = chain(9, 0), b;
    assert_int_equal(prompt_chain_copy(&b, &a), 0);
    assert_ptr_not_equal(a.point, b.point);
    assert_true(prompt_chain_equal(&a, &b));
    b.point[8].hash.high++;
    assert_false(prompt_chain_equal(&a, &b));
    prompt_chain_finish(&a);
    prompt_chain_finish(&b);
}

static void written_and_read(void **state)
{
    (void)state;
    size_t sizes[] = {1, 2, 100, PROMPT_POINTS_MAX, 50000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct prompt_chain a = chain(sizes[i], 0), b;
        json_t *json = prompt_chain_to_json(&a);
        assert_int_equal(json_string_length(json), 32 * (a.n + 1));
        assert_int_equal(prompt_chain_from_json(&b, json), 0);
        assert_true(prompt_chain_equal(&a, &b));
        assert_int_equal(a.n, b.n);
        assert_int_equal(a.coarse, b.coarse);
        assert_memory_equal(a.point, b.point, a.n * sizeof *a.point);
        json_decref(json);
        prompt_chain_finish(&a);
        prompt_chain_finish(&b);
    }
}

static void assert_refused(json_t *json)
{
    struct prompt_chain c;
    assert_int_equal(prompt_chain_from_json(&c, json), -22);
    assert_null(c.point);
    json_decref(json);
}

static void what_is_no_chain_is_refused(void **state)
{
    (void)state;
    struct prompt_chain a = chain(3, 0);
    json_t *json = prompt_chain_to_json(&a);
    char text[129];
    memcpy(text, json_string_value(json), sizeof text);
    json_decref(json);
    prompt_chain_finish(&a);

    assert_refused(json_null());
    assert_refused(json_string(""));
    assert_refused(json_stringn(text, 32));
    assert_refused(json_stringn(text, 127));
    static const char wrong[] = "= \n!-\x7f";
    for (const char *c = wrong; *c; c++) {
        char broken[129];
        memcpy(broken, text, sizeof broken);
        broken[127] = *c;
        assert_refused(json_string(broken));
        memcpy(broken, text, sizeof broken);
        broken[40] = *c;
        assert_refused(json_string(broken));
    }
    /* Points out of order, and a coarseness that there is none of. */
    char order[129];
    memcpy(order, text, sizeof order);
    memcpy(order + 32, text + 64, 32);
    assert_refused(json_string(order));
    memcpy(order, text, sizeof order);
    order[0] = '/';
    assert_refused(json_string(order));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_common_is_found),
        cmocka_unit_test(of_an_empty_one_nothing_is_common),
        cmocka_unit_test(the_end_always_remains),
        cmocka_unit_test(a_coarse_one_is_compared_with_a_finer_one),
        cmocka_unit_test(a_copy_is_equal),
        cmocka_unit_test(written_and_read),
        cmocka_unit_test(what_is_no_chain_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
