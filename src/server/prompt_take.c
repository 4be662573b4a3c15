/* SPDX-License-Identifier: MIT */
/*
 * Taking a file over that an engine has written: checksum, synchronise, rename, then NUMBER.json, then the folder is synchronised. Killed
 * at any point, the file is either still in the engine's folder, or half of a prompt: both are removed at the next start.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "server/prompt_store_core.h"

struct taking {
    struct pool_job job;
    struct prompt_store *store;
    struct prompt_folder *folder; /* from when it begins */
    struct prompt_file *file;     /* NULL: out of memory */
    char *path;
    uint64_t said, max; /* bytes: that the engine says it wrote, or 0; that a file may have */
    uint64_t free_bytes;
    int rc;
    bool gone; /* the store's folder is */
    struct prompt_callback callback;
    prompt_taken_fn *done;
};

/* --- in the pool --------------------------------------------------------------------------------- */

static int check(const struct taking *t, const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size;
    if (!S_ISREG(st->st_mode) || !size || (t->said && t->said != size))
        return -EBADMSG;
    return size > t->max ? -EFBIG : 0;
}

/* Nobody may have written to it meanwhile. */
static int read_checksum(struct taking *t, int fd)
{
    struct stat before, after;
    if (fchmod(fd, 0600) || fstat(fd, &before))
        return -errno;
    int rc = check(t, &before);
    if (!rc)
        rc = prompt_data_read(fd, (uint64_t)before.st_size, -1, &t->file->checksum);
    if (!rc && fstat(fd, &after))
        rc = -errno;
    if (rc)
        return rc;
    struct prompt_stamp a = prompt_stamp_of(&before), b = prompt_stamp_of(&after);
    t->file->bytes = b.size;
    return prompt_stamp_equal(&a, &b) ? 0 : -EBADMSG;
}

/* The engine's folder is on another file system after all. */
static int copy(struct taking *t, int from, const char *name)
{
    struct prompt_hash sum = {0};
    int to =
        openat(t->folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0 || lseek(from, 0, SEEK_SET) < 0)
        return -errno;
    int rc = prompt_data_read(from, t->file->bytes, to, &sum);
    if (!rc && (sum.low != t->file->checksum.low || sum.high != t->file->checksum.high))
        rc = -EBADMSG;
    if (!rc && fsync(to))
        rc = -errno;
    if (close(to) && !rc)
        rc = -errno;
    return rc;
}

static int move_data(struct taking *t, int fd)
{
    char name[PROMPT_NAME_SIZE];
    prompt_file_name(name, t->file->number, PROMPT_DATA);
    if (fsync(fd))
        return -errno;
    if (renameat(AT_FDCWD, t->path, t->folder->fd, name) == 0)
        return 0;
    return errno == EXDEV ? copy(t, fd, name) : -errno;
}

/* The renaming has changed its times. */
static int note_verified(struct taking *t)
{
    struct stat st;
    int fd = prompt_file_open_data(t->folder->fd, t->file->number, &st);
    if (fd < 0)
        return fd;
    close(fd);
    t->file->verified = prompt_stamp_of(&st);
    return 0;
}

static int take(struct taking *t)
{
    int fd = open(t->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP ? -EBADMSG : -errno;
    int rc = read_checksum(t, fd);
    if (!rc)
        rc = move_data(t, fd);
    close(fd);
    if (!rc)
        rc = note_verified(t);
    if (!rc)
        rc = prompt_file_write(t->folder->fd, t->file);
    if (!rc && fsync(t->folder->fd))
        rc = -errno;
    return rc;
}

static void run_taking(struct pool_job *job)
{
    struct taking *t = container_of(job, struct taking, job);
    t->gone =
        !prompt_folder_is_there(t->folder); /* it may have been moved, and could be written to */
    if (!t->rc)
        t->rc = t->gone ? -ESTALE : take(t);
    unlink(t->path); /* after an error, or a copy */
    t->free_bytes = prompt_folder_free_bytes(t->folder);
    if (!t->rc)
        return;
    t->gone = t->gone || !prompt_folder_is_there(t->folder);
    if (t->file && t->file->number)
        prompt_file_remove(t->folder->fd, t->file->number);
}

/* --- on the loop --------------------------------------------------------------------------------- */

static void begin_taking(struct pool_job *job)
{
    struct taking *t = container_of(job, struct taking, job);
    t->folder = prompt_folder_ref(t->store->folder);
    t->max = t->store->max_bytes;
    if (t->file)
        t->file->number = t->store->next_number++;
}

/* Who is worth less than all that would have to go for it must not push any of them out. */
static int add(struct prompt_store *s, struct prompt_file *f)
{
    struct prompt_file *old;
    while ((old = prompt_index_superseded(&s->index, f))) {
        f->hits += old->hits; /* of the same conversation */
        f->saved_ms += old->saved_ms;
        s->uses_changed |= old->hits > 0;
        prompt_store_remove(s, old);
    }
    uint64_t excess = prompt_store_excess(s, f->bytes);
    double gain_ms = (double)f->tokens * f->token_ms;
    bool stays =
        !excess || (f->bytes <= s->max_bytes &&
                    prompt_index_would_keep(&s->index, gain_ms, f->bytes, excess, f->used));
    prompt_index_add(&s->index, f);
    if (stays)
        prompt_store_make_room(s);
    else
        prompt_store_remove(s, f);
    return stays ? 0 : -ECANCELED;
}

static void end_taking(struct pool_job *job)
{
    struct taking *t = container_of(job, struct taking, job);
    struct prompt_store *s = t->store;
    uint64_t number = t->rc ? 0 : t->file->number;
    if (t->gone)
        prompt_store_note_lost(s, t->folder);
    else
        prompt_store_note(s, t->rc);
    prompt_store_adapt_max(s, t->free_bytes, t->rc ? 0 : t->file->bytes);
    if (t->rc || t->folder != s->folder || s->lost)
        prompt_file_destroy(t->file);
    else
        t->rc = add(s, t->file);
    if (prompt_store_is_awaited(s, &t->callback) && t->done)
        t->done(t->rc, t->rc ? 0 : number, t->callback.ctx);
    prompt_folder_unref(t->folder);
    free(t->path);
    free(t);
}

static bool is_valid(const struct prompt_taking *what)
{
    return what->tokens && what->tokens <= INT64_MAX && what->token_ms >= 0 && what->chain->n;
}

void prompt_store_take(struct prompt_store *s, const struct prompt_taking *what,
                       prompt_taken_fn *done, void *ctx)
{
    struct taking *t = mem_zalloc(sizeof *t);
    *t = (struct taking){.job = {.begin = begin_taking, .run = run_taking, .end = end_taking},
                         .store = s,
                         .path = mem_strdup(what->path),
                         .said = what->bytes,
                         .done = done,
                         .rc = is_valid(what) ? 0 : -EINVAL};
    t->file = t->rc ? NULL : prompt_file_create(what->identity, what->model, what->chain);
    if (!t->rc && !t->file)
        t->rc = -ENOMEM;
    if (t->file) {
        t->file->tokens = what->tokens;
        t->file->token_ms = what->token_ms;
        t->file->created = t->file->used = clock_unix();
    }
    prompt_store_await(s, &t->callback, ctx);
    pool_lane_add(&s->others, &t->job);
}
