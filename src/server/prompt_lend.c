/* SPDX-License-Identifier: MIT */
/*
 * Lending a file to an engine, and taking it back. A link is the very file: should an engine write to it against its promise, its
 * times of change show that, and it is verified, and dropped, before it is lent again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/container_of.h"
#include "server/prompt_store_core.h"

/* --- lending ------------------------------------------------------------------------------------- */

struct lending {
    struct pool_job job;
    struct prompt_store *store;
    struct prompt_folder *folder; /* NULL: there is nothing to do */
    uint64_t number;
    char *path;
    /* Of the file, when it begins; `verified` then is how it was left. */
    uint64_t bytes;
    struct prompt_hash checksum;
    struct prompt_stamp verified;
    bool linked; /* not copied */
    int rc;
    bool gone; /* the store's folder is */
    struct prompt_callback callback;
    void (*done)(int rc, void *ctx);
};

/* What the disk cannot read is as good as changed. */
static int verify(struct lending *l, int fd, const struct stat *st)
{
    struct prompt_hash sum = {0};
    struct stat after;
    struct prompt_stamp now = prompt_stamp_of(st);
    if (now.size != l->bytes)
        return -EBADMSG;
    if (prompt_stamp_equal(&now, &l->verified))
        return 0;
    int rc = prompt_data_read(fd, l->bytes, -1, &sum);
    if (!rc && (sum.low != l->checksum.low || sum.high != l->checksum.high))
        rc = -EBADMSG;
    if (!rc && fstat(fd, &after))
        rc = -errno;
    if (rc)
        return rc == -EIO || rc == -ESTALE ? -EBADMSG : rc;
    l->verified = prompt_stamp_of(&after);
    return prompt_stamp_equal(&now, &l->verified) ? 0 : -EBADMSG;
}

static int link_data(const struct lending *l)
{
    char name[PROMPT_NAME_SIZE];
    prompt_file_name(name, l->number, PROMPT_DATA);
    unlink(l->path);
    return linkat(l->folder->fd, name, AT_FDCWD, l->path, 0) ? -errno : 0;
}

/* The link leads to the file that was verified, not to another that was put into its place. */
static int check_link(struct lending *l, int fd)
{
    struct stat st, of_path;
    if (fstat(fd, &st) || lstat(l->path, &of_path))
        return -errno;
    l->verified = prompt_stamp_of(&st); /* linking has changed its time of change */
    return st.st_dev == of_path.st_dev && st.st_ino == of_path.st_ino ? 0 : -EBADMSG;
}

static int copy_data(const struct lending *l, int fd)
{
    struct prompt_hash sum = {0};
    unlink(l->path);
    int to = open(l->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    int rc = lseek(fd, 0, SEEK_SET) < 0 ? -errno : prompt_data_read(fd, l->bytes, to, &sum);
    if (close(to) && !rc)
        rc = -errno;
    if (!rc && (sum.low != l->checksum.low || sum.high != l->checksum.high))
        rc = -EBADMSG;
    return rc;
}

static bool has_no_links(int rc)
{
    return rc == -EXDEV || rc == -EPERM || rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EMLINK ||
           rc == -EACCES;
}

static int lend(struct lending *l)
{
    struct stat st;
    int fd = prompt_file_open_data(l->folder->fd, l->number, &st);
    if (fd < 0)
        return fd;
    int rc = verify(l, fd, &st);
    if (rc) {
        close(fd);
        return rc;
    }
    rc = link_data(l);
    l->linked = !rc;
    if (!rc)
        rc = check_link(l, fd);
    else if (has_no_links(rc))
        rc = copy_data(l, fd);
    if (rc == -ENOENT)
        rc = -ENOTDIR; /* the borrower's folder is missing: the file was just open */
    if (rc)
        unlink(l->path);
    close(fd);
    return rc;
}

static void run_lending(struct pool_job *job)
{
    struct lending *l = container_of(job, struct lending, job);
    if (!l->folder)
        return;
    l->rc = lend(l);
    l->gone = l->rc && !prompt_folder_is_there(l->folder);
}

static void begin_lending(struct pool_job *job)
{
    struct lending *l = container_of(job, struct lending, job);
    const struct prompt_file *f = prompt_index_get(&l->store->index, l->number);
    l->rc = f ? 0 : -ENOENT;
    if (!f || l->callback.forgotten)
        return;
    l->folder = prompt_folder_ref(l->store->folder);
    l->bytes = l->store->lending = f->bytes;
    l->checksum = f->checksum;
    l->verified = f->verified;
}

static void note_lent(struct prompt_store *s, const struct lending *l)
{
    struct prompt_file *f = prompt_index_get(&s->index, l->number);
    if (f)
        f->verified = l->verified;
    if (!l->linked)
        return;
    s->lent = mem_realloc(s->lent, (s->n_lent + 1) * sizeof *s->lent);
    s->lent[s->n_lent++] = (struct prompt_lent){mem_strdup(l->path), l->number};
}

static void note_failed(struct prompt_store *s, const struct lending *l)
{
    struct prompt_file *f = prompt_index_get(&s->index, l->number);
    if (l->gone)
        prompt_store_note_lost(s, l->folder);
    else if (f && l->rc == -ENOENT)
        prompt_store_drop_broken(s, f, "its file is gone");
    else if (f && l->rc == -EBADMSG)
        prompt_store_drop_broken(s, f, "its file is not what was saved");
    else if (!l->callback.forgotten) /* else the borrower's folder was removed meanwhile */
        prompt_store_note(s, l->rc);
}

static void end_lending(struct pool_job *job)
{
    struct lending *l = container_of(job, struct lending, job);
    struct prompt_store *s = l->store;
    bool lent = l->folder && !l->rc;
    if (lent)
        note_lent(s, l);
    else if (l->folder)
        note_failed(s, l);
    if (prompt_store_is_awaited(s, &l->callback))
        l->done(l->rc, l->callback.ctx);
    else if (lent)
        prompt_store_discard(s, l->path);
    if (l->folder)
        prompt_folder_unref(l->folder);
    free(l->path);
    free(l);
}

void prompt_store_lend(struct prompt_store *s, uint64_t number, const char *path,
                       void (*done)(int rc, void *ctx), void *ctx)
{
    struct lending *l = mem_zalloc(sizeof *l);
    *l = (struct lending){.job = {.begin = begin_lending, .run = run_lending, .end = end_lending},
                          .store = s,
                          .number = number,
                          .path = mem_strdup(path),
                          .done = done};
    prompt_store_await(s, &l->callback, ctx);
    pool_lane_add(&s->lends, &l->job);
}

/* --- taking back --------------------------------------------------------------------------------- */

struct discard {
    struct pool_job job;
    struct prompt_store *store;
    struct prompt_folder
        *folder; /* of the file that was lent; NULL: no file of the store, or it was dropped */
    uint64_t number;
    char *path;
    struct prompt_folder *own; /* the store's, from when it begins */
    bool gone;                 /* that is not there any more */
    struct prompt_stamp before,
        after; /* of that file, as it was verified; `after` unset: it was changed */
};

/* The number of a file that was lent as `path`, which is off the list then; 0. */
static uint64_t give_back(struct prompt_store *s, const char *path)
{
    for (size_t i = 0; i < s->n_lent; i++)
        if (strcmp(s->lent[i].path, path) == 0) {
            uint64_t number = s->lent[i].number;
            free(s->lent[i].path);
            s->lent[i] = s->lent[--s->n_lent];
            return number;
        }
    return 0;
}

static void begin_discard(struct pool_job *job)
{
    struct discard *d = container_of(job, struct discard, job);
    struct prompt_store *s = d->store;
    d->own = prompt_folder_ref(s->folder);
    d->number = give_back(s, d->path);
    const struct prompt_file *f = d->number ? prompt_index_get(&s->index, d->number) : NULL;
    if (!f)
        return;
    d->folder = prompt_folder_ref(s->folder);
    d->before = f->verified;
}

/* Removing the link changes the file's time of change. */
static void run_discard(struct pool_job *job)
{
    struct discard *d = container_of(job, struct discard, job);
    struct stat st;
    int fd = d->folder ? prompt_file_open_data(d->folder->fd, d->number, &st) : -1;
    struct prompt_stamp now = fd >= 0 ? prompt_stamp_of(&st) : (struct prompt_stamp){0};
    bool is_whole = fd >= 0 && prompt_stamp_equal(&now, &d->before);
    /* An engine that cannot save may be the first to notice. */
    d->gone = unlink(d->path) && errno == ENOENT && !prompt_folder_is_there(d->own);
    if (is_whole && fstat(fd, &st) == 0)
        d->after = prompt_stamp_of(&st);
    if (fd >= 0)
        close(fd);
}

static void end_discard(struct pool_job *job)
{
    struct discard *d = container_of(job, struct discard, job);
    struct prompt_file *f = d->folder ? prompt_index_get(&d->store->index, d->number) : NULL;
    if (f && d->after.inode && prompt_stamp_equal(&f->verified, &d->before))
        f->verified = d->after;
    if (d->gone)
        prompt_store_note_lost(d->store, d->own);
    if (d->folder)
        prompt_folder_unref(d->folder);
    prompt_folder_unref(d->own);
    free(d->path);
    free(d);
}

void prompt_store_discard(struct prompt_store *s, const char *path)
{
    struct discard *d = mem_zalloc(sizeof *d);
    *d = (struct discard){.job = {.begin = begin_discard, .run = run_discard, .end = end_discard},
                          .store = s,
                          .path = mem_strdup(path)};
    pool_lane_add(&s->others, &d->job);
}
