/* SPDX-License-Identifier: MIT */
#include "engine/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernel.h"

/* --- where */

/* Whether `item` is in a list by commas. */
static bool listed(const char *list, const char *item)
{
    size_t len = strlen(item);
    for (; list; list = strchr(list, ','), list = list ? list + 1 : NULL)
        if (strncmp(list, item, len) == 0 && (list[len] == ',' || !list[len]))
            return true;
    return false;
}

/* Cuts a line `ID:CONTROLLERS:PATH` of /proc/self/cgroup (cgroups(7)) in place. */
static bool group_in(char *line, char **controllers, char **path)
{
    *controllers = strchr(line, ':');
    *path = *controllers ? strchr(*controllers + 1, ':') : NULL;
    if (!*path)
        return false;
    (*controllers)++;
    *(*path)++ = '\0';
    (*path)[strcspn(*path, "\n")] = '\0';
    return true;
}

/* Cuts a line of /proc/self/mountinfo (proc(5)) in place: ID PARENT DEVICE ROOT POINT OPTIONS
 * [TAGS] - TYPE SOURCE OPTIONS. */
static bool mount_in(char *line, const char *type, const char *controller, char **top, char **point)
{
    char *rest = strstr(line, " - "), *save, *word = NULL;
    if (!rest || strncmp(rest + 3, type, strlen(type)) != 0 || rest[3 + strlen(type)] != ' ')
        return false;
    rest[strcspn(rest, "\n")] = '\0';
    if (*controller && !listed(strrchr(rest, ' ') + 1, controller))
        return false;
    for (int i = 0; i < 5; i++) {
        *top = word;
        word = strtok_r(i ? NULL : line, " ", &save);
    }
    *point = word;
    return word != NULL;
}

/* The group's path below the mount, which may show a part of the hierarchy only: in a container
 * without a namespace of its own, the container's. */
static const char *below(const char *group, const char *top)
{
    size_t len = strlen(top);
    if (strcmp(top, "/") == 0)
        return strcmp(group, "/") == 0 ? "" : group;
    bool inside = strncmp(group, top, len) == 0 && (group[len] == '/' || !group[len]);
    return inside ? group + len : "";
}

static size_t locate(char *path, const char *root, const char *group, const char *type,
                     const char *controller)
{
    char *line = NULL, *top, *point;
    size_t size = 0, len = 0;
    FILE *f = kernel_open("%s/proc/self/mountinfo", root);
    while (f && !len && getline(&line, &size, f) > 0)
        if (mount_in(line, type, controller, &top, &point)) {
            int n = snprintf(path, PATH_MAX, "%s%s%s", root, point, below(group, top));
            len = strlen(root) + strlen(point);
            if (n >= PATH_MAX)
                *path = '\0';
        }
    free(line);
    if (f)
        fclose(f);
    return len;
}

void cgroup_find(struct cgroup *c, const char *root)
{
    char *line = NULL, *controllers, *group;
    size_t size = 0;
    FILE *f = kernel_open("%s/proc/self/cgroup", root);
    c->v2.path[0] = c->v1.path[0] = '\0';
    while (f && getline(&line, &size, f) > 0) {
        if (!group_in(line, &controllers, &group))
            continue;
        if (!*controllers) /* version 2's only line */
            c->v2.top = locate(c->v2.path, root, group, "cgroup2", "");
        else if (listed(controllers, "memory"))
            c->v1.top = locate(c->v1.path, root, group, "cgroup", "memory");
    }
    free(line);
    if (f)
        fclose(f);
}

/* --- how much */

static const struct files {
    const char *limit, *used;
    const char *slow; /* a limit above which the group is slowed down; NULL: there is none such */
    const char *inactive, *active; /* in memory.stat, groups below included */
    const char *slab;              /* likewise; NULL: not told */
} v2 = {"memory.max",    "memory.current", "memory.high",
        "inactive_file", "active_file",    "slab_reclaimable"},
  v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", NULL,
        "total_inactive_file",   "total_active_file",     NULL};

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void apply(const char *folder, const struct files *names, struct cgroup_memory *m)
{
    uint64_t limit = UINT64_MAX, slow = UINT64_MAX, used, inactive = 0, active = 0, slab = 0;
    const struct kernel_field fields[] = {
        {names->inactive, &inactive}, {names->active, &active}, {names->slab, &slab}};
    bool limited = kernel_number(&limit, "%s/%s", folder, names->limit);
    if (names->slow && kernel_number(&slow, "%s/%s", folder, names->slow)) {
        limit = slow < limit ? slow : limit;
        limited = true;
    }
    if (!limited || !kernel_number(&used, "%s/%s", folder, names->used))
        return;
    size_t told = sizeof fields / sizeof *fields - !names->slab;
    kernel_fields(fields, told, "%s/memory.stat", folder);
    uint64_t room = less(limit, less(used, inactive + active + slab));
    m->limit = limit < m->limit ? limit : m->limit;
    m->room = room < m->room ? room : m->room;
}

static void climb(const char *from, size_t top, const struct files *names, struct cgroup_memory *m)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", from);
    while (*folder) {
        apply(folder, names, m);
        char *last = strrchr(folder, '/');
        if (!last || strlen(folder) <= top)
            break;
        *last = '\0';
    }
}

void cgroup_read(const struct cgroup *c, struct cgroup_memory *out)
{
    *out = (struct cgroup_memory){UINT64_MAX, UINT64_MAX};
    climb(c->v2.path, c->v2.top, &v2, out);
    climb(c->v1.path, c->v1.top, &v1, out);
}
