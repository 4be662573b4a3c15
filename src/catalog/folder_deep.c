/* SPDX-License-Identifier: MIT */
#include "catalog/folder_deep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "catalog/files.h"

#define DEPTH_MAX 4
#define FOLDERS_MAX 512

struct search {
    struct strv *paths;
    unsigned folders; /* opened so far */
};

static bool is_folder(int fd, const struct dirent *e, bool follows_links)
{
    struct stat st;
    if (e->d_type == DT_DIR)
        return true;
    if (e->d_type != DT_UNKNOWN && (e->d_type != DT_LNK || !follows_links))
        return false;
    return fstatat(fd, e->d_name, &st, follows_links ? 0 : AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

static bool is_model(const struct dirent *e)
{
    return (e->d_type == DT_REG || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN) &&
           file_is_gguf(e->d_name) && !file_is_mmproj(e->d_name) && !file_is_draft(e->d_name);
}

static void search_folder(struct search *s, const char *path, int parent, const char *name,
                          int depth);

static void search_entry(struct search *s, const char *path, int fd, const struct dirent *e,
                         int depth)
{
    if (*e->d_name == '.' || !text_clean(e->d_name))
        return;
    char *below = mem_printf("%s/%s", path, e->d_name);
    if (depth > 1 && is_model(e))
        strv_add(s->paths, below);
    else if (depth < DEPTH_MAX && is_folder(fd, e, depth == 0))
        search_folder(s, below, fd, e->d_name, depth + 1);
    free(below);
}

/* `depth` of what lies in it: 0 for the models folder itself. */
static void search_folder(struct search *s, const char *path, int parent, const char *name,
                          int depth)
{
    if (s->folders++ >= FOLDERS_MAX)
        return;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !d)
        close(fd);
    for (struct dirent *e; d && (e = readdir(d));)
        search_entry(s, path, fd, e, depth);
    if (d)
        closedir(d);
}

/* How much of `path`, a file's, is the folder two above it: as a models folder that one would list it. */
static int folder_len(const char *path)
{
    const char *file = strrchr(path, '/');
    const char *folder = memrchr(path, '/', (size_t)(file - path));
    return (int)(folder - path);
}

static char *note(const char *path, const char *dir)
{
    return mem_printf("%s is not listed, because it lies deeper than one folder below %s: give "
                      "--models-dir %.*s, or a "
                      "section with 'model = %s' in the file of --models-preset",
                      path, dir, folder_len(path), path, path);
}

void folder_deep_notes(struct strv *notes, const char *dir,
                       bool (*is_known)(const char *path, void *ctx), void *ctx)
{
    struct strv paths = {0};
    struct search s = {.paths = &paths};
    size_t top = strlen(dir), branch = 0;
    while (top && dir[top - 1] == '/') /* as folder_read() has it */
        top--;
    char *trimmed = mem_strndup(dir, top);
    search_folder(&s, trimmed, AT_FDCWD, dir, 0);
    strv_sort(&paths);
    const char *last = NULL; /* of which there was a note */
    for (size_t i = 0; i < paths.n; i++) {
        const char *path = paths.v[i];
        if ((last && strncmp(path, last, branch) == 0) || is_known(path, ctx))
            continue;
        last = path;
        branch = top + 1 + strcspn(path + top + 1, "/") + 1;
        strv_add_take(notes, note(path, trimmed));
    }
    free(trimmed);
    strv_finish(&paths);
}
