/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/usage.h"

#define TIMINGS                                                                                    \
    "\"timings\":{\"cache_n\":5,\"prompt_n\":7,\"prompt_ms\":18.65,\"prompt_per_token_ms\":2.66,"  \
    "\"prompt_per_second\":375.2,\"predicted_n\":16,\"predicted_ms\":100.5,"                       \
    "\"predicted_per_token_ms\":6.28,\"predicted_per_second\":159.25}}"
#define STREAM_END "\n\ndata: [DONE]\n\n"

static struct usage u;

static void begin(void)
{
    memset(&u, 0, sizeof u);
    u.kind = engine_kind_default();
}

static void add(const char *text)
{
    usage_add(&u, text, strlen(text));
}

static void assert_known(void)
{
    usage_end(&u);
    assert_true(u.known);
    assert_int_equal(u.said.prompt_tokens, 12); /* those that were in the cache, too */
    assert_int_equal(u.said.tokens, 16);
    assert_true(u.said.tokens_per_second == 159.25);
}

static void assert_unknown(const char *text)
{
    begin();
    add(text);
    usage_end(&u);
    if (u.known)
        fail_msg("something is known from: %s", text);
}

static void in_a_body(void **state)
{
    (void)state;
    begin();
    add("{\"choices\":[{\"message\":{\"content\":\"hello\"}}],\"id\":\"x\"," TIMINGS);
    assert_int_equal(u.pieces, 1);
    assert_known();
}

/* The tail may come in any pieces, and behind as much as it likes. */
static void split_at_every_byte(void **state)
{
    static const char end[] = "data: {\"choices\":[]," TIMINGS STREAM_END;
    char before[3 * USAGE_TAIL];
    (void)state;
    memset(before, 'x', sizeof before);
    for (size_t lead = 0; lead <= sizeof before; lead += USAGE_TAIL / 2) {
        for (size_t cut = 0; cut <= strlen(end); cut++) {
            begin();
            usage_add(&u, before, lead);
            usage_add(&u, end, cut);
            usage_add(&u, end + cut, strlen(end) - cut);
            assert_known();
        }
    }
    begin();
    for (size_t i = 0; i < sizeof before; i++)
        usage_add(&u, before + i, 1);
    for (size_t i = 0; end[i]; i++)
        usage_add(&u, end + i, 1);
    assert_int_equal(u.pieces, sizeof before + strlen(end));
    assert_known();
}

/* A length of its own each, so that memory is not read beyond what is there. */
static void of_every_length(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 2 * USAGE_TAIL; len++) {
        char *text = malloc(len + 1);
        assert_non_null(text);
        memset(text, 'y', len);
        begin();
        usage_add(&u, text, len);
        assert_int_equal(u.len, len < USAGE_TAIL ? len : USAGE_TAIL);
        usage_add(&u, text, len / 2);
        add(TIMINGS);
        free(text);
        assert_known();
    }
}

static void the_last_counts(void **state)
{
    (void)state;
    begin();
    add("\"timings\":{\"predicted_n\":1,\"prompt_n\":1},");
    add(TIMINGS);
    assert_known();
}

static void nothing_is_told(void **state)
{
    (void)state;
    assert_unknown("");
    assert_unknown("{\"data\":[{\"embedding\":[1,2]}]}");
    assert_unknown("\"timings\":");
    assert_unknown("\"timings\"");
    assert_unknown("\"timings\":null}");
    assert_unknown("\"timings\":[]");
    assert_unknown("\"timings\":{}");
    assert_unknown("\"timings\":{\"prompt_n\":4}}");
    assert_unknown("\"timings\":{\"predicted_n\":\"16\"}}");
    assert_unknown("\"timings\":{\"predicted_n\":16");             /* cut */
    assert_unknown("\"timings\":{\"predicted_n\":16,\"x\":\xff}"); /* not JSON */
    assert_unknown("\"timings\":predicted_n");
    /* An answer's words are not its engine's. */
    assert_unknown("{\"content\":\"\\\"timings\\\":{\\\"predicted_n\\\":16}\"}");
}

/* By APIs that have no timings; where both are there these count. */
static void in_the_words_of_an_api(void **state)
{
    static const struct {
        const char *text;
        long long prompt_tokens;
    } answers[] = {
        {"{\"type\":\"message\",\"usage\":{\"cache_read_input_tokens\":30,\"input_tokens\":1,"
         "\"output_tokens\":4}}",
         31},
        {"event: message_delta\ndata: "
         "{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}\n\n"
         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
         -1},
        {"{\"object\":\"response\",\"usage\":{\"input_tokens\":31,\"output_tokens\":4,"
         "\"input_tokens_details\":{\"cached_tokens\":30}}}",
         31},
        {"{\"object\":\"chat.completion\",\"usage\":{\"prompt_tokens\":31,"
         "\"completion_tokens\":4,\"total_tokens\":35}}",
         31},
    };
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        begin();
        add(answers[i].text);
        usage_end(&u);
        assert_true(u.known);
        assert_int_equal(u.said.tokens, 4);
        assert_int_equal(u.said.prompt_tokens, answers[i].prompt_tokens);
        assert_true(u.said.tokens_per_second == 0);
    }
    begin();
    add("{\"usage\":{\"output_tokens\":99}," TIMINGS);
    assert_known();
    assert_unknown("{\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2}}"); /* embeddings */
    assert_unknown("{\"usage\":null}");
}

/* Some of it is missing, or nonsense. */
static void what_is_told(void **state)
{
    (void)state;
    begin();
    add("\"timings\":{\"predicted_n\":3,\"prompt_n\":null,\"predicted_per_second\":null}}");
    usage_end(&u);
    assert_true(u.known);
    assert_int_equal(u.said.tokens, 3);
    assert_int_equal(u.said.prompt_tokens, 0);
    assert_true(u.said.tokens_per_second == 0);
}

/* The prompt's tokens come first, the answer's at the end. */
static void in_an_anthropic_stream(void **state)
{
    (void)state;
    begin();
    add("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{"
        "\"cache_read_input_tokens\":5,\"input_tokens\":7,\"output_tokens\":0}}}\n\n"
        "event: content_block_start\ndata: {\"usage\":{\"input_tokens\":1}}\n\n");
    for (int i = 0; i < 20; i++)
        add("event: content_block_delta\ndata: {\"delta\":{\"text\":\"some text that is long "
            "enough\"}}\n\n");
    add("event: message_delta\ndata: {\"usage\":{\"output_tokens\":16}}\n\nevent: "
        "message_stop\n\n");
    usage_end(&u);
    assert_true(u.known);
    assert_int_equal(u.said.prompt_tokens, 12);
    assert_int_equal(u.said.cached_tokens, 5);
    assert_int_equal(u.said.tokens, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_an_anthropic_stream), cmocka_unit_test(in_a_body),
        cmocka_unit_test(split_at_every_byte),    cmocka_unit_test(of_every_length),
        cmocka_unit_test(the_last_counts),        cmocka_unit_test(nothing_is_told),
        cmocka_unit_test(in_the_words_of_an_api), cmocka_unit_test(what_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
