/* SPDX-License-Identifier: MIT */
#include "catalog/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "catalog/folder.h"

#define SUFFIX ".gguf"
#define SUFFIX_LEN (sizeof SUFFIX - 1)
/* What numbers a shard, in front of the suffix. */
#define SHARD_LEN (sizeof "-00001-of-00003" - 1)

static const char *const draft_prefixes[] = {"mtp-", "eagle3-", "dflash-", "dspark-"};
#define DRAFT_PREFIXES (sizeof draft_prefixes / sizeof *draft_prefixes)

/* --- names --- */

bool file_is_gguf(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    size_t len = strlen(base);
    return len > SUFFIX_LEN && strcmp(base + len - SUFFIX_LEN, SUFFIX) == 0 &&
           strncmp(base, "._", 2) != 0;
}

bool file_is_mmproj(const char *name)
{
    return strstr(name, "mmproj") != NULL;
}

bool file_is_draft(const char *name)
{
    for (size_t i = 0; i < DRAFT_PREFIXES; i++)
        if (strncmp(name, draft_prefixes[i], strlen(draft_prefixes[i])) == 0)
            return true;
    return false;
}

bool file_mentions_draft(const char *name)
{
    for (size_t i = 0; i < DRAFT_PREFIXES; i++)
        if (strstr(name, draft_prefixes[i]))
            return true;
    return false;
}

static bool five_digits(const char *s, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 5; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *out = *out * 10 + (unsigned)(s[i] - '0');
    }
    return true;
}

/* Where `-00002-of-00003` begins in `name`, whose suffix begins at `end`; NULL when it does not. */
static const char *shard_numbers(const char *name, size_t end, unsigned *no, unsigned *count)
{
    if (end <= SHARD_LEN)
        return NULL;
    const char *s = name + end - SHARD_LEN;
    bool numbered = s[0] == '-' && strncasecmp(s + 6, "-of-", 4) == 0 && five_digits(s + 1, no) &&
                    five_digits(s + 10, count);
    return numbered ? s : NULL;
}

size_t file_base(const char *name, unsigned *no)
{
    unsigned count;
    size_t end = strlen(name) - SUFFIX_LEN;
    const char *numbers = shard_numbers(name, end, no, &count);
    if (numbers)
        return (size_t)(numbers - name);
    *no = 1;
    return end;
}

/* Takes only the form in which llama.cpp finds the other shards (llama_split_path). Not split: stem
 * is the whole name, count and no are 0. */
void file_parse_shard(struct file *f)
{
    unsigned no, count;
    size_t len = strlen(f->name);
    const char *s = len > SUFFIX_LEN && strcmp(f->name + len - SUFFIX_LEN, SUFFIX) == 0
                        ? shard_numbers(f->name, len - SUFFIX_LEN, &no, &count)
                        : NULL;
    f->stem = len;
    if (!s || strncmp(s + 6, "-of-", 4) != 0 || no == 0 || no > count)
        return;
    f->stem = (size_t)(s - f->name);
    f->no = no;
    f->count = count;
}

char *file_shard_name(const struct file *f, unsigned no)
{
    if (!f->count)
        return mem_strdup(f->name);
    return mem_printf("%.*s-%05u-of-%05u" SUFFIX, (int)f->stem, f->name, no, f->count);
}

/* --- stamps --- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

uint64_t stamp_of(const struct stat *st)
{
    uint64_t hash = mix(mix(1, (uint64_t)st->st_dev), (uint64_t)st->st_ino);
    hash = mix(mix(hash, (uint64_t)st->st_size), (uint64_t)st->st_mtim.tv_sec);
    hash = mix(hash, (uint64_t)st->st_mtim.tv_nsec);
    return hash ? hash : 1;
}

uint64_t stamp_add(uint64_t stamp, uint64_t more)
{
    return stamp ? mix(stamp, more) : more;
}

/* --- files --- */

void files_finish(struct files *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->v[i].name);
    free(files->v);
    *files = (struct files){0};
}

void files_add(struct files *files, const char *name, const struct stat *st)
{
    if (files->n == files->cap) {
        files->cap = files->cap ? files->cap * 2 : 8;
        files->v = mem_realloc(files->v, files->cap * sizeof *files->v);
    }
    struct file *f = &files->v[files->n++];
    *f = (struct file){.name = mem_strdup(name), .missing = !st};
    file_parse_shard(f);
    if (st) {
        f->size = (uint64_t)st->st_size;
        f->mtime = st->st_mtime;
        f->stamp = stamp_of(st);
    }
}

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

void files_sort(struct files *files)
{
    if (files->n)
        qsort(files->v, files->n, sizeof *files->v, compare_files);
}

static bool same_model(const struct file *a, const struct file *b)
{
    return a->count && a->count == b->count && a->stem == b->stem &&
           memcmp(a->name, b->name, a->stem) == 0;
}

size_t files_run(const struct files *files, size_t i)
{
    size_t n = 1;
    while (i + n < files->n && same_model(&files->v[i], &files->v[i + n]))
        n++;
    return n;
}

/* --- the model that a run is --- */

/* The first shard number that the run lacks. */
static unsigned missing_shard(const struct file *run, size_t n)
{
    unsigned no = 1;
    while (no <= n && run[no - 1].no == no && !run[no - 1].missing)
        no++;
    return no;
}

static char *describe_missing(const struct folder_model *m, const char *dir, const struct file *run,
                              size_t n, unsigned missing)
{
    if (!run->count)
        return mem_printf("%s is a link to a file that is not there", m->path);
    char *name = file_shard_name(run, missing_shard(run, n));
    char *text =
        mem_printf("%u of %u shards missing, the first is %s/%s", missing, m->shards, dir, name);
    free(name);
    return text;
}

void files_fill(struct folder_model *m, const char *dir, const struct file *run, size_t n)
{
    m->shards = run->count ? run->count : 1;
    unsigned missing = m->shards;
    for (size_t i = 0; i < n; i++) {
        if (run[i].missing)
            continue;
        m->size += run[i].size;
        m->stamp = stamp_add(m->stamp, run[i].stamp);
        m->mtime = run[i].mtime > m->mtime ? run[i].mtime : m->mtime;
        missing--;
    }
    m->changed = m->mtime;
    char *name = file_shard_name(run, 1);
    m->path = mem_printf("%s/%s", dir, name);
    free(name);
    if (missing)
        m->problem = describe_missing(m, dir, run, n, missing);
}

/* --- errors --- */

bool file_error_passes(int error)
{
    switch (-error) {
    case 0:
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG:
    case ENXIO: /* a socket */
        return false;
    }
    return true;
}
