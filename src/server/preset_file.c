/* SPDX-License-Identifier: MIT */
#include "server/preset_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "base/whole_file.h"
#include "server/presets.h"

#define ACCESS_LIST "system.posix_acl_access"
#define ACCESS_LIST_MAX 4096

/* Where the file is, behind all links. */
struct place {
    char *path;
    char *folder;
    struct stat st; /* st_mode 0: there is no file yet */
};

static void place_finish(struct place *p)
{
    free(p->path);
    free(p->folder);
}

static void place_find(struct place *p, const char *path)
{
    p->path = realpath(path, NULL);
    if (!p->path)
        p->path = mem_strdup(path);
    const char *slash = strrchr(p->path, '/');
    p->folder = !slash             ? mem_strdup(".")
                : slash == p->path ? mem_strdup("/")
                                   : mem_strndup(p->path, (size_t)(slash - p->path));
    if (stat(p->path, &p->st))
        p->st = (struct stat){0};
}

static void make_tag(const char *text, char tag[PRESET_FILE_TAG])
{
    XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
    snprintf(tag, PRESET_FILE_TAG, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

/* --- whether it can be written ----------------------------------------------------------------- */

/* A file that is mounted by itself, as into a container, cannot be replaced. */
static bool is_mount(const struct place *p)
{
    struct statx file, folder;
    if (statx(AT_FDCWD, p->path, 0, STATX_MNT_ID, &file) ||
        statx(AT_FDCWD, p->folder, 0, STATX_MNT_ID, &folder))
        return false;
    return (file.stx_mask & folder.stx_mask & STATX_MNT_ID) && file.stx_mnt_id != folder.stx_mnt_id;
}

static bool may_write(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

/* Why it cannot be written here, which the caller frees; NULL: it can, as far as can be told before. */
static char *find_obstacle(const struct place *p)
{
    if (p->st.st_mode && !S_ISREG(p->st.st_mode))
        return mem_printf("%s is no regular file", p->path);
    if (p->st.st_mode && !may_write(p->path, W_OK))
        return mem_printf("%s cannot be written by hostler: %s", p->path, strerror(errno));
    if (!may_write(p->folder, W_OK | X_OK))
        return mem_printf("%s cannot be replaced, since hostler cannot write its folder: %s",
                          p->path, strerror(errno));
    if (p->st.st_mode && geteuid() && p->st.st_uid != geteuid())
        return mem_printf("%s belongs to another user, and would not any more", p->path);
    if (p->st.st_mode && is_mount(p))
        return mem_printf("%s is mounted by itself and cannot be replaced: mount its folder",
                          p->path);
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static bool is_utf8(const char *text)
{
    struct utf8 u = {0};
    for (; *text; text++)
        if (!utf8_next(&u, (unsigned char)*text))
            return false;
    return !u.due;
}

/* What must not be edited, since an editor would change it unasked or cut it. */
static char *find_oddity(const char *text)
{
    if (strlen(text) > PRESET_FILE_MAX)
        return mem_printf("it is larger than %zu KiB", PRESET_FILE_MAX / 1024);
    if (!is_utf8(text))
        return mem_strdup("it holds bytes that are not UTF-8");
    return NULL;
}

void preset_file_read(struct preset_file *f, const struct config *c)
{
    struct error err = {""};
    struct place place;
    *f = (struct preset_file){0};
    int rc = presets_load(&f->text, c, &err);
    place_find(&place, c->models_preset);
    if (rc)
        f->problem = mem_strdup(err.text);
    else
        make_tag(f->text, f->tag);
    if (rc && rc != -ENOENT)
        f->obstacle = mem_strdup(err.text);
    else
        f->obstacle = f->text ? find_oddity(f->text) : NULL;
    if (!f->obstacle)
        f->obstacle = find_obstacle(&place);
    place_finish(&place);
}

void preset_file_finish(struct preset_file *f)
{
    free(f->text);
    free(f->obstacle);
    free(f->problem);
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* The new file belongs to whom the old one belongs to, and nobody else may read it. */
static int take_after(int fd, const struct place *p)
{
    char list[ACCESS_LIST_MAX];
    if (!p->st.st_mode)
        return 0;
    if ((p->st.st_uid != geteuid() || p->st.st_gid != getegid()) &&
        fchown(fd, p->st.st_uid, p->st.st_gid))
        return -errno;
    if (fchmod(fd, p->st.st_mode & 07777))
        return -errno;
    ssize_t n = getxattr(p->path, ACCESS_LIST, list, sizeof list);
    if (n > 0 && fsetxattr(fd, ACCESS_LIST, list, (size_t)n, 0))
        return -errno;
    return 0;
}

static int fill(int fd, const struct place *p, const char *text)
{
    int rc = take_after(fd, p);
    if (!rc)
        rc = whole_file_write_all(fd, text, strlen(text));
    if (!rc && fsync(fd))
        rc = -errno;
    return rc;
}

/* Whether nobody wrote the file since `p` was found. */
static bool is_unchanged(const struct place *p)
{
    struct stat now;
    if (stat(p->path, &now))
        return !p->st.st_mode;
    return now.st_dev == p->st.st_dev && now.st_ino == p->st.st_ino &&
           now.st_size == p->st.st_size && now.st_mtim.tv_sec == p->st.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == p->st.st_mtim.tv_nsec;
}

static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

static int replace(const struct place *p, const char *text)
{
    const char *slash = strrchr(p->path, '/');
    char *next = mem_printf("%s/.%s.XXXXXX", p->folder, slash ? slash + 1 : p->path);
    int fd = mkostemp(next, O_CLOEXEC);
    int rc = fd < 0 ? -errno : fill(fd, p, text);
    if (fd >= 0 && close(fd) && !rc)
        rc = -errno;
    if (!rc && !is_unchanged(p))
        rc = -ESTALE;
    if (!rc && rename(next, p->path))
        rc = -errno;
    if (rc && fd >= 0)
        unlink(next);
    if (!rc)
        sync_folder(p->folder);
    free(next);
    return rc;
}

static int write_at(const struct config *c, const struct place *p, const char *tag,
                    const char *text, struct error *err)
{
    struct preset_file now;
    preset_file_read(&now, c);
    int rc = 0;
    if (now.obstacle)
        rc = error_set(err, -EPERM, "%s", now.obstacle);
    else if (strcmp(now.tag, tag) == 0)
        rc = replace(p, text);
    else
        rc = -ESTALE;
    if (rc == -ESTALE)
        error_set(err, rc, "%s was changed since it was read: read it again", p->path);
    else if (rc && rc != -EPERM)
        error_set(err, rc, "cannot write %s: %s", p->path, strerror(-rc));
    else if (rc && !now.obstacle)
        error_set(err, rc, "%s cannot be replaced with the same owner: %s", p->path, strerror(-rc));
    preset_file_finish(&now);
    return rc;
}

int preset_file_write(const struct config *c, const char *tag, const char *text,
                      char out_tag[PRESET_FILE_TAG], struct error *err)
{
    struct place place;
    place_find(&place, c->models_preset);
    int rc = write_at(c, &place, tag, text, err);
    place_finish(&place);
    make_tag(text, out_tag);
    return rc;
}
