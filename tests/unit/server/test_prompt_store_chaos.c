/* SPDX-License-Identifier: MIT */
/*
 * The store on a disk that fails, and in a process that is killed: at the nth call that changes the disk. This file
 * defines these calls in place of the C library's, for this process alone.
 */
#include "prompt_store_test.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MIB ((uint64_t)1024 * 1024)

/* --- calls that fail, or are the last ones -------------------------------------------------------- */

static atomic_int calls;                 /* that changed the disk, so far */
static int die_at, fail_at;              /* the nth; 0: none */
static int fail_with;                    /* errno of that one, */
static bool fails_on;                    /* and of all that follow */
static uint64_t free_bytes = UINT64_MAX; /* that the disk says it has, if not this */

/* Whether the call fails. */
static bool strikes(void)
{
    int n = atomic_fetch_add(&calls, 1) + 1;
    if (n == die_at)
        kill(getpid(), SIGKILL);
    bool fails = fail_at && (n == fail_at || (fails_on && n > fail_at));
    if (fails)
        errno = fail_with;
    return fails;
}

int renameat(int from, const char *old, int to, const char *new)
{
    return strikes() ? -1 : (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

static bool links_hang;
static uv_sem_t may_link;

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    if (links_hang)
        uv_sem_wait(&may_link);
    return strikes() ? -1 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int unlinkat(int in, const char *name, int flags)
{
    return strikes() ? -1 : (int)syscall(SYS_unlinkat, in, name, flags);
}

int unlink(const char *name)
{
    return strikes() ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}

int mkdirat(int in, const char *name, mode_t mode)
{
    return strikes() ? -1 : (int)syscall(SYS_mkdirat, in, name, mode);
}

int fsync(int fd)
{
    (void)fd; /* the machine stays on */
    return strikes() ? -1 : 0;
}

int fchmod(int fd, mode_t mode)
{
    return strikes() ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

/* Only of files in a folder that is open, and only where they are made. */
int openat(int in, const char *name, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return flags & O_CREAT && strikes() ? -1 : (int)syscall(SYS_openat, in, name, flags, mode);
}

/* A full disk takes a part first. */
ssize_t write(int fd, const void *data, size_t len)
{
    struct stat st;
    bool is_file = fd > 2 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (is_file && strikes()) {
        if (len > 1)
            return syscall(SYS_write, fd, data, len / 2);
        return -1;
    }
    return syscall(SYS_write, fd, data, len);
}

int fstatvfs(int fd, struct statvfs *v)
{
    static int (*real)(int, struct statvfs *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fstatvfs");
    int rc = real(fd, v);
    if (free_bytes != UINT64_MAX)
        v->f_bavail = free_bytes / v->f_frsize;
    return rc;
}

#define ROOM ((uint64_t)256 * 1024 * 1024) /* 10,000 prompts take a page each, twice */

/* Hundreds of lives of a store are quicker where there is no disk. */
static void use_memory(void)
{
    char root[] = "/dev/shm/hostler-test-XXXXXX";
    struct statvfs v;
    if (statvfs("/dev/shm", &v) || (uint64_t)v.f_bavail * v.f_frsize < ROOM || !mkdtemp(root))
        return;
    tree_remove(&t);
    snprintf(t.root, sizeof t.root, "%s", root);
    snprintf(folder, sizeof folder, "%s/a/prompt-cache", root);
}

static int set_up_calls(void **state)
{
    calls = 0;
    die_at = fail_at = fail_with = 0;
    fails_on = false;
    free_bytes = UINT64_MAX;
    int rc = set_up(state);
    use_memory();
    return rc;
}

static int tear_down_calls(void **state)
{
    fail_at = die_at = 0;
    umount2(tree_path(&t, "small"), MNT_DETACH);
    return tear_down(state);
}

/* --- a life of a store ---------------------------------------------------------------------------- */

/* Everything that a daemon does with it. What fails, fails; nothing is asserted. */
static void live(void)
{
    char out[256];
    struct taken taken[4];
    snprintf(out, sizeof out, "%s/out", t.root);
    if (try_open(1500))
        return;
    taken[0] = take("id", "ab", 'a', 400);
    taken[1] = take("id", "abc", 'b', 500); /* supersedes the first */
    taken[2] = take("id", "xy", 'c', 450);
    taken[3] = take("id2", "xy", 'd', 300); /* has no room beside all others */
    for (size_t i = 0; i < 4; i++)
        if (!taken[i].rc && lend(taken[i].number, out) == 0) {
            prompt_store_used(s, taken[i].number, 5);
            prompt_store_discard(s, out);
        }
    free(prompt_store_create_folder(s));
    prompt_store_drop(s, taken[2].number, NULL);
    settle();
    close_store();
}

static char with_of(const struct prompt_file *f)
{
    return f->bytes == 400 ? 'a' : f->bytes == 500 ? 'b' : f->bytes == 450 ? 'c' : 'd';
}

/* The next daemon: what it finds is whole, and nothing else is there. */
static void assert_sound(void)
{
    char out[256];
    snprintf(out, sizeof out, "%s/out", t.root);
    open_store(1500);
    struct prompt_store_status status = prompt_store_status(s);
    settle();
    assert_int_equal(count_files(folder, ".data"), status.files);
    assert_int_equal(count_files(folder, ".json"),
                     status.files + (access(tree_path(&t, "a/prompt-cache/uses.json"), F_OK) == 0));
    assert_int_equal(count_files(folder, ".next"), 0);
    uint64_t bytes = 0;
    const struct prompt_file *f;
    for (size_t i = 0; (f = prompt_store_at(s, i)); i++) {
        bytes += f->bytes;
        char with = with_of(f);
        uint64_t size = f->bytes;
        assert_int_equal(lend(f->number, out), 0);
        assert_true(file_is(out, with, size));
    }
    assert_int_equal(bytes, status.bytes);
    assert_true(bytes <= 1500);
    assert_int_equal(prompt_store_status(s).broken, 0);
    close_store();
    assert_int_equal(count_files(tree_path(&t, "a/prompt-cache/engines"), NULL), 0);
}

static void remove_tree(void)
{
    tree_remove(&t);
    assert_int_equal(mkdir(t.root, 0700), 0);
}

/* --- killed --------------------------------------------------------------------------------------- */

/* Whether it came to its end. */
static bool live_and_die(int at)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        uv_loop_fork(&loop);
        calls = 0;
        die_at = at;
        live();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return !WIFSIGNALED(status);
}

/* Each call that changes the disk is the last one, once in a new folder, and once in the one that is left. */
static void killed_at_every_step(void **state)
{
    (void)state;
    bool ended = false;
    int at;
    for (at = 1; !ended; at++) {
        remove_tree();
        ended = live_and_die(at);
        live_and_die(at);
        assert_sound();
    }
    assert_true(at > 40);
    print_message("%d steps\n", at - 1);
}

/* --- a disk that fails ---------------------------------------------------------------------------- */

static void failing(int with, bool on)
{
    for (int at = 1; at < 10000; at++) {
        remove_tree();
        calls = 0;
        fail_at = at;
        fail_with = with;
        fails_on = on;
        live();
        bool struck = calls >= at;
        fail_at = 0;
        assert_sound();
        if (!struck)
            return;
    }
    fail();
}

static void each_call_fails_once(void **state)
{
    (void)state;
    failing(EIO, false);
}

static void a_disk_that_becomes_full(void **state)
{
    (void)state;
    failing(ENOSPC, true);
}

static void a_disk_that_becomes_read_only(void **state)
{
    (void)state;
    failing(EROFS, true);
}

/* Told once, costs nothing, and is tried again. */
static void a_full_disk_is_told(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "a", 'a', 100);
    assert_true(prompt_store_wants(s, 100, 100));
    fail_at = calls + 1;
    fail_with = ENOSPC;
    fails_on = true;
    assert_int_equal(take("id", "b", 'a', 100).rc, -ENOSPC);
    assert_int_equal(take("id", "c", 'a', 100).rc, -ENOSPC);
    assert_int_equal(prompt_store_status(s).error, -ENOSPC);
    assert_int_equal(prompt_store_status(s).failed, 2);
    assert_false(prompt_store_wants(s, 100, 100));
    assert_int_equal(find("id", "a"), number); /* it is still found */
    fail_at = 0;
    must_take("id", "b", 'a', 100);
    assert_int_equal(prompt_store_status(s).error, 0);
    assert_true(prompt_store_wants(s, 100, 100));
}

/* The default bound follows what the disk has free. */
static void a_disk_that_gets_short(void **state)
{
    (void)state;
    free_bytes = 100 * MIB;
    open_store(0);
    assert_int_equal(prompt_store_status(s).max_bytes, 10 * MIB);
    must_take("id", "a", 'a', MIB);
    must_take("id", "b", 'a', MIB);
    free_bytes = 12 * MIB;
    must_take("id", "c", 'a', 1000);
    assert_int_equal(prompt_store_status(s).max_bytes, (14 * MIB + 1000) / 10);
    assert_int_equal(prompt_store_status(s).files, 2);
    free_bytes = 1 << 30;
    must_take("id", "d", 'a', 1000);
    assert_true(prompt_store_status(s).max_bytes > 100 * MIB);
    free_bytes = (uint64_t)1 << 40;
    must_take("id", "e", 'a', 1000);
    assert_int_equal(prompt_store_status(s).max_bytes, 8192 * MIB);
}

/* --- many files ----------------------------------------------------------------------------------- */

#define FILES 10005

static void put_prompt(int in, uint64_t number)
{
    struct test_chain c;
    char text[32], name[PROMPT_NAME_SIZE];
    snprintf(text, sizeof text, "same-%05u", (unsigned)number);
    struct prompt_file *f = prompt_file_create("id", "m", chain_of(&c, text));
    f->number = number;
    f->tokens = 100 + number;
    f->token_ms = 1;
    f->bytes = 1;
    assert_int_equal(prompt_file_write(in, f), 0);
    prompt_file_destroy(f);
    int fd = openat(in, prompt_file_name(name, number, PROMPT_DATA), O_WRONLY | O_CREAT | O_CLOEXEC,
                    0600);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

/* The loop goes on while they are read, and only so many are kept: those that are worth the most. */
static void too_many_files(void **state)
{
    (void)state;
    open_store(MIB);
    close_store();
    int in = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint64_t number = 1; number <= FILES; number++)
        put_prompt(in, number);
    close(in);
    assert_int_equal(prompt_store_open(&s, &loop, folder, MIB, &err), 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_true(prompt_store_status(s).loading);
    assert_false(prompt_store_wants(s, 1, 1e9));
    settle();
    for (int i = 0; i < 10; i++)
        settle(); /* a few go a turn */
    assert_int_equal(prompt_store_status(s).files, 10000);
    assert_null(prompt_store_get(s, FILES - 10000));
    assert_non_null(prompt_store_get(s, FILES - 10000 + 1));
    must_take("id", "other", 'a', 1);
    assert_int_equal(prompt_store_status(s).files, 10000);
}

/* --- a disk that hangs ---------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* the loop turns */
}

/* A lend that does not end delays nobody else: nothing is found meanwhile, and who waits may leave. */
static void a_disk_that_hangs(void **state)
{
    struct lent lent = {0};
    uv_timer_t tick;
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "a", 'a', 100);
    must_take("id", "b", 'a', 100);
    uv_sem_init(&may_link, 0);
    links_hang = true;
    prompt_store_lend(s, number, tree_path(&t, "out"), on_lent, &lent);
    assert_int_equal(find("id", "a"), number);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 50, 50);
    while (find("id", "b")) /* 2 s */
        uv_run(&loop, UV_RUN_ONCE);
    must_take("id", "c", 'a', 100); /* other work goes on */
    prompt_store_forget(s, &lent);
    uv_sem_post(&may_link);
    while (!find("id", "b"))
        uv_run(&loop, UV_RUN_ONCE);
    settle();
    assert_false(lent.done);
    assert_int_equal(access(tree_path(&t, "out"), F_OK), -1);
    links_hang = false;
    uv_sem_destroy(&may_link);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

/* A real one, where a file system can be mounted. */
static void a_full_file_system(void **state)
{
    (void)state;
    tree_folder(&t, "small");
    if (mount("none", tree_path(&t, "small"), "tmpfs", 0, "size=64k"))
        skip();
    snprintf(folder, sizeof folder, "%s/small/prompt-cache", t.root);
    open_store(MIB);
    uint64_t number = must_take("id", "a", 'a', 5000);
    assert_int_equal(take("id", "b", 'b', 100000).rc,
                     -ENOSPC); /* copied: it is another file system */
    assert_int_equal(prompt_store_status(s).error, -ENOSPC);
    assert_int_equal(find("id", "a"), number);
    must_take("id", "c", 'b', 5000);
    assert_int_equal(count_files(folder, ".data"), 2);
    close_store();
    assert_int_equal(umount(tree_path(&t, "small")), 0);
}

#define CHAOS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_calls, tear_down_calls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHAOS_TEST(killed_at_every_step),     CHAOS_TEST(each_call_fails_once),
        CHAOS_TEST(a_disk_that_becomes_full), CHAOS_TEST(a_disk_that_becomes_read_only),
        CHAOS_TEST(a_full_disk_is_told),      CHAOS_TEST(a_disk_that_gets_short),
        CHAOS_TEST(a_full_file_system),       CHAOS_TEST(too_many_files),
        CHAOS_TEST(a_disk_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
