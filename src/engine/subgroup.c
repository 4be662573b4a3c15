/* SPDX-License-Identifier: MIT */
#include "engine/subgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/cgroup.h"
#include "engine/kernel.h"

#define PREFIX "hostler-"
#define DAEMON PREFIX "daemon"

static struct {
    enum { NONE, VERSION_1, VERSION_2 } version;
    char base[PATH_MAX]; /* the group in which they are */
    pid_t daemon;
    unsigned count;
    bool warned;
} groups;

/* --- the kernel's files */

static bool path_in(char out[PATH_MAX], const char *folder, const char *name)
{
    return (size_t)snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

/* `file`: "" for its folder. */
static bool path_of(char out[PATH_MAX], unsigned group, const char *file)
{
    int n = snprintf(out, PATH_MAX, "%s/" PREFIX "%d-%u%s%s", groups.base, (int)groups.daemon,
                     group, *file ? "/" : "", file);
    return group && groups.version != NONE && n < PATH_MAX;
}

static int write_to(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX];
    if (!path_in(path, folder, name))
        return -ENAMETOOLONG;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* --- whether they can be made */

static bool has_memory_controller(const char *folder)
{
    char word[32];
    bool found = false;
    FILE *f = kernel_open("%s/cgroup.controllers", folder);
    while (f && !found && fscanf(f, "%31s", word) == 1)
        found = strcmp(word, "memory") == 0;
    if (f)
        fclose(f);
    return found;
}

/* The marks that systemd and other managers set (systemd.resource-control(5), CGROUP_DELEGATION.md). What a user may
 * write alone says little: the groups of a user's session are the user's, and its service manager's to arrange. */
static bool is_delegated(const char *folder)
{
    static const char *const marks[] = {"user.delegate", "trusted.delegate"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char value[2] = "";
        if (getxattr(folder, marks[i], value, sizeof value) == 1 && value[0] == '1')
            return true;
    }
    return false;
}

/* Fails with -EBUSY while another process is in the group. */
static int make_room_for_engines(const char *folder)
{
    char leaf[PATH_MAX];
    if (!path_in(leaf, folder, DAEMON))
        return -ENAMETOOLONG;
    if (mkdir(leaf, 0755) && errno != EEXIST)
        return -errno;
    int rc = write_to(leaf, "cgroup.procs", "0"); /* this process */
    if (!rc)
        rc = write_to(folder, "cgroup.subtree_control", "+memory");
    if (rc) {
        (void)write_to(folder, "cgroup.procs", "0");
        rmdir(leaf);
    }
    return rc;
}

/* NULL, or why not. */
static const char *try_version_2(const char *folder)
{
    if (!*folder || !has_memory_controller(folder))
        return "there is no memory controller of version 2";
    if (!is_delegated(folder))
        return "the daemon's own is not delegated to it";
    int rc = make_room_for_engines(folder);
    if (rc)
        log_warn("%s is delegated, but engines get no control groups of their own in it: %s",
                 folder, rc == -EBUSY ? "other processes are in it" : strerror(-rc));
    return rc ? strerror(-rc) : NULL;
}

/* Without its hierarchy (before Linux 5.11 it is a choice) engines would escape the daemon's limit. */
static const char *try_version_1(const char *folder)
{
    uint64_t hierarchy = 0;
    if (!*folder)
        return "there is no memory controller of version 1";
    if (access(folder, W_OK))
        return strerror(errno);
    (void)kernel_number(&hierarchy, "%s/memory.use_hierarchy", folder);
    return hierarchy ? NULL : "the daemon's own has no hierarchy";
}

/* --- those that are left */

/* `hostler-PID-NUMBER`; false: it has another name, or that process runs. Its number may be another process's by now:
 * then the folder stays for another start. */
static bool is_left_over(const char *name)
{
    char *end;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    long pid = strtol(name + strlen(PREFIX), &end, 10);
    if (pid <= 0 || pid > INT_MAX || *end != '-')
        return false;
    return pid == getpid() || (kill((pid_t)pid, 0) && errno == ESRCH);
}

/* A group with processes cannot be removed. */
static void remove_left_over(void)
{
    DIR *list = opendir(groups.base);
    if (!list)
        return;
    for (struct dirent *d; (d = readdir(list));)
        if (is_left_over(d->d_name))
            unlinkat(dirfd(list), d->d_name, AT_REMOVEDIR);
    closedir(list);
}

void subgroup_open(const char *root)
{
    struct cgroup *own = malloc(sizeof *own);
    groups.version = NONE;
    groups.daemon = getpid();
    groups.count = 0;
    if (!own)
        return;
    cgroup_find(own, root);
    const char *why = try_version_2(own->v2.path),
               *why_1 = why ? try_version_1(own->v1.path) : NULL;
    if (why && why_1)
        log_debug("engines get no control groups of their own: %s; %s", why, why_1);
    else {
        groups.version = why ? VERSION_1 : VERSION_2;
        snprintf(groups.base, sizeof groups.base, "%s", why ? own->v1.path : own->v2.path);
        log_debug("engines get control groups of their own in %s", groups.base);
        remove_left_over();
    }
    free(own);
}

void subgroup_close(void)
{
    if (groups.version != NONE)
        remove_left_over();
    groups.version = NONE;
}

/* --- one */

unsigned subgroup_create(void)
{
    char path[PATH_MAX];
    unsigned group = groups.count + 1;
    if (!path_of(path, group, ""))
        return 0;
    if (mkdir(path, 0755)) {
        if (!groups.warned)
            log_warn("an engine gets no control group of its own: %s: %s", path, strerror(errno));
        groups.warned = true;
        return 0;
    }
    return ++groups.count;
}

void subgroup_remove(unsigned group)
{
    char path[PATH_MAX];
    if (path_of(path, group, ""))
        rmdir(path);
}

int subgroup_folder(unsigned group)
{
    char path[PATH_MAX];
    if (groups.version != VERSION_2 || !path_of(path, group, ""))
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Within the job's time the number cannot be another process's: that takes as many new processes as there are numbers. */
bool subgroup_enter(unsigned group, pid_t pid)
{
    char path[PATH_MAX], text[3 * sizeof pid];
    snprintf(text, sizeof text, "%d", (int)pid);
    return path_of(path, group, "") && write_to(path, "cgroup.procs", text) == 0;
}

size_t subgroup_members(unsigned group, pid_t *out, size_t max)
{
    char path[PATH_MAX];
    size_t n = 0;
    FILE *f = path_of(path, group, "cgroup.procs") ? fopen(path, "re") : NULL;
    while (f && n < max && fscanf(f, "%d", &out[n]) == 1) // NOLINT(cert-err34-c)
        n += out[n] > 0;                                  /* 0: of another namespace of pids */
    if (f)
        fclose(f);
    return n;
}

/* `kernel` is the sum of these, and of what it reclaims before it kills, since Linux 5.18. */
static bool memory_2(const char *folder, uint64_t *out)
{
    uint64_t anon = UINT64_MAX, shmem = 0, kernel = 0, reclaimable = 0, sock = 0;
    uint64_t stack = 0, tables = 0, percpu = 0, slab = 0;
    const struct kernel_field fields[] = {
        {"anon", &anon},
        {"shmem", &shmem},
        {"kernel", &kernel},
        {"sock", &sock},
        {"kernel_stack", &stack},
        {"pagetables", &tables},
        {"percpu", &percpu},
        {"slab_unreclaimable", &slab},
        {"slab_reclaimable", &reclaimable},
    };
    kernel_fields(fields, sizeof fields / sizeof *fields, "%s/memory.stat", folder);
    if (!kernel)
        kernel = stack + tables + percpu + slab + reclaimable;
    *out = anon + shmem + sock + (kernel > reclaimable ? kernel - reclaimable : 0);
    return anon != UINT64_MAX;
}

static bool memory_1(const char *folder, uint64_t *out)
{
    uint64_t anon = UINT64_MAX, shmem = 0, kernel = 0;
    const struct kernel_field fields[] = {{"total_rss", &anon}, {"total_shmem", &shmem}};
    kernel_fields(fields, sizeof fields / sizeof *fields, "%s/memory.stat", folder);
    (void)kernel_number(&kernel, "%s/memory.kmem.usage_in_bytes", folder);
    *out = anon + shmem + kernel;
    return anon != UINT64_MAX;
}

bool subgroup_memory(unsigned group, uint64_t *out)
{
    char path[PATH_MAX];
    if (!path_of(path, group, ""))
        return false;
    return groups.version == VERSION_2 ? memory_2(path, out) : memory_1(path, out);
}

int subgroup_oom_kills(unsigned group)
{
    char path[PATH_MAX];
    uint64_t kills = UINT64_MAX;
    const struct kernel_field field = {"oom_kill", &kills};
    const char *file = groups.version == VERSION_2 ? "memory.events" : "memory.oom_control";
    if (path_of(path, group, file))
        kernel_fields(&field, 1, "%s", path);
    return kills == UINT64_MAX ? -1 : kills > INT_MAX ? INT_MAX : (int)kills;
}
