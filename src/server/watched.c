/* SPDX-License-Identifier: MIT */
#include "server/watched.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "catalog/cache.h"
#include "catalog/files.h"
#include "catalog/folder.h"

#define LINKS_MAX 40 /* on the way of one path, as the kernel has it */

/* --- the steps of a path ------------------------------------------------------------------------
 */

struct walk {
    struct watched *watched;
    char *at;   /* where it is: a folder without links on its way; empty: the root */
    char *rest; /* what is still to go */
    unsigned links;
};

/* Takes the next step off `rest`; NULL: none is left. The caller frees it. */
static char *next_step(struct walk *w)
{
    const char *from = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(from, "/");
    char *step = len ? mem_strndup(from, len) : NULL;
    char *rest = mem_strdup(from + len);
    free(w->rest);
    w->rest = rest;
    return step;
}

static void go_up(struct walk *w)
{
    char *slash = strrchr(w->at, '/');
    if (slash)
        *slash = '\0';
}

/* Goes on where the link `path` leads to. False: it cannot be followed. */
static bool follow(struct walk *w, const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0 || ++w->links > LINKS_MAX)
        return false;
    target[n] = '\0';
    char *rest = mem_printf("%s%s", target, w->rest);
    free(w->rest);
    w->rest = rest;
    if (*target == '/')
        *w->at = '\0';
    return true;
}

static void move_to(struct walk *w, const char *path)
{
    strv_add(&w->watched->moves, path);
    free(w->at);
    w->at = mem_strdup(path);
}

/* False: it is the last step. `path`: `at` with the step. */
static bool take_step(struct walk *w, const char *path)
{
    struct stat st;
    bool there = lstat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode)) {
        move_to(w, path);
        return true;
    }
    strv_add(&w->watched->names, path);
    return there && S_ISLNK(st.st_mode) && follow(w, path);
}

static void walk_path(struct walk *w)
{
    bool goes_on = true;
    for (char *step; goes_on && (step = next_step(w)); free(step)) {
        if (strcmp(step, "..") == 0) {
            go_up(w);
        } else if (strcmp(step, ".") != 0) {
            char *path = mem_printf("%s/%s", w->at, step);
            goes_on = take_step(w, path);
            free(path);
        }
    }
}

/* Links of which `path` consists, folders that it leads through, and its end, if that is no folder. */
static void add_path(struct watched *out, const char *path)
{
    char here[PATH_MAX];
    struct walk w = {.watched = out, .at = mem_strdup("")};
    if (*path != '/' && getcwd(here, sizeof here))
        w.rest = mem_printf("%s/%s", here, path);
    else
        w.rest = mem_strdup(path);
    walk_path(&w);
    free(w.at);
    free(w.rest);
}

/* --- folders ------------------------------------------------------------------------------------
 */

/* How far a source is read: folders `depth` levels deep, links to folders on the first `linked` of them. */
struct depth {
    int depth, linked;
    bool files; /* model files may be links */
};

static bool is_folder(const char *path, bool by_link)
{
    struct stat st;
    return (by_link ? stat(path, &st) : lstat(path, &st)) == 0 && S_ISDIR(st.st_mode);
}

static bool may_be(const struct dirent *e, unsigned char type)
{
    return e->d_type == type || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN;
}

static void list_folders(struct watched *out, const char *path, struct depth d);

/* Folders `blobs` have no names of models. */
static void list_entry(struct watched *out, const char *path, const struct dirent *e,
                       struct depth d)
{
    bool wanted = d.depth > 0 && may_be(e, DT_DIR) && strcmp(e->d_name, "blobs") != 0;
    bool linked_file = d.files && e->d_type != DT_REG && file_is_gguf(e->d_name);
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || !(wanted || linked_file))
        return;
    char *below = mem_printf("%s/%s", path, e->d_name);
    if (wanted && is_folder(below, d.linked > 0)) {
        if (d.linked > 0 && e->d_type != DT_DIR)
            add_path(out, below);
        list_folders(out, below, (struct depth){d.depth - 1, d.linked - 1, d.files});
    } else if (d.linked > 0 && e->d_type != DT_DIR && (wanted || linked_file)) {
        add_path(out, below); /* a link to a file, or to nothing */
    }
    free(below);
}

static void list_folders(struct watched *out, const char *path, struct depth d)
{
    DIR *dir = opendir(path);
    if (!dir)
        return;
    strv_add(&out->folders, path);
    for (struct dirent *e; (e = readdir(dir));)
        list_entry(out, path, e, d);
    closedir(dir);
}

/* --- all ----------------------------------------------------------------------------------------
 */

#define MODELS_DEPTH 1
#define CACHE_DEPTH 3 /* models--USER--REPO / snapshots / COMMIT, and folders in that */

static void list_source(struct watched *w, const char *path, struct depth depth)
{
    if (!path)
        return;
    add_path(w, path);
    list_folders(w, path, depth);
}

/* Whether a file that a section names is not there. */
static void list_section(struct watched *w, const struct preset *p)
{
    const struct engine_arg *arg = engine_args_role(&p->args, ENGINE_OPTION_MODEL);
    if (!arg || !*arg->value)
        return;
    add_path(w, arg->value);
    if (access(arg->value, F_OK) < 0)
        strv_add(&w->awaited, arg->value);
}

static bool is_any_missing(const struct folder *models)
{
    for (size_t i = 0; i < models->n; i++)
        if (models->v[i].missing)
            return true;
    return false;
}

void watched_list(struct watched *w, const struct config *c, const struct presets *p,
                  const struct folder *models)
{
    *w = (struct watched){0};
    list_source(w, c->models_dir,
                (struct depth){.depth = MODELS_DEPTH, .linked = MODELS_DEPTH + 1, .files = true});
    list_source(w, c->cache_dir,
                (struct depth){.depth = CACHE_DEPTH + CACHE_MAX_DEPTH, .linked = CACHE_DEPTH});
    for (size_t i = 0; i < p->n; i++)
        list_section(w, &p->v[i]);
    if (is_any_missing(models)) {
        if (c->models_dir)
            strv_add(&w->awaited, c->models_dir);
        if (c->cache_dir)
            strv_add(&w->awaited, c->cache_dir);
    }
    w->awaited_mark = watched_mark(&w->awaited);
    strv_sort(&w->names);
    strv_sort(&w->moves);
}

void watched_finish(struct watched *w)
{
    strv_finish(&w->folders);
    strv_finish(&w->names);
    strv_finish(&w->moves);
    strv_finish(&w->awaited);
}

uint64_t watched_mark(const struct strv *paths)
{
    uint64_t mark = 0;
    for (size_t i = 0; i < paths->n; i++) {
        struct stat st;
        mark = stamp_add(mark, stat(paths->v[i], &st) == 0 ? stamp_of(&st) : 0);
    }
    return mark;
}
