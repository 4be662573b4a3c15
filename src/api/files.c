/* SPDX-License-Identifier: MIT */
#include "api/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "api/reply.h"
#include "base/memory.h"
#include "http/byte_range.h"
#include "http/static_file.h"
#include "http/target.h"

#define PIECE ((size_t)64 * 1024) /* bytes that are read at once */
#define WAITING_MAX 256           /* a folder that hangs must not hold all connections */
#define AT_ONCE 4                 /* threads of the pool that may be in use */

TAILQ_HEAD(transfers, transfer);

struct files {
    struct host *host;
    const char *folder;
    files_missing *missing;
    void *ctx;
    unsigned working;         /* in the pool */
    struct transfers waiting; /* for a thread: */
    unsigned n_waiting;       /* at most WAITING_MAX, and those that are under way */
};

/* What the pool does next, or does now. */
enum operation { OPEN, READ, CLOSE };

struct transfer {
    struct files *files;
    struct http_exchange *x; /* NULL: the client is gone, or has its answer */
    char *path;              /* decoded */
    struct static_file file; /* fd < 0: not open */
    enum operation operation;
    uv_work_t work;
    int result;                                /* of OPEN: 0 or an error */
    ssize_t got;                               /* of READ: bytes; negative: an error */
    bool is_open, working, waits, client_late; /* late: it has not read what it was sent */
    struct byte_range parts[BYTE_RANGES_MAX];  /* of the file that are sent, */
    size_t n_parts, part;                      /* and which one of them now, */
    uint64_t at;                               /* from which byte on */
    char boundary[40];                         /* between several; empty: there is one part */
    TAILQ_ENTRY(transfer) link;                /* while it waits for a thread */
    char piece[PIECE];
};

/* --- in the pool --------------------------------------------------------------------------------
 */

static size_t wanted(const struct transfer *t)
{
    uint64_t left = t->parts[t->part].last - t->at + 1;
    return left < PIECE ? (size_t)left : PIECE;
}

static void operate(uv_work_t *work)
{
    struct transfer *t = work->data;
    switch (t->operation) {
    case OPEN:
        t->result = static_file_open(&t->file, t->files->folder, t->path);
        return;
    case READ:
        t->got = pread(t->file.fd, t->piece, wanted(t), (off_t)t->at);
        return;
    case CLOSE:
        close(t->file.fd);
        return;
    }
}

static void on_operated(uv_work_t *work, int status);

static void begin_work(struct transfer *t)
{
    t->files->working++;
    t->working = true;
    host_operation_begin(t->files->host);
    uv_queue_work(host_loop(t->files->host), &t->work, operate, on_operated);
}

static void begin(struct transfer *t, enum operation operation)
{
    t->operation = operation;
    if (t->files->working < AT_ONCE) {
        begin_work(t);
        return;
    }
    t->waits = true;
    t->files->n_waiting++;
    TAILQ_INSERT_TAIL(&t->files->waiting, t, link);
}

static void stop_waiting(struct transfer *t)
{
    TAILQ_REMOVE(&t->files->waiting, t, link);
    t->files->n_waiting--;
    t->waits = false;
}

static void begin_waiting(struct files *f)
{
    struct transfer *t = TAILQ_FIRST(&f->waiting);
    if (!t || f->working >= AT_ONCE)
        return;
    stop_waiting(t);
    begin_work(t);
}

/* --- its end ------------------------------------------------------------------------------------
 */

static void transfer_free(struct transfer *t)
{
    free(t->path);
    free(t);
}

/* Its exchange is answered, or gone. */
static void finish(struct transfer *t)
{
    t->x = NULL;
    if (t->working)
        return; /* on_operated() comes back here */
    if (t->waits)
        stop_waiting(t);
    if (t->is_open)
        begin(t, CLOSE);
    else
        transfer_free(t);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    finish(ctx);
}

/* --- the body -----------------------------------------------------------------------------------
 */

static int part_head(const struct transfer *t, size_t part, char *out, size_t size)
{
    const struct byte_range *r = &t->parts[part];
    return snprintf(out, size,
                    "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
                    t->boundary, static_file_type(t->path), (unsigned long long)r->first,
                    (unsigned long long)r->last, (unsigned long long)t->file.size);
}

static int parts_end(const struct transfer *t, char *out, size_t size)
{
    return snprintf(out, size, "\r\n--%s--\r\n", t->boundary);
}

static uint64_t body_length(const struct transfer *t)
{
    uint64_t n = 0;
    for (size_t i = 0; i < t->n_parts; i++) {
        n += t->parts[i].last - t->parts[i].first + 1;
        if (*t->boundary)
            n += (uint64_t)part_head(t, i, NULL, 0);
    }
    return n + (*t->boundary ? (uint64_t)parts_end(t, NULL, 0) : 0);
}

static void begin_part(struct transfer *t)
{
    char head[256];
    t->at = t->parts[t->part].first;
    if (*t->boundary)
        http_exchange_write(t->x, head, (size_t)part_head(t, t->part, head, sizeof head));
}

static void end_body(struct transfer *t)
{
    char end[64];
    if (*t->boundary)
        http_exchange_write(t->x, end, (size_t)parts_end(t, end, sizeof end));
    http_exchange_end(t->x);
    finish(t);
}

/* A piece is sent; the next one is read when the client has taken most of it. */
static void go_on(struct transfer *t)
{
    if (t->at > t->parts[t->part].last && ++t->part < t->n_parts)
        begin_part(t);
    if (t->part == t->n_parts) {
        end_body(t);
        return;
    }
    http_exchange_flush(t->x);
    t->client_late = http_exchange_pending(t->x) >= HTTP_HIGH_WATER;
    if (!t->client_late)
        begin(t, READ);
}

static void on_drain(struct http_exchange *x, void *ctx)
{
    struct transfer *t = ctx;
    (void)x;
    if (!t->client_late)
        return;
    t->client_late = false;
    begin(t, READ);
}

static void on_read(struct transfer *t)
{
    if (t->got <=
        0) { /* it was cut short, or cannot be read: the length that was announced is wrong */
        http_exchange_abort(t->x);
        finish(t);
        return;
    }
    http_exchange_write(t->x, t->piece, (size_t)t->got);
    t->at += (uint64_t)t->got;
    go_on(t);
}

/* --- the head -----------------------------------------------------------------------------------
 */

static const char *field(const struct transfer *t, const char *name)
{
    return http_head_get(http_exchange_head(t->x), name);
}

/* Whether only parts are wanted, if `parts` can be had. If-Range: RFC 9110, 13.1.5; a weak tag never holds. */
static bool wants_parts(const struct transfer *t)
{
    char date[STATIC_FILE_TEXT];
    const char *condition = field(t, "if-range");
    static_file_date(t->file.modified, date);
    return field(t, "range") && !http_exchange_is_head(t->x) &&
           (!condition || strcmp(condition, date) == 0);
}

/* Complete lines. */
static char *fields_of(const struct transfer *t, const char *type)
{
    char tag[STATIC_FILE_TEXT], date[STATIC_FILE_TEXT];
    static_file_tag(&t->file, tag);
    static_file_date(t->file.modified, date);
    return mem_printf("%s%s%sETag: %s\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n",
                      type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", tag,
                      date);
}

static void begin_answer(struct transfer *t, int status, int64_t length, const char *type)
{
    char *fields = fields_of(t, type);
    http_exchange_begin(t->x, status, length);
    http_exchange_raw_fields(t->x, fields);
    free(fields);
}

/* Without a body. */
static void answer_empty(struct transfer *t, int status)
{
    begin_answer(t, status, 0, NULL);
    if (status == 416) {
        char range[48];
        snprintf(range, sizeof range, "bytes */%llu", (unsigned long long)t->file.size);
        http_exchange_field(t->x, "Content-Range", range);
    }
    http_exchange_head_end(t->x);
    http_exchange_end(t->x);
    finish(t);
}

static void send_body(struct transfer *t)
{
    http_exchange_head_end(t->x);
    if (http_exchange_is_head(t->x) || !t->n_parts) {
        http_exchange_end(t->x);
        finish(t);
        return;
    }
    begin_part(t);
    go_on(t);
}

static void answer_whole(struct transfer *t)
{
    t->n_parts = t->file.size > 0;
    t->parts[0] = (struct byte_range){0, t->file.size - 1};
    begin_answer(t, 200, (int64_t)t->file.size, static_file_type(t->path));
    send_body(t);
}

static void answer_part(struct transfer *t)
{
    char range[96];
    const struct byte_range *r = &t->parts[0];
    begin_answer(t, 206, (int64_t)body_length(t), static_file_type(t->path));
    snprintf(range, sizeof range, "bytes %llu-%llu/%llu", (unsigned long long)r->first,
             (unsigned long long)r->last, (unsigned long long)t->file.size);
    http_exchange_field(t->x, "Content-Range", range);
    send_body(t);
}

static void answer_parts(struct transfer *t)
{
    char type[96];
    snprintf(t->boundary, sizeof t->boundary, "part-%016llx", (unsigned long long)uv_hrtime());
    snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", t->boundary);
    begin_answer(t, 206, (int64_t)body_length(t), type);
    send_body(t);
}

static void answer_file(struct transfer *t)
{
    if (static_file_is_known(&t->file, field(t, "if-none-match"), field(t, "if-modified-since"))) {
        answer_empty(t, 304);
    } else if (!wants_parts(t)) {
        answer_whole(t);
    } else {
        t->n_parts = byte_ranges_parse(t->parts, field(t, "range"), t->file.size);
        if (!t->n_parts)
            answer_empty(t, 416);
        else if (t->n_parts == 1)
            answer_part(t);
        else
            answer_parts(t);
    }
}

/* To the same path with a slash; of several slashes at the beginning one stays, as two would name another server. */
static void redirect(struct transfer *t)
{
    const char *target = http_exchange_target(t->x);
    const char *prefix = host_config(t->files->host)->api_prefix;
    size_t len = target_path_len(target), slashes = strspn(target, "/");
    char *location = mem_printf("Location: %s/%.*s/\r\n", prefix ? prefix : "",
                                (int)(len - slashes), target + slashes);
    http_exchange_reply(t->x, 301, NULL, "", 0, location);
    free(location);
    finish(t);
}

static void on_opened(struct transfer *t)
{
    struct http_exchange *x = t->x;
    switch (-t->result) {
    case 0:
        answer_file(t);
        return;
    case EISDIR:
        redirect(t);
        return;
    case EACCES:
        reply_error(x, 403, "this file is not served: it lies outside --path, or is not readable");
        break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        reply_error_fields(x, 503, "hostler has no memory or open file left for it: try again",
                           "Retry-After: 1\r\n");
        break;
    default:
        t->files->missing(x, t->files->ctx);
        break;
    }
    finish(t);
}

static void on_operated(uv_work_t *work, int status)
{
    struct transfer *t = work->data;
    struct files *f = t->files;
    struct host *host = f->host;
    (void)status;
    f->working--;
    t->working = false;
    t->is_open = t->operation == OPEN ? !t->result : t->operation == READ;
    if (!t->x)
        finish(t);
    else if (t->operation == OPEN)
        on_opened(t);
    else
        on_read(t);
    begin_waiting(f);
    host_operation_end(host);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

void files_serve(struct files *f, struct http_exchange *x)
{
    static const struct http_exchange_events events = {.drain = on_drain, .gone = on_gone};
    if (f->n_waiting >= WAITING_MAX) {
        reply_error(x, 503, "too many requests wait for files of --path");
        return;
    }
    const char *target = http_exchange_target(x);
    char *path = target_decode(target, target_path_len(target));
    struct transfer *t = path && *path == '/' ? mem_try_zalloc(sizeof *t) : NULL;
    if (!t) {
        if (path && *path == '/')
            reply_no_memory(x);
        else
            f->missing(x, f->ctx);
        free(path);
        return;
    }
    t->files = f;
    t->x = x;
    t->path = path;
    t->work.data = t;
    http_exchange_take(x, &events, t);
    begin(t, OPEN);
}

struct files *files_create(struct host *host, const char *folder, files_missing *missing, void *ctx)
{
    struct files *f = mem_zalloc(sizeof *f);
    *f = (struct files){.host = host, .folder = folder, .missing = missing, .ctx = ctx};
    TAILQ_INIT(&f->waiting);
    return f;
}

void files_destroy(struct files *f)
{
    free(f);
}
