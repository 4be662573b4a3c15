/* SPDX-License-Identifier: MIT */
/*
 * A folder is read into an array of its GGUF files, sorted so that the shards of one model lie side
 * by side; a model is then a run of that array. O(n log n).
 */
#include "catalog/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "catalog/files.h"

#define SUFFIX ".gguf"
#define SUFFIX_LEN (sizeof SUFFIX - 1)

/* --- names --------------------------------------------------------------------------------------
 */

static bool is_model(const char *name)
{
    return !file_is_mmproj(name) && !file_is_draft(name);
}

char *folder_shard_path(const char *first, unsigned no, unsigned count)
{
    char *copy = mem_strdup(first);
    struct file f = {.name = copy};
    file_parse_shard(&f);
    f.count = f.count ? count : 0;
    char *path = file_shard_name(&f, no);
    free(copy);
    return path;
}

/* The id of a file at the top: its name without any `.gguf`; empty when nothing is left. */
static char *id_of(const struct file *f)
{
    char *id = file_shard_name(f, 1);
    for (char *at = id; (at = strstr(at, SUFFIX));)
        memmove(at, at + SUFFIX_LEN, strlen(at + SUFFIX_LEN) + 1);
    return id;
}

/* --- reading a folder ---------------------------------------------------------------------------
 */

/* Adds the entry if it is a GGUF file, or a folder and these are wanted (not NULL). A stat() costs
 * a call into the kernel (over a network, a round trip): none for names that readdir() already excludes.
 * 0, or the temporary error of a stat() (file_error_passes()).
 */
static int add_entry(struct files *files, struct strv *folders, const char *dir, int fd,
                     const struct dirent *e)
{
    bool gguf = file_is_gguf(e->d_name);
    bool maybe_folder =
        folders && (e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN);
    struct stat st;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || (!gguf && !maybe_folder))
        return 0;
    if (!text_clean(e->d_name)) {
        log_warn_once("%s: a name that is not UTF-8 or holds control characters is left out", dir);
    } else if (fstatat(fd, e->d_name, &st, 0) < 0) {
        if (file_error_passes(-errno))
            return -errno;
        if (gguf)
            log_warn_once("%s/%s is left out: %s", dir, e->d_name, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        if (folders)
            strv_add(folders, e->d_name);
    } else if (gguf && S_ISREG(st.st_mode)) {
        files_add(files, e->d_name, &st);
    } else if (gguf) {
        log_warn_once("%s/%s is left out: not a regular file", dir, e->d_name);
    }
    return 0;
}

/* Takes over `fd`. The files come sorted. 0 or a negative errno. */
static int list_files(struct files *files, struct strv *folders, const char *dir, int fd)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    int rc = 0;
    errno = 0;
    for (struct dirent *e; !rc && (e = readdir(d)); errno = 0)
        rc = add_entry(files, folders, dir, dirfd(d), e);
    if (!rc)
        rc = -errno;
    closedir(d);
    files_sort(files);
    return rc;
}

/* --- models -------------------------------------------------------------------------------------
 */

void folder_model_finish(struct folder_model *m)
{
    free(m->id);
    free(m->path);
    free(m->mmproj);
    free(m->draft);
    free(m->problem);
    *m = (struct folder_model){0};
}

struct folder_model *folder_add(struct folder *f, char *id)
{
    if ((f->n & (f->n - 1)) == 0) /* grows whenever n reaches a power of two */
        f->v = mem_realloc(f->v, (f->n ? f->n * 2 : 1) * sizeof *f->v);
    f->v[f->n] = (struct folder_model){.id = id};
    return &f->v[f->n++];
}

static void add_top_files(struct folder *f, const char *dir, const struct files *files)
{
    for (size_t i = 0, n; i < files->n; i += n) {
        n = files_run(files, i);
        char *id = id_of(&files->v[i]);
        if (is_model(files->v[i].name) && *id)
            files_fill(folder_add(f, id), dir, &files->v[i], n);
        else
            free(id);
    }
}

/* Where the subfolder's model begins: a first shard, else a file that is not split, else whatever
 * shard there is; files->n when there is no model. */
static size_t choose_model(const struct files *files)
{
    size_t single = files->n, rest = files->n;
    for (size_t i = files->n; i-- > 0;) {
        const struct file *file = &files->v[i];
        if (!is_model(file->name))
            continue;
        rest = i;
        if (!file->count)
            single = i;
    }
    for (size_t i = 0; i < files->n; i++)
        if (files->v[i].no == 1 && is_model(files->v[i].name))
            return i;
    return single < files->n ? single : rest;
}

static void add_companion(struct folder_model *m, char **path, uint64_t *stamp, const char *dir,
                          const struct file *file)
{
    *path = mem_printf("%s/%s", dir, file->name);
    *stamp = file->stamp;
    m->changed = file->mtime > m->changed ? file->mtime : m->changed;
}

static void add_companions(struct folder_model *m, const char *dir, const struct files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        const struct file *file = &files->v[i];
        if (file_is_mmproj(file->name)) {
            if (!m->mmproj)
                add_companion(m, &m->mmproj, &m->mmproj_stamp, dir, file);
        } else if (file_is_draft(file->name) && !m->draft) {
            add_companion(m, &m->draft, &m->draft_stamp, dir, file);
        }
    }
}

/* 0, or the error, if the content cannot be listed. */
static int add_subfolder(struct folder *f, const char *dir, int dir_fd, const char *name)
{
    struct files files = {0};
    char *path = mem_printf("%s/%s", dir, name);
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 ? -errno : list_files(&files, NULL, path, fd);
    size_t i = choose_model(&files);
    if (rc < 0 && !file_error_passes(rc)) {
        log_warn_once("%s is left out: %s", path, strerror(-rc));
        rc = 0;
    } else if (rc == 0 && i < files.n) {
        struct folder_model *m = folder_add(f, mem_strdup(name));
        files_fill(m, path, &files.v[i], files_run(&files, i));
        add_companions(m, path, &files);
    }
    files_finish(&files);
    free(path);
    return rc;
}

/* By id; of two with the same id first the one that is listed. Those from subfolders have the longer path:
 * only they have a slash after the folder's. */
static int compare_models(const void *va, const void *vb)
{
    const struct folder_model *a = va, *b = vb;
    int c = strcmp(a->id, b->id);
    if (c)
        return c;
    size_t depth_a = 0, depth_b = 0;
    for (const char *p = a->path; (p = strchr(p, '/')); p++)
        depth_a++;
    for (const char *p = b->path; (p = strchr(p, '/')); p++)
        depth_b++;
    return depth_a != depth_b ? (depth_a < depth_b) - (depth_a > depth_b)
                              : strcmp(a->path, b->path);
}

static void drop_collisions(struct folder *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct folder_model *m = &f->v[i];
        if (kept && strcmp(f->v[kept - 1].id, m->id) == 0) {
            log_warn_once("%s is left out: %s is model %s already", m->path, f->v[kept - 1].path,
                          m->id);
            folder_model_finish(m);
        } else if (kept++ != i) {
            f->v[kept - 1] = *m;
        }
    }
    f->n = kept;
}

void folder_sort(struct folder *f, int (*compare)(const void *, const void *))
{
    if (f->n)
        qsort(f->v, f->n, sizeof *f->v, compare);
    drop_collisions(f);
}

static int read_folder(struct folder *f, const char *dir, int fd)
{
    struct files files = {0};
    struct strv folders = {0};
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* list_files() closes its own */
    int rc = copy < 0 ? -errno : list_files(&files, &folders, dir, copy);
    if (rc == 0) {
        add_top_files(f, dir, &files);
        for (size_t i = 0; i < folders.n && !rc; i++)
            rc = add_subfolder(f, dir, fd, folders.v[i]);
        folder_sort(f, compare_models);
    }
    files_finish(&files);
    strv_finish(&folders);
    return rc;
}

int folder_read(struct folder *f, const char *dir, struct error *err)
{
    *f = (struct folder){0};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, -errno,
                         "cannot read the models folder %s: %s; name one that can be read with "
                         "--models-dir",
                         dir, strerror(errno));
    /* `models/` and `models` give the same paths, so that a rescan finds them unchanged. */
    size_t len = strlen(dir);
    while (len && dir[len - 1] == '/')
        len--;
    char *trimmed = mem_strndup(dir, len);
    int rc = read_folder(f, trimmed, fd);
    free(trimmed);
    close(fd);
    return rc ? error_set(err, rc, "cannot read the models folder %s: %s", dir, strerror(-rc)) : 0;
}

void folder_finish(struct folder *f)
{
    for (size_t i = 0; i < f->n; i++)
        folder_model_finish(&f->v[i]);
    free(f->v);
    *f = (struct folder){0};
}

/* --- several sources ----------------------------------------------------------------------------
 */

/* Where `id` is or belongs. */
static size_t place(const struct folder *f, const char *id)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(f->v[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct folder_model *folder_find(const struct folder *f, const char *id)
{
    size_t i = place(f, id);
    return i < f->n && strcmp(f->v[i].id, id) == 0 ? &f->v[i] : NULL;
}

struct folder_model *folder_insert(struct folder *f, struct folder_model *m)
{
    size_t i = place(f, m->id);
    folder_add(f, NULL);
    memmove(&f->v[i + 1], &f->v[i], (f->n - 1 - i) * sizeof *f->v);
    f->v[i] = *m;
    *m = (struct folder_model){0};
    return &f->v[i];
}

static char *copy_of(const char *text)
{
    return text ? mem_strdup(text) : NULL;
}

void folder_model_copy(struct folder_model *to, const struct folder_model *from)
{
    char *id = to->id;
    *to = *from;
    to->id = id;
    to->path = copy_of(from->path);
    to->mmproj = copy_of(from->mmproj);
    to->draft = copy_of(from->draft);
    to->problem = copy_of(from->problem);
}

void folder_copy(struct folder *to, const struct folder *from)
{
    for (size_t i = 0; i < from->n; i++)
        folder_model_copy(folder_add(to, mem_strdup(from->v[i].id)), &from->v[i]);
}

void folder_merge(struct folder *f, struct folder *more)
{
    struct folder merged = {0};
    size_t i = 0, k = 0;
    while (i < f->n || k < more->n) {
        int c = i == f->n ? 1 : k == more->n ? -1 : strcmp(f->v[i].id, more->v[k].id);
        if (c == 0)
            folder_model_finish(&more->v[k++]);
        else
            *folder_add(&merged, NULL) = c < 0 ? f->v[i++] : more->v[k++];
    }
    free(f->v);
    free(more->v);
    *f = merged;
    *more = (struct folder){0};
}

bool folder_model_is_fresh(const struct folder_model *m, time_t now)
{
    return m->changed <= now && now - m->changed < FOLDER_SETTLE_S;
}

/* --- one file -----------------------------------------------------------------------------------
 */

static int add_shard(struct folder_model *m, const char *path, struct error *err)
{
    struct stat st;
    if (access(path, R_OK) < 0 || stat(path, &st) < 0)
        return error_set(err, -errno, "cannot read the model %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "%s: not a regular file", path);
    m->stamp = stamp_add(m->stamp, stamp_of(&st));
    m->size += (uint64_t)st.st_size;
    m->mtime = st.st_mtime > m->mtime ? st.st_mtime : m->mtime;
    m->changed = m->mtime;
    return 0;
}

uint64_t folder_stamp(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? stamp_of(&st) : 0;
}

int folder_read_file(struct folder_model *m, const char *id, const char *path, struct error *err)
{
    *m = (struct folder_model){.id = mem_strdup(id), .path = mem_strdup(path)};
    struct file f = {.name = m->path};
    file_parse_shard(&f);
    m->shards = f.count ? f.count : 1;
    int rc = add_shard(m, path, err);
    if (rc == 0 && f.no > 1) {
        char *first = folder_shard_path(path, 1, f.count);
        rc = error_set(err, -EINVAL, "%s is one part of a split model: give the first, %s", path,
                       first);
        free(first);
    }
    for (unsigned no = 2; rc == 0 && no <= f.count; no++) {
        char *shard = folder_shard_path(path, no, f.count);
        rc = add_shard(m, shard, err);
        free(shard);
    }
    if (rc < 0)
        folder_model_finish(m);
    return rc;
}
