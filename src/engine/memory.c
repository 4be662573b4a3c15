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
#include "engine/subgroup.h"

#define GPUS_MAX (MEMORY_DEVICES_MAX - 1)

/* --- the kernel's files */

static struct {
    const char *root;
    struct cgroup cgroup;
    char events_file[PATH_MAX];
    struct drm_gpu gpu[GPUS_MAX];
    size_t gpus;
} kernel = {.root = ""};

static struct device_table table = {.n = 1};
static bool complete;
static bool rested = true; /* cards may have come since they were looked for */

/* Who tells a device's memory now. */
static struct reader {
    enum { BY_NOBODY, BY_NVML, BY_DRM } by;
    size_t index; /* nvml.h; of kernel.gpu */
} readers[MEMORY_DEVICES_MAX];

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
    kernel_fields(fields, sizeof fields / sizeof *fields, "%s/proc/meminfo", kernel.root);
    cgroup_read(&kernel.cgroup, &group);
    out->total = min(out->total, group.limit);
    out->available = min(out->available, group.room);
}

static bool read_drm(const struct drm_gpu *gpu, struct memory_device *out)
{
    uint64_t used;
    bool answers = drm_memory(kernel.root, gpu, &out->total, &used);
    out->available = subtract(out->total, used);
    return answers;
}

static bool read_card(const struct reader *reader, struct memory_device *out)
{
    switch (reader->by) {
    case BY_NOBODY:
        break;
    case BY_NVML:
        return nvml_memory(reader->index, &out->total, &out->available);
    case BY_DRM:
        return read_drm(&kernel.gpu[reader->index], out);
    }
    return false;
}

/* One that does not answer keeps the total that it had. */
static void read_device(size_t d, struct memory_device *out)
{
    struct device *device = &table.device[d];
    bool gone = device->state == DEVICE_GONE;
    bool answers = !gone && read_card(&readers[d], out);
    if (answers)
        device->card.total = out->total;
    else
        *out = (struct memory_device){.total = device->card.total, .silent = !gone, .gone = gone};
    if (!gone)
        device_table_set_state(&table, d, answers ? DEVICE_ANSWERS : DEVICE_SILENT);
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

/* What becomes available when the process ends (memory_of_process()). */
struct host_bytes {
    uint64_t own;    /* pages without a file */
    uint64_t locked; /* of files */
};

static struct host_bytes host_bytes_of(pid_t pid)
{
    uint64_t anon = 0, shared = 0, file = 0, locked = 0;
    const struct kernel_field fields[] = {
        {"RssAnon", &anon}, {"RssShmem", &shared}, {"RssFile", &file}, {"VmLck", &locked}};
    kernel_fields(fields, sizeof fields / sizeof *fields, "%s/proc/%d/status", kernel.root,
                  (int)pid);
    return (struct host_bytes){.own = anon + shared,
                               .locked = locked ? locked_file_bytes_of(pid, file, locked) : 0};
}

/* --- cards */

/* Those with memory are numbered on from NVML's. */
static void add_drm(struct card_list *found)
{
    size_t first = found->n;
    kernel.gpus = drm_find(kernel.root, kernel.gpu, GPUS_MAX);
    drm_add_cards(kernel.root, found);
    for (size_t i = first, n = 0; i < found->n; i++)
        found->card[i].number = found->card[i].total ? nvml_cards() + (unsigned)n++ : 0;
}

static void set_readers(size_t nvml)
{
    memset(readers, 0, sizeof readers);
    for (size_t i = 0; i < table.cards.n; i++) {
        const struct card *card = &table.cards.card[i];
        struct reader *reader = &readers[card->device];
        if (card->device && !card->partitioned && i < nvml)
            *reader = (struct reader){BY_NVML, i};
        for (size_t k = 0; card->device && card->vendor != CARD_NVIDIA && k < kernel.gpus; k++)
            if (strcmp(card->pci, kernel.gpu[k].pci) == 0)
                *reader = (struct reader){BY_DRM, k};
    }
}

/* Whether NVML is there and tells the memory of all of NVIDIA's cards. */
static bool is_nvidia_complete(bool all)
{
    size_t n = 0;
    for (size_t i = 0; i < table.cards.n; i++) {
        const struct card *card = &table.cards.card[i];
        all &= card->vendor != CARD_NVIDIA || card->partitioned || card->device;
        n += card->vendor == CARD_NVIDIA && card->device;
    }
    return n && all;
}

static void find_cards(void)
{
    struct card_list found = {.n = 0};
    bool all = nvml_find(&found);
    size_t nvml = found.n;
    add_drm(&found);
    device_table_update(&table, &found, all);
    set_readers(nvml);
    complete = drm_is_complete(kernel.root, is_nvidia_complete(all));
}

/* A card that has gone is looked for as long as that takes no more than a question. */
static void look_for_cards(void)
{
    bool silent = device_table_has(&table, DEVICE_SILENT);
    if (rested || silent)
        nvml_wake();
    if (rested || silent || device_table_has(&table, DEVICE_GONE))
        find_cards();
    rested = false;
}

static void look_after_rest(void)
{
    if (rested)
        look_for_cards();
}

/* --- all */

void memory_init_at(const char *root)
{
    device_table_init(&table);
    kernel.root = root;
    cgroup_find(&kernel.cgroup, root);
    rested = true;
    look_for_cards();
}

void memory_init(void)
{
    memory_init_at("");
}

void memory_finish(void)
{
    nvml_close();
    device_table_init(&table);
    memset(readers, 0, sizeof readers);
    memset(&kernel, 0, sizeof kernel);
    kernel.root = "";
}

void memory_rest(void)
{
    nvml_rest();
    rested = true;
}

void memory_read(struct memory_figures *out)
{
    look_for_cards();
    *out = (struct memory_figures){.n = table.n, .complete = complete};
    read_host(&out->device[0]);
    for (size_t d = 1; d < table.n; d++)
        read_device(d, &out->device[d]);
    for (size_t d = 0; d < table.n; d++)
        memcpy(out->device[d].name, table.device[d].name, sizeof out->device[d].name);
    out->silent = device_table_has(&table, DEVICE_SILENT);
    out->version = table.version;
    out->cards = table.cards;
}

static void add_cards(struct memory_use *sum, pid_t pid)
{
    uint64_t on_gpus[GPUS_MAX];
    drm_of_process(kernel.root, pid, kernel.gpu, kernel.gpus, on_gpus);
    for (size_t d = 1; d < table.n; d++)
        switch (readers[d].by) {
        case BY_NOBODY:
            break;
        case BY_NVML:
            sum->bytes[d] += nvml_of_process(readers[d].index, pid);
            break;
        case BY_DRM:
            sum->bytes[d] += on_gpus[readers[d].index];
            break;
        }
}

void memory_of_process(pid_t pid, struct memory_use *out)
{
    look_after_rest();
    struct host_bytes host = host_bytes_of(pid);
    *out = (struct memory_use){.n = table.n, .bytes[0] = host.own + host.locked};
    add_cards(out, pid);
}

static bool contains(const pid_t *pids, size_t n, pid_t pid)
{
    for (size_t i = 0; i < n; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A file's pages are in the group of whoever read them first, so locked ones are counted by processes, which know how
 * many share them. What a process took before it entered its group is not in the group's figure, which so may be less than
 * that process holds. */
static uint64_t host_bytes_of_engine(unsigned subgroup, const pid_t *members, size_t n)
{
    pid_t inside[FAMILY_MAX];
    uint64_t all = 0, outside = 0, largest = 0, locked = 0, group = 0;
    size_t k = subgroup_members(subgroup, inside, FAMILY_MAX);
    for (size_t i = 0; i < n; i++) {
        struct host_bytes host = host_bytes_of(members[i]);
        all += host.own;
        locked += host.locked;
        if (contains(inside, k, members[i]))
            largest = max(largest, host.own);
        else
            outside += host.own;
    }
    if (!k || !subgroup_memory(subgroup, &group))
        return all + locked;
    return max(group, largest) + outside + locked;
}

void memory_of_engines(const struct memory_engine *engines, size_t n, struct memory_use *out)
{
    struct family_table families;
    pid_t members[FAMILY_MAX];
    look_after_rest();
    family_read(&families, kernel.root, getpid());
    for (size_t i = 0; i < n; i++) {
        unsigned subgroup = engines[i].subgroup;
        size_t k = family_members(&families, engines[i].leader, false, subgroup, members);
        out[i] = (struct memory_use){.n = table.n,
                                     .bytes[0] = host_bytes_of_engine(subgroup, members, k)};
        while (k)
            add_cards(&out[i], members[--k]);
    }
    family_finish(&families);
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
    bool host = strcmp(d->name, "host") == 0;
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
    struct memory_limit limit = {.name = "host"};
    const char *sign = strchr(item, '=');
    size_t len = sign ? (size_t)(sign - item) : strlen("host");
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
