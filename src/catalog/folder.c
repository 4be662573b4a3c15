/* SPDX-License-Identifier: MIT */
/*
 * A folder is read into an array of its GGUF files, sorted so that the shards of one model lie side
 * by side; a model is then a run of that array. All is linear but for the sort.
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

#define SUFFIX ".gguf"
#define SUFFIX_LEN (sizeof SUFFIX - 1)

static const char *const draft_prefixes[] = {"mtp-", "eagle3-", "dflash-", "dspark-"};

struct file {
    char *name;
    size_t stem;    /* length of what all shards have in common; the whole name when not split */
    unsigned count; /* shards; 0 when not split */
    unsigned no;    /* from 1 */
    uint64_t size;
    time_t mtime;
    uint64_t stamp;
};

struct files {
    struct file *v;
    size_t n, cap;
    struct strv folders; /* names of subfolders */
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static uint64_t stamp_of(const struct stat *st)
{
    uint64_t hash = mix(mix(1, (uint64_t)st->st_dev), (uint64_t)st->st_ino);
    hash = mix(mix(hash, (uint64_t)st->st_size), (uint64_t)st->st_mtim.tv_sec);
    hash = mix(hash, (uint64_t)st->st_mtim.tv_nsec);
    return hash ? hash : 1;
}

/* --- names --------------------------------------------------------------------------------------
 */

static bool is_gguf(const char *name)
{
    size_t len = strlen(name);
    return len > SUFFIX_LEN && strcmp(name + len - SUFFIX_LEN, SUFFIX) == 0 &&
           strncmp(name, "._", 2) != 0;
}

static bool is_mmproj(const char *name)
{
    return strstr(name, "mmproj") != NULL;
}

static bool is_draft(const char *name)
{
    for (size_t i = 0; i < sizeof draft_prefixes / sizeof *draft_prefixes; i++)
        if (strncmp(name, draft_prefixes[i], strlen(draft_prefixes[i])) == 0)
            return true;
    return false;
}

static bool is_model(const char *name)
{
    return !is_mmproj(name) && !is_draft(name);
}

/* Five digits; 0 when they are none. */
static unsigned five_digits(const char *s)
{
    unsigned v = 0;
    for (int i = 0; i < 5; i++) {
        if (s[i] < '0' || s[i] > '9')
            return 0;
        v = v * 10 + (unsigned)(s[i] - '0');
    }
    return v;
}

/* Reads `STEM-00002-of-00003.gguf`, the only form in which llama.cpp finds the other shards
 * (llama_split_path). Not split: stem is the whole name, count and no are 0. */
static void parse_shard(struct file *f)
{
    static const size_t tail = sizeof "-00001-of-00003" SUFFIX - 1;
    size_t len = strlen(f->name);
    f->stem = len;
    if (len <= tail)
        return;
    const char *s = f->name + len - tail;
    unsigned no = five_digits(s + 1), count = five_digits(s + 10);
    if (s[0] != '-' || strncmp(s + 6, "-of-", 4) != 0 || no == 0 || no > count)
        return;
    f->stem = len - tail;
    f->no = no;
    f->count = count;
}

static char *shard_path(const char *stem, size_t len, unsigned no, unsigned count)
{
    return mem_printf("%.*s-%05u-of-%05u" SUFFIX, (int)len, stem, no, count);
}

char *folder_shard_path(const char *first, unsigned no, unsigned count)
{
    char *copy = mem_strdup(first);
    struct file f = {.name = copy};
    parse_shard(&f);
    char *path = f.count ? shard_path(copy, f.stem, no, count) : mem_strdup(first);
    free(copy);
    return path;
}

/* The name of the model's first file, whether or not that exists. */
static char *first_name(const struct file *f)
{
    return f->count ? shard_path(f->name, f->stem, 1, f->count) : mem_strdup(f->name);
}

/* The id of a file at the top: its name without any `.gguf`; empty when nothing is left. */
static char *id_of(const struct file *f)
{
    char *id = first_name(f);
    for (char *at = id; (at = strstr(at, SUFFIX));)
        memmove(at, at + SUFFIX_LEN, strlen(at + SUFFIX_LEN) + 1);
    return id;
}

/* By stem, number of shards, shard. */
static int compare_files(const void *va, const void *vb)
{
    const struct file *a = va, *b = vb;
    size_t common = a->stem < b->stem ? a->stem : b->stem;
    int c = memcmp(a->name, b->name, common);
    if (c == 0)
        c = (a->stem > b->stem) - (a->stem < b->stem);
    if (c == 0)
        c = (a->count > b->count) - (a->count < b->count);
    return c ? c : (a->no > b->no) - (a->no < b->no);
}

static bool same_model(const struct file *a, const struct file *b)
{
    return a->count && a->count == b->count && a->stem == b->stem &&
           memcmp(a->name, b->name, a->stem) == 0;
}

/* --- reading a folder ---------------------------------------------------------------------------
 */

static void files_finish(struct files *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->v[i].name);
    free(files->v);
    strv_finish(&files->folders);
}

static void add_file(struct files *files, const char *name, const struct stat *st)
{
    if (files->n == files->cap) {
        files->cap = files->cap ? files->cap * 2 : 8;
        files->v = mem_realloc(files->v, files->cap * sizeof *files->v);
    }
    struct file *f = &files->v[files->n++];
    *f = (struct file){.name = mem_strdup(name),
                       .size = (uint64_t)st->st_size,
                       .mtime = st->st_mtime,
                       .stamp = stamp_of(st)};
    parse_shard(f);
}

/* Adds the entry if it is a GGUF file, or a folder and these are wanted. A stat() costs a call into
 * the kernel (over a network, a round trip): none for what readdir() already rules out. */
static void add_entry(struct files *files, const char *dir, int fd, const struct dirent *e,
                      bool want_folders)
{
    bool gguf = is_gguf(e->d_name);
    bool maybe_folder =
        want_folders && (e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN);
    struct stat st;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || (!gguf && !maybe_folder))
        return;
    if (!text_clean(e->d_name)) {
        log_warn("%s: a name that is not UTF-8 or holds control characters is left out", dir);
    } else if (fstatat(fd, e->d_name, &st, 0) < 0) {
        if (gguf)
            log_warn("%s/%s is left out: %s", dir, e->d_name, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        if (want_folders)
            strv_add(&files->folders, e->d_name);
    } else if (gguf && S_ISREG(st.st_mode)) {
        add_file(files, e->d_name, &st);
    } else if (gguf) {
        log_warn("%s/%s is left out: not a regular file", dir, e->d_name);
    }
}

/* Takes over `fd`. The files come sorted. 0 or a negative errno. */
static int list_files(struct files *files, const char *dir, int fd, bool want_folders)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(d)); errno = 0)
        add_entry(files, dir, dirfd(d), e, want_folders);
    int rc = -errno;
    closedir(d);
    if (files->n)
        qsort(files->v, files->n, sizeof *files->v, compare_files);
    return rc;
}

/* Files of the model that begins at `i`. */
static size_t run_length(const struct files *files, size_t i)
{
    size_t n = 1;
    while (i + n < files->n && same_model(&files->v[i], &files->v[i + n]))
        n++;
    return n;
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

/* The first shard number that the run lacks. */
static unsigned missing_shard(const struct file *run, size_t n)
{
    unsigned no = 1;
    while (no <= n && run[no - 1].no == no)
        no++;
    return no;
}

/* Fills all but id and companions from the `n` files of a run. */
static void fill_model(struct folder_model *m, const char *dir, const struct file *run, size_t n)
{
    m->shards = run->count ? run->count : 1;
    for (size_t i = 0; i < n; i++) {
        m->size += run[i].size;
        m->stamp = i ? mix(m->stamp, run[i].stamp) : run[i].stamp;
        m->mtime = i == 0 || run[i].mtime > m->mtime ? run[i].mtime : m->mtime;
    }
    m->changed = m->mtime;
    char *name = first_name(run);
    m->path = mem_printf("%s/%s", dir, name);
    free(name);
    if (n < m->shards) {
        unsigned no = missing_shard(run, n);
        char *path = folder_shard_path(m->path, no, m->shards);
        m->problem = mem_printf("%u of %u shards missing, the first is %s", m->shards - (unsigned)n,
                                m->shards, path);
        free(path);
    }
}

static struct folder_model *add_model(struct folder *f, size_t *cap, char *id)
{
    if (f->n == *cap) {
        *cap = *cap ? *cap * 2 : 16;
        f->v = mem_realloc(f->v, *cap * sizeof *f->v);
    }
    f->v[f->n] = (struct folder_model){.id = id};
    return &f->v[f->n++];
}

static void add_top_files(struct folder *f, size_t *cap, const char *dir, const struct files *files)
{
    for (size_t i = 0, n; i < files->n; i += n) {
        n = run_length(files, i);
        char *id = id_of(&files->v[i]);
        if (is_model(files->v[i].name) && *id)
            fill_model(add_model(f, cap, id), dir, &files->v[i], n);
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
        if (is_mmproj(file->name)) {
            if (!m->mmproj)
                add_companion(m, &m->mmproj, &m->mmproj_stamp, dir, file);
        } else if (is_draft(file->name) && !m->draft) {
            add_companion(m, &m->draft, &m->draft_stamp, dir, file);
        }
    }
}

static void add_subfolder(struct folder *f, size_t *cap, const char *dir, int dir_fd,
                          const char *name)
{
    struct files files = {0};
    char *path = mem_printf("%s/%s", dir, name);
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 ? -errno : list_files(&files, path, fd, false);
    size_t i = choose_model(&files);
    if (rc < 0) {
        log_warn("%s is left out: %s", path, strerror(-rc));
    } else if (i < files.n) {
        struct folder_model *m = add_model(f, cap, mem_strdup(name));
        fill_model(m, path, &files.v[i], run_length(&files, i));
        add_companions(m, path, &files);
    }
    files_finish(&files);
    free(path);
}

/* By id; of two with one id the one that wins first. Those from subfolders have the longer path:
 * only they have a slash behind the folder's. */
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
            log_warn("%s is left out: %s is model %s already", m->path, f->v[kept - 1].path, m->id);
            folder_model_finish(m);
        } else if (kept++ != i) {
            f->v[kept - 1] = *m;
        }
    }
    f->n = kept;
}

static int read_folder(struct folder *f, const char *dir, int fd)
{
    struct files files = {0};
    size_t cap = 0;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* list_files() closes its own */
    int rc = copy < 0 ? -errno : list_files(&files, dir, copy, true);
    if (rc == 0) {
        add_top_files(f, &cap, dir, &files);
        for (size_t i = 0; i < files.folders.n; i++)
            add_subfolder(f, &cap, dir, fd, files.folders.v[i]);
        if (f->n)
            qsort(f->v, f->n, sizeof *f->v, compare_models);
        drop_collisions(f);
    }
    files_finish(&files);
    return rc;
}

int folder_read(struct folder *f, const char *dir, struct error *err)
{
    *f = (struct folder){0};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, -errno, "cannot read the models folder %s: %s", dir, strerror(errno));
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
    f->v = mem_realloc(f->v, (f->n + 1) * sizeof *f->v);
    memmove(&f->v[i + 1], &f->v[i], (f->n - i) * sizeof *f->v);
    f->v[i] = *m;
    f->n++;
    *m = (struct folder_model){0};
    return &f->v[i];
}

void folder_drop(struct folder *f, size_t index)
{
    folder_model_finish(&f->v[index]);
    memmove(&f->v[index], &f->v[index + 1], (f->n - index - 1) * sizeof *f->v);
    f->n--;
}

void folder_merge(struct folder *f, struct folder *more)
{
    struct folder merged = {.v = mem_zalloc((f->n + more->n + 1) * sizeof *f->v)};
    size_t i = 0, k = 0;
    while (i < f->n || k < more->n) {
        int c = i == f->n ? 1 : k == more->n ? -1 : strcmp(f->v[i].id, more->v[k].id);
        if (c == 0)
            folder_model_finish(&more->v[k++]);
        else
            merged.v[merged.n++] = c < 0 ? f->v[i++] : more->v[k++];
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
        return error_set(err, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "%s: not a regular file", path);
    m->stamp = m->stamp ? mix(m->stamp, stamp_of(&st)) : stamp_of(&st);
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
    parse_shard(&f);
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
