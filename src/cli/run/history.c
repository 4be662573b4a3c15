/* SPDX-License-Identifier: MIT */
#include "cli/run/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"

/* --- pure ---------------------------------------------------------------------------------------
 */

char *run_history_line(const char *entry)
{
    char *line = mem_zalloc(2 * strlen(entry) + 1), *to = line;
    for (; *entry; entry++) {
        if (*entry == '\n' || *entry == '\\')
            *to++ = '\\';
        *to++ = *entry == '\n' ? 'n' : *entry;
    }
    return line;
}

char *run_history_entry(char *line)
{
    char *to = line;
    for (const char *p = line; *p; p++) {
        if (p[0] == '\\' && p[1])
            p++, *to++ = *p == 'n' ? '\n' : *p;
        else
            *to++ = *p;
    }
    *to = '\0';
    return line;
}

/* --- the file -----------------------------------------------------------------------------------
 */

char *run_history_path(void)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg == '/')
        return mem_printf("%s/hostler/history", xdg);
    return home && *home ? mem_printf("%s/.local/state/hostler/history", home) : NULL;
}

/* Every folder on the way that is missing, for the user alone. */
static void make_folders(const char *path)
{
    char *folder = mem_strdup(path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(folder, 0700);
        *slash = '/';
    }
    free(folder);
}

/* Locked, so that nobody adds to a file that is being cut. A negative errno. */
static int open_locked(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    flock(fd, LOCK_EX); /* where files cannot be locked it goes without */
    return fd;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* The entries from `first` on in place of the whole. */
static int cut(int fd, const struct strv *entries, size_t first)
{
    struct buf text;
    buf_init(&text, BUF_UNBOUNDED);
    for (size_t i = first; i < entries->n; i++) {
        char *line = run_history_line(entries->v[i]);
        buf_puts(&text, line);
        buf_puts(&text, "\n");
        free(line);
    }
    int rc = ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET) ? -errno : 0;
    if (!rc)
        rc = write_all(fd, text.data, text.len);
    buf_finish(&text);
    return rc;
}

static void drop_first(struct strv *s, size_t n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n; i++)
        free(s->v[i]);
    memmove(s->v, s->v + n, (s->n - n + 1) * sizeof *s->v);
    s->n -= n;
}

static int read_entries(FILE *file, struct strv *entries)
{
    char *line = NULL;
    size_t size = 0;
    for (ssize_t n; (n = getline(&line, &size, file)) >= 0;) {
        line[strcspn(line, "\n")] = '\0';
        if (*line && (size_t)n <= 2 * RUN_HISTORY_ENTRY_MAX)
            strv_add(entries, run_history_entry(line));
        if (entries->n > 4 * (size_t)RUN_HISTORY_ENTRIES) /* written by somebody else */
            drop_first(entries, entries->n - RUN_HISTORY_ENTRIES);
    }
    free(line);
    return ferror(file) ? -EIO : 0;
}

int run_history_load(const char *path, struct strv *entries, struct error *err)
{
    int fd = open_locked(path, O_RDWR);
    if (fd == -ENOENT)
        return 0;
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r+");
    int rc = fd < 0 ? fd : file ? read_entries(file, entries) : -errno;
    size_t surplus = entries->n > RUN_HISTORY_ENTRIES ? entries->n - RUN_HISTORY_ENTRIES : 0;
    if (!rc && surplus > RUN_HISTORY_ENTRIES / 2) /* not anew at each start */
        rc = cut(fd, entries, surplus);
    drop_first(entries, surplus);
    if (file)
        fclose(file);
    return rc ? error_set(err, rc, "%s cannot be read: %s", path, strerror(-rc)) : 0;
}

int run_history_add(const char *path, const char *entry)
{
    if (strlen(entry) > RUN_HISTORY_ENTRY_MAX)
        return 0;
    make_folders(path);
    int fd = open_locked(path, O_WRONLY | O_APPEND | O_CREAT);
    if (fd < 0)
        return fd;
    char *line = run_history_line(entry), *whole = mem_printf("%s\n", line);
    int rc = write_all(fd, whole, strlen(whole));
    free(whole);
    free(line);
    close(fd);
    return rc;
}
