/* SPDX-License-Identifier: MIT */
#include "server/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

/* More sockets than any service manager passes: a larger number is not meant for us. */
#define SOCKETS_MAX 256

/* The variable's value as a number; 0: it is none. */
static unsigned long long number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    return errno || *end ? 0 : value;
}

/* Variables are inherited: they may be meant for a parent process. */
static bool is_for_us(const char *name)
{
    return number(name) == (unsigned long long)getpid();
}

/* --- sockets handed over ------------------------------------------------------------------------
 */

static unsigned take_sockets(void)
{
    unsigned long long n = is_for_us("LISTEN_PID") ? number("LISTEN_FDS") : 0;
    if (n > SOCKETS_MAX)
        n = 0;
    for (int i = 0; i < (int)n; i++) {
        int flags = fcntl(SUPERVISOR_FIRST_SOCKET + i, F_GETFD);
        if (flags >= 0)
            fcntl(SUPERVISOR_FIRST_SOCKET + i, F_SETFD, flags | FD_CLOEXEC);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return (unsigned)n;
}

/* --- notifications ------------------------------------------------------------------------------
 */

/* A path, or an abstract name, which has an @ in place of the leading zero byte. */
static bool read_address(struct supervisor *s, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len < 2 || len >= sizeof s->to.sun_path || (*text != '/' && *text != '@'))
        return false;
    s->to.sun_family = AF_UNIX;
    memcpy(s->to.sun_path, text, len + 1);
    if (*text == '@')
        s->to.sun_path[0] = '\0';
    /* The length of an abstract name is part of the address. */
    s->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*text == '/'));
    return true;
}

void supervisor_init(struct supervisor *s)
{
    *s = (struct supervisor){.socket = -1};
    s->n_sockets = take_sockets();
    if (read_address(s, getenv("NOTIFY_SOCKET")))
        s->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!getenv("WATCHDOG_PID") || is_for_us("WATCHDOG_PID"))
        s->watchdog_us = number("WATCHDOG_USEC");
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
}

void supervisor_finish(struct supervisor *s)
{
    if (s->socket >= 0)
        close(s->socket);
    s->socket = -1;
}

/* A message that cannot be sent is dropped: a service manager that does not read must not block requests. */
static void send_text(const struct supervisor *s, const char *text)
{
    if (s->socket >= 0)
        sendto(s->socket, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&s->to, s->to_len);
}

void supervisor_tell(const struct supervisor *s, const char *state, const char *fmt, ...)
{
    struct buf text;
    va_list ap;
    if (s->socket < 0)
        return;
    buf_init(&text, BUF_OWN);
    buf_printf(&text, "%s%sSTATUS=", state ? state : "", state ? "\n" : "");
    size_t begin = text.len;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    for (size_t i = begin; i < text.len; i++)
        if (text.data[i] ==
            '\n') /* the text may quote a file; a line break would begin another assignment */
            text.data[i] = ' ';
    send_text(s, buf_cstr(&text));
    buf_finish(&text);
}

void supervisor_tell_reloading(const struct supervisor *s)
{
    struct timespec t;
    char state[64];
    clock_gettime(CLOCK_MONOTONIC, &t);
    /* systemd (from 253 on) distinguishes reloads by this time. */
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
    supervisor_tell(s, state, "reading models and presets again");
}

/* --- the watchdog -------------------------------------------------------------------------------
 */

static void on_watchdog(uv_timer_t *timer)
{
    const struct supervisor *s = timer->data;
    send_text(s, "WATCHDOG=1");
}

void supervisor_watch(struct supervisor *s, uv_loop_t *loop)
{
    uint64_t every_ms = s->watchdog_us / 2000;
    uv_timer_init(loop, &s->watchdog);
    s->watchdog.data = s;
    uv_unref((uv_handle_t *)&s->watchdog);
    if (s->watchdog_us && s->socket >= 0)
        uv_timer_start(&s->watchdog, on_watchdog, 0, every_ms ? every_ms : 1);
}

void supervisor_unwatch(struct supervisor *s)
{
    uv_close((uv_handle_t *)&s->watchdog, NULL);
}
