/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int real_stderr = -1, reader = -1;

/* From here on stderr is a pipe; what was written is in captured(). */
static int set_up(void **state)
{
    int fd[2];
    (void)state;
    assert_int_equal(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
    real_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fd[1], STDERR_FILENO) >= 0);
    close(fd[1]);
    reader = fd[0];
    return 0;
}

static void restore(void)
{
    if (real_stderr < 0)
        return;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    real_stderr = -1;
}

static int tear_down(void **state)
{
    (void)state;
    restore();
    close(reader);
    log_setup(LOG_INFO, LOG_TEXT);
    return 0;
}

/* Everything written so far. Ends the capture, so that a failing assert can be read. */
static const char *captured(void)
{
    static char text[65536];
    restore();
    ssize_t n = read(reader, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* `2026-01-02T03:04:05.678Z` */
static bool is_timestamp(const char *s)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != shape[i])
            return false;
    return true;
}

static json_t *captured_json(void)
{
    const char *line = captured();
    size_t len = strlen(line);
    assert_true(len > 0);
    assert_ptr_equal(strchr(line, '\n'), line + len - 1); /* one line */
    json_t *o = json_loads(line, 0, NULL);
    assert_non_null(o);
    assert_true(is_timestamp(json_string_value(json_object_get(o, "time"))));
    return o;
}

static void assert_member(const json_t *o, const char *name, const char *value)
{
    const char *is = json_string_value(json_object_get(o, name));
    assert_non_null(is);
    assert_string_equal(is, value);
}

static void text_line(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    log_warn("low on %s", "memory");
    const char *line = captured();
    assert_true(is_timestamp(line));
    assert_string_equal(line + 24, " warn  low on memory\n");
}

static void text_of_an_engine(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    log_engine("qwen", "100% of %s");
    const char *line = captured();
    assert_true(is_timestamp(line));
    assert_string_equal(line + 24, " [qwen] 100% of %s\n");
}

static void json_line(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    log_error("a \"quoted\"\n%s", "line");
    json_t *o = captured_json();
    assert_member(o, "level", "error");
    assert_member(o, "message", "a \"quoted\"\nline");
    assert_null(json_object_get(o, "model"));
    json_decref(o);
}

static void json_of_an_engine(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    log_engine("qwen", "ready");
    json_t *o = captured_json();
    assert_member(o, "level", "info");
    assert_member(o, "model", "qwen");
    assert_member(o, "message", "ready");
    json_decref(o);
}

static void json_stays_json_without_utf8(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    log_engine("qwen", "\xff\xfe");
    json_t *o = captured_json();
    assert_member(o, "model", "qwen");
    assert_non_null(json_string_value(json_object_get(o, "message")));
    json_decref(o);
}

static void json_stays_json_with_a_model_that_is_no_utf8(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    log_engine("\xff", "ready");
    json_t *o = captured_json();
    assert_member(o, "message", "ready");
    json_decref(o);
}

static void text_mends_other_bytes(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    log_info("\xff");
    assert_string_equal(captured() + 24, " info  ?\n");
}

static void an_empty_message(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    log_info("%s", "");
    assert_string_equal(captured() + 24, " info  \n");
}

static void a_long_line_is_whole(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    log_info("%20000d.", 1);
    const char *line = captured();
    assert_int_equal(strlen(line), 24 + 7 + 20000 + 2);
    assert_string_equal(line + strlen(line) - 3, "1.\n");
}

static void levels_below_are_silent(void **state)
{
    (void)state;
    log_setup(LOG_WARN, LOG_TEXT);
    log_info("a");
    log_debug("b");
    log_engine("qwen", "c");
    log_warn("d");
    log_error("e");
    const char *text = captured();
    assert_string_equal(text + 24, strchr(text, ' '));
    assert_null(strstr(text, " a\n"));
    assert_null(strstr(text, " b\n"));
    assert_null(strstr(text, " c\n"));
    assert_non_null(strstr(text, " warn  d\n"));
    assert_non_null(strstr(text, " error e\n"));
}

static void debug_says_everything(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, LOG_TEXT);
    log_debug("a");
    log_engine("qwen", "b");
    const char *text = captured();
    assert_non_null(strstr(text, " debug a\n"));
    assert_non_null(strstr(text, " [qwen] b\n"));
}

static void level_names(void **state)
{
    (void)state;
    restore();
    assert_int_equal(log_level_parse("error"), LOG_ERROR);
    assert_int_equal(log_level_parse("warn"), LOG_WARN);
    assert_int_equal(log_level_parse("info"), LOG_INFO);
    assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
    assert_true(log_level_parse("") < 0);
    assert_true(log_level_parse("Info") < 0);
    assert_true(log_level_parse("trace") < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_line),
        TEST(text_of_an_engine),
        TEST(json_line),
        TEST(json_of_an_engine),
        TEST(json_stays_json_without_utf8),
        TEST(json_stays_json_with_a_model_that_is_no_utf8),
        TEST(text_mends_other_bytes),
        TEST(an_empty_message),
        TEST(a_long_line_is_whole),
        TEST(levels_below_are_silent),
        TEST(debug_says_everything),
        TEST(level_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
