/* SPDX-License-Identifier: MIT */
#include "engine/family.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/children.h"
#include "engine/kernel.h"
#include "engine/subgroup.h"

#define ENVIRONMENT_MAX ((size_t)256 << 10) /* of which the mark is looked for */

struct family_process {
    pid_t pid, parent, group;
    pid_t mark; /* of a child of the daemon: the leader that its environment names; 0: none */
};

/* --- reading ------------------------------------------------------------------------------------
 */

/*
 * /proc/PID/stat (proc_pid_stat(5)): `PID (NAME) STATE PPID PGRP …`; NAME may hold spaces and brackets, so
 * the fields begin after the last bracket.
 */
static bool read_stat(const char *root, const char *pid, struct family_process *p, char *state)
{
    char line[512];
    int parent, group;
    FILE *f = kernel_open("%s/proc/%s/stat", root, pid);
    if (!f)
        return false;
    size_t len = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[len] = '\0';
    const char *rest = strrchr(line, ')');
    if (!rest || sscanf(rest + 1, " %c %d %d", state, &parent, &group) != 3) // NOLINT(cert-err34-c)
        return false;
    *p = (struct family_process){
        .pid = (pid_t)strtol(pid, NULL, 10), .parent = parent, .group = group};
    return true;
}

/* The variables are `NAME=VALUE`, each ended by a zero byte. */
static pid_t find_mark(const char *environment, size_t len)
{
    static const char name[] = FAMILY_MARK "=";
    for (size_t at = 0; at < len; at += strlen(environment + at) + 1)
        if (strncmp(environment + at, name, sizeof name - 1) == 0)
            return (pid_t)strtol(environment + at + sizeof name - 1, NULL, 10);
    return 0;
}

static pid_t read_mark(const char *root, const char *pid)
{
    char *environment = calloc(1, ENVIRONMENT_MAX + 1);
    FILE *f = environment ? kernel_open("%s/proc/%s/environ", root, pid) : NULL;
    size_t len = f ? fread(environment, 1, ENVIRONMENT_MAX, f) : 0;
    pid_t mark = find_mark(environment, len);
    if (f)
        fclose(f);
    free(environment);
    return mark;
}

/* Reading the environment of a process that waits in the kernel (state D) may wait for it. Those that the
 * daemon started itself need no mark. */
static bool read_process(struct family_table *t, const char *root, const char *pid,
                         struct family_process *p)
{
    char state;
    if (!read_stat(root, pid, p, &state) || state == 'Z' || state == 'X')
        return false;
    if (p->parent == t->daemon && state != 'D' && !children_contain(p->pid))
        p->mark = read_mark(root, pid);
    return true;
}

static bool append(struct family_table *t, size_t *room, const struct family_process *p)
{
    if (t->n == *room) {
        size_t more = *room ? 2 * *room : 256;
        struct family_process *grown = realloc(t->process, more * sizeof *grown);
        if (!grown)
            return false;
        t->process = grown;
        *room = more;
    }
    t->process[t->n++] = *p;
    return true;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const struct family_process *)a)->pid, y = ((const struct family_process *)b)->pid;
    return (x > y) - (x < y);
}

/* Adds process `pid` unless it cannot be read. False: no memory for it. */
static bool add(struct family_table *t, size_t *room, const char *root, const char *pid)
{
    struct family_process p;
    return !read_process(t, root, pid, &p) || append(t, room, &p);
}

/* Calls for each entry of a folder whose name is a number, until `each` returns false. */
static void each_number(const char *path, bool (*each)(const char *name, void *ctx), void *ctx)
{
    bool ok = true;
    DIR *list = opendir(path);
    if (!list)
        return;
    for (struct dirent *d; ok && (d = readdir(list));)
        if (*d->d_name >= '1' && *d->d_name <= '9')
            ok = each(d->d_name, ctx);
    closedir(list);
}

struct reading {
    struct family_table *table;
    size_t room;
    const char *root;
    pid_t parent; /* whose threads are gone over */
    bool complete;
};

static bool add_any(const char *pid, void *ctx)
{
    struct reading *r = ctx;
    return add(r->table, &r->room, r->root, pid);
}

static void read_all(struct reading *r)
{
    char path[PATH_MAX];
    r->table->n = 0;
    snprintf(path, sizeof path, "%s/proc", r->root);
    each_number(path, add_any, r);
}

/* The children that a thread has started or adopted: /proc/PID/task/TID/children (proc_tid_children(5)). */
static bool add_children_of(const char *thread, void *ctx)
{
    struct reading *r = ctx;
    char pid[3 * sizeof(pid_t)];
    bool ok = true;
    FILE *f = kernel_open("%s/proc/%d/task/%s/children", r->root, (int)r->parent, thread);
    if (!f) {
        r->complete &= r->parent != r->table->daemon; /* else the thread has ended */
        return true;
    }
    while (ok && fscanf(f, "%11s", pid) == 1)
        ok = add(r->table, &r->room, r->root, pid);
    fclose(f);
    return ok;
}

static void add_descendants(struct reading *r, pid_t parent)
{
    char path[PATH_MAX];
    r->parent = parent;
    snprintf(path, sizeof path, "%s/proc/%d/task", r->root, (int)parent);
    each_number(path, add_children_of, r);
}

/* The main thread starts engines (spawn.h), and the kernel gives orphans to it. */
static void add_own_children(struct reading *r)
{
    char thread[3 * sizeof(pid_t)];
    r->parent = r->table->daemon;
    snprintf(thread, sizeof thread, "%d", (int)r->parent);
    add_children_of(thread, r);
}

/* All that can belong to a family descends from the daemon, as orphans are given to it (children.h). Kernels
 * without CONFIG_PROC_CHILDREN do not list children: then all processes are read. */
bool family_read(struct family_table *t, const char *root, pid_t daemon)
{
    struct reading r = {.table = t, .root = root, .complete = true};
    *t = (struct family_table){.daemon = daemon};
    add_own_children(&r);
    for (size_t i = 0; i < t->n && r.complete; i++)
        add_descendants(&r, t->process[i].pid);
    if (!r.complete)
        read_all(&r);
    if (t->n)
        qsort(t->process, t->n, sizeof *t->process, by_pid);
    return r.complete || t->n; /* all processes: the daemon is among them */
}

void family_finish(struct family_table *t)
{
    free(t->process);
    *t = (struct family_table){0};
}

/* --- whose --------------------------------------------------------------------------------------
 */

/* The kernel may give the leader's number to another process, even to another engine's leader, when the group
 * has ended. Other leaders are the daemon's own children (children.h). */
static bool is_root(const struct family_table *t, const struct family_process *p, pid_t leader,
                    bool group_ended)
{
    if (p->pid == leader)
        return !group_ended && p->parent == t->daemon;
    if (p->pid == t->daemon || children_contain(p->pid))
        return false;
    return p->mark == leader || (!group_ended && p->group == leader);
}

static bool contains(const pid_t *pids, size_t n, pid_t pid)
{
    for (size_t i = 0; i < n; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Adds the children of the members; true: there were any. */
static bool add_children(const struct family_table *t, pid_t *out, size_t *n)
{
    size_t before = *n;
    for (size_t i = 0; i < t->n && *n < FAMILY_MAX; i++)
        if (contains(out, before, t->process[i].parent) && !contains(out, *n, t->process[i].pid))
            out[(*n)++] = t->process[i].pid;
    return *n > before;
}

size_t family_members(const struct family_table *t, pid_t leader, bool group_ended,
                      unsigned subgroup, pid_t out[FAMILY_MAX])
{
    size_t n = subgroup_members(subgroup, out, FAMILY_MAX);
    for (size_t i = 0; i < t->n && n < FAMILY_MAX; i++)
        if (is_root(t, &t->process[i], leader, group_ended) && !contains(out, n, t->process[i].pid))
            out[n++] = t->process[i].pid;
    while (n && add_children(t, out, &n))
        ;
    return n;
}

bool family_group_runs(const struct family_table *t, pid_t leader)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->process[i].group == leader)
            return true;
    return false;
}
