/* SPDX-License-Identifier: MIT */
#include "engine/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strv.h"
#include "base/value.h"
#include "engine/cgroup.h"
#include "engine/drm.h"
#include "engine/family.h"
#include "engine/kernel.h"
#include "engine/nvml.h"

#define HOST "host"
#define GPUS_MAX (MEMORY_DEVICES_MAX - 1)

/* --- the kernel's files */

static struct {
    const char *root;
    struct cgroup cgroup;
    char events_file[PATH_MAX];
    struct drm_gpu gpu[GPUS_MAX];
    size_t gpus;
} kernel = {.root = ""};

static struct card_list cards;

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t subtract(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void read_host(struct memory_device *out)
{
    const struct kernel_field fields[] = {{"MemTotal", &out->total},
                                          {"MemAvailable", &out->available}};
    struct cgroup_memory group;
    snprintf(out->name, sizeof out->name, HOST);
    kernel_fields(fields, sizeof fields / sizeof *fields, "%s/proc/meminfo", kernel.root);
    cgroup_read(&kernel.cgroup, &group);
    out->total = min(out->total, group.limit);
    out->available = min(out->available, group.room);
}

static bool read_nvml(struct memory_device *out)
{
    bool all = true;
    for (size_t i = 0; i < nvml_devices(); i++, out++) {
        nvml_name(i, out->name, sizeof out->name);
        all &= nvml_memory(i, &out->total, &out->available);
    }
    return all;
}

static void read_drm(struct memory_device *out)
{
    for (unsigned i = 0; i < kernel.gpus; i++, out++) {
        uint64_t used;
        snprintf(out->name, sizeof out->name, "gpu%u", nvml_cards() + i);
        drm_memory(kernel.root, &kernel.gpu[i], &out->total, &used);
        out->available = subtract(out->total, used);
    }
}

/* Pages that several engines have locked count for each in part, so that their sum is true. The kernel walks every
 * page for this, so only engines that lock any are asked. */
static uint64_t locked_file_bytes_of(pid_t pid, uint64_t file, uint64_t locked)
{
    uint64_t share = file;
    const struct kernel_field fields[] = {{"Pss_File", &share}, {"Locked", &locked}};
    kernel_fields(fields, sizeof fields / sizeof *fields, "%s/proc/%d/smaps_rollup", kernel.root,
                  (int)pid);
    return min(share, locked);
}

static uint64_t host_bytes_of(pid_t pid)
{
    uint64_t anon = 0, shared = 0, file = 0, locked = 0;
    const struct kernel_field fields[] = {
        {"RssAnon", &anon}, {"RssShmem", &shared}, {"RssFile", &file}, {"VmLck", &locked}};
    kernel_fields(fields, sizeof fields / sizeof *fields, "%s/proc/%d/status", kernel.root,
                  (int)pid);
    return anon + shared + (locked ? locked_file_bytes_of(pid, file, locked) : 0);
}

/* --- all */

static size_t devices(void)
{
    return 1 + nvml_devices() + kernel.gpus;
}

static void find_drm(const char *root)
{
    size_t first = cards.n;
    kernel.gpus = drm_find(root, kernel.gpu, GPUS_MAX - nvml_devices());
    drm_add_cards(root, &cards);
    for (size_t i = first; i < cards.n; i++)
        for (size_t k = 0; k < kernel.gpus; k++)
            if (strcmp(cards.card[i].pci, kernel.gpu[k].pci) == 0)
                cards.card[i].device = (uint8_t)(1 + nvml_devices() + k);
}

void memory_init_at(const char *root)
{
    cards.n = 0;
    nvml_open(&cards, 1, GPUS_MAX);
    kernel.root = root;
    find_drm(root);
    cgroup_find(&kernel.cgroup, root);
}

void memory_init(void)
{
    memory_init_at("");
}

void memory_finish(void)
{
    nvml_close();
    cards.n = 0;
    memset(&kernel, 0, sizeof kernel);
    kernel.root = "";
}

void memory_rest(void)
{
    nvml_rest();
}

bool memory_has_gpu(void)
{
    return devices() > 1;
}

bool memory_is_complete(void)
{
    return drm_is_complete(kernel.root, nvml_is_complete());
}

void memory_read(struct memory_figures *out)
{
    *out = (struct memory_figures){.n = devices(), .cards = cards};
    nvml_wake();
    read_host(&out->device[0]);
    out->silent = !read_nvml(&out->device[1]);
    read_drm(&out->device[1 + nvml_devices()]);
}

void memory_of_process(pid_t pid, struct memory_use *out)
{
    nvml_wake();
    *out = (struct memory_use){.n = devices()};
    out->bytes[0] = host_bytes_of(pid);
    for (size_t i = 0; i < nvml_devices(); i++)
        out->bytes[1 + i] = nvml_of_process(i, pid);
    drm_of_process(kernel.root, pid, kernel.gpu, kernel.gpus, &out->bytes[1 + nvml_devices()]);
}

static void add_use(struct memory_use *sum, pid_t pid)
{
    struct memory_use use;
    memory_of_process(pid, &use);
    for (size_t d = 0; d < sum->n; d++)
        sum->bytes[d] += use.bytes[d];
}

void memory_of_engines(const pid_t *leaders, size_t n, struct memory_use *out)
{
    struct family_table table;
    pid_t members[FAMILY_MAX];
    nvml_wake();
    family_read(&table, kernel.root, getpid());
    for (size_t i = 0; i < n; i++) {
        size_t k = family_members(&table, leaders[i], false, members);
        out[i] = (struct memory_use){.n = devices()};
        while (k)
            add_use(&out[i], members[--k]);
    }
    family_finish(&table);
}

size_t memory_gpu_processes(pid_t *out, size_t max)
{
    return nvml_processes(out, max);
}

uint64_t memory_oom_kills(void)
{
    uint64_t n = 0;
    const struct kernel_field field = {"oom_kill", &n};
    kernel_fields(&field, 1, "%s/proc/vmstat", kernel.root);
    return n;
}

static bool read_stalled(const char *folder, const char *name, uint64_t *out)
{
    char line[256];
    bool found = false;
    FILE *f = kernel_open("%s/%s", folder, name);
    while (f && !found && fgets(line, sizeof line, f)) { /* full avg10=0.00 … total=1038232 */
        const char *total = strncmp(line, "full ", 5) == 0 ? strstr(line, "total=") : NULL;
        found = total;
        if (total)
            *out = strtoull(total + strlen("total="), NULL, 10);
    }
    if (f)
        fclose(f);
    return found;
}

uint64_t memory_stalled(void)
{
    uint64_t stalled = 0;
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s/proc/pressure", kernel.root);
    if (!*kernel.cgroup.v2.path ||
        !read_stalled(kernel.cgroup.v2.path, "memory.pressure", &stalled))
        (void)read_stalled(folder, "memory", &stalled);
    return stalled;
}

/* Unprivileged users may have a window that is a multiple of 2 s (the kernel's accounting/psi). Its end is a zero byte. */
#define TRIGGER "some 150000 2000000"

static int open_trigger(const char *fmt, const char *folder)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, fmt, folder) >= sizeof path)
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, TRIGGER, sizeof TRIGGER) == (ssize_t)sizeof TRIGGER)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

int memory_pressure_open(void)
{
    int fd = open_trigger("%s/proc/pressure/memory", kernel.root);
    if (fd < 0 && *kernel.cgroup.v2.path)
        fd = open_trigger("%s/memory.pressure", kernel.cgroup.v2.path);
    return fd;
}

const char *memory_events_file(void)
{
    const char *group = kernel.cgroup.v2.path;
    int n = snprintf(kernel.events_file, sizeof kernel.events_file, "%s/memory.events", group);
    bool there =
        *group && (size_t)n < sizeof kernel.events_file && !access(kernel.events_file, F_OK);
    return there ? kernel.events_file : NULL;
}

/* --- budgets */

#define MIB ((uint64_t)1 << 20)

uint64_t memory_margin(const struct memory_device *d)
{
    bool host = strcmp(d->name, HOST) == 0;
    uint64_t part = d->total / (host ? 20 : 50), least = (host ? 512 : 256) * MIB;
    uint64_t most = d->total / 8;
    return part > least ? part : min(least, most);
}

uint64_t memory_ceiling(const struct memory_device *d, uint64_t limit, uint64_t margin)
{
    return limit ? min(d->total, limit) : subtract(d->total, margin);
}

uint64_t memory_capacity(const struct memory_device *d, uint64_t held, uint64_t limit,
                         uint64_t margin)
{
    uint64_t all = d->available + min(held, UINT64_MAX - d->available);
    return min(limit ? all : subtract(all, margin), memory_ceiling(d, limit, margin));
}

static const struct memory_limit *find_limit(const struct memory_limits *limits, const char *name)
{
    for (size_t i = 0; i < limits->n; i++)
        if (strcmp(limits->limit[i].name, name) == 0)
            return &limits->limit[i];
    return NULL;
}

uint64_t memory_limit_of(const struct memory_limits *limits, const char *name)
{
    const struct memory_limit *limit = find_limit(limits, name);
    return limit ? limit->bytes : 0;
}

/* `gpu0=20G`, or a size alone. */
#define LEAST ((uint64_t)1 << 20) /* a smaller limit means that the unit was forgotten */

static int add_limit(const char *item, struct memory_limits *out, struct error *err)
{
    struct memory_limit limit = {.name = HOST};
    const char *sign = strchr(item, '=');
    size_t len = sign ? (size_t)(sign - item) : strlen(HOST);
    if (!len || len >= sizeof limit.name)
        return error_set(err, -EINVAL, "'%s' names no device: write host=8G or gpu0=20G", item);
    if (sign)
        snprintf(limit.name, sizeof limit.name, "%.*s", (int)len, item);
    if (find_limit(out, limit.name))
        return error_set(err, -EINVAL, "'%s': %s has a limit already: give one", item, limit.name);
    if (out->n == MEMORY_DEVICES_MAX)
        return error_set(err, -E2BIG, "'%s': more than %d devices", item, MEMORY_DEVICES_MAX);
    int rc = value_memory(sign ? sign + 1 : item, &limit.bytes, err);
    if (rc == 0 && limit.bytes && limit.bytes < LEAST)
        rc = error_set(err, -EINVAL, "'%s' is less than 1 MiB: write it with its unit, like 8G",
                       item);
    if (rc == 0)
        out->limit[out->n++] = limit;
    return rc;
}

int memory_limits_parse(const char *text, struct memory_limits *out, struct error *err)
{
    struct memory_limits limits = {.n = 0};
    struct strv items = {0};
    int rc = 0;
    strv_split(&items, text, ',');
    if (!items.n)
        rc = error_set(err, -EINVAL, "'%s' is no limit: write 8G, or host=8G,gpu0=20G", text);
    for (size_t i = 0; i < items.n && rc == 0; i++)
        rc = add_limit(items.v[i], &limits, err);
    strv_finish(&items);
    if (rc == 0)
        *out = limits;
    return rc;
}
