/* SPDX-License-Identifier: MIT */
#include "http/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"

#define BEHIND ((size_t)256 * 1024) /* bytes that wait to be written */

/* What the pool does, or did last. */
enum spool_operation { SPOOL_NONE, SPOOL_WRITE, SPOOL_READ, SPOOL_CLOSE };

struct spool {
    uv_loop_t *loop;
    char *folder;
    spool_progress *progress;
    void *ctx;
    uv_work_t work;
    enum spool_operation operation;
    bool destroyed; /* by its owner, while an operation was under way */
    /* The pool's while an operation is under way: */
    int fd; /* -1: not made yet */
    uint64_t size;
    struct buf writing;
    struct buf read;
    uint64_t reading_at;
    int result; /* of the operation: 0 or a negative errno */
    /* The loop's: */
    int error;          /* of making or writing the file: the first one */
    struct buf waiting; /* appended, and not being written yet */
    uint64_t read_at;
    spool_read_done *read_done; /* NULL: no read is wanted */
    void *read_ctx;
    bool read_stale; /* the read that is under way was cancelled */
};

/* --- where --------------------------------------------------------------------------------------
 */

static bool is_on_disk(const char *folder)
{
    struct statfs fs;
    return folder && *folder && statfs(folder, &fs) == 0 && fs.f_type != TMPFS_MAGIC &&
           fs.f_type != RAMFS_MAGIC && access(folder, W_OK | X_OK) == 0;
}

const char *spool_choose_folder(const char *private_folder)
{
    const char *const folders[] = {private_folder, getenv("TMPDIR"), "/var/tmp"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (is_on_disk(folders[i]))
            return folders[i];
    return NULL;
}

/* --- in the pool --------------------------------------------------------------------------------
 */

static int make_file(const char *folder)
{
    char path[4096];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
        return -errno;
    if ((size_t)snprintf(path, sizeof path, "%s/body-XXXXXX", folder) >= sizeof path)
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}

static int write_all(struct spool *s)
{
    const struct buf *b = &s->writing;
    for (size_t done = 0; done < b->len;) {
        ssize_t n = pwrite(s->fd, b->data + done, b->len - done, (off_t)s->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
        s->size += (uint64_t)n;
    }
    return 0;
}

static int make_and_write(struct spool *s)
{
    if (s->fd < 0)
        s->fd = make_file(s->folder);
    return s->fd < 0 ? s->fd : write_all(s);
}

static int read_some(struct spool *s)
{
    ssize_t n;
    buf_clear(&s->read);
    if (buf_reserve(&s->read, SPOOL_READ_SIZE))
        return -ENOMEM;
    do
        n = pread(s->fd, s->read.data, SPOOL_READ_SIZE, (off_t)s->reading_at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    s->read.len = (size_t)n;
    return 0;
}

/* To free a large file's pages takes milliseconds, too. */
static void operate(uv_work_t *work)
{
    struct spool *s = work->data;
    switch (s->operation) {
    case SPOOL_NONE:
        return;
    case SPOOL_WRITE:
        s->result = make_and_write(s);
        return;
    case SPOOL_READ:
        s->result = read_some(s);
        return;
    case SPOOL_CLOSE:
        close(s->fd);
        return;
    }
}

/* --- on the loop --------------------------------------------------------------------------------
 */

static void on_operated(uv_work_t *work, int status);

static void begin(struct spool *s, enum spool_operation operation)
{
    s->operation = operation;
    uv_queue_work(s->loop, &s->work, operate, on_operated);
}

static void spool_free(struct spool *s)
{
    buf_finish(&s->waiting);
    buf_finish(&s->writing);
    buf_finish(&s->read);
    free(s->folder);
    free(s);
}

static void close_or_free(struct spool *s)
{
    if (s->fd < 0 || s->operation == SPOOL_CLOSE)
        spool_free(s);
    else
        begin(s, SPOOL_CLOSE);
}

static void begin_next(struct spool *s)
{
    if (s->operation != SPOOL_NONE)
        return;
    if (s->waiting.len && !s->error) {
        struct buf empty = s->writing;
        s->writing = s->waiting;
        s->waiting = empty;
        begin(s, SPOOL_WRITE);
    } else if (s->read_done) {
        s->read_stale = false;
        s->reading_at = s->read_at;
        begin(s, SPOOL_READ);
    }
}

static void report_read(struct spool *s)
{
    spool_read_done *done = s->read_done;
    int error = s->error ? s->error : s->result;
    if (!done || s->read_stale)
        return;
    s->read_done = NULL;
    done(s->read.data, error ? 0 : s->read.len, error, s->read_ctx);
}

/* What is called here may destroy the spool: it is freed when all of this has returned. */
static void on_operated(uv_work_t *work, int status)
{
    struct spool *s = work->data;
    const enum spool_operation ended = s->operation;
    (void)status;
    if (!s->destroyed && ended == SPOOL_WRITE) {
        s->error = s->result;
        if (s->error)
            log_warn("a request's body cannot be kept in %s: %s", s->folder, uv_strerror(s->error));
        buf_clear(&s->writing);
        s->progress(s->ctx);
    } else if (!s->destroyed && ended == SPOOL_READ) {
        report_read(s);
    }
    if (s->destroyed) {
        close_or_free(s);
        return;
    }
    s->operation = SPOOL_NONE;
    begin_next(s);
}

struct spool *spool_create(uv_loop_t *loop, const char *folder, spool_progress *progress, void *ctx)
{
    struct spool *s = mem_try_zalloc(sizeof *s);
    if (!s)
        return NULL;
    char *copy = mem_strdup(folder);
    *s = (struct spool){
        .loop = loop, .folder = copy, .progress = progress, .ctx = ctx, .work.data = s, .fd = -1};
    buf_init(&s->waiting, BUF_UNBOUNDED);
    buf_init(&s->writing, BUF_UNBOUNDED);
    buf_init(&s->read, SPOOL_READ_SIZE);
    return s;
}

void spool_destroy(struct spool *s)
{
    if (!s)
        return;
    s->destroyed = true;
    if (s->operation == SPOOL_NONE)
        close_or_free(s);
}

int spool_append(struct spool *s, const void *data, size_t len)
{
    int rc = s->error ? s->error : buf_append(&s->waiting, data, len);
    if (!rc)
        begin_next(s);
    return rc;
}

bool spool_is_behind(const struct spool *s)
{
    return !s->error && s->waiting.len >= BEHIND;
}

int spool_error(const struct spool *s)
{
    return s->error;
}

void spool_read(struct spool *s, uint64_t offset, spool_read_done *done, void *ctx)
{
    s->read_at = offset;
    s->read_done = done;
    s->read_ctx = ctx;
    begin_next(s);
}

void spool_read_cancel(struct spool *s)
{
    s->read_done = NULL;
    s->read_stale = true;
}
