/* SPDX-License-Identifier: MIT */
#include "server/descriptors.h"

#include <sys/resource.h>

#include "base/log.h"
#include "http/body_budget.h"
#include "http/limits.h"

#define FOR_DAEMON 48      /* loop, log, state, watches, listeners, what the thread pool reads */
#define FOR_ENGINE 8       /* its pipes and what is read of it in /proc */
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
