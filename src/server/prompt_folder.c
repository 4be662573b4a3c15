/* SPDX-License-Identifier: MIT */
#include "server/prompt_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/folders.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/whole_file.h"

#define USES_BYTES_MAX ((size_t)4 * 1024 * 1024) /* some 80 bytes for each of 10,000 files */

/* --- what is in a folder ------------------------------------------------------------------------ */

/* A negative errno ends the listing. */
typedef int entry_fn(const char *name, void *ctx);

static int each_entry(int folder, entry_fn *visit, void *ctx)
{
    int rc = 0;
    int copy =
        openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* with a position of its own */
    DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    if (!list) {
        rc = -errno;
        if (copy >= 0)
            close(copy);
        return rc;
    }
    errno = 0;
    for (struct dirent *d; !rc && (d = readdir(list)); errno = 0)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            rc = visit(d->d_name, ctx);
    if (!rc && errno)
        rc = -errno;
    closedir(list);
    return rc;
}

static int remove_file(const char *name, void *ctx)
{
    unlinkat(*(const int *)ctx, name, 0);
    return 0;
}

/* With the files in it; a folder in it would stay, but engines make none. */
static void remove_engine_folder(int engines, const char *name)
{
    int folder = openat(engines, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return;
    each_entry(folder, remove_file, &folder);
    close(folder);
    unlinkat(engines, name, AT_REMOVEDIR);
}

static bool is_engine_name(const char *name)
{
    return strlen(name) == 16 && strspn(name, "0123456789abcdef") == 16;
}

static void print_life(char *text, size_t size, const struct prompt_folder *f)
{
    snprintf(text, size, "%08" PRIx32, f->life);
}

static int remove_left_engine_folder(const char *name, void *ctx)
{
    const struct prompt_folder *f = ctx;
    char life[9];
    print_life(life, sizeof life, f);
    if (is_engine_name(name) && strncmp(name, life, 8) != 0)
        remove_engine_folder(f->engines, name);
    return 0;
}

/* --- the seed ----------------------------------------------------------------------------------- */

/* `SEED SUM`, in 16 hexadecimal digits each. */
#define SEED_SIZE 34

static void print_seed(char *text, uint64_t seed)
{
    snprintf(text, SEED_SIZE + 1, "%016" PRIx64 " %016" PRIx64 "\n", seed,
             (uint64_t)XXH3_64bits(&seed, sizeof seed));
}

/* -EBADMSG: it is no seed. */
static int read_seed(int folder, uint64_t *seed)
{
    char again[SEED_SIZE + 1];
    struct buf text;
    buf_init(&text, 65536);
    int rc = whole_file_read(folder, "seed", &text);
    if (!rc)
        rc = text.len == SEED_SIZE && sscanf(buf_cstr(&text), "%16" SCNx64, seed) == 1 ? 0
                                                                                       : -EBADMSG;
    if (!rc) {
        print_seed(again, *seed);
        rc = strcmp(again, text.data) == 0 ? 0 : -EBADMSG;
    }
    buf_finish(&text);
    return rc;
}

static int write_seed(int folder, uint64_t seed)
{
    char text[SEED_SIZE + 1];
    print_seed(text, seed);
    int rc = whole_file_write(folder, "seed", text, SEED_SIZE);
    return rc || fsync(folder) == 0 ? rc : -errno;
}

static int remove_prompt(const char *name, void *ctx)
{
    uint64_t number;
    enum prompt_part part;
    if (prompt_file_parse_name(name, &number, &part))
        unlinkat(*(const int *)ctx, name, 0);
    return 0;
}

static int is_foreign(const char *name, void *ctx)
{
    static const char *const own[] = {"lock",           "seed",    "seed.next", "uses.json",
                                      "uses.json.next", "engines", "lost+found"};
    uint64_t number;
    enum prompt_part part;
    (void)ctx;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return 0;
    return prompt_file_parse_name(name, &number, &part) ? 0 : -ENOTEMPTY;
}

/* Prompts of another seed would never be found again. They go before the new seed is written: otherwise, were the
 * process killed in between, they would seem to be of the new one. */
static int begin_anew(struct prompt_folder *f, uint64_t seed)
{
    while (!seed)
        if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
            return -errno;
    f->seed = seed;
    int rc = each_entry(f->fd, remove_prompt, &f->fd);
    return rc ? rc : write_seed(f->fd, seed);
}

static int settle_seed(struct prompt_folder *f, uint64_t seed)
{
    int rc = read_seed(f->fd, &f->seed);
    if (rc == 0 && (!seed || f->seed == seed))
        return 0;
    if (rc == -ENOENT)
        rc = each_entry(f->fd, is_foreign, NULL);
    else if (rc == 0 || rc == -EBADMSG || rc == -ENOBUFS || rc == -ELOOP)
        rc = 0;
    return rc ? rc : begin_anew(f, seed);
}

/* --- the folder --------------------------------------------------------------------------------- */

static int open_folder(struct prompt_folder *f)
{
    struct stat st;
    int rc = folders_make(f->path, 0700);
    if (rc)
        return rc;
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f->fd < 0 || fstat(f->fd, &st) ? -errno : 0;
}

/* By a file, since a folder cannot be locked on some network file systems; and by the folder itself, since the file can be removed. */
static int lock_folder(struct prompt_folder *f)
{
    if (flock(f->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return -EBUSY;
    f->lock = openat(f->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->lock < 0)
        return -errno;
    if (flock(f->lock, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    return 0;
}

/* Only once it is known to be a prompt cache's. */
static int make_private(struct prompt_folder *f)
{
    struct stat st;
    if (fstat(f->fd, &st) || ((st.st_mode & 077) && fchmod(f->fd, 0700)))
        return -errno;
    if (mkdirat(f->fd, "engines", 0700) && errno != EEXIST)
        return -errno;
    f->engines = openat(f->fd, "engines", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_random = getrandom(&f->life, sizeof f->life, 0) == (ssize_t)sizeof f->life;
    return f->engines < 0 || !is_random ? -errno : 0;
}

static int refuse(struct error *err, const char *path, int rc)
{
    if (rc == -EBUSY)
        return error_set(
            err, rc, "another hostler uses the folder %s; give another by --prompt-cache", path);
    if (rc == -ENOTEMPTY)
        return error_set(err, rc,
                         "the folder %s holds files that are no prompt cache's; give an empty one "
                         "by --prompt-cache",
                         path);
    return error_set(
        err, rc,
        "cannot keep prompt caches in the folder %s: %s; give another by --prompt-cache, or off",
        path, strerror(-rc));
}

int prompt_folder_open(struct prompt_folder **out, const char *path, uint64_t seed,
                       struct error *err)
{
    struct prompt_folder *f = mem_zalloc(sizeof *f);
    *f = (struct prompt_folder){
        .path = mem_strdup(path), .fd = -1, .lock = -1, .engines = -1, .refs = 1};
    int rc = open_folder(f);
    if (!rc)
        rc = lock_folder(f);
    if (!rc)
        rc = settle_seed(f, seed);
    if (!rc)
        rc = make_private(f);
    if (!rc) {
        *out = f;
        return 0;
    }
    prompt_folder_unref(f);
    return refuse(err, path, rc);
}

struct prompt_folder *prompt_folder_ref(struct prompt_folder *f)
{
    f->refs++;
    return f;
}

void prompt_folder_unref(struct prompt_folder *f)
{
    const int open[] = {f->engines, f->fd, f->lock};
    if (--f->refs)
        return;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (open[i] >= 0)
            close(open[i]);
    free(f->path);
    free(f);
}

bool prompt_folder_is_there(const struct prompt_folder *f)
{
    struct stat by_path, open;
    return stat(f->path, &by_path) == 0 && fstat(f->fd, &open) == 0 &&
           by_path.st_dev == open.st_dev && by_path.st_ino == open.st_ino && open.st_nlink > 0;
}

uint64_t prompt_folder_free_bytes(const struct prompt_folder *f)
{
    struct statvfs v;
    return fstatvfs(f->fd, &v) ? PROMPT_FOLDER_UNKNOWN : (uint64_t)v.f_bavail * v.f_frsize;
}

/* --- what prompts were used for ----------------------------------------------------------------- */

int prompt_folder_write_uses(const struct prompt_folder *f, const struct prompt_use *use, size_t n)
{
    struct buf text;
    buf_init(&text, USES_BYTES_MAX);
    int rc = buf_printf(&text, "{\"hits\":%" PRIu64 ",\"saved_ms\":%.3f,\"files\":{", use->hits,
                        use->saved_ms);
    for (size_t i = 1; !rc && i <= n; i++)
        rc = buf_printf(&text, "%s\n\"%016" PRIx64 "\":[%.3f,%" PRIu64 ",%.3f]", i > 1 ? "," : "",
                        use[i].number, use[i].used, use[i].hits, use[i].saved_ms);
    if (!rc)
        rc = buf_puts(&text, "}}\n");
    if (!rc)
        rc = whole_file_write(f->fd, "uses.json", text.data, text.len);
    buf_finish(&text);
    return rc;
}

static double positive(const json_t *json)
{
    double value = json_number_value(json);
    return value > 0 ? value : 0;
}

static uint64_t count_of(const json_t *json)
{
    json_int_t value = json_integer_value(json);
    return value > 0 ? (uint64_t)value : 0;
}

static void apply_uses(struct prompt_index *x, json_t *files)
{
    const char *name;
    json_t *use;
    json_object_foreach (files, name, use) {
        struct prompt_file *p = prompt_index_get(x, strtoull(name, NULL, 16));
        if (!p)
            continue;
        p->used = positive(json_array_get(use, 0));
        p->hits = count_of(json_array_get(use, 1));
        p->saved_ms = positive(json_array_get(use, 2));
    }
}

/* Without them prompts count as not used since they were made. */
static void read_uses(int folder, struct prompt_index *x, struct prompt_use *total)
{
    struct buf text;
    json_t *o = NULL;
    buf_init(&text, USES_BYTES_MAX);
    int rc = whole_file_read(folder, "uses.json", &text);
    if (!rc)
        rc = json_text_parse(&o, text.data, text.len, 16 * USES_BYTES_MAX, NULL);
    buf_finish(&text);
    if (rc)
        return;
    total->hits = count_of(json_object_get(o, "hits"));
    total->saved_ms = positive(json_object_get(o, "saved_ms"));
    apply_uses(x, json_object_get(o, "files"));
    json_decref(o);
}

/* --- reading what there is ---------------------------------------------------------------------- */

struct load {
    int folder;
    struct prompt_index *index;
    uint64_t failed; /* files that could not be read now, and stay */
    int rc;          /* why not */
    unsigned removed;
};

static void remove_left(struct load *l, const char *name)
{
    if (unlinkat(l->folder, name, 0) == 0)
        l->removed++;
}

/* Takes over those whose data has the right size; what the data is shows when it is lent. */
static void load_prompt(struct load *l, uint64_t number)
{
    struct stat st;
    struct prompt_file *p = NULL;
    int rc = prompt_file_read(l->folder, number, &p);
    int data = rc ? -1 : prompt_file_open_data(l->folder, number, &st);
    if (data >= 0)
        close(data);
    else if (!rc)
        rc = data;
    if (!rc && (uint64_t)st.st_size != p->bytes)
        rc = -EBADMSG;
    if (!rc) {
        prompt_index_add(l->index, p);
        return;
    }
    prompt_file_destroy(p);
    if (rc != -EBADMSG && rc != -ENOENT) {
        l->rc = rc;
        l->failed++;
    } else if (!prompt_file_remove(l->folder, number)) {
        l->removed++;
    }
}

static int visit_index(const char *name, void *ctx)
{
    struct load *l = ctx;
    uint64_t number;
    enum prompt_part part;
    if (!prompt_file_parse_name(name, &number, &part))
        return 0;
    if (part == PROMPT_NEXT)
        remove_left(l, name);
    else if (part == PROMPT_INDEX)
        load_prompt(l, number);
    return 0;
}

static int visit_data(const char *name, void *ctx)
{
    struct load *l = ctx;
    char index[PROMPT_NAME_SIZE];
    uint64_t number;
    enum prompt_part part;
    if (!prompt_file_parse_name(name, &number, &part) || part != PROMPT_DATA)
        return 0;
    bool is_known = prompt_index_get(l->index, number);
    prompt_file_name(index, number, PROMPT_INDEX);
    if (!is_known && faccessat(l->folder, index, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
        remove_left(l, name);
    return 0;
}

/* The daemon ended between a prompt and the removal of what it supersedes. */
static void remove_superseded(struct load *l)
{
    for (size_t i = 0; i < l->index->n; i++)
        for (struct prompt_file *old; (old = prompt_index_superseded(l->index, l->index->file[i]));
             i = 0) {
            prompt_index_remove(l->index, old);
            prompt_file_remove(l->folder, old->number);
            prompt_file_destroy(old);
            l->removed++;
        }
}

/* A clock that was set back must not make prompts seem to be used in the future. */
static void bound_times(struct prompt_index *x)
{
    double now = clock_unix();
    for (size_t i = 0; i < x->n; i++)
        if (!(x->file[i]->used <= now))
            x->file[i]->used = now;
}

int prompt_folder_load(const struct prompt_folder *f, struct prompt_index *x,
                       struct prompt_use *total)
{
    struct load l = {.folder = f->fd, .index = x};
    each_entry(f->engines, remove_left_engine_folder, (void *)f);
    remove_left(&l, "seed.next");
    remove_left(&l, "uses.json.next");
    int rc = each_entry(f->fd, visit_index, &l);
    if (!rc)
        rc = each_entry(f->fd, visit_data, &l);
    remove_superseded(&l);
    read_uses(f->fd, x, total);
    bound_times(x);
    if (l.removed)
        log_info("removed %u files that an earlier end left half written in %s", l.removed,
                 f->path);
    if (l.failed)
        log_warn("%llu prompt caches in %s cannot be read now: %s", (unsigned long long)l.failed,
                 f->path, strerror(-l.rc));
    return rc;
}

/* --- files of engines in folders of users -------------------------------------------------------- */

#define STORE_PREFIX_LEN 17 /* of `hostler-STORE-` */
#define LIFE_PREFIX_LEN 26  /* of `hostler-STORE-LIFE-` */

static void print_engine_file(char *name, const struct prompt_folder *f, uint64_t random)
{
    uint32_t store = (uint32_t)XXH3_64bits(&f->seed, sizeof f->seed);
    snprintf(name, PROMPT_ENGINE_FILE, "hostler-%08" PRIx32 "-%08" PRIx32 "-%016" PRIx64, store,
             f->life, random);
}

void prompt_folder_name_file(const struct prompt_folder *f, char *name)
{
    uint64_t random = 0;
    (void)!getrandom(&random, sizeof random, 0);
    print_engine_file(name, f, random);
}

struct tidying {
    int folder;
    char name[PROMPT_ENGINE_FILE]; /* as this daemon's files are called */
};

static int remove_left_by_others(const char *name, void *ctx)
{
    const struct tidying *t = ctx;
    size_t rest = PROMPT_ENGINE_FILE - 1 - STORE_PREFIX_LEN;
    if (strncmp(name, t->name, STORE_PREFIX_LEN) == 0 &&
        strspn(name + STORE_PREFIX_LEN, "-0123456789abcdef") == rest &&
        !name[STORE_PREFIX_LEN + rest] && strncmp(name, t->name, LIFE_PREFIX_LEN) != 0)
        unlinkat(t->folder, name, 0);
    return 0;
}

void prompt_folder_tidy(const struct prompt_folder *f, const char *path)
{
    struct tidying t = {.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (t.folder < 0)
        return;
    print_engine_file(t.name, f, 0);
    each_entry(t.folder, remove_left_by_others, &t);
    close(t.folder);
}

/* --- folders of engines ------------------------------------------------------------------------- */

int prompt_folder_make_for_engine(struct prompt_folder *f, char **path)
{
    char life[9], name[17];
    print_life(life, sizeof life, f);
    snprintf(name, sizeof name, "%s%08" PRIx32, life, ++f->made);
    if (mkdirat(f->engines, name, 0700))
        return -errno;
    *path = mem_printf("%s/engines/%s", f->path, name);
    return 0;
}

/* NULL: it is none of an engine. */
static const char *engine_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && is_engine_name(slash + 1) ? slash + 1 : NULL;
}

int prompt_folder_make_again(const struct prompt_folder *f, const char *path)
{
    const char *name = engine_name(path);
    return !name || mkdirat(f->engines, name, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

void prompt_folder_remove_for_engine(const struct prompt_folder *f, const char *path)
{
    const char *name = engine_name(path);
    if (name)
        remove_engine_folder(f->engines, name);
}
