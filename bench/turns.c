/* SPDX-License-Identifier: MIT */
/*
 * How long each turn of a program's loop takes: a library to preload, which stands between libuv and epoll. What
 * others do on the machine lengthens an answer, but not the processor time of a turn, so that figure can be
 * compared from run to run.
 *
 *     TURNS=FILE LD_PRELOAD=build/bench/turns.so build/hostler serve …
 *
 * FILE becomes an array of 64-bit numbers: how many turns were long (LONG_NS of processor time), then of each the
 * monotonic time of its end, its processor time and its duration, in ns. Of the main thread alone; the first
 * TURNS_MAX.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TURNS_MAX 65536
#define LONG_NS 200000

struct turns {
    uint64_t n;
    struct {
        uint64_t end, cpu, wall;
    } turn[TURNS_MAX];
};

static struct turns *turns;
static uint64_t begun_cpu, begun_wall;

static uint64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Engines inherit the environment: it is for this process alone. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TURNS");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    unsetenv("LD_PRELOAD");
    unsetenv("TURNS");
    if (fd < 0 || ftruncate(fd, sizeof *turns))
        return;
    void *at = mmap(NULL, sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    turns = at == MAP_FAILED ? NULL : at;
    close(fd);
}

static bool is_main(void)
{
    return turns && gettid() == getpid();
}

static void end_turn(void)
{
    uint64_t cpu = now(CLOCK_THREAD_CPUTIME_ID) - begun_cpu, end = now(CLOCK_MONOTONIC);
    if (!begun_wall || cpu < LONG_NS || turns->n == TURNS_MAX)
        return;
    turns->turn[turns->n].end = end;
    turns->turn[turns->n].cpu = cpu;
    turns->turn[turns->n].wall = end - begun_wall;
    __atomic_store_n(&turns->n, turns->n + 1, __ATOMIC_RELEASE);
}

static void begin_turn(void)
{
    begun_wall = now(CLOCK_MONOTONIC);
    begun_cpu = now(CLOCK_THREAD_CPUTIME_ID);
}

int epoll_pwait(int fd, struct epoll_event *events, int max, int timeout, const sigset_t *mask)
{
    static int (*next)(int, struct epoll_event *, int, int, const sigset_t *);
    bool ours = is_main();
    if (!next)
        next = (int (*)(int, struct epoll_event *, int, int, const sigset_t *))dlsym(RTLD_NEXT,
                                                                                     "epoll_pwait");
    if (ours)
        end_turn();
    int n = next(fd, events, max, timeout, mask);
    if (ours)
        begin_turn();
    return n;
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    return epoll_pwait(fd, events, max, timeout, NULL);
}
