/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/lines.h"
#include "engine/llama/protocol.h"

#define REPORT_MAX 65536
#define HEAD "cmd_child_to_router:state:"

static int parse(const char *line, struct engine_report *out)
{
    /* On the heap without a zero behind it, so that a read beyond the end is seen. */
    size_t len = strlen(line);
    char *copy = malloc(len ? len : 1);
    memcpy(copy, line, len);
    *out = (struct engine_report){0};
    int rc = llama_protocol_parse(copy, len, out);
    free(copy);
    return rc;
}

static void test_reports(void **state)
{
    struct engine_report r;
    (void)state;
    assert_int_equal(parse(HEAD "{\"state\":\"loading\",\"payload\":{\"value\":0.5}}", &r), 0);
    assert_int_equal(r.type, ENGINE_REPORT_LOADING);
    assert_true(json_real_value(json_object_get(r.payload, "value")) == 0.5);
    json_decref(r.payload);
    assert_int_equal(parse(HEAD "{\"payload\":{\"id\":\"m\"},\"state\":\"ready\"}", &r), 0);
    assert_int_equal(r.type, ENGINE_REPORT_READY);
    assert_string_equal(json_string_value(json_object_get(r.payload, "id")), "m");
    json_decref(r.payload);
    assert_int_equal(parse(HEAD "{\"state\":\"sleeping\",\"payload\":null}", &r), 0);
    assert_int_equal(r.type, ENGINE_REPORT_SLEEPING);
    assert_null(r.payload);
    assert_int_equal(parse(HEAD "{\"state\":\"ready\"}", &r), 0);
    assert_null(r.payload);
    assert_int_equal(parse(HEAD "{\"state\":\"downloading\",\"payload\":{\"total\":7}}", &r), 0);
    assert_int_equal(r.type, ENGINE_REPORT_DOWNLOADING);
    assert_int_equal(json_integer_value(json_object_get(r.payload, "total")), 7);
    json_decref(r.payload);
}

static void test_end_of_a_download(void **state)
{
    static const char *const results[] = {"download_finished", "download_failed", "else"};
    struct engine_report r;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char line[128];
        snprintf(line, sizeof line,
                 HEAD "{\"state\":\"downloading\",\"payload\":{\"result\":\"%s\"}}", results[i]);
        assert_int_equal(parse(line, &r), 0);
        assert_int_equal(r.type, i ? ENGINE_REPORT_NOT_DOWNLOADED : ENGINE_REPORT_DOWNLOADED);
        json_decref(r.payload);
    }
}

static void test_log_lines(void **state)
{
    static const char *const lines[] = {"", "c", "srv  load_model: loading",
                                        "cmd_child_to_router:", " " HEAD "{\"state\":\"ready\"}"};
    struct engine_report r;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(parse(lines[i], &r), -ENOMSG);
}

static void test_nonsense(void **state)
{
    static const char *const lines[] = {
        HEAD,
        HEAD "{",
        HEAD "{}",
        HEAD "[]",
        HEAD "7",
        HEAD "{\"state\":7}",
        HEAD "{\"state\":\"singing\"}",
        HEAD "{\"state\":\"ready\"} more",
        HEAD "{\"state\":\"ready\",\"payload\":{\"id\":\"\xff\"}}",
        HEAD "{\"state\":\"re\\u0000ady\"}",
    };
    struct engine_report r;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(parse(lines[i], &r), -EBADMSG);
}

static void test_deep(void **state)
{
    struct engine_report r;
    char *line = malloc(REPORT_MAX + 1);
    (void)state;
    memset(line, '[', REPORT_MAX);
    memcpy(line, HEAD, sizeof HEAD - 1);
    line[REPORT_MAX] = '\0';
    assert_int_equal(parse(line, &r), -EBADMSG);
    free(line);
}

/* --- lines */

struct seen {
    size_t n, cut, bytes;
    char last[64];
};

static void on_line(char *line, size_t len, bool cut, void *ctx)
{
    struct seen *s = ctx;
    s->n++;
    s->cut += cut;
    s->bytes += len;
    size_t keep = len < sizeof s->last - 1 ? len : sizeof s->last - 1;
    memcpy(s->last, line, keep);
    s->last[keep] = '\0';
}

static void feed_by(struct lines *l, const char *text, size_t step)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i += step)
        lines_feed(l, text + i, len - i < step ? len - i : step);
}

static void test_lines(void **state)
{
    static const char text[] = "one\r\n\ntwo\nthree is too long\nfour\nfive";
    (void)state;
    for (size_t step = 1; step < sizeof text; step++) {
        struct seen s = {0};
        struct lines l;
        lines_init(&l, 8, on_line, &s);
        feed_by(&l, text, step);
        assert_int_equal(s.n, 5);
        assert_int_equal(s.cut, 1);
        assert_string_equal(s.last, "four");
        assert_int_equal(s.bytes, 3 + 0 + 3 + 8 + 4);
        lines_end(&l);
        assert_int_equal(s.n, 6);
        assert_string_equal(s.last, "five");
        lines_end(&l);
        assert_int_equal(s.n, 6);
        lines_finish(&l);
    }
}

static void test_line_of_the_very_limit(void **state)
{
    struct seen s = {0};
    struct lines l;
    (void)state;
    lines_init(&l, 4, on_line, &s);
    feed_by(&l, "abcd\nabcde\n", 3);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.cut, 1);
    assert_true(l.partial.cap <= 256);
    lines_finish(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_end_of_a_download),
        cmocka_unit_test(test_log_lines),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_line_of_the_very_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
