/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "message/prompt_scan.h"

#define SEED 7

static bool scan_cut(const char *body, size_t len, size_t cut, struct prompt_chain *out)
{
    struct prompt_scan *s = prompt_scan_create(SEED);
    for (size_t at = 0, n; at < len; at += n) {
        n = len - at < cut ? len - at : cut;
        prompt_scan_feed(s, body + at, n);
    }
    bool found = prompt_scan_end(s, out);
    prompt_scan_destroy(s);
    return found;
}

static bool same_points(const struct prompt_chain *a, const struct prompt_chain *b)
{
    return prompt_chain_equal(a, b) && a->n == b->n && a->coarse == b->coarse &&
           (!a->n || memcmp(a->point, b->point, a->n * sizeof *a->point) == 0);
}

/* Of a body that has one, however it is cut. */
static struct prompt_chain chain_of(const char *body)
{
    static const size_t cuts[] = {1, 2, 3, 7, 4096};
    struct prompt_chain whole, cut;
    assert_true(scan_cut(body, strlen(body), SIZE_MAX, &whole));
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        assert_true(scan_cut(body, strlen(body), cuts[i], &cut));
        assert_true(same_points(&whole, &cut));
        prompt_chain_finish(&cut);
    }
    assert_int_equal(whole.point[whole.n - 1].at, whole.bytes);
    return whole;
}

static void assert_none(const char *body)
{
    struct prompt_chain chain;
    for (size_t cut = 1; cut < 100; cut *= 5) {
        assert_false(scan_cut(body, strlen(body), cut, &chain));
        assert_null(chain.point);
        assert_int_equal(chain.n, 0);
    }
}

static void assert_same(const char *a, const char *b)
{
    struct prompt_chain first = chain_of(a), second = chain_of(b);
    assert_true(same_points(&first, &second));
    assert_int_equal(prompt_chain_common(&first, &second), first.bytes);
    prompt_chain_finish(&first);
    prompt_chain_finish(&second);
}

static void assert_other_head(const char *a, const char *b)
{
    struct prompt_chain first = chain_of(a), second = chain_of(b);
    assert_false(prompt_chain_equal(&first, &second));
    assert_int_equal(prompt_chain_common(&first, &second), 0);
    prompt_chain_finish(&first);
    prompt_chain_finish(&second);
}

/* The prompts differ, after `n` points that both have. */
static void assert_common(const char *a, const char *b, size_t n)
{
    struct prompt_chain first = chain_of(a), second = chain_of(b);
    uint64_t common = n ? first.point[n - 1].at : 0;
    assert_false(prompt_chain_equal(&first, &second));
    assert_int_equal(prompt_chain_common(&first, &second), common);
    assert_int_equal(prompt_chain_common(&second, &first), common);
    prompt_chain_finish(&first);
    prompt_chain_finish(&second);
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ASSISTANT(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define CHAT(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"

static void the_next_turn_contains_the_last_one(void **state)
{
    (void)state;
    struct prompt_chain one = chain_of(CHAT(USER("Hello")));
    struct prompt_chain two = chain_of(CHAT(USER("Hello") "," ASSISTANT("Hi") "," USER("More")));
    assert_int_equal(one.n, 1);
    assert_int_equal(two.n, 3);
    assert_int_equal(prompt_chain_common(&one, &two), one.bytes);
    prompt_chain_finish(&one);
    prompt_chain_finish(&two);
}

static void what_differs_ends_what_is_common(void **state)
{
    (void)state;
    assert_common(CHAT(USER("a") "," USER("b")), CHAT(USER("a") "," USER("c")), 1);
    assert_common(CHAT(USER("a")), CHAT(USER("b")), 0);
    assert_common(CHAT(USER("a")), CHAT(USER("ab")), 0);
    /* One message is not two. */
    assert_common(CHAT("[1],[2]"), CHAT("[1,2]"), 0);
    assert_common(CHAT("{\"a\":1},{\"b\":2}"), CHAT("{\"a\":1,\"b\":2}"), 0);
    assert_common("{\"prompt\":[12,3]}", "{\"prompt\":[1,23]}", 0);
}

static void white_space_between_tokens_does_not_count(void **state)
{
    (void)state;
    assert_same("{\"messages\":[{\"role\":\"user\",\"content\":\"a b\"},{\"n\":[1,2,true]}]}",
                " { \"messages\" :\r\n\t[ {\"role\" : \"user\" ,\"content\": \"a b\" } , "
                "{\"n\":[ 1 , 2 , true ]}\n] } \n");
    assert_common(CHAT(USER("a b")), CHAT(USER("a  b")), 0);
}

static void members_that_only_sample_do_not_count(void **state)
{
    (void)state;
    assert_same(
        "{\"messages\":[" USER("a") "]}",
        "{\"model\":\"x\",\"temperature\":0.5,\"stream\":true,\"seed\":1,\"max_tokens\":5,"
        "\"messages\":[" USER(
            "a") "],\"stop\":[\"a\",{\"b\":[]}],\"metadata\":{\"user_id\":"
                 "\"u\"},\"stream_options\":{\"include_usage\":true},\"cache_control\":{}}");
}

static void the_order_of_members_does_not_count(void **state)
{
    (void)state;
    assert_same("{\"tools\":[{\"name\":\"t\"}],\"system\":\"s\",\"messages\":[" USER("a") "]}",
                "{\"messages\":[" USER("a") "],\"system\":\"s\",\"tools\":[{\"name\":\"t\"}]}");
}

static void the_head_counts(void **state)
{
    (void)state;
    static const char *const members[] = {
        "tools",     "system", "instructions", "chat_template_kwargs", "reasoning_effort",
        "reasoning", "lora"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        struct buf with, other, null;
        buf_init(&with, BUF_UNBOUNDED);
        buf_init(&other, BUF_UNBOUNDED);
        buf_init(&null, BUF_UNBOUNDED);
        buf_printf(&with, "{\"%s\":[null],\"messages\":[1]}", members[i]);
        buf_printf(&other, "{\"%s\":[],\"messages\":[1]}", members[i]);
        buf_printf(&null, "{\"%s\":null,\"messages\":[1]}", members[i]);
        assert_other_head(buf_cstr(&with), "{\"messages\":[1]}");
        assert_other_head(buf_cstr(&with), buf_cstr(&other));
        assert_same(buf_cstr(&null), "{\"messages\":[1]}");
        buf_finish(&with);
        buf_finish(&other);
        buf_finish(&null);
    }
    assert_other_head("{\"system\":\"a\",\"messages\":[1]}",
                      "{\"instructions\":\"a\",\"messages\":[1]}");
}

static bool is_apart(const char *body)
{
    struct prompt_scan *s = prompt_scan_create(1);
    prompt_scan_feed(s, body, strlen(body));
    bool has = prompt_scan_is_apart(s);
    prompt_scan_destroy(s);
    return has;
}

static void adapters_of_its_own_are_told(void **state)
{
    (void)state;
    assert_true(is_apart("{\"messages\":[1],\"lora\":[{\"id\":0,\"scale\":0.5}]}"));
    assert_true(is_apart("{\"lora\":[],\"messages\":[1]}"));
    assert_false(is_apart("{\"messages\":[1],\"lora\":null}"));
    assert_false(is_apart("{\"messages\":[1],\"tools\":[{\"lora\":1}]}"));
    assert_false(prompt_scan_is_apart(NULL));
}

static void what_the_engine_is_to_use_is_told(void **state)
{
    (void)state;
    assert_true(is_apart("{\"messages\":[1],\"cache_prompt\":false}"));
    assert_true(is_apart("{\"cache_prompt\": false ,\"messages\":[1]}"));
    assert_false(is_apart("{\"messages\":[1],\"cache_prompt\":true}"));
    assert_false(is_apart("{\"messages\":[1],\"cache_prompt\":null}"));
    assert_false(is_apart("{\"messages\":[1],\"cache_prompt\":\"false\"}"));
    assert_false(is_apart("{\"cache_prompt\":false,\"messages\":[1],\"cache_prompt\":true}"));
    assert_false(is_apart("{\"messages\":[{\"cache_prompt\":false}]}"));
    assert_false(is_apart("{\"cache_prompt\":[false],\"messages\":[1]}"));
    assert_true(is_apart("{\"messages\":[1],\"id_slot\":0}"));
    assert_true(is_apart("{\"id_slot\":12,\"messages\":[1]}"));
    assert_false(is_apart("{\"id_slot\":-1,\"messages\":[1]}"));
    assert_false(is_apart("{\"id_slot\":{\"a\":1},\"messages\":[1]}"));
    assert_same("{\"cache_prompt\":true,\"id_slot\":-1,\"messages\":[1]}", "{\"messages\":[1]}");
}

static void of_members_that_are_twice_the_last_one_counts(void **state)
{
    (void)state;
    assert_same("{\"messages\":[" USER("no") "],\"tools\":[1],\"messages\":[" USER(
                    "yes") "],"
                           "\"tools\":[2],\"system\":\"x\",\"system\":null}",
                "{\"tools\":[2],\"messages\":[" USER("yes") "]}");
    assert_none("{\"messages\":[" USER("a") "],\"messages\":null}");
}

static void the_prompts_of_all_kinds_of_bodies(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"prompt\":\"Once upon\"}",
        "{\"prompt\":[\"a\",\"b\"]}",
        "{\"prompt\":[1,2,3]}",
        "{\"prompt\":[1,\"a\",2]}",
        "{\"input\":\"a\"}",
        "{\"input\":[{\"type\":\"message\"}]}",
        "{\"messages\":[" USER("a") "]}",
        "{\"prompt\":{\"prompt_string\":\"a\"}}",
        "{\"prompt\":\"\"}",
    };
    size_t n = sizeof bodies / sizeof bodies[0];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_common(bodies[i], bodies[j], 0);
    /* By precedence: the `prompt` of a responses request is another thing. */
    assert_same("{\"input\":\"a\",\"prompt\":{\"id\":\"p\"}}", "{\"prompt\":[1],\"input\":\"a\"}");
}

static void no_prompt(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "1",
        "\"messages\"",
        "null",
        "[{\"messages\":[1]}]",
        "{\"messages\":[]}",
        "{\"messages\":{}}",
        "{\"messages\":null}",
        "{\"prompt\":17}",
        "{\"prompt\":true}",
        "{\"x\":{\"messages\":[1]}}",
        "{\"message\":[1]}",
        "{\"messagesx\":[1]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        assert_none(bodies[i]);
}

static void broken_json(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"messages\":[1]",
        "{\"messages\":[1}",
        "{\"messages\":[1]]",
        "{\"messages\":[1],}",
        "{\"messages\":[1,]}",
        "{\"messages\":[,1]}",
        "{\"messages\" [1]}",
        "{\"messages\":[1 2]}",
        "{\"messages\":[tru]}",
        "{\"messages\":[nul]}",
        "{\"messages\":[01]}",
        "{\"messages\":[1.]}",
        "{\"messages\":[\"\\x\"]}",
        "{\"messages\":[\"\\ud800\"]}",
        "{\"messages\":[\"\\u12g4\"]}",
        "{\"messages\":[\"a\nb\"]}",
        "{\"messages\":[\"a]}",
        "{\"messages\":[1]} x",
        "{\"messages\":[1],1:2}",
        "{messages:[1]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        assert_none(bodies[i]);
}

static char *nested(size_t depth)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    buf_puts(&b, "{\"messages\":");
    for (size_t i = 0; i < depth; i++)
        buf_puts(&b, "[");
    for (size_t i = 0; i < depth; i++)
        buf_puts(&b, "]");
    buf_puts(&b, "}");
    return buf_take(&b);
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    char *deep = nested(PROMPT_DEPTH_MAX - 1), *deeper = nested(PROMPT_DEPTH_MAX);
    struct prompt_chain chain = chain_of(deep);
    assert_none(deeper);
    prompt_chain_finish(&chain);
    free(deep);
    free(deeper);
}

#define TEXT(text, rest) "{\"type\":\"text\",\"text\":\"" text "\"" rest "}"
#define MARK "\"cache_control\":{\"type\":\"ephemeral\",\"a\":[{},\"x\\\"}\"]}"
#define PARTS(parts) "{\"role\":\"user\",\"content\":[" parts "]}"

static void marks_for_caches_do_not_count(void **state)
{
    (void)state;
    assert_same(CHAT(PARTS(TEXT("a", "") "," TEXT("b", ""))),
                CHAT(PARTS(TEXT("a", "," MARK) "," TEXT("b", ""))));
    /* First, between others, alone, twice, in a message, in parts of parts. */
    assert_same(CHAT(PARTS("{" MARK ",\"type\":\"text\",\"text\":\"a\"}")),
                CHAT(PARTS(TEXT("a", ""))));
    assert_same(CHAT(PARTS("{\"type\":\"text\", " MARK " , " MARK ",\"text\":\"a\"}")),
                CHAT(PARTS(TEXT("a", ""))));
    assert_same(CHAT("{" MARK "}"), CHAT("{}"));
    assert_same(CHAT("{\"role\":\"tool\"," MARK ",\"content\":\"x\"}"),
                CHAT("{\"role\":\"tool\",\"content\":\"x\"}"));
    assert_same(CHAT(PARTS("{\"type\":\"tool_result\",\"content\":[" TEXT("a", "," MARK) "]}")),
                CHAT(PARTS("{\"type\":\"tool_result\",\"content\":[" TEXT("a", "") "]}")));
    assert_same("{\"system\":[" TEXT("s", "," MARK) "],\"tools\":[{\"name\":\"t\"," MARK "}],"
                                                    "\"messages\":[1]}",
                "{\"system\":[" TEXT("s", "") "],\"tools\":[{\"name\":\"t\"}],\"messages\":[1]}");
}

static void what_only_looks_like_a_mark_counts(void **state)
{
    (void)state;
    assert_common(CHAT(PARTS("{\"type\":\"tool_use\",\"input\":{" MARK "}}")),
                  CHAT(PARTS("{\"type\":\"tool_use\",\"input\":{}}")), 0);
    assert_common(CHAT(PARTS("{\"type\":\"tool_use\",\"input\":[{" MARK "}]}")),
                  CHAT(PARTS("{\"type\":\"tool_use\",\"input\":[{}]}")), 0);
    assert_common(CHAT(PARTS("{\"cache_controls\":1}")), CHAT(PARTS("{}")), 0);
    assert_common(CHAT(PARTS("{\"cache_contro\":1}")), CHAT(PARTS("{}")), 0);
    assert_common(CHAT("\"cache_control\""), CHAT("\"\""), 0);
    assert_common("{\"prompt\":{" MARK "}}", "{\"prompt\":{\"x\":1}}", 0);
}

static void a_string_is_as_one_text(void **state)
{
    (void)state;
    assert_same(CHAT(USER("a\\\"\\u00e9")), CHAT(PARTS(TEXT("a\\\"\\u00e9", "," MARK))));
    assert_common(CHAT(USER("a")), CHAT(PARTS(TEXT("a", "") "," TEXT("b", ""))), 0);
    /* Only of messages and parts. */
    assert_common(CHAT("{\"x\":{\"content\":\"a\"}}"),
                  CHAT("{\"x\":{\"content\":[" TEXT("a", "") "]}}"), 0);
    assert_common(CHAT("{\"content\":null}"), CHAT("{\"content\":\"null\"}"), 0);
    /* `content` says nothing of what comes after its value. */
    assert_common(CHAT("{\"content\":1,\"a\":\"b\"}"),
                  CHAT("{\"content\":1,\"a\":[" TEXT("b", "") "]}"), 0);
}

#define BILLING(cch) "x-anthropic-billing-header: cc_version=2.1; ccc=1; cccch=" cch ";You are"
#define SYSTEM(system) "{\"system\":" system ",\"messages\":[1]}"

static void the_stamp_of_a_system_prompt_does_not_count(void **state)
{
    (void)state;
    assert_same(SYSTEM("\"" BILLING("a5145") "\""), SYSTEM("\"" BILLING("00000") "\""));
    assert_same(SYSTEM("[" TEXT(BILLING("a5145"), "") "," TEXT("s", "") "]"),
                SYSTEM("[" TEXT(BILLING("00000"), "," MARK) "," TEXT("s", "") "]"));
    /* Elsewhere it does. */
    assert_other_head(SYSTEM("\"" BILLING("a51451") "\""), SYSTEM("\"" BILLING("a51452") "\""));
    assert_other_head(SYSTEM("\"" BILLING("a5") "\""), SYSTEM("\"" BILLING("a6") "; more\""));
    assert_other_head(SYSTEM("\"a " BILLING("a5145") "\""), SYSTEM("\"a " BILLING("00000") "\""));
    assert_other_head(SYSTEM("\"" BILLING("a5145") " cch=11111;\""),
                      SYSTEM("\"" BILLING("a5145") " cch=22222;\""));
    assert_common(CHAT(USER(BILLING("a5145"))), CHAT(USER(BILLING("00000"))), 0);
}

static void keys_may_be_escaped(void **state)
{
    (void)state;
    assert_same("{\"mess\\u0061ges\":[1]}", "{\"messages\":[1]}");
    assert_same(CHAT("{\"a\":1,\"cache\\u005fcontrol\":1}"), CHAT("{\"a\":1}"));
}

static void a_long_key_counts_as_it_is(void **state)
{
    (void)state;
    struct buf a, b;
    char key[300];
    memset(key, 'k', sizeof key);
    buf_init(&a, BUF_UNBOUNDED);
    buf_init(&b, BUF_UNBOUNDED);
    for (int len = 100; len < 150; len++) {
        buf_clear(&a);
        buf_clear(&b);
        buf_printf(&a, CHAT("{\"%.*s\":1}"), len, key);
        buf_printf(&b, CHAT("{\"%.*s\": 1, " MARK "}"), len, key);
        assert_same(buf_cstr(&a), buf_cstr(&b));
        buf_clear(&b);
        buf_printf(&b, CHAT("{\"%.*sx\":1}"), len - 1, key);
        assert_common(buf_cstr(&a), buf_cstr(&b), 0);
    }
    buf_finish(&a);
    buf_finish(&b);
}

/* --- points -------------------------------------------------------------------------------------
 */
static void add_text(struct buf *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_puts(b, i % 50 ? "a" : "\\n");
}

static char *completion(size_t len, const char *rest)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    buf_puts(&b, "{\"prompt\":\"");
    add_text(&b, len);
    buf_puts(&b, rest);
    buf_puts(&b, "\"}");
    return buf_take(&b);
}

static void a_long_element_has_points_within(void **state)
{
    (void)state;
    char *one = completion(40000, "x"), *two = completion(40000, "yz");
    struct prompt_chain a = chain_of(one), b = chain_of(two);
    assert_int_equal(a.n, 40000 / PROMPT_STEP);
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(a.point[i].at, (i + 1) * PROMPT_STEP);
    /* The text may go on in any way. */
    assert_true(prompt_chain_equal(&a, &b));
    prompt_chain_finish(&a);
    prompt_chain_finish(&b);
    free(one);
    free(two);
}

static void the_next_turn_of_a_text_contains_the_last_one(void **state)
{
    (void)state;
    static const size_t sizes[] = {5000, 6000, 30000, 30001};
    struct prompt_chain last = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *body = completion(sizes[i], "");
        struct prompt_chain chain = chain_of(body);
        assert_true(chain.bytes >= last.bytes && chain.bytes <= sizes[i] + sizes[i] / 40);
        assert_true(!i || prompt_chain_common(&last, &chain) == last.bytes);
        prompt_chain_finish(&last);
        free(body);
        last = chain;
    }
    prompt_chain_finish(&last);
}

static void a_short_text_ends_where_it_does(void **state)
{
    (void)state;
    assert_common("{\"prompt\":\"a\"}", "{\"prompt\":\"b\"}", 0);
    assert_common("{\"prompt\":\"a\"}", "{\"prompt\":\"ab\"}", 0);
    assert_common("{\"prompt\":[1,2]}", "{\"prompt\":[1,2,3]}", 0);
}

static char *many_messages(size_t n)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    buf_puts(&b, "{\"messages\":[");
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s{\"n\":%zu}", i ? "," : "", i);
    buf_puts(&b, "]}");
    return buf_take(&b);
}

static struct prompt_chain chain_of_many(size_t n)
{
    struct prompt_chain chain;
    char *body = many_messages(n);
    assert_true(scan_cut(body, strlen(body), 1000, &chain));
    free(body);
    return chain;
}

static void the_number_of_points_has_a_limit(void **state)
{
    (void)state;
    struct prompt_chain few = chain_of_many(5000), many = chain_of_many(100000);
    struct prompt_chain more = chain_of_many(400000);
    assert_int_equal(few.coarse, 0);
    assert_true(many.coarse > 0 && more.coarse > many.coarse);
    assert_true(few.n >= 5000 && many.n <= PROMPT_POINTS_MAX && more.n <= PROMPT_POINTS_MAX);
    assert_true(many.n > PROMPT_POINTS_MAX / 4 && more.n > PROMPT_POINTS_MAX / 4);
    /* Of what is common, at most some coarse points are not seen. */
    uint64_t common = prompt_chain_common(&many, &more);
    assert_true(common <= many.bytes && common > many.bytes - many.bytes / 50);
    common = prompt_chain_common(&more, &few);
    assert_true(common <= few.bytes && common > few.bytes - few.bytes / 10);
    prompt_chain_finish(&few);
    prompt_chain_finish(&many);
    prompt_chain_finish(&more);
}

static void tokens_have_no_points_each(void **state)
{
    (void)state;
    struct prompt_chain chain = chain_of("{\"prompt\":[1,2,3,4,5]}");
    assert_int_equal(chain.n, 1);
    prompt_chain_finish(&chain);
}

static void seeds_make_other_chains(void **state)
{
    (void)state;
    const char *body = CHAT(USER("a"));
    struct prompt_chain a = chain_of(body), b;
    struct prompt_scan *s = prompt_scan_create(SEED + 1);
    prompt_scan_feed(s, body, strlen(body));
    assert_true(prompt_scan_end(s, &b));
    prompt_scan_destroy(s);
    assert_int_equal(prompt_chain_common(&a, &b), 0);
    prompt_chain_finish(&a);
    prompt_chain_finish(&b);
}

static void without_a_scan(void **state)
{
    (void)state;
    struct prompt_chain chain;
    prompt_scan_feed(NULL, "{", 1);
    assert_false(prompt_scan_end(NULL, &chain));
    prompt_scan_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_turn_contains_the_last_one),
        cmocka_unit_test(what_differs_ends_what_is_common),
        cmocka_unit_test(white_space_between_tokens_does_not_count),
        cmocka_unit_test(members_that_only_sample_do_not_count),
        cmocka_unit_test(the_order_of_members_does_not_count),
        cmocka_unit_test(the_head_counts),
        cmocka_unit_test(adapters_of_its_own_are_told),
        cmocka_unit_test(what_the_engine_is_to_use_is_told),
        cmocka_unit_test(of_members_that_are_twice_the_last_one_counts),
        cmocka_unit_test(the_prompts_of_all_kinds_of_bodies),
        cmocka_unit_test(no_prompt),
        cmocka_unit_test(broken_json),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(marks_for_caches_do_not_count),
        cmocka_unit_test(what_only_looks_like_a_mark_counts),
        cmocka_unit_test(a_string_is_as_one_text),
        cmocka_unit_test(the_stamp_of_a_system_prompt_does_not_count),
        cmocka_unit_test(keys_may_be_escaped),
        cmocka_unit_test(a_long_key_counts_as_it_is),
        cmocka_unit_test(a_long_element_has_points_within),
        cmocka_unit_test(the_next_turn_of_a_text_contains_the_last_one),
        cmocka_unit_test(a_short_text_ends_where_it_does),
        cmocka_unit_test(the_number_of_points_has_a_limit),
        cmocka_unit_test(tokens_have_no_points_each),
        cmocka_unit_test(seeds_make_other_chains),
        cmocka_unit_test(without_a_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
