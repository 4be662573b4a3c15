/* SPDX-License-Identifier: MIT */
#include "server/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "http/body_budget.h"
#include "http/limits.h"

#define FOR_DAEMON 48 /* loop, log, state, watches, listeners, what the thread pool reads */
#define FOR_ENGINE 8  /* its pipes and what is read of it in /proc */
#define FIRST_ENGINE                                                                               \
    12 /* to start one for one client: pipes, its file, /proc, both connections (measured) */
#define ENGINES_ASSUMED 16 /* where their number has no limit */
#define FOR_BODIES BODY_FILES_MAX
#define FOR_RESERVE (2 * HTTP_RESERVE) /* as many again may be leaving (http/connections.c) */
#define CLIENTS_MIN 4
#define CLIENTS_MAX 50000 /* unless more are asked for: each takes some KiB */

void descriptors_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static unsigned long kept_back(unsigned engines)
{
    return FOR_DAEMON + FOR_BODIES + FOR_RESERVE +
           FOR_ENGINE * (unsigned long)(engines ? engines : ENGINES_ASSUMED);
}

static unsigned long room_for_clients(unsigned engines, unsigned long limit)
{
    unsigned long kept = kept_back(engines);
    unsigned long room = limit > kept ? (limit - kept) / 2 : 0;
    return room > CLIENTS_MIN ? room : CLIENTS_MIN;
}

unsigned descriptors_clients(unsigned wanted, unsigned engines, unsigned long limit)
{
    unsigned long room = room_for_clients(engines, limit);
    unsigned long most = wanted ? wanted : CLIENTS_MAX;
    return (unsigned)(most < room ? most : room);
}

unsigned descriptors_max_clients(unsigned wanted, unsigned engines)
{
    struct rlimit limit = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned n = descriptors_clients(wanted, engines, limit.rlim_cur);
    if (limit.rlim_cur < kept_back(1))
        log_warn("a limit of %lu open files is too low to serve reliably: raise it to %lu or more "
                 "(ulimit -n, or "
                 "LimitNOFILE= of the unit)",
                 (unsigned long)limit.rlim_cur, kept_back(engines) + 2UL * CLIENTS_MIN);
    if (wanted > n)
        log_warn("--max-connections %u is too many for a limit of %lu open files: at most %u "
                 "clients are "
                 "served at once; raise the limit (ulimit -n, or LimitNOFILE= of the unit)",
                 wanted, (unsigned long)limit.rlim_cur, n);
    return n;
}

static unsigned count_free(unsigned most)
{
    int fds[FIRST_ENGINE];
    unsigned n = 0;
    while (n < most && (fds[n] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
        n++;
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
    return n;
}

int descriptors_check(struct error *err)
{
    struct rlimit limit = {.rlim_cur = 0};
    unsigned n = count_free(FIRST_ENGINE);
    if (n == FIRST_ENGINE)
        return 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    return error_set(err, -EMFILE,
                     "a limit of %lu open files leaves %u for engines, and to start one takes %d: "
                     "no model could be "
                     "loaded; raise it to %lu or more (ulimit -n, or LimitNOFILE= of the unit)",
                     (unsigned long)limit.rlim_cur, n, FIRST_ENGINE,
                     kept_back(1) + 2UL * CLIENTS_MIN);
}
