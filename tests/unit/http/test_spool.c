/* SPDX-License-Identifier: MIT */
/* Bytes that wait in a file. */
#include "loop_test.h"

#include <errno.h>
#include <stdlib.h>

#include "http/spool.h"

static struct loop_test t;
static char folder[80];
static struct spool *spool;
static unsigned progresses, reads;
static struct buf got; /* of all reads */
static int error;      /* of the last read */

static void note_progress(void *ctx)
{
    assert_ptr_equal(ctx, &t);
    progresses++;
}

static void note_read(const char *data, size_t len, int why, void *ctx)
{
    assert_ptr_equal(ctx, &got);
    reads++;
    error = why;
    assert_int_equal(buf_append(&got, data, len), 0);
}

static int set_up(void **state)
{
    (void)state;
    loop_test_init(&t);
    snprintf(folder, sizeof folder, "%s/files", t.folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    buf_init(&got, BUF_UNBOUNDED);
    progresses = reads = 0;
    error = 0;
    spool = spool_create(&t.loop, folder, note_progress, &t);
    assert_non_null(spool);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    spool_destroy(spool);
    spool = NULL;
    uv_run(&t.loop, UV_RUN_DEFAULT);
    buf_finish(&got);
    assert_int_equal(rmdir(folder), 0); /* nothing is left in it */
    loop_test_finish(&t);
    return 0;
}

/* A byte that tells its offset. */
static char byte_at(size_t offset)
{
    return (char)(offset * 31 + offset / 251);
}

static void append(size_t from, size_t len)
{
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(from + i);
    assert_int_equal(spool_append(spool, data, len), 0);
    free(data);
}

static void read_at(size_t offset)
{
    unsigned before = reads;
    spool_read(spool, offset, note_read, &got);
    UNTIL(&t, reads > before);
}

static void all_comes_back_in_order(void **state)
{
    const size_t size = 3 * SPOOL_READ_SIZE + 12345;
    (void)state;
    for (size_t at = 0; at < size; at += 7001)
        append(at, size - at < 7001 ? size - at : 7001);
    do
        read_at(got.len);
    while (!error && got.len < size);
    assert_int_equal(got.len, size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(got.data[i], byte_at(i));
    read_at(size);
    assert_int_equal(got.len, size);
    assert_int_equal(error, 0);
}

static void a_sender_that_is_quicker_than_the_disk(void **state)
{
    (void)state;
    append(0, 1);
    assert_false(spool_is_behind(spool));
    append(1, 2 * SPOOL_READ_SIZE);
    assert_true(spool_is_behind(spool));
    UNTIL(&t, !spool_is_behind(spool));
    assert_true(progresses > 0);
}

static void a_file_that_cannot_be_made(void **state)
{
    (void)state;
    assert_int_equal(rmdir(folder), 0);
    append(0, 10);
    UNTIL(&t, spool_error(spool));
    assert_int_equal(spool_error(spool), -ENOENT);
    assert_int_equal(progresses, 1);
    assert_int_equal(spool_append(spool, "x", 1), -ENOENT);
    assert_false(spool_is_behind(spool));
    read_at(0);
    assert_int_equal(error, -ENOENT);
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void a_read_that_is_cancelled(void **state)
{
    (void)state;
    append(0, 100);
    spool_read(spool, 0, note_read, &got);
    spool_read_cancel(spool);
    spool_read(spool, 90, note_read, &got);
    UNTIL(&t, reads);
    assert_int_equal(got.len, 10);
    assert_int_equal(got.data[0], byte_at(90));
    loop_settle(&t);
    assert_int_equal(reads, 1);
}

static void destroyed_in_the_middle_of_it(void **state)
{
    (void)state;
    append(0, 4 * SPOOL_READ_SIZE);
    spool_read(spool, 0, note_read, &got);
    spool_destroy(spool);
    spool = NULL;
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(progresses + reads, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_comes_back_in_order),       TEST(a_sender_that_is_quicker_than_the_disk),
        TEST(a_file_that_cannot_be_made),    TEST(a_read_that_is_cancelled),
        TEST(destroyed_in_the_middle_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
