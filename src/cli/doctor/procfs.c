/* SPDX-License-Identifier: MIT */
#include "cli/doctor/procfs.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/memory.h"

#define FILE_MAX ((size_t)1 << 20) /* of a command line or an environment */
#define ANCESTORS_MAX 64

/* --- one process --------------------------------------------------------------------------------
 */

static FILE *open_of(pid_t pid, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return fopen(path, "re");
}

/* Texts that end with a zero byte each. */
static void read_texts(struct strv *out, pid_t pid, const char *file)
{
    FILE *f = open_of(pid, file);
    char *line = NULL;
    size_t size = 0, total = 0;
    ssize_t n;
    while (f && total < FILE_MAX && (n = getdelim(&line, &size, '\0', f)) > 0) {
        strv_add(out, line);
        total += (size_t)n;
    }
    free(line);
    if (f)
        fclose(f);
}

/* `pid (name) state parent …`; the name may hold anything, also `)`. */
static bool read_stat(pid_t pid, struct procfs_process *p)
{
    char text[512];
    FILE *f = open_of(pid, "stat");
    if (!f)
        return false;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    int parent;
    if (!open || !close || sscanf(close + 1, " %*c %d", &parent) != 1)
        return false;
    snprintf(p->name, sizeof p->name, "%.*s", (int)(close - open - 1), open + 1);
    p->parent = parent;
    return true;
}

/* A thread may have named the process otherwise, and the kernel cuts names: the file counts. */
static void read_name(struct procfs_process *p)
{
    char path[64], target[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)p->pid);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return;
    target[n] = '\0';
    const char *base = strrchr(target, '/');
    snprintf(p->name, sizeof p->name, "%.*s",
             (int)strcspn(base ? base + 1 : target, " "), /* ` (deleted)` */
             base ? base + 1 : target);
}

bool procfs_read(pid_t pid, struct procfs_process *p)
{
    struct stat st;
    char path[64];
    *p = (struct procfs_process){.pid = pid};
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (pid <= 0 || stat(path, &st) || !read_stat(pid, p))
        return false;
    p->uid = st.st_uid;
    read_name(p);
    read_texts(&p->argv, pid, "cmdline");
    read_texts(&p->env, pid, "environ");
    return true;
}

void procfs_process_finish(struct procfs_process *p)
{
    strv_finish(&p->argv);
    strv_finish(&p->env);
}

void procfs_each(void (*each)(const struct procfs_process *p, void *ctx), void *ctx)
{
    DIR *dir = opendir("/proc");
    for (struct dirent *d; dir && (d = readdir(dir));) {
        struct procfs_process p;
        if (!isdigit((unsigned char)d->d_name[0]))
            continue;
        if (procfs_read((pid_t)strtol(d->d_name, NULL, 10), &p))
            each(&p, ctx);
        procfs_process_finish(&p);
    }
    if (dir)
        closedir(dir);
}

const char *procfs_setting(const struct procfs_process *p, const char *option, const char *env)
{
    size_t len = strlen(option);
    for (size_t i = p->argv.n; i-- > 1;) {
        const char *arg = p->argv.v[i];
        if (strcmp(arg, option) == 0 && i + 1 < p->argv.n)
            return p->argv.v[i + 1];
        if (strncmp(arg, option, len) == 0 && arg[len] == '=')
            return arg + len + 1;
    }
    return env ? env_get(p->env.v, env) : NULL;
}

bool procfs_is_server_name(const char *name)
{
    static const char *const names[] = {"hostler", "llama-server", "llama-swap", "ollama"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Whether one of those that it descends from is such a one. */
static bool descends(const struct procfs_process *p,
                     bool (*is)(const struct procfs_process *above, pid_t wanted), pid_t wanted)
{
    pid_t parent = p->parent;
    for (int i = 0; parent > 0 && i < ANCESTORS_MAX; i++) {
        struct procfs_process above = {.pid = parent};
        if (!read_stat(parent, &above))
            return false;
        read_name(&above);
        if (is(&above, wanted))
            return true;
        parent = above.parent;
    }
    return false;
}

static bool is_server(const struct procfs_process *p, pid_t any)
{
    (void)any;
    return procfs_is_server_name(p->name);
}

static bool is_pid(const struct procfs_process *p, pid_t wanted)
{
    return p->pid == wanted;
}

bool procfs_has_server_ancestor(const struct procfs_process *p)
{
    return descends(p, is_server, 0);
}

bool procfs_has_ancestor(const struct procfs_process *p, pid_t pid)
{
    return pid > 0 && descends(p, is_pid, pid);
}

bool procfs_is_orphan(const struct procfs_process *p)
{
    struct procfs_process parent = {.pid = p->parent};
    if (p->parent == 1)
        return true;
    return read_stat(p->parent, &parent) && strcmp(parent.name, "systemd") == 0;
}

/* --- who writes ---------------------------------------------------------------------------------
 */

static bool writes(const char *pid, const char *fd, const struct stat *file)
{
    char path[600], line[64];
    struct stat st;
    unsigned flags = O_RDONLY;
    snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, fd);
    if (stat(path, &st) || st.st_dev != file->st_dev || st.st_ino != file->st_ino)
        return false;
    snprintf(path, sizeof path, "/proc/%s/fdinfo/%s", pid, fd);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "flags: %o", &flags) == 1)
            break;
    if (f)
        fclose(f);
    return (flags & O_ACCMODE) != O_RDONLY;
}

static bool has_writer(const char *pid, const struct stat *file)
{
    char path[300];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && !found && (d = readdir(dir));)
        found = d->d_name[0] != '.' && writes(pid, d->d_name, file);
    if (dir)
        closedir(dir);
    return found;
}

bool procfs_has_writer(const char *path)
{
    struct stat file;
    bool found = false;
    DIR *dir = stat(path, &file) == 0 ? opendir("/proc") : NULL;
    for (struct dirent *d; dir && !found && (d = readdir(dir));)
        found = isdigit((unsigned char)d->d_name[0]) && has_writer(d->d_name, &file);
    if (dir)
        closedir(dir);
    return found;
}

/* --- who listens --------------------------------------------------------------------------------
 */

#define TCP_LISTEN 0x0a

/* All zeroes, 127.x.x.x or ::1 in the kernel's hex; it prints each 32 bits in its own byte order. */
static bool is_reached_by_loopback(const char *address)
{
    size_t len = strlen(address);
    return strspn(address, "0") == len || (len == 8 && strcmp(address + 6, "7F") == 0) ||
           strcmp(address, "00000000000000000000000001000000") == 0;
}

static bool has_port(const struct procfs_listener *v, size_t n, unsigned port)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].port == port)
            return true;
    return false;
}

static size_t read_listeners(const char *path, struct procfs_listener *out, size_t n, size_t max)
{
    char line[512], address[40];
    FILE *f = fopen(path, "re");
    while (f && n < max && fgets(line, sizeof line, f)) {
        unsigned port, state, uid;
        unsigned long inode;
        if (sscanf(line, " %*d: %39[0-9A-F]:%X %*s %X %*s %*s %*s %u %*s %lu", address, &port,
                   &state, &uid, &inode) == 5 &&
            state == TCP_LISTEN && is_reached_by_loopback(address) && !has_port(out, n, port))
            out[n++] = (struct procfs_listener){.port = port, .uid = uid, .inode = inode};
    }
    if (f)
        fclose(f);
    return n;
}

/* The inode of the socket that a descriptor is; 0 when it is something else. */
static unsigned long socket_inode(const char *pid, const char *fd)
{
    char path[600], target[64];
    unsigned long inode = 0;
    snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return 0;
    target[n] = '\0';
    return sscanf(target, "socket:[%lu]", &inode) == 1 ? inode : 0;
}

static void note_owner(const char *pid, struct procfs_listener *v, size_t n)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        unsigned long inode = socket_inode(pid, d->d_name);
        for (size_t i = 0; inode && i < n; i++)
            if (v[i].inode == inode)
                v[i].pid = (pid_t)strtol(pid, NULL, 10);
    }
    if (dir)
        closedir(dir);
}

static void find_owners(struct procfs_listener *v, size_t n)
{
    DIR *dir = n ? opendir("/proc") : NULL;
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (isdigit((unsigned char)d->d_name[0]))
            note_owner(d->d_name, v, n);
    if (dir)
        closedir(dir);
}

size_t procfs_listeners(struct procfs_listener *out, size_t max)
{
    size_t n = read_listeners("/proc/net/tcp", out, 0, max);
    n = read_listeners("/proc/net/tcp6", out, n, max);
    find_owners(out, n);
    return n;
}

pid_t procfs_unix_listener(const char *path)
{
    struct procfs_listener found = {0};
    char *line = NULL;
    size_t size = 0;
    FILE *f = fopen("/proc/net/unix", "re");
    while (f && !found.inode && getline(&line, &size, f) > 0) {
        unsigned long flags, inode;
        int at = 0;
        line[strcspn(line, "\n")] = '\0';
        /* The flag says that it listens. */
        if (sscanf(line, "%*s %*s %*s %lx %*s %*s %lu %n", &flags, &inode, &at) == 2 && at &&
            (flags & 0x10000) && strcmp(line + at, path) == 0)
            found.inode = inode;
    }
    free(line);
    if (f)
        fclose(f);
    if (found.inode)
        find_owners(&found, 1);
    return found.pid;
}
