/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/peer/sse.h"

/* The events as one text: `[data]`, or `![data]` for an error. */
static struct buf seen;

static int collect(const char *data, size_t len, bool error, void *ctx)
{
    (void)ctx;
    assert_int_equal(strlen(data), len);
    return buf_printf(&seen, "%s[%s]", error ? "!" : "", data);
}

static void feed(struct sse_reader *s, const char *text, size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece)
        assert_int_equal(sse_feed(s, text + at, len - at < piece ? len - at : piece, collect, NULL),
                         0);
}

/* The same events come out however the bytes are cut. */
static void assert_events(const char *text, const char *wanted)
{
    size_t len = strlen(text);
    for (size_t piece = 1; piece <= len; piece++) {
        struct sse_reader s;
        sse_init(&s);
        buf_init(&seen, BUF_UNBOUNDED);
        feed(&s, text, len, piece);
        assert_int_equal(sse_end(&s, collect, NULL), 0);
        assert_string_equal(buf_cstr(&seen), wanted);
        buf_finish(&seen);
        sse_finish(&s);
    }
}

static void events_end_at_empty_lines(void **state)
{
    (void)state;
    assert_events("data: one\n\ndata: two\n\n", "[one][two]");
    assert_events("data: one\r\n\r\ndata: two\r\n\r\n", "[one][two]");
    assert_events("data: one\r\rdata: two\r\r", "[one][two]");
    assert_events("data: one\r\n\ndata: two\n\r\n", "[one][two]");
}

static void data_lines_are_joined(void **state)
{
    (void)state;
    assert_events("data: a\ndata:b\ndata:  c\n\n", "[a\nb\n c]");
    assert_events("data\ndata\n\n", "[\n]");
    assert_events("data:\n\n", "[]");
}

static void what_is_no_data_is_no_event(void **state)
{
    (void)state;
    assert_events(": a comment\n\n:\n\nevent: x\nid: 1\nretry: 5\n\n\n\ndata: y\n\n", "[y]");
    assert_events("", "");
}

static void a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    assert_events("\xef\xbb\xbf"
                  "data: x\n\n",
                  "[x]");
}

static void an_end_without_empty_line_still_counts(void **state)
{
    (void)state;
    assert_events("data: a\n\ndata: [DONE]", "[a][[DONE]]");
    assert_events("data: a\n\ndata: [DONE]\n", "[a][[DONE]]");
}

static void an_error_field_is_an_error(void **state)
{
    (void)state;
    assert_events("data: a\n\nerror: {\"code\":500}\n\n", "[a]![{\"code\":500}]");
}

static void stray_text_is_kept(void **state)
{
    static const char text[] = "data: a\n\nproxy error: Failed to read connection";
    struct sse_reader s;
    (void)state;
    sse_init(&s);
    buf_init(&seen, BUF_UNBOUNDED);
    feed(&s, text, sizeof text - 1, 5);
    assert_int_equal(sse_end(&s, collect, NULL), 0);
    assert_string_equal(buf_cstr(&seen), "[a]");
    assert_string_equal(buf_cstr(&s.unparsed), "proxy error: Failed to read connection");
    buf_finish(&seen);
    sse_finish(&s);
}

static int refuse(const char *data, size_t len, bool error, void *ctx)
{
    (void)data, (void)len, (void)error, (void)ctx;
    return 42;
}

static void the_listener_can_stop(void **state)
{
    struct sse_reader s;
    (void)state;
    sse_init(&s);
    assert_int_equal(sse_feed(&s, "data: a\n\n", 9, refuse, NULL), 42);
    sse_finish(&s);
}

static void an_endless_line_ends_it(void **state)
{
    static char block[1 << 16];
    struct sse_reader s;
    int rc = 0;
    (void)state;
    memset(block, 'x', sizeof block);
    sse_init(&s);
    for (int i = 0; !rc && i < 1024; i++)
        rc = sse_feed(&s, block, sizeof block, refuse, NULL);
    assert_int_equal(rc, -ENOBUFS);
    sse_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_end_at_empty_lines),
        cmocka_unit_test(data_lines_are_joined),
        cmocka_unit_test(what_is_no_data_is_no_event),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(an_end_without_empty_line_still_counts),
        cmocka_unit_test(an_error_field_is_an_error),
        cmocka_unit_test(stray_text_is_kept),
        cmocka_unit_test(the_listener_can_stop),
        cmocka_unit_test(an_endless_line_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
