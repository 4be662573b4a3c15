/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log_sink.h"

#define PIPE_SIZE 4096
#define PATIENCE_MS 60000

static size_t notice(char *out, size_t size, uint64_t dropped)
{
    return (size_t)snprintf(out, size, "dropped %llu\n", (unsigned long long)dropped);
}

static void put(struct log_sink *s, const char *line)
{
    size_t half = strlen(line) / 2;
    struct iovec parts[] = {{(char *)line, half}, {(char *)line + half, strlen(line) - half}};
    log_sink_write(s, parts, 2);
}

/* What a pipe's reader finds: all of it, when the writing end is closed. */
static char *read_all(int fd)
{
    size_t len = 0, cap = (size_t)4 * 1024 * 1024;
    char *text = malloc(cap + 1);
    ssize_t n;
    while ((n = read(fd, text + len, cap - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    return text;
}

static struct log_sink *to_pipe(int *reader)
{
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_true(fcntl(fd[1], F_SETPIPE_SZ, PIPE_SIZE) >= 0);
    struct log_sink *s = log_sink_create(fd[1], notice);
    assert_non_null(s);
    *reader = fd[0];
    return s;
}

static void lines_come_whole_and_in_order(void **state)
{
    int reader;
    (void)state;
    struct log_sink *s = to_pipe(&reader);
    put(s, "one\n");
    assert_true(log_sink_flush(s, PATIENCE_MS));
    put(s, "two\n");
    put(s, "three\n");
    log_sink_close(s, PATIENCE_MS);
    char *text = read_all(reader);
    assert_string_equal(text, "one\ntwo\nthree\n");
    free(text);
}

/* Reads lines until `n` came or are told as dropped, where they are missing; returns how many came. */
static int read_counting(int fd, int n)
{
    FILE *in = fdopen(dup(fd), "r");
    char line[2048];
    int next = 0, came = 0, dropped;
    setvbuf(in, NULL, _IONBF, 0);
    while (next < n) {
        assert_non_null(fgets(line, sizeof line, in));
        if (sscanf(line, "dropped %d", &dropped) == 1) {
            next += dropped;
        } else {
            assert_int_equal(atoi(line), next++);
            came++;
        }
    }
    assert_int_equal(next, n);
    fclose(in);
    return came;
}

static void a_stalled_reader_holds_nobody_up(void **state)
{
    char line[1025];
    int reader, n = 3000;
    (void)state;
    struct log_sink *s = to_pipe(&reader);
    for (int i = 0; i < n; i++) {
        snprintf(line, sizeof line, "%1023d\n", i);
        put(s, line);
    }
    assert_false(log_sink_flush(s, 10));
    int came = read_counting(reader, n);
    assert_in_range(came, LOG_SINK_QUEUE_MAX / 1024, n - 1);
    put(s, "again\n");
    log_sink_close(s, PATIENCE_MS);
    char *text = read_all(reader);
    assert_string_equal(text, "again\n");
    free(text);
}

static void what_cannot_be_written_is_counted(void **state)
{
    int reader, fd[2];
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    struct log_sink *s = log_sink_create(full, notice);
    put(s, "one\n");
    put(s, "two\n");
    assert_true(log_sink_flush(s, PATIENCE_MS));
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    reader = fd[0];
    log_sink_replace(s, fd[1]);
    put(s, "three\n");
    log_sink_close(s, PATIENCE_MS);
    char *text = read_all(reader);
    assert_string_equal(text, "dropped 2\nthree\n");
    free(text);
}

static void a_non_blocking_descriptor_loses_nothing(void **state)
{
    char line[1025];
    int fd[2];
    (void)state;
    assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(fcntl(fd[1], F_SETPIPE_SZ, PIPE_SIZE) >= 0);
    fcntl(fd[0], F_SETFL, 0);
    struct log_sink *s = log_sink_create(fd[1], notice);
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "%1023d\n", i);
        put(s, line);
    }
    for (int i = 0; i < 100; i++) {
        size_t len = 0;
        while (len < 1024)
            len += (size_t)read(fd[0], line + len, 1024 - len);
        assert_int_equal(atoi(line), i);
    }
    log_sink_close(s, PATIENCE_MS);
    close(fd[0]);
}

static void a_descriptor_is_closed_when_it_is_replaced(void **state)
{
    int reader, fd[2];
    (void)state;
    struct log_sink *s = to_pipe(&reader);
    put(s, "one\n");
    assert_true(log_sink_flush(s, PATIENCE_MS));
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    log_sink_replace(s, fd[1]);
    assert_true(log_sink_flush(s, PATIENCE_MS));
    char *text = read_all(reader); /* ends, since nobody can write to it any more */
    assert_string_equal(text, "one\n");
    free(text);
    put(s, "two\n");
    log_sink_close(s, PATIENCE_MS);
    text = read_all(fd[0]);
    assert_string_equal(text, "two\n");
    free(text);
}

static void closing_has_a_bound(void **state)
{
    char line[1025];
    int reader;
    (void)state;
    struct log_sink *s = to_pipe(&reader);
    snprintf(line, sizeof line, "%1023d\n", 0);
    for (int i = 0; i < 10; i++)
        put(s, line);
    log_sink_close(s, 10); /* comes back, and leaves the thread in its write() */
    log_sink_close(NULL, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_and_in_order),
        cmocka_unit_test(a_stalled_reader_holds_nobody_up),
        cmocka_unit_test(what_cannot_be_written_is_counted),
        cmocka_unit_test(a_non_blocking_descriptor_loses_nothing),
        cmocka_unit_test(a_descriptor_is_closed_when_it_is_replaced),
        cmocka_unit_test(closing_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
