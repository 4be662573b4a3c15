/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/logbook.h"
#include "base/memory.h"
#include "base/text.h"

static enum log_level max_level = LOG_INFO;
static enum log_format line_format = LOG_TEXT;
static int file = -1;
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

int log_to_file(const char *path, struct error *err)
{
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640) : -1;
    if (path && fd < 0)
        return error_set(err, -errno, "cannot write the log to %s: %s", path, strerror(errno));
    if (file >= 0)
        close(file);
    file = fd;
    return 0;
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
    char *dump = json_dumps(o, JSON_COMPACT);
    buf_printf(line, "%s\n", dump ? dump : "{}");
    free(dump);
    json_decref(o);
}

/* One write, so that lines of several processes on one stderr do not mix. */
static void write_line(int fd, const char *head, const struct buf *line)
{
    struct iovec parts[] = {{(char *)head, strlen(head)}, {line->data, line->len}};
    ssize_t ignored = writev(fd, parts, 2);
    (void)ignored;
}

static void emit(enum log_level level, const char *model, const char *raw)
{
    char when[CLOCK_SIZE], head[48] = "", priority[8];
    struct buf line;
    char *text = mem_strdup(raw);
    text_mend(text, strlen(text)); /* it may quote a client or an engine */
    for (char *p = text; *p && line_format == LOG_TEXT; p++)
        if (*p == '\n')
            *p = ' '; /* one event is one line */
    clock_stamp(when, sizeof when);
    buf_init(&line, BUF_UNBOUNDED);
    if (line_format == LOG_JSON)
        append_json(&line, when, level, model, text);
    else if (model)
        buf_printf(&line, "[%s] %s\n", model, text);
    else
        buf_printf(&line, "%-5s %s\n", level_names[level], text);
    if (line_format == LOG_TEXT)
        snprintf(head, sizeof head, "%s ", when);
    snprintf(priority, sizeof priority, "<%d>", priorities[level]);
    write_line(STDERR_FILENO, in_journal ? priority : head, &line);
    if (file >= 0)
        write_line(file, head, &line);
    logbook_add(model, head, line.data, line.len, text);
    buf_finish(&line);
    free(text);
}

void log_plain(enum log_level level, const char *fmt, ...)
{
    va_list ap;
    if (in_journal)
        fprintf(stderr, "<%d>", priorities[level]);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (level > max_level)
        return;
    struct buf text;
    va_list ap;
    buf_init(&text, BUF_UNBOUNDED);
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    emit(level, NULL, buf_cstr(&text));
    buf_finish(&text);
}

void log_engine(const char *model, const char *line)
{
    if (max_level >= LOG_INFO)
        emit(LOG_INFO, model, line);
}
