/* SPDX-License-Identifier: MIT */
#include "http/static_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* --- finding it ---------------------------------------------------------------------------------
 */

/* Whether `..` in it leads above its beginning. */
static bool leads_above(const char *path)
{
    int depth = 0;
    while (*path && depth >= 0) {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0)
            depth--;
        else if (len && !(len == 1 && *path == '.'))
            depth++;
        path += len;
        path += strspn(path, "/");
    }
    return depth < 0;
}

/* What follows `folder` in `path`, both without links; NULL: it is not below it. */
static const char *path_below(const char *folder, const char *path)
{
    size_t len = strlen(folder);
    if (strcmp(folder, "/") == 0)
        return path + 1;
    if (strncmp(folder, path, len) != 0)
        return NULL;
    return path[len] == '/' ? path + len + 1 : path[len] ? NULL : path + len;
}

static int open_component(int folder, const char *name, size_t len, int flags)
{
    char text[NAME_MAX + 1];
    struct stat st;
    if (len > NAME_MAX)
        return -ENOENT;
    memcpy(text, name, len);
    text[len] = '\0';
    /* Opening a device or a pipe may do something. */
    if (fstatat(folder, text, &st, AT_SYMLINK_NOFOLLOW))
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return -ENOENT;
    int fd = openat(folder, text, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Opens `path`, which has no links, from `folder` on, name by name: a link that takes the place of one is not followed. */
static int open_below(const char *folder, const char *path)
{
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (*path && fd >= 0) {
        size_t len = strcspn(path, "/");
        bool last = !path[len];
        int next = open_component(fd, path, len, last ? O_RDONLY : O_PATH | O_DIRECTORY);
        close(fd);
        fd = next;
        path += len + !last;
    }
    return fd;
}

static int check_open(struct static_file *out, int fd, bool is_folder_path)
{
    struct stat st;
    int rc = fstat(fd, &st) ? -errno : 0;
    if (!rc && S_ISDIR(st.st_mode))
        rc = is_folder_path ? -ENOENT : -EISDIR;
    else if (!rc && !S_ISREG(st.st_mode))
        rc = -ENOENT;
    if (rc) {
        close(fd);
        return rc;
    }
    *out = (struct static_file){.fd = fd, .size = (uint64_t)st.st_size, .modified = st.st_mtime};
    return 0;
}

static int open_resolved(struct static_file *out, const char *folder, const char *file,
                         bool is_folder_path)
{
    const char *below = path_below(folder, file);
    if (!below)
        return -EACCES;
    int fd = open_below(folder, below);
    if (fd >= 0)
        return check_open(out, fd, is_folder_path);
    return fd == -EACCES || fd == -EPERM || fd == -ELOOP ? -EACCES : fd;
}

int static_file_open(struct static_file *out, const char *folder, const char *path)
{
    bool is_folder_path = path[strlen(path) - 1] == '/';
    int rc;
    if (leads_above(path))
        return -ENOENT;
    char *wanted = mem_printf("%s%s%s", folder, path, is_folder_path ? "index.html" : "");
    char *root = realpath(folder, NULL), *file = root ? realpath(wanted, NULL) : NULL;
    rc = file              ? open_resolved(out, root, file, is_folder_path)
         : errno == EACCES ? -EACCES
                           : -ENOENT;
    free(file);
    free(root);
    free(wanted);
    return rc;
}

/* --- what is said of it --------------------------------------------------------------------------
 */

const char *static_file_type(const char *path)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {"css", "text/css"},
        {"csv", "text/csv"},
        {"txt", "text/plain"},
        {"vtt", "text/vtt"},
        {"html", "text/html"},
        {"htm", "text/html"},
        {"apng", "image/apng"},
        {"avif", "image/avif"},
        {"bmp", "image/bmp"},
        {"gif", "image/gif"},
        {"png", "image/png"},
        {"svg", "image/svg+xml"},
        {"webp", "image/webp"},
        {"ico", "image/x-icon"},
        {"tif", "image/tiff"},
        {"tiff", "image/tiff"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"mp4", "video/mp4"},
        {"mpeg", "video/mpeg"},
        {"webm", "video/webm"},
        {"mp3", "audio/mp3"},
        {"mpga", "audio/mpeg"},
        {"weba", "audio/webm"},
        {"wav", "audio/wave"},
        {"otf", "font/otf"},
        {"ttf", "font/ttf"},
        {"woff", "font/woff"},
        {"woff2", "font/woff2"},
        {"7z", "application/x-7z-compressed"},
        {"atom", "application/atom+xml"},
        {"pdf", "application/pdf"},
        {"mjs", "text/javascript"},
        {"js", "text/javascript"},
        {"json", "application/json"},
        {"rss", "application/rss+xml"},
        {"tar", "application/x-tar"},
        {"xhtml", "application/xhtml+xml"},
        {"xht", "application/xhtml+xml"},
        {"xslt", "application/xslt+xml"},
        {"xml", "application/xml"},
        {"gz", "application/gzip"},
        {"zip", "application/zip"},
        {"wasm", "application/wasm"},
    };
    const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
    if (path[strlen(path) - 1] == '/')
        return "text/html";
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot + 1, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

void static_file_tag(const struct static_file *f, char out[STATIC_FILE_TEXT])
{
    snprintf(out, STATIC_FILE_TEXT, "W/\"%llx-%llx\"", (unsigned long long)f->modified,
             (unsigned long long)f->size);
}

void static_file_date(time_t t, char out[STATIC_FILE_TEXT])
{
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, STATIC_FILE_TEXT, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

/* Weakly, as RFC 9110 (13.1.2) has it: whether `W/` stands before one of them does not matter. */
static bool has_tag(const char *list, const char *tag)
{
    const char *opaque = tag + strcspn(tag, "\"");
    size_t len = strlen(opaque);
    for (const char *at = list; (at = strstr(at, opaque)); at += len)
        if (at == list || strchr(" ,/\t", at[-1]))
            return true;
    return false;
}

bool static_file_is_known(const struct static_file *f, const char *none_match, const char *since)
{
    char tag[STATIC_FILE_TEXT];
    struct tm tm = {0};
    if (none_match) {
        static_file_tag(f, tag);
        return strcmp(none_match, "*") == 0 || has_tag(none_match, tag);
    }
    const char *end = since ? strptime(since, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;
    return end && !*end && f->modified <= timegm(&tm);
}
