/* SPDX-License-Identifier: MIT */
/* What is in the page cache, as mincore() tells, before and after. Where a file cannot be dropped from
 * it (in a tmpfs), there is nothing to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/warm.h"

#define MIB ((size_t)1024 * 1024)
#define AVAILABLE ((uint64_t)1 << 40) /* bytes of memory: as many as any file here has */

static uv_loop_t loop;
static struct warm *warm;
static char folder[64];
static bool closed;

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static char *write_file(const char *name, size_t mib)
{
    static char block[1024 * 1024];
    int fd = open(path_of(name), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    memset(block, name[0], sizeof block);
    for (size_t i = 0; i < mib; i++)
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
    return path_of(name);
}

/* Percent of its pages. */
static unsigned cached(const char *name)
{
    int fd = open(path_of(name), O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);
    size_t pages = (size_t)size / (size_t)sysconf(_SC_PAGESIZE), here = 0;
    void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    unsigned char *is_here = malloc(pages);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, (size_t)size, is_here), 0);
    for (size_t i = 0; i < pages; i++)
        here += is_here[i] & 1;
    free(is_here);
    munmap(map, (size_t)size);
    close(fd);
    return (unsigned)(here * 100 / pages);
}

static int set_up(void **state)
{
    (void)state;
    closed = false;
    snprintf(folder, sizeof folder, "/tmp/hostler-warm-XXXXXX");
    assert_non_null(mkdtemp(folder));
    uv_loop_init(&loop);
    warm = warm_create(&loop);
    return 0;
}

static void on_closed(void *ctx)
{
    (void)ctx;
    closed = true;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    warm_close(warm, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* Until nothing is read any more. */
static void settle(void)
{
    uv_run(&loop, UV_RUN_DEFAULT);
}

static bool cannot_drop(const char *name)
{
    if (cached(name) < 10)
        return false;
    print_message("the page cache keeps what it is told to drop: skipped\n");
    return true;
}

static void a_file_is_read_whole(void **state)
{
    (void)state;
    struct catalog_model m = {.path = write_file("a.gguf", 40), .shards = 1, .stamp = 1};
    if (cannot_drop("a.gguf"))
        skip();
    warm_next(warm, &m, AVAILABLE);
    settle();
    assert_true(cached("a.gguf") > 90);
}

/* The record of a model that is gone may have been where that of another is now. */
static void another_model_in_the_same_record(void **state)
{
    (void)state;
    struct catalog_model m = {.path = write_file("a.gguf", 2), .shards = 1, .stamp = 2};
    warm_next(warm, &m, AVAILABLE);
    settle();
    m = (struct catalog_model){.path = write_file("b.gguf", 2), .shards = 1, .stamp = 3};
    if (cannot_drop("b.gguf"))
        skip();
    warm_next(warm, &m, AVAILABLE);
    settle();
    assert_true(cached("b.gguf") > 90);
}

static void all_shards_are_read(void **state)
{
    (void)state;
    write_file("m-00002-of-00002.gguf", 3);
    struct catalog_model m = {
        .path = write_file("m-00001-of-00002.gguf", 3), .shards = 2, .stamp = 1};
    if (cannot_drop("m-00002-of-00002.gguf"))
        skip();
    warm_next(warm, &m, AVAILABLE);
    settle();
    assert_true(cached("m-00001-of-00002.gguf") > 90);
    assert_true(cached("m-00002-of-00002.gguf") > 90);
}

static void a_change_of_plans_ends_it(void **state)
{
    (void)state;
    struct catalog_model none = {.path = NULL, .shards = 1}, other = {.shards = 1, .stamp = 2};
    char *path = strdup(write_file("a.gguf", 200));
    struct catalog_model m = {.path = path, .shards = 1, .stamp = 1};
    if (cannot_drop("a.gguf")) {
        free(path);
        skip();
    }
    other.path = write_file("b.gguf", 2);
    warm_next(warm, &m, AVAILABLE);
    warm_next(warm, &none, AVAILABLE); /* that the engine fetches */
    warm_next(warm, &other, AVAILABLE);
    settle();
    assert_true(cached("a.gguf") < 50); /* a slice, and what the kernel was asked for beyond it */
    assert_true(cached("b.gguf") > 90);
    free(path);
}

static void a_file_that_is_not_there(void **state)
{
    (void)state;
    struct catalog_model m = {.path = path_of("none.gguf"), .shards = 3, .stamp = 1};
    warm_next(warm, &m, AVAILABLE);
    settle();
}

static void closed_in_the_middle(void **state)
{
    (void)state;
    struct catalog_model m = {.path = write_file("a.gguf", 64), .shards = 1, .stamp = 1};
    warm_next(warm, &m, AVAILABLE); /* and then tear_down() */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_read_whole),     TEST(another_model_in_the_same_record),
        TEST(all_shards_are_read),      TEST(a_change_of_plans_ends_it),
        TEST(a_file_that_is_not_there), TEST(closed_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
