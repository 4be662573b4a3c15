/* SPDX-License-Identifier: MIT */
#include "server/access_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define FLUSH_MAX_MS 2000

static struct log_sink *sink;
static int told; /* the error that the log told last */

/* Readers of its lines take only lines of the format, so that nothing stands in place of those that were dropped: the
 * log, the status and the figures tell of them. */
static size_t no_notice(char *out, size_t size, uint64_t dropped)
{
    (void)size;
    (void)dropped;
    *out = '\0';
    return 0;
}

void access_log_to_fd(int fd)
{
    if (sink)
        log_sink_replace(sink, fd);
    else
        sink = log_sink_create(fd, no_notice);
    if (!sink)
        close(fd);
}

bool access_log_is_on(void)
{
    return sink != NULL;
}

static void tell_errors(void)
{
    const struct log_sink_losses l = log_sink_losses(sink);
    if (l.error == told)
        return;
    told = l.error;
    if (l.error)
        log_error("cannot write the access log: %s; until it can be written, lines are dropped and "
                  "counted (%" PRIu64 " so far)",
                  strerror(l.error), l.lines);
    else
        log_info("the access log can be written again; %" PRIu64 " lines were dropped", l.lines);
}

void access_log_write(const char *line, size_t len)
{
    const struct iovec part = {(char *)line, len};
    if (!sink)
        return;
    log_sink_write(sink, &part, 1);
    tell_errors();
}

struct log_sink_losses access_log_losses(void)
{
    return sink ? log_sink_losses(sink) : (struct log_sink_losses){0};
}

void access_log_stop(void)
{
    log_sink_close(sink, FLUSH_MAX_MS);
    sink = NULL;
}
