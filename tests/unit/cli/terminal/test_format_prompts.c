/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/terminal/format.h"
#include "cli/terminal/format_prompts.h"

static void counts_have_commas(void **state)
{
    static const struct {
        json_int_t n;
        const char *text;
    } cases[] = {
        {-1, "0"},
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {2549, "2,549"},
        {1234567, "1,234,567"},
        {INT64_MAX, "9,223,372,036,854,775,807"},
    };
    char out[FORMAT_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(format_count(cases[i].n, out, sizeof out), cases[i].text);
}

static void saved_times_have_a_tenth_of_a_second(void **state)
{
    static const struct {
        double ms;
        const char *text;
    } cases[] = {
        {-5, "0 ms"},      {80, "80 ms"},    {1000, "1.0 s"}, {14900, "14.9 s"},
        {59949, "59.9 s"}, {72000, "1m12s"}, {1e300, "0 ms"},
    };
    char out[FORMAT_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(format_saved_time(cases[i].ms, out, sizeof out), cases[i].text);
}

typedef char *formatter(json_t *object);

static void check(formatter *format, const char *json, const char *expected)
{
    json_t *o = json_loads(json, 0, NULL);
    char *text = format(o);
    assert_string_equal(text, expected);
    free(text);
    json_decref(o);
}

static void what_is_known_is_told(void **state)
{
    (void)state;
    check(format_prompts_saved, "{\"conversations\":2,\"tokens\":5098,\"bytes\":117440512}",
          "2 conversations (5,098 tokens, 112 MiB)");
    check(format_prompts_restored, "{\"restored_tokens\":2549,\"saved_ms\":14900}",
          "restored 2,549 tokens, 14.9 s saved");
    check(format_prompts_total,
          "{\"files\":1,\"bytes\":1048576,\"max_bytes\":8589934592,\"hits\":1,\"saved_ms\":72000}",
          "1 file, 1.0 MiB of 8.0 GiB, 1 hit, 1m12s saved");
    check(format_prompts_of_model, "{\"files\":3,\"tokens\":600,\"bytes\":1024,\"hits\":0}",
          "3 saved, 600 tokens, 1.0 KiB");
    check(format_prompts_off, "{\"off\":\"why\"}", "not saved: why");
    check(format_prompts_costs, "{\"compute_token_ms\":5.881,\"restore_token_ms\":0.0038}",
          "a token takes: computing 5.88 ms, restoring 0.0038 ms");
}

/* As of a server that knows nothing of it, or has nothing. */
static void what_is_unknown_is_empty(void **state)
{
    formatter *const all[] = {format_prompts_saved, format_prompts_restored,
                              format_prompts_total, format_prompts_of_model,
                              format_prompts_off,   format_prompts_costs};
    static const char *const texts[] = {
        "{}", "[]", "{\"conversations\":-1,\"restored_tokens\":null,\"files\":\"3\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *text = all[i](NULL);
        assert_string_equal(text, "");
        free(text);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            check(all[i], texts[k], "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_have_commas),
        cmocka_unit_test(saved_times_have_a_tenth_of_a_second),
        cmocka_unit_test(what_is_known_is_told),
        cmocka_unit_test(what_is_unknown_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
