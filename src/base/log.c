/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "base/log_sink.h"
#include "base/logbook.h"
#include "base/memory.h"
#include "base/text.h"

#define FLUSH_MAX_MS 2000 /* at the end: for how long queued lines are waited for */

/* Where lines go: by `sink` once log_start() was called, before that straight to `fd`. */
struct output {
    int fd; /* -1: nowhere */
    struct log_sink *sink;
};

static atomic_int max_level = LOG_INFO; /* an enum log_level */
static enum log_format line_format = LOG_TEXT;
static struct output to_stderr = {.fd = STDERR_FILENO}, to_file = {.fd = -1};
static bool started;
static bool in_journal; /* stderr is systemd's journal */

static const char *const level_names[] = {"error", "warn", "info", "debug"};
/* syslog's numbers, as the journal has them */
static const int priorities[] = {3, 4, 6, 7};

/* JOURNAL_STREAM holds device and inode of the stream that leads there; it is inherited, and stderr
 * may have been led elsewhere since (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
    struct stat st;
    unsigned long long device, inode;
    const char *stream = getenv("JOURNAL_STREAM");
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup(enum log_level level, enum log_format format)
{
    max_level = level;
    line_format = format;
    in_journal = stderr_is_journal();
}

void log_set_level(enum log_level level)
{
    max_level = level;
}

enum log_level log_level(void)
{
    return (enum log_level)max_level;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

/* --- where lines go -----------------------------------------------------------------------------
 */

/* What precedes each line of stderr. In the journal that is the priority, which the journal takes
 * off, and it notes the time itself. */
static const char *stderr_head(char *out, size_t size, enum log_level level, const char *time)
{
    if (in_journal)
        snprintf(out, size, "<%d>", priorities[level]);
    else
        snprintf(out, size, "%s", time);
    return out;
}

static size_t dropped_line(char *out, size_t size, uint64_t n, bool journal)
{
    char when[CLOCK_SIZE], time[CLOCK_SIZE + 1], head[CLOCK_SIZE + 1], text[128];
    snprintf(text, sizeof text, "%llu line%s dropped because the log could not be written",
             (unsigned long long)n, n == 1 ? " was" : "s were");
    clock_stamp(when, sizeof when);
    snprintf(time, sizeof time, "%s%s", line_format == LOG_TEXT ? when : "",
             line_format == LOG_TEXT ? " " : "");
    const char *before = journal ? stderr_head(head, sizeof head, LOG_WARN, time) : time;
    int len = line_format == LOG_JSON
                  ? snprintf(out, size, "%s{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"%s\"}\n",
                             before, when, level_names[LOG_WARN], text)
                  : snprintf(out, size, "%s%-5s %s\n", before, level_names[LOG_WARN], text);
    return (size_t)len < size ? (size_t)len : size - 1;
}

static size_t stderr_dropped(char *out, size_t size, uint64_t n)
{
    return dropped_line(out, size, n, true);
}

static size_t file_dropped(char *out, size_t size, uint64_t n)
{
    return dropped_line(out, size, n, false);
}

static void start(struct output *o, log_sink_notice *notice)
{
    if (o->fd >= 0 && !o->sink)
        o->sink = log_sink_create(o->fd, notice);
}

static void stop(struct output *o)
{
    struct log_sink *sink = o->sink;
    o->sink = NULL;
    if (sink && o->fd != STDERR_FILENO)
        o->fd = -1; /* the sink closes it */
    log_sink_close(sink, FLUSH_MAX_MS);
}

void log_start(void)
{
    started = true;
    start(&to_stderr, stderr_dropped);
    start(&to_file, file_dropped);
}

void log_stop(void)
{
    started = false;
    stop(&to_stderr);
    stop(&to_file);
}

int log_open(const char *path, struct error *err)
{
    /* Else a pipe that nobody reads would be waited for. */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0)
        return error_set(err, -errno, "cannot write the log to %s: %s", path,
                         errno == ENXIO ? "nobody reads this pipe" : strerror(errno));
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    return fd;
}

void log_to_fd(int fd)
{
    if (to_file.sink) {
        log_sink_replace(to_file.sink, fd);
        return;
    }
    if (to_file.fd >= 0)
        close(to_file.fd);
    to_file.fd = fd;
    if (started)
        start(&to_file, file_dropped);
}

/* One write, so that lines of several processes on one stderr do not mix. */
static void put(struct output *o, const char *head, const struct buf *line)
{
    struct iovec parts[] = {{(char *)head, strlen(head)}, {line->data, line->len}};
    if (o->sink) {
        log_sink_write(o->sink, parts, 2);
    } else if (o->fd >= 0) {
        ssize_t ignored = writev(o->fd, parts, 2);
        (void)ignored;
    }
}

static struct log_sink_losses losses_of(const struct output *o)
{
    return o->sink ? log_sink_losses(o->sink) : (struct log_sink_losses){0};
}

struct log_sink_losses log_losses_of_stderr(void)
{
    return losses_of(&to_stderr);
}

struct log_sink_losses log_losses_of_file(void)
{
    return losses_of(&to_file);
}

/* With the first line after a write that failed, or succeeded again. Any thread may log. */
static void tell_file_errors(void)
{
    static atomic_int told;
    int error = log_losses_of_file().error;
    if (atomic_exchange(&told, error) == error)
        return;
    if (error)
        log_error("cannot write the log file: %s; until it can be written, lines are dropped and "
                  "counted",
                  strerror(error));
    else
        log_info("the log file can be written again");
}

void log_last_words(const char *line)
{
    struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (to_file.sink)
        log_sink_flush(to_file.sink, FLUSH_MAX_MS);
    if (to_stderr.sink)
        log_sink_flush(to_stderr.sink, FLUSH_MAX_MS);
    if (poll(&writable, 1, 0) == 1) {
        ssize_t ignored = write(STDERR_FILENO, line, strlen(line));
        (void)ignored;
    }
}

int log_level_parse(const char *text)
{
    for (int i = 0; i < (int)(sizeof level_names / sizeof *level_names); i++)
        if (strcmp(text, level_names[i]) == 0)
            return i;
    return -1;
}

static void append_json(struct buf *line, const char *when, enum log_level level, const char *model,
                        const char *text)
{
    json_t *o = json_object();
    json_object_set_new(o, "time", json_string(when));
    json_object_set_new(o, "level", json_string(level_names[level]));
    if (model)
        json_object_set_new(o, "model", json_string(model));
    json_object_set_new(o, "message", json_string(text));
    int rc = json_text_append(line, o, JSON_COMPACT);
    (void)rc; /* of hostler's own: it does not fail */
    buf_puts(line, "\n");
    json_decref(o);
}

/* --- lines --------------------------------------------------------------------------------------
 */

static void emit(enum log_level level, const char *model, const char *raw)
{
    char when[CLOCK_SIZE], head[CLOCK_SIZE + 1] = "", other[CLOCK_SIZE + 1];
    struct buf line;
    char *text = mem_strdup(raw);
    text_mend(text, strlen(text)); /* it may quote a client or an engine */
    for (char *p = text; *p && line_format == LOG_TEXT; p++)
        if (*p == '\n')
            *p = ' '; /* one event is one line */
    clock_stamp(when, sizeof when);
    buf_init(&line, BUF_OWN);
    if (line_format == LOG_JSON)
        append_json(&line, when, level, model, text);
    else if (model)
        buf_printf(&line, "[%s] %s\n", model, text);
    else
        buf_printf(&line, "%-5s %s\n", level_names[level], text);
    if (line_format == LOG_TEXT)
        snprintf(head, sizeof head, "%s ", when);
    put(&to_stderr, stderr_head(other, sizeof other, level, head), &line);
    put(&to_file, head, &line);
    logbook_add(model, head, line.data, line.len, text);
    buf_finish(&line);
    free(text);
    tell_file_errors();
}

void log_plain(enum log_level level, const char *fmt, ...)
{
    char head[CLOCK_SIZE + 1];
    struct buf line;
    va_list ap;
    buf_init(&line, BUF_OWN);
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    buf_puts(&line, "\n");
    put(&to_stderr, stderr_head(head, sizeof head, level, ""), &line);
    buf_finish(&line);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
        return;
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    emit(level, NULL, text);
    free(text);
}

#define ONCE_MAX ((size_t)1024)

static struct {
    pthread_mutex_t lock;
    uint64_t seen[ONCE_MAX]; /* hashes of texts */
    size_t n;                /* at ONCE_MAX it begins anew */
} once = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return hash;
}

static bool is_first(const char *text)
{
    const uint64_t hash = hash_of(text);
    bool found = false;
    pthread_mutex_lock(&once.lock);
    for (size_t i = 0; i < once.n && !found; i++)
        found = once.seen[i] == hash;
    if (!found) {
        once.n %= ONCE_MAX;
        once.seen[once.n++] = hash;
    }
    pthread_mutex_unlock(&once.lock);
    return !found;
}

void log_warn_once(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    if (is_first(text))
        log_warn("%s", text);
    free(text);
}

void log_engine(const char *model, const char *line)
{
    if (max_level >= LOG_INFO)
        emit(LOG_INFO, model, line);
}
