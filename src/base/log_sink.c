/* SPDX-License-Identifier: MIT */
#include "base/log_sink.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

#define STACK_SIZE ((size_t)256 * 1024) /* of which some 8 KiB are touched; sanitizers need more */
#define KEEP_MAX ((size_t)64 * 1024)    /* bytes that an empty buffer keeps */

struct log_sink {
    pthread_mutex_t mutex; /* guards all but what is the thread's */
    pthread_cond_t work;   /* something is queued, or the end */
    pthread_cond_t idle;   /* nothing is queued or being written */
    pthread_t thread;
    log_sink_notice *notice;
    struct buf queue;
    struct buf batch;              /* the thread's while `writing`; else empty */
    uint64_t dropped;              /* lines that came after `queue` and found no room */
    struct log_sink_losses losses; /* without `dropped` */
    int next_fd;                   /* to be used from the next batch on; -1: none */
    bool writing;
    bool over;

    /* The thread's */
    int fd;
    uint64_t lost;        /* lines that could not be written, not told yet */
    uint64_t unpublished; /* of all such lines those that `losses` does not count yet */
    int error;            /* errno of the last write; 0: it succeeded */
    bool mid_line;        /* the last write ended within a line */
};

/* --- the thread ---------------------------------------------------------------------------------
 */

/* One write, or what is left of it after a signal or for a descriptor that somebody made
 * non-blocking. Returns how many bytes were written. */
static size_t write_fully(struct log_sink *s, const char *data, size_t len)
{
    size_t done = 0;
    if (!len) /* an access log has no notice of lost lines: the error stays that of the last write */
        return 0;
    s->error = 0;
    while (done < len && !s->error) {
        ssize_t n = write(s->fd, data + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = s->fd, .events = POLLOUT}, 1, -1);
        else if (n == 0 || errno != EINTR)
            s->error = n == 0 ? EIO : errno;
    }
    return done;
}

static uint64_t count_lines(const char *data, size_t len)
{
    uint64_t n = 0;
    for (const char *end; (end = memchr(data, '\n', len)); n++) {
        len -= (size_t)(end + 1 - data);
        data = end + 1;
    }
    return n;
}

static void lose(struct log_sink *s, uint64_t lines)
{
    s->lost += lines;
    s->unpublished += lines;
}

/* Whole lines. Returns how many could not be written. */
static uint64_t write_lines(struct log_sink *s, const char *data, size_t len)
{
    if (s->mid_line && write_fully(s, "\n", 1) == 0)
        return count_lines(data, len);
    s->mid_line = false;
    size_t done = write_fully(s, data, len);
    s->mid_line = done && data[done - 1] != '\n';
    return count_lines(data + done, len - done);
}

/* How much of `data` goes out in one write: whole lines, and as many as a pipe takes without mixing
 * them with those of other processes (pipe(7), PIPE_BUF). */
static size_t chunk(const char *data, size_t len)
{
    if (len <= PIPE_BUF)
        return len;
    const char *end = memrchr(data, '\n', PIPE_BUF);
    if (!end)
        end = memchr(data, '\n', len); /* a long line */
    return end ? (size_t)(end + 1 - data) : len;
}

static void tell_lost(struct log_sink *s)
{
    char line[256];
    if (s->lost && !write_lines(s, line, s->notice(line, sizeof line, s->lost)))
        s->lost = 0;
}

static void write_batch(struct log_sink *s, uint64_t dropped)
{
    const struct buf *b = &s->batch;
    for (size_t at = 0; at < b->len;) {
        size_t n = chunk(b->data + at, b->len - at);
        tell_lost(s);
        lose(s, write_lines(s, b->data + at, n));
        at += n;
    }
    lose(s, dropped);
    tell_lost(s);
}

static void use_next_fd(struct log_sink *s)
{
    if (s->next_fd < 0)
        return;
    int old = s->fd;
    s->fd = s->next_fd;
    s->next_fd = -1;
    s->mid_line = false;
    pthread_mutex_unlock(&s->mutex);
    if (old != STDERR_FILENO)
        close(old);
    pthread_mutex_lock(&s->mutex);
}

static bool has_work(const struct log_sink *s)
{
    return s->queue.len || s->dropped || s->next_fd >= 0;
}

/* Under the mutex. */
static void publish_losses(struct log_sink *s)
{
    s->losses.lines += s->unpublished;
    s->losses.error = s->error;
    s->unpublished = 0;
}

static void *run(void *arg)
{
    struct log_sink *s = arg;
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        while (!has_work(s) && !s->over)
            pthread_cond_wait(&s->work, &s->mutex);
        if (!has_work(s))
            break;
        s->writing = true;
        use_next_fd(s);
        struct buf taken = s->queue;
        s->queue = s->batch;
        s->batch = taken;
        uint64_t dropped = s->dropped;
        s->dropped = 0;
        pthread_mutex_unlock(&s->mutex);
        write_batch(s, dropped);
        pthread_mutex_lock(&s->mutex);
        buf_clear(&s->batch);
        publish_losses(s);
        s->writing = false;
        if (!has_work(s))
            pthread_cond_broadcast(&s->idle);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* --- everybody else -----------------------------------------------------------------------------
 */

/* All signals are blocked in the thread, so that the loop's thread gets them. */
static int start_thread(struct log_sink *s)
{
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&s->thread, &attr, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc == 0)
        pthread_setname_np(s->thread, s->fd == STDERR_FILENO ? "log to stderr" : "log to file");
    return -rc;
}

static void destroy(struct log_sink *s)
{
    buf_finish(&s->queue);
    buf_finish(&s->batch);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

struct log_sink *log_sink_create(int fd, log_sink_notice *notice)
{
    struct log_sink *s = calloc(1, sizeof *s);
    pthread_condattr_t attr;
    if (!s)
        return NULL;
    s->fd = fd;
    s->next_fd = -1;
    s->notice = notice;
    buf_init(&s->queue, LOG_SINK_QUEUE_MAX);
    buf_init(&s->batch, LOG_SINK_QUEUE_MAX);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->work, &attr);
    pthread_cond_init(&s->idle, &attr);
    pthread_condattr_destroy(&attr);
    if (start_thread(s) == 0)
        return s;
    destroy(s);
    return NULL;
}

/* All parts or none. Once a line was dropped all that follow are, until the queue is taken: so the
 * notice stands where they are missing. */
static bool append(struct log_sink *s, const struct iovec *parts, size_t n)
{
    size_t before = s->queue.len;
    bool fits = !s->dropped;
    for (size_t i = 0; fits && i < n; i++)
        fits = buf_append(&s->queue, parts[i].iov_base, parts[i].iov_len) == 0;
    if (!fits)
        s->queue.len = before;
    return fits;
}

/* After a stall an empty buffer may be large. */
static void shrink(struct log_sink *s)
{
    if (!s->writing && s->batch.cap > KEEP_MAX)
        buf_finish(&s->batch);
}

void log_sink_write(struct log_sink *s, const struct iovec *parts, size_t n)
{
    pthread_mutex_lock(&s->mutex);
    bool was_idle = !has_work(s) && !s->writing;
    shrink(s);
    if (!append(s, parts, n))
        s->dropped++;
    if (was_idle)
        pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
}

void log_sink_replace(struct log_sink *s, int fd)
{
    pthread_mutex_lock(&s->mutex);
    int unused = s->next_fd;
    s->next_fd = fd;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
    if (unused >= 0)
        close(unused);
}

struct log_sink_losses log_sink_losses(struct log_sink *s)
{
    pthread_mutex_lock(&s->mutex);
    struct log_sink_losses losses = s->losses;
    losses.lines += s->dropped;
    pthread_mutex_unlock(&s->mutex);
    return losses;
}

bool log_sink_flush(struct log_sink *s, unsigned timeout_ms)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&s->mutex);
    while ((has_work(s) || s->writing) && rc == 0)
        rc = pthread_cond_timedwait(&s->idle, &s->mutex, &until);
    bool flushed = !has_work(s) && !s->writing;
    pthread_mutex_unlock(&s->mutex);
    return flushed;
}

void log_sink_close(struct log_sink *s, unsigned timeout_ms)
{
    if (!s)
        return;
    if (!log_sink_flush(s, timeout_ms)) {
        pthread_detach(s->thread);
        return;
    }
    pthread_mutex_lock(&s->mutex);
    s->over = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    if (s->fd != STDERR_FILENO)
        close(s->fd);
    destroy(s);
}
