/* SPDX-License-Identifier: MIT */
/* Doctor's check of the models' files: each folder is readable, each file complete. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "base/memory.h"
#include "catalog/cache.h"
#include "catalog/files.h"
#include "catalog/folder.h"
#include "catalog/folder_deep.h"
#include "catalog/gguf.h"
#include "cli/doctor/doctor.h"
#include "cli/terminal/format.h"

#define WRITTEN_WITHIN 60 /* seconds: a file that changed since is being written */

/* `BEFORE PATH` */
static struct doctor_remedy command(const char *before, const char *path, const char *remark)
{
    char *word = format_shell(path);
    char *line = mem_printf("%s %s", before, word);
    free(word);
    return doctor_remedy(line, remark);
}

/* --- folders ------------------------------------------------------------------------------------
 */

/* The first folder on `path` that this user may not search; NULL. The caller frees it. */
static char *denying_folder(const char *path)
{
    char *way = mem_strdup(path);
    for (char *slash = strchr(way + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (access(way, X_OK) && errno == EACCES)
            return way;
        *slash = '/';
    }
    free(way);
    return NULL;
}

/* One command at a time: after a folder is opened, the next run checks what lies in it. */
static struct doctor_remedy make_readable(const char *path, const char *mode)
{
    char *folder = denying_folder(path);
    char *chmod = mem_printf("sudo chmod %s", folder ? "a+x" : mode);
    struct doctor_remedy remedy =
        command(chmod, folder ? folder : path, "or run as a user who may read it");
    free(chmod);
    free(folder);
    return remedy;
}

static void add_unreadable(struct doctor *d, const char *path, int code)
{
    bool denied = code == EACCES || code == EPERM;
    doctor_add(d, DOCTOR_WRONG, "folder", mem_printf("%s cannot be read", path),
               denied ? mem_printf("%s (as user %u)", strerror(code), (unsigned)geteuid())
                      : mem_strdup(strerror(code)));
    if (denied)
        doctor_add_remedy(d, make_readable(path, "a+rx"));
    else if (code == ENOENT)
        doctor_add_remedy(d, command("mkdir -p", path, "or name another with --models-dir"));
    else
        doctor_set_advice(d, mem_strdup("name a folder with --models-dir"));
}

/* 0, or the errno. */
static int try_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return errno;
    closedir(dir);
    return access(path, X_OK) ? errno : 0;
}

static void check_subfolders(struct doctor *d, const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat st;
        char *below = mem_printf("%s/%s", path, e->d_name);
        bool is_folder =
            strcmp(e->d_name, "..") != 0 && stat(below, &st) == 0 && S_ISDIR(st.st_mode);
        int code = is_folder ? try_folder(below) : 0;
        if (code)
            add_unreadable(d, below, code);
        free(below);
    }
    if (dir)
        closedir(dir);
}

/* --- files --------------------------------------------------------------------------------------
 */

/* The reason, and below it what names the file. */
static char *evidence(const char *why, const struct doctor_file *f)
{
    return mem_printf("%s%s%s", why, f->where ? "\n" : "", f->where ? f->where : "");
}

/* Whether it is a blob of the hub's cache. */
static bool is_blob(const char *real)
{
    const char *name = strrchr(real, '/');
    static const char folder[] = "/blobs";
    size_t len = sizeof folder - 1;
    return name && (size_t)(name - real) >= len && memcmp(name - len, folder, len) == 0;
}

static struct doctor_remedy copy_of(const struct doctor_remedy *r)
{
    return r ? doctor_remedy(mem_strdup(r->command), r->remark) : (struct doctor_remedy){0};
}

/* A file of the hub's cache is a link to a blob: both are removed. A file that presets name may be any file,
 * given by mistake, so it is not removed: there the name is to be corrected. */
static struct doctor_remedy replace(const struct doctor_file *f, const char *path,
                                    const char *remark)
{
    if (f->edit)
        return copy_of(f->edit);
    char *real = realpath(path, NULL);
    char *word = format_shell(path), *blob = real && is_blob(real) ? format_shell(real) : NULL;
    bool both = blob && strcmp(blob, word) != 0;
    char *line = mem_printf("rm -- %s%s%s", word, both ? " " : "", both ? blob : "");
    free(blob);
    free(word);
    free(real);
    return doctor_remedy(line, remark);
}

/* The evidence that a file is being written; NULL without any. Another user's or another machine's writer shows only by
 * the modification time. */
static char *sign_of_writing(const char *path, bool by_time)
{
    struct stat st;
    if (procfs_has_writer(path))
        return mem_strdup("a program has it open for writing");
    if (!by_time || stat(path, &st))
        return NULL;
    time_t ago = time(NULL) - st.st_mtime; /* a time in the future says nothing */
    if (ago < 0 || ago > WRITTEN_WITHIN)
        return NULL;
    return mem_strdup("it was written to within the last minute");
}

static bool add_growing(struct doctor *d, const struct doctor_file *f, const char *path, int code,
                        const char *why)
{
    bool short_of = code == -ENODATA;
    bool may_grow =
        short_of || code == -EINVAL || code == -EBADMSG; /* some fill a file with zeros first */
    char *sign = may_grow ? sign_of_writing(path, short_of) : NULL;
    if (!sign)
        return false;
    char *seen = evidence(why, f);
    doctor_add(d, DOCTOR_NOTE, "file",
               mem_printf("the %s of %s is still being written", f->noun, f->model),
               mem_printf("%s\n%s", sign, seen));
    free(seen);
    free(sign);
    return true;
}

/* Adds the finding for an error of gguf_read(). Deleting is the remedy only for a file that is known to be useless: a
 * failing disk or a lack of descriptors is not the file's fault. */
static void add_broken(struct doctor *d, const struct doctor_file *f, const char *path, int code,
                       const char *why)
{
    const char *what = "cannot be read";
    struct doctor_remedy remedy = {0};
    char *advice = NULL;
    if (add_growing(d, f, path, code, why))
        return;
    switch (-code) {
    case ENODATA:
        what = "is incomplete";
        remedy = replace(f, path, "unless its download can go on (curl -C -)");
        break;
    case EINVAL:
    case EBADMSG:
        what = "is broken";
        remedy = replace(f, path, "then fetch it again");
        break;
    case ENOTSUP:
        what = "is in a format that this hostler does not know";
        advice = mem_strdup("update hostler, or convert the model again");
        break;
    case EACCES:
        remedy = make_readable(path, "a+r");
        break;
    default:
        break;
    }
    doctor_add(d, DOCTOR_WRONG, "file", mem_printf("the %s of %s %s", f->noun, f->model, what),
               evidence(why, f));
    doctor_add_remedy(d, remedy);
    doctor_set_advice(d, advice);
    doctor_set_model(d, mem_strdup(f->model));
}

/* Whether it is the first time that the file is met. */
static bool is_new(struct doctor *d, const char *path)
{
    char *real = realpath(path, NULL);
    bool known = real && strv_has(&d->checked_files, real);
    if (real && !known)
        strv_add(&d->checked_files, real);
    free(real);
    return !known;
}

/* A shard other than the first has a header of its own. */
static void check_parts(struct doctor *d, const struct doctor_file *f, unsigned parts)
{
    struct gguf_info info;
    struct error err;
    for (unsigned no = 1; no <= parts; no++) {
        char *path = folder_shard_path(f->path, no, parts);
        int rc = is_new(d, path) ? gguf_read(path, &info, &err) : 0;
        if (rc)
            add_broken(d, f, path, rc, err.text);
        free(path);
    }
}

/* The part that this user may not read. The caller frees it. */
static char *denied_part(const char *first)
{
    struct file f = {.name = (char *)first};
    file_parse_shard(&f);
    for (unsigned no = 1; no <= f.count; no++) {
        char *path = folder_shard_path(first, no, f.count);
        if (access(path, R_OK) && errno == EACCES)
            return path;
        free(path);
    }
    return mem_strdup(first);
}

void doctor_file(struct doctor *d, const struct doctor_file *f)
{
    struct folder_model m;
    struct error why;
    int rc = folder_read_file(&m, f->model, f->path, &why);
    if (!rc) {
        check_parts(d, f, m.shards);
        folder_model_finish(&m);
    } else if (rc == -EACCES) {
        char *part = denied_part(f->path);
        add_broken(d, f, part, rc, why.text);
        free(part);
    } else {
        doctor_add(d, DOCTOR_WRONG, "file",
                   mem_printf("the %s of %s %s", f->noun, f->model,
                              rc == -ENOENT ? "is not there" : "cannot be used"),
                   evidence(why.text, f));
        doctor_add_remedy(d, copy_of(f->edit));
        doctor_set_model(d, mem_strdup(f->model));
    }
}

/* --- folders' models ----------------------------------------------------------------------------
 */

static void add_incomplete(struct doctor *d, const struct folder_model *m)
{
    doctor_add(d, DOCTOR_WRONG, "file", mem_printf("'%s' cannot be loaded", m->id),
               mem_strdup(m->problem));
    doctor_set_model(d, mem_printf("'%s'", m->id));
    if (m->shards > 1)
        doctor_set_advice(d, mem_strdup("fetch the part that is missing"));
}

static void check_model(struct doctor *d, const struct folder_model *m)
{
    char *model = mem_printf("'%s'", m->id);
    if (m->problem)
        add_incomplete(d, m);
    else
        check_parts(d, &(struct doctor_file){.noun = "file", .model = model, .path = m->path},
                    m->shards);
    if (m->mmproj)
        doctor_file(d, &(struct doctor_file){.noun = "mmproj", .model = model, .path = m->mmproj});
    if (m->draft)
        doctor_file(d, &(struct doctor_file){.noun = "draft", .model = model, .path = m->draft});
    free(model);
}

/* How many models it holds. */
static size_t check_models(struct doctor *d, struct folder *models)
{
    size_t n = models->n;
    for (size_t i = 0; i < n; i++)
        check_model(d, &models->v[i]);
    folder_finish(models);
    return n;
}

static size_t check_folder(struct doctor *d, const char *path)
{
    struct folder models = {0};
    struct error err;
    int code = try_folder(path);
    if (code) {
        add_unreadable(d, path, code);
        return 0;
    }
    check_subfolders(d, path);
    return folder_read(&models, path, &err) ? 0 : check_models(d, &models);
}

static size_t check_cache(struct doctor *d)
{
    struct folder models = {0};
    struct error err;
    char *path = cache_folder(d->process.env.n ? d->process.env.v : environ);
    size_t n = 0;
    int code = path ? try_folder(path) : ENOENT;
    if (code && code != ENOENT)
        add_unreadable(d, path, code);
    else if (!code && !cache_read(&models, path, &err))
        n = check_models(d, &models);
    else
        folder_finish(&models);
    free(path);
    return n;
}

static bool is_checked(const char *path, void *ctx)
{
    struct doctor *d = ctx;
    char *real = realpath(path, NULL);
    bool checked = real && strv_has(&d->checked_files, real);
    free(real);
    return checked;
}

/* After all others, so that a file which presets name counts as known. */
static void check_deep(struct doctor *d, const char *path)
{
    struct strv notes = {0};
    folder_deep_notes(&notes, path, is_checked, d);
    for (size_t i = 0; i < notes.n; i++)
        doctor_add(d, DOCTOR_NOTE, "folder", mem_strdup(notes.v[i]), NULL);
    strv_finish(&notes);
}

void doctor_files(struct doctor *d)
{
    const char *dir = doctor_setting(d, "--models-dir", "LLAMA_ARG_MODELS_DIR");
    char *path = dir ? doctor_path(d, dir) : NULL;
    size_t before = d->n;
    size_t n = path ? check_folder(d, path) : 0;
    n += check_cache(d);
    n += doctor_presets(d);
    if (d->n == before && n)
        doctor_add(d, DOCTOR_OK, "files",
                   mem_printf("the files of %zu model%s are whole", n, n == 1 ? "" : "s"), NULL);
    if (path)
        check_deep(d, path);
    free(path);
}
