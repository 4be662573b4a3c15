/* SPDX-License-Identifier: MIT */
/* A process that can open only so many more files. */
#ifndef HOSTLER_TESTS_FEW_FILES_H
#define HOSTLER_TESTS_FEW_FILES_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Until it is given what it returned. */
static inline struct rlimit few_files(unsigned more)
{
    struct rlimit before;
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the lowest number that is free */
    if (next < 0 || close(next) < 0 || getrlimit(RLIMIT_NOFILE, &before) < 0)
        abort();
    struct rlimit few = {.rlim_cur = (rlim_t)next + more, .rlim_max = before.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        abort();
    return before;
}

static inline void as_many_files(const struct rlimit *before)
{
    if (setrlimit(RLIMIT_NOFILE, before) < 0)
        abort();
}

#endif
