/* SPDX-License-Identifier: MIT */
#include "catalog/cache.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/container_of.h"
#include "base/env.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "catalog/files.h"

#define REPO_PREFIX "models--"
#define REPO_MAX 256 /* llama.cpp's */
#define COMMIT_LEN 40

/* --- where it is --- */

/* A copy without slashes at the end, so that the same folder always gives the same paths. */
static char *trimmed(const char *dir)
{
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    return mem_strndup(dir, len);
}

static char *joined(const char *dir, const char *below)
{
    char *base = trimmed(dir);
    char *path = mem_printf("%s/%s", base, below);
    free(base);
    return path;
}

char *cache_folder(char *const *env)
{
    static const struct {
        const char *name, *below;
    } places[] = {
        {"LLAMA_CACHE", NULL},
        {"HF_HUB_CACHE", NULL},
        {"HUGGINGFACE_HUB_CACHE", NULL},
        {"HF_HOME", "hub"},
        {"XDG_CACHE_HOME", "huggingface/hub"},
        {"HOME", ".cache/huggingface/hub"},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *value = env_get(env, places[i].name);
        if (value)
            return places[i].below ? joined(value, places[i].below) : trimmed(value);
    }
    const struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir && *user->pw_dir ? joined(user->pw_dir, ".cache/huggingface/hub")
                                                 : NULL;
}

/* --- names --- */

/* llama.cpp's rule: letters, digits, `_`; between two of them one `.`, `-` or `/`; exactly one `/`.
 * So no part of it can be `..`, and the folder's name gives the repository's name again. */
static bool is_repo(const char *repo, size_t len)
{
    bool special = true; /* what stands before, and at the end, must not be */
    unsigned slashes = 0;
    for (size_t i = 0; i < len; i++) {
        char c = repo[i];
        bool base = isalnum((unsigned char)c) || c == '_';
        if (!base && (special || (c != '/' && c != '.' && c != '-')))
            return false;
        slashes += c == '/';
        special = !base;
    }
    return len <= REPO_MAX && !special && slashes == 1;
}

/* `user/repo` of the folder's name, NULL when that is none. The caller frees it. */
static char *repo_of(const char *folder)
{
    const size_t prefix = sizeof REPO_PREFIX - 1;
    if (strncmp(folder, REPO_PREFIX, prefix) != 0)
        return NULL;
    char *repo = mem_strdup(folder + prefix);
    char *to = repo;
    for (const char *from = repo; *from; to++) {
        bool slash = from[0] == '-' && from[1] == '-';
        *to = slash ? '/' : *from;
        from += slash ? 2 : 1;
    }
    *to = '\0';
    if (is_repo(repo, (size_t)(to - repo)))
        return repo;
    free(repo);
    return NULL;
}

static char *folder_of(const char *repo, size_t len)
{
    const char *slash = memchr(repo, '/', len);
    int user = (int)(slash - repo), name = (int)(len - (size_t)user - 1);
    return mem_printf(REPO_PREFIX "%.*s--%.*s", user, repo, name, slash + 1);
}

static bool is_tag_character(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The part of the name after its last `-` or `.`, if that has only letters, digits and `_`: as
 * written, `*len` bytes of `name`. NULL when the file has none. `*no` is the shard's number. */
static const char *tag_of(const char *name, size_t *len, unsigned *no)
{
    size_t end = file_base(name, no), at = end;
    while (at && is_tag_character(name[at - 1]))
        at--;
    *len = end - at;
    return *len && at && strchr("-.", name[at - 1]) ? name + at : NULL;
}

/* Its tag, as tag_of(), if the file is (a shard of) a model. */
static const char *model_tag(const char *name, size_t *len, unsigned *no)
{
    if (!file_is_gguf(name) || file_is_mmproj(name) || file_mentions_draft(name))
        return NULL;
    return tag_of(name, len, no);
}

static bool is_first_shard(const char *name)
{
    size_t len;
    unsigned no;
    return model_tag(name, &len, &no) && no == 1;
}

static bool is_imatrix(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strstr(slash ? slash : path, "imatrix") != NULL;
}

/* --- walking a snapshot --- */

struct walk {
    const char *root; /* for messages */
    /* Called for each file and link; `path` is the one below the folder that was begun with. */
    void (*file)(struct walk *w, int dir, const char *name, const char *path);
    int error; /* of what was left out: a temporary one (file_error_passes()), else the last */
};

static void walk_folder(struct walk *w, int fd, const char *below, unsigned depth);

static void leave_out(struct walk *w, const char *path, int error)
{
    if (!file_error_passes(w->error))
        w->error = error;
    log_warn_once("%s%s%s is left out: %s", w->root, *path ? "/" : "", path, strerror(-error));
}

/* What the entry is, links not followed: one of DT_…. */
static unsigned kind_of(int dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type;
    bool known = fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    return known ? IFTODT(st.st_mode) : DT_UNKNOWN;
}

/* The folder `name` of `at`, or a negative errno: -ELOOP when it is a link. */
static int open_folder(int at, const char *name)
{
    struct stat st;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = fd < 0 ? -errno : fd;
    if (rc == -ENOTDIR && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        return -ELOOP;
    return rc;
}

static void walk_entry(struct walk *w, int dir, const struct dirent *e, const char *below,
                       unsigned depth)
{
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
        return;
    unsigned kind = kind_of(dir, e);
    char *path = mem_printf("%s%s%s", below, *below ? "/" : "", e->d_name);
    if (kind == DT_REG || kind == DT_LNK)
        w->file(w, dir, e->d_name, path);
    else if (kind == DT_DIR)
        walk_folder(w, open_folder(dir, e->d_name), path, depth + 1);
    free(path);
}

/* Walks the folder and those below it; links are not followed. Takes over `fd`, which may be a
 * negative errno. */
static void walk_folder(struct walk *w, int fd, const char *below, unsigned depth)
{
    DIR *d = fd >= 0 && depth <= CACHE_MAX_DEPTH ? fdopendir(fd) : NULL;
    if (!d) {
        leave_out(w, below, fd < 0 ? fd : depth > CACHE_MAX_DEPTH ? -ENAMETOOLONG : -errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(d)); errno = 0)
        walk_entry(w, dirfd(d), e, below, depth);
    if (errno)
        leave_out(w, below, -errno);
    closedir(d);
}

/* --- reading --- */

/* The commit that a file of `refs` holds in its first line; empty when it holds none. 0, or the
 * error, if it cannot be read. */
static int read_commit(int refs, const char *name, char commit[COMMIT_LEN + 1])
{
    char text[COMMIT_LEN + 1];
    struct stat st;
    int fd = openat(refs, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = -1;
    if (fd >= 0 && fstat(fd, &st) == 0)
        n = S_ISREG(st.st_mode) ? read(fd, text, sizeof text) : 0;
    int rc = n < 0 && file_error_passes(-errno) ? -errno : 0;
    if (fd >= 0)
        close(fd);
    commit[0] = '\0';
    if (n < COMMIT_LEN || (n > COMMIT_LEN && text[COMMIT_LEN] != '\n'))
        return rc;
    for (int i = 0; i < COMMIT_LEN; i++)
        if (!isxdigit((unsigned char)text[i]))
            return 0;
    memcpy(commit, text, COMMIT_LEN);
    commit[COMMIT_LEN] = '\0';
    return 0;
}

/* The commit whose snapshot counts: that of `main`, else of the first other ref. Empty when there
 * is none. Returns as read_commit(). */
static int current_commit(const char *repo_path, char commit[COMMIT_LEN + 1])
{
    char *path = mem_printf("%s/refs", repo_path);
    char *first = NULL;
    DIR *d = opendir(path);
    int rc = d ? 0 : -errno;
    commit[0] = '\0';
    free(path);
    if (!d)
        return file_error_passes(rc) ? rc : 0;
    rc = read_commit(dirfd(d), "main", commit);
    errno = 0;
    for (struct dirent *e; !rc && !*commit && (e = readdir(d)); errno = 0) {
        char other[COMMIT_LEN + 1];
        rc = read_commit(dirfd(d), e->d_name, other);
        if (*other && (!first || strcmp(e->d_name, first) < 0)) {
            free(first);
            first = mem_strdup(e->d_name);
        }
    }
    if (!rc)
        rc = -errno;
    if (!rc && first)
        rc = read_commit(dirfd(d), first, commit);
    free(first);
    closedir(d);
    return rc;
}

struct snapshot {
    struct walk walk;
    struct files files;
    char *first; /* the model that the file system lists first; owned; NULL */
};

static void list_file(struct walk *w, int dir, const char *name, const char *path)
{
    struct snapshot *s = container_of(w, struct snapshot, walk);
    struct stat st;
    if (!file_is_gguf(name))
        return;
    if (!s->first && is_first_shard(path))
        s->first = mem_strdup(path);
    int rc = fstatat(dir, name, &st, 0) < 0 ? -errno : 0;
    if (file_error_passes(rc))
        leave_out(w, path, rc);
    else if (!text_clean(path))
        log_warn_once("%s: a name that is not UTF-8 or holds control characters is left out",
                      w->root);
    else if (rc == -ENOENT)
        files_add(&s->files, path, NULL);
    else if (rc == 0 && S_ISREG(st.st_mode))
        files_add(&s->files, path, &st);
    else
        log_warn_once("%s/%s is left out: %s", w->root, path,
                      rc ? strerror(-rc) : "not a regular file");
}

/* The first number in the tag, after letters: 4 of Q4_K_M, 16 of BF16, 0 of none. */
static int bits_of(const char *name)
{
    size_t len;
    unsigned no;
    int bits = 0;
    const char *tag = tag_of(name, &len, &no);
    size_t i = 0;
    while (tag && i < len && !isdigit((unsigned char)tag[i]))
        i++;
    for (; tag && i < len && isdigit((unsigned char)tag[i]) && bits < 1000; i++)
        bits = bits * 10 + (tag[i] - '0');
    return bits;
}

/* The depth of the folder of `name`, if `model` is in that folder or below it; else -1. */
static int shared_depth(const char *name, const char *model)
{
    const char *slash = strrchr(name, '/');
    size_t len = slash ? (size_t)(slash + 1 - name) : 0;
    int depth = 0;
    if (strncmp(name, model, len) != 0)
        return -1;
    for (size_t i = 0; i < len; i++)
        depth += name[i] == '/';
    return depth;
}

/* llama.cpp's choice: in the deepest folder that also holds the model, with the number of bits
 * nearest to the model's. NULL when there is none. */
static const struct file *best_mmproj(const struct files *files, const char *model)
{
    const struct file *best = NULL;
    int best_depth = -1, best_distance = 0;
    for (size_t i = 0; i < files->n; i++) {
        const struct file *f = &files->v[i];
        int depth = file_is_mmproj(f->name) && !f->missing ? shared_depth(f->name, model) : -1;
        int distance = abs(bits_of(f->name) - bits_of(model));
        if (depth > best_depth || (depth >= 0 && depth == best_depth && distance < best_distance)) {
            best = f;
            best_depth = depth;
            best_distance = distance;
        }
    }
    return best;
}

static char *id_of(const char *repo, const char *tag, size_t len)
{
    char *id = mem_printf("%s:%.*s", repo, (int)len, tag);
    for (char *c = strchr(id, ':'); *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return id;
}

static void add_model(struct folder *out, const char *repo, const struct snapshot *s, size_t first,
                      size_t n)
{
    const struct file *run = &s->files.v[first];
    size_t len;
    unsigned no;
    const char *tag = model_tag(run->name, &len, &no);
    if (!tag || no != 1)
        return;
    struct folder_model *m = folder_add(out, id_of(repo, tag, len));
    files_fill(m, s->walk.root, run, n);
    if (!m->problem && is_imatrix(m->path))
        m->problem = mem_printf("%s is an importance matrix, not a model", m->path);
    m->first_in_repo = s->first && strcmp(s->first, run->name) == 0;
    const struct file *mmproj = best_mmproj(&s->files, run->name);
    if (mmproj) {
        m->mmproj = mem_printf("%s/%s", s->walk.root, mmproj->name);
        m->mmproj_stamp = mmproj->stamp;
    }
}

/* 0, or the error, if the content cannot be listed. */
static int read_snapshot(struct folder *out, const char *repo, const char *path)
{
    struct snapshot s = {.walk = {.root = path, .file = list_file}};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : fd;
    if (rc == -ENOENT)
        return 0; /* only its ref was fetched, or another program cleared it */
    walk_folder(&s.walk, rc, "", 0);
    files_sort(&s.files);
    for (size_t i = 0, n; i < s.files.n; i += n) {
        n = files_run(&s.files, i);
        add_model(out, repo, &s, i, n);
    }
    files_finish(&s.files);
    free(s.first);
    return file_error_passes(s.walk.error) ? s.walk.error : 0;
}

static int read_repo(struct folder *out, const char *dir, const char *folder)
{
    char commit[COMMIT_LEN + 1];
    char *repo = repo_of(folder);
    if (!repo)
        return 0;
    char *path = mem_printf("%s/%s", dir, folder);
    int rc = current_commit(path, commit);
    char *snapshot = mem_printf("%s/snapshots/%s", path, commit);
    if (!rc && *commit)
        rc = read_snapshot(out, repo, snapshot);
    free(snapshot);
    free(path);
    free(repo);
    return rc;
}

/* By id; of two with one id that first which can run. */
static int compare_models(const void *va, const void *vb)
{
    const struct folder_model *a = va, *b = vb;
    int c = strcmp(a->id, b->id);
    if (c == 0)
        c = (a->problem != NULL) - (b->problem != NULL);
    return c ? c : strcmp(a->path, b->path);
}

int cache_read(struct folder *out, const char *dir, struct error *err)
{
    *out = (struct folder){0};
    DIR *d = opendir(dir);
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return error_set(err, -errno, "cannot read the model cache %s: %s", dir, strerror(errno));
    char *base = trimmed(dir);
    int rc = 0;
    errno = 0;
    for (struct dirent *e; !rc && (e = readdir(d)); errno = 0) {
        rc = read_repo(out, base, e->d_name);
        if (rc)
            error_set(err, rc, "cannot read %s/%s of the model cache: %s", base, e->d_name,
                      strerror(-rc));
    }
    if (!rc && errno)
        rc = error_set(err, -errno, "cannot read the model cache %s: %s", dir, strerror(errno));
    folder_sort(out, compare_models);
    free(base);
    closedir(d);
    return rc;
}

/* --- removing --- */

/* A file or link in a snapshot. */
struct entry {
    char *path; /* below `snapshots` */
    char *blob; /* the name of the blob that it is a link to; NULL when it is none */
    bool goes;
};

struct removal {
    struct walk walk;
    const char *tag;
    char *repo_path;      /* DIR/models--USER--REPO */
    int snapshots, blobs; /* its folders; negative: none */
    const char *commit;   /* the snapshot that is being walked */
    struct entry *v;
    size_t n;
};

/* Goes from the folder `path` (which begins with a slash, or is empty for the repository's own) to
 * what `target` names relative to it, as text. NULL when that leads out of the repository. Takes
 * over `path`; the caller frees the result. */
static char *follow(char *path, const char *target)
{
    for (size_t len; path && *target; target += len + strspn(target + len, "/")) {
        len = strcspn(target, "/");
        char *last = strrchr(path, '/'), *next = NULL;
        bool up = len == 2 && memcmp(target, "..", 2) == 0;
        if (len == 0 || (len == 1 && *target == '.'))
            continue;
        if (!up)
            next = mem_printf("%s/%.*s", path, (int)len, target);
        else if (last)
            next = mem_strndup(path, (size_t)(last - path));
        free(path);
        path = next;
    }
    return path;
}

/* The name of the blob that the link refers to; NULL when it is none or leads elsewhere. */
static char *blob_of(const struct removal *r, int dir, const char *name, const char *path)
{
    static const char blobs[] = "/blobs/";
    char target[PATH_MAX], *blob = NULL, *at;
    size_t repo = strlen(r->repo_path);
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    if (*target == '/') {
        bool inside = strncmp(target, r->repo_path, repo) == 0 && target[repo] == '/';
        at = inside ? follow(mem_strdup(""), target + repo) : NULL;
    } else {
        at = mem_printf("/snapshots/%s", path);
        *strrchr(at, '/') = '\0';
        at = follow(at, target);
    }
    if (at && strncmp(at, blobs, sizeof blobs - 1) == 0 && !strchr(at + sizeof blobs - 1, '/'))
        blob = mem_strdup(at + sizeof blobs - 1);
    free(at);
    return blob;
}

static void note_entry(struct walk *w, int dir, const char *name, const char *below)
{
    struct removal *r = container_of(w, struct removal, walk);
    size_t len;
    unsigned no;
    const char *tag = model_tag(below, &len, &no);
    if ((r->n & (r->n - 1)) == 0) /* grows whenever n reaches a power of two */
        r->v = mem_realloc(r->v, (r->n ? r->n * 2 : 1) * sizeof *r->v);
    struct entry *e = &r->v[r->n++];
    e->path = mem_printf("%s/%s", r->commit, below);
    e->blob = blob_of(r, dir, name, e->path);
    e->goes = tag && len == strlen(r->tag) && strncasecmp(tag, r->tag, len) == 0;
}

/* Lists the files of all snapshots. 0 or a negative errno, also when a part cannot be read. */
static int note_entries(struct removal *r)
{
    int copy = fcntl(r->snapshots, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d)
        return -errno;
    for (struct dirent *e; (e = readdir(d));) {
        if (kind_of(r->snapshots, e) == DT_REG || *e->d_name == '.')
            continue;
        r->commit = e->d_name;
        walk_folder(&r->walk, open_folder(r->snapshots, e->d_name), "", 0);
    }
    closedir(d);
    return r->walk.error;
}

static int remove_at(int dir, const char *name)
{
    return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_entries(const struct removal *r, struct error *err)
{
    size_t gone = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (!r->v[i].goes)
            continue;
        int rc = remove_at(r->snapshots, r->v[i].path);
        if (rc < 0)
            return error_set(err, rc, "cannot remove %s/snapshots/%s: %s", r->repo_path,
                             r->v[i].path, strerror(-rc));
        gone++;
    }
    return gone
               ? 0
               : error_set(err, -ENOENT, "%s holds no model with the tag %s", r->repo_path, r->tag);
}

static bool is_referred_to(const struct removal *r, const char *blob)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->v[i].goes && r->v[i].blob && strcmp(r->v[i].blob, blob) == 0)
            return true;
    return false;
}

static int remove_blobs(const struct removal *r, struct error *err)
{
    for (size_t i = 0; i < r->n && r->blobs >= 0; i++) {
        const char *blob = r->v[i].goes ? r->v[i].blob : NULL;
        int rc = blob && !is_referred_to(r, blob) ? remove_at(r->blobs, blob) : 0;
        if (rc < 0)
            return error_set(err, rc, "cannot remove %s/blobs/%s: %s", r->repo_path, blob,
                             strerror(-rc));
    }
    return 0;
}

static int open_repo(struct removal *r, const char *dir, const char *folder)
{
    int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return -errno;
    int repo = open_folder(top, folder);
    close(top);
    if (repo < 0)
        return repo;
    r->snapshots = open_folder(repo, "snapshots");
    r->blobs = open_folder(repo, "blobs");
    close(repo);
    if (r->snapshots < 0)
        return r->snapshots;
    return r->blobs < 0 && r->blobs != -ENOENT ? r->blobs : 0;
}

static void close_repo(struct removal *r)
{
    if (r->snapshots >= 0)
        close(r->snapshots);
    if (r->blobs >= 0)
        close(r->blobs);
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].path);
        free(r->v[i].blob);
    }
    free(r->v);
    free(r->repo_path);
}

static int explain(struct error *err, int rc, const struct removal *r)
{
    if (rc == -ENOENT)
        return error_set(err, rc, "%s holds no model", r->repo_path);
    if (rc == -ELOOP)
        return error_set(err, rc,
                         "a folder of %s is a symbolic link: remove by hand what it leads to",
                         r->repo_path);
    return error_set(err, rc, "cannot read all of %s: %s", r->repo_path, strerror(-rc));
}

/* Where the tag begins, if `id` is `user/repo:TAG`; else NULL. */
static const char *tag_of_id(const char *id)
{
    const char *colon = strchr(id, ':');
    if (!colon || !colon[1] || !is_repo(id, (size_t)(colon - id)))
        return NULL;
    for (const char *c = colon + 1; *c; c++)
        if (!is_tag_character(*c))
            return NULL;
    return colon + 1;
}

int cache_remove(const char *dir, const char *id, struct error *err)
{
    struct removal r = {
        .walk.file = note_entry, .tag = tag_of_id(id), .snapshots = -1, .blobs = -1};
    if (!r.tag)
        return error_set(err, -EINVAL,
                         "%s cannot be in the model cache, where ids are user/repo:TAG", id);
    char *folder = folder_of(id, (size_t)(r.tag - 1 - id));
    r.repo_path = joined(dir, folder);
    r.walk.root = r.repo_path;
    int rc = open_repo(&r, dir, folder);
    if (rc == 0)
        rc = note_entries(&r);
    if (rc < 0)
        explain(err, rc, &r);
    else if ((rc = remove_entries(&r, err)) == 0)
        rc = remove_blobs(&r, err);
    if (rc < 0)
        text_mend(err->text, strlen(err->text)); /* names may hold anything */
    close_repo(&r);
    free(folder);
    return rc;
}
