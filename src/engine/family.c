/* SPDX-License-Identifier: MIT */
#include "engine/family.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernel.h"

#define ENVIRONMENT_MAX ((size_t)256 << 10) /* of which the mark is looked for */

struct family_process {
    pid_t pid, parent, group;
    pid_t mark; /* of a child of the daemon: the leader that its environment names; 0: none */
};

/* --- reading ------------------------------------------------------------------------------------
 */

/*
 * /proc/PID/stat (proc_pid_stat(5)): `PID (NAME) STATE PPID PGRP …`; NAME may hold spaces and brackets, so
 * what counts begins behind the last bracket.
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

/* Reading the environment of a process that waits in the kernel (state D) may wait for it. */
static bool read_process(struct family_table *t, const char *root, const char *pid,
                         struct family_process *p)
{
    char state;
    if (!read_stat(root, pid, p, &state) || state == 'Z' || state == 'X')
        return false;
    if (p->parent == t->daemon && state != 'D')
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

void family_read(struct family_table *t, const char *root, pid_t daemon)
{
    char path[64 + 256];
    struct family_process p;
    size_t room = 0;
    *t = (struct family_table){.daemon = daemon};
    snprintf(path, sizeof path, "%s/proc", root);
    DIR *list = opendir(path);
    if (!list)
        return;
    for (struct dirent *d; (d = readdir(list));)
        if (*d->d_name >= '1' && *d->d_name <= '9' && read_process(t, root, d->d_name, &p) &&
            !append(t, &room, &p))
            break;
    closedir(list);
    if (t->n)
        qsort(t->process, t->n, sizeof *t->process, by_pid);
}

void family_finish(struct family_table *t)
{
    free(t->process);
    *t = (struct family_table){0};
}

/* --- whose --------------------------------------------------------------------------------------
 */

/* The leader's pid may be another process's once it is reaped. */
static bool is_root(const struct family_table *t, const struct family_process *p, pid_t leader)
{
    if (p->pid == leader)
        return p->parent == t->daemon;
    return p->group == leader || (p->mark == leader && p->pid != t->daemon);
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

size_t family_members(const struct family_table *t, pid_t leader, pid_t out[FAMILY_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < t->n && n < FAMILY_MAX; i++)
        if (is_root(t, &t->process[i], leader))
            out[n++] = t->process[i].pid;
    while (n && add_children(t, out, &n))
        ;
    return n;
}
