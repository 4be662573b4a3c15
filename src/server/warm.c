/* SPDX-License-Identifier: MIT */
#include "server/warm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strv.h"
#include "catalog/folder.h"

#define SLICE ((uint64_t)16 * 1024 * 1024)
#define PIECE ((size_t)256 * 1024) /* of one read */

/* The files of one model being read. Used by a pool thread while it reads a slice, else by the loop. */
struct reading {
    uv_work_t work;
    struct warm *warm;
    struct strv paths;
    size_t file; /* the one being read; paths.n when all are */
    int fd;      /* of it; -1: not open yet */
    off_t offset;
    uint64_t left; /* bytes that may still be filled */
    bool dropped;  /* not wanted any more; set and read on the loop only */
};

struct warm {
    uv_loop_t *loop;
    uint64_t stamp;          /* of the files of the last warm_next(); 0: none */
    struct reading *reading; /* of them; NULL when they are read */
    unsigned readings;       /* that one, and those dropped in the middle of a slice */
    bool closing;
    void (*closed)(void *ctx);
    void *ctx;
};

/* --- in the thread ------------------------------------------------------------------------------ */

/* After the last byte, or an error: the engine reports a file that cannot be read. */
static void next_file(struct reading *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    r->offset = 0;
    r->file++;
}

static bool open_file(struct reading *r)
{
    if (r->fd < 0)
        r->fd = open(r->paths.v[r->file], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return r->fd >= 0;
}

/* Advises the kernel of the next slice, too, so that the disk always has a request queued. Returns
 * the last pread()'s result. */
static ssize_t read_pieces(struct reading *r, uint64_t end)
{
    char *piece = mem_try_realloc(NULL, PIECE);
    ssize_t n = piece ? 1 : 0; /* no memory: the engine reads the file itself */
    (void)posix_fadvise(r->fd, r->offset, (off_t)(2 * SLICE), POSIX_FADV_WILLNEED);
    while (r->left > end && n > 0) {
        n = pread(r->fd, piece, r->left < PIECE ? (size_t)r->left : PIECE, r->offset);
        r->offset += n > 0 ? n : 0;
        r->left -= n > 0 ? (uint64_t)n : 0;
    }
    free(piece);
    return n;
}

static void read_slice(uv_work_t *work)
{
    struct reading *r = work->data;
    uint64_t end = r->left > SLICE ? r->left - SLICE : 0;
    if (!open_file(r) || read_pieces(r, end) <= 0)
        next_file(r);
}

/* --- on the loop -------------------------------------------------------------------------------- */

static void check_closed(struct warm *w)
{
    if (!w->closing || w->readings)
        return;
    void (*closed)(void *) = w->closed;
    void *ctx = w->ctx;
    free(w);
    closed(ctx);
}

static void reading_free(struct reading *r)
{
    struct warm *w = r->warm;
    if (w->reading == r)
        w->reading = NULL;
    w->readings--;
    if (r->fd >= 0)
        close(r->fd);
    strv_finish(&r->paths);
    free(r);
    check_closed(w);
}

static void on_slice(uv_work_t *work, int status)
{
    struct reading *r = work->data;
    (void)status;
    if (r->dropped || r->file == r->paths.n || !r->left ||
        uv_queue_work(r->warm->loop, &r->work, read_slice, on_slice))
        reading_free(r);
}

/* Fills half of the available memory at most: pages that running engines map must stay, and the load may
 * never come. */
static void begin(struct warm *w, const struct catalog_model *m, uint64_t available)
{
    struct reading *r = mem_zalloc(sizeof *r);
    w->readings++;
    w->reading = r;
    r->warm = w;
    r->work.data = r;
    r->fd = -1;
    r->left = available / 2;
    for (unsigned no = 1; no <= m->shards; no++)
        strv_add_take(&r->paths, folder_shard_path(m->path, no, m->shards));
    if (uv_queue_work(w->loop, &r->work, read_slice, on_slice))
        reading_free(r);
}

struct warm *warm_create(uv_loop_t *loop)
{
    struct warm *w = mem_zalloc(sizeof *w);
    w->loop = loop;
    return w;
}

void warm_next(struct warm *w, const struct catalog_model *m, uint64_t available)
{
    uint64_t stamp = m && m->path ? m->stamp : 0;
    if (stamp == w->stamp || w->closing)
        return;
    w->stamp = stamp;
    if (w->reading)
        w->reading->dropped = true;
    w->reading = NULL;
    if (stamp)
        begin(w, m, available);
}

void warm_close(struct warm *w, void (*closed)(void *ctx), void *ctx)
{
    warm_next(w, NULL, 0);
    w->closing = true;
    w->closed = closed;
    w->ctx = ctx;
    check_closed(w);
}
