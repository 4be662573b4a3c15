/* SPDX-License-Identifier: MIT */
#include "engine/memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strv.h"
#include "base/value.h"
#include "engine/cgroup.h"
#include "engine/drm.h"
#include "engine/family.h"
#include "engine/kernel.h"

#define HOST "host"
#define GPUS_MAX (MEMORY_DEVICES_MAX - 1)

/* --- NVML */

/* The part of NVML's interface that is used, declared here so that the build needs no header of NVIDIA.
 * Names and layouts: NVIDIA's "NVML API Reference Guide"; a layout that changes gets a new name (_v2). */

#define NVML_OK 0
#define NVML_INSUFFICIENT_SIZE 7
#define NVML_NOT_AVAILABLE ((unsigned long long)-1) /* of usedGpuMemory */

struct nvml_memory { /* nvmlMemory_t */
    unsigned long long total, free, used;
};

struct nvml_process { /* nvmlProcessInfo_t */
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

typedef void *nvml_device;
typedef int nvml_processes_fn(nvml_device device, unsigned *count, struct nvml_process *list);

static struct {
    void *library; /* NULL: no GPU */
    int (*init)(void);
    int (*shutdown)(void);
    int (*device_count)(unsigned *count);
    int (*device_by_index)(unsigned index, nvml_device *device);
    int (*memory_info)(nvml_device device, struct nvml_memory *out);
    nvml_processes_fn *compute_processes;  /* CUDA */
    nvml_processes_fn *graphics_processes; /* Vulkan; may be NULL */

    struct {
        nvml_device handle;
        unsigned index; /* NVML's number */
    } gpu[GPUS_MAX];
    size_t gpus;
    unsigned known; /* with the GPUs that do not report their memory */
} nvml;

/* POSIX allows dlsym()'s result to be used as a function's address; ISO C has no cast for it. */
static bool load_symbol(const char *name, void *place)
{
    void *symbol = dlsym(nvml.library, name);
    memcpy(place, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool load_symbols(void)
{
    load_symbol("nvmlDeviceGetGraphicsRunningProcesses_v3", &nvml.graphics_processes);
    return load_symbol("nvmlInit_v2", &nvml.init) && load_symbol("nvmlShutdown", &nvml.shutdown) &&
           load_symbol("nvmlDeviceGetCount_v2", &nvml.device_count) &&
           load_symbol("nvmlDeviceGetHandleByIndex_v2", &nvml.device_by_index) &&
           load_symbol("nvmlDeviceGetMemoryInfo", &nvml.memory_info) &&
           load_symbol("nvmlDeviceGetComputeRunningProcesses_v3", &nvml.compute_processes);
}

/* A GPU that does not report its memory is left out: on small boards it uses the host's. */
static void find_gpus(void)
{
    if (nvml.device_count(&nvml.known) != NVML_OK)
        nvml.known = 0;
    for (unsigned i = 0; i < nvml.known && nvml.gpus < GPUS_MAX; i++) {
        nvml_device device;
        struct nvml_memory figures;
        if (nvml.device_by_index(i, &device) != NVML_OK ||
            nvml.memory_info(device, &figures) != NVML_OK)
            continue;
        nvml.gpu[nvml.gpus].handle = device;
        nvml.gpu[nvml.gpus].index = i;
        nvml.gpus++;
    }
}

static void load_nvml(void)
{
    const char *name = getenv("HOSTLER_NVML");
    nvml.library = dlopen(name ? name : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!nvml.library) {
        if (name)
            log_warn("HOSTLER_NVML: %s", dlerror());
        return;
    }
    if (load_symbols() && nvml.init() == NVML_OK) {
        find_gpus();
        return;
    }
    log_warn("NVML is installed but does not work: memory of GPUs is not taken into account");
    dlclose(nvml.library);
    memset(&nvml, 0, sizeof nvml);
}

static void unload_nvml(void)
{
    if (!nvml.library)
        return;
    nvml.shutdown();
    dlclose(nvml.library);
    memset(&nvml, 0, sizeof nvml);
}

static void read_nvml(struct memory_device *out)
{
    for (size_t i = 0; i < nvml.gpus; i++, out++) {
        struct nvml_memory figures;
        snprintf(out->name, sizeof out->name, "gpu%u", nvml.gpu[i].index);
        if (nvml.memory_info(nvml.gpu[i].handle, &figures) != NVML_OK)
            continue;
        out->total = figures.total;
        out->available = figures.free;
    }
}

/* Calls `each` for the entries of a list; a process has one for each MIG instance that it uses. */
static void each_listed(nvml_processes_fn *list, nvml_device device,
                        void (*each)(const struct nvml_process *p, void *ctx), void *ctx)
{
    struct nvml_process some[64], *all = some;
    unsigned count = sizeof some / sizeof *some;
    int rc = list ? list(device, &count, all) : -1;
    if (rc == NVML_INSUFFICIENT_SIZE) {
        count += 16; /* processes may start before the next call */
        all = calloc(count, sizeof *all);
        rc = all ? list(device, &count, all) : -1;
    }
    for (unsigned i = 0; rc == NVML_OK && i < count; i++)
        each(&all[i], ctx);
    if (all != some)
        free(all);
}

struct sum {
    unsigned pid;
    uint64_t bytes;
};

static void add_bytes(const struct nvml_process *p, void *ctx)
{
    struct sum *sum = ctx;
    if (p->pid == sum->pid && p->used != NVML_NOT_AVAILABLE)
        sum->bytes += p->used;
}

static uint64_t gpu_bytes_listed(nvml_processes_fn *list, nvml_device device, pid_t pid)
{
    struct sum sum = {.pid = (unsigned)pid};
    each_listed(list, device, add_bytes, &sum);
    return sum.bytes;
}

struct pids {
    pid_t *v;
    size_t n, max;
};

static void add_pid(const struct nvml_process *p, void *ctx)
{
    struct pids *pids = ctx;
    for (size_t i = 0; i < pids->n; i++)
        if (pids->v[i] == (pid_t)p->pid)
            return;
    if (pids->n < pids->max)
        pids->v[pids->n++] = (pid_t)p->pid;
}

size_t memory_gpu_processes(pid_t *out, size_t max)
{
    struct pids pids = {.v = out, .max = max};
    for (size_t i = 0; i < nvml.gpus; i++) {
        each_listed(nvml.compute_processes, nvml.gpu[i].handle, add_pid, &pids);
        each_listed(nvml.graphics_processes, nvml.gpu[i].handle, add_pid, &pids);
    }
    return pids.n;
}

static void nvml_bytes_of(pid_t pid, uint64_t *bytes)
{
    for (size_t i = 0; i < nvml.gpus; i++) {
        /* A process that computes and draws is in both lists, with the same figure. */
        uint64_t compute = gpu_bytes_listed(nvml.compute_processes, nvml.gpu[i].handle, pid);
        uint64_t graphics = gpu_bytes_listed(nvml.graphics_processes, nvml.gpu[i].handle, pid);
        bytes[i] = compute > graphics ? compute : graphics;
    }
}

/* --- the kernel's files */

static struct {
    const char *root;
    struct cgroup cgroup;
    struct drm_gpu gpu[GPUS_MAX];
    size_t gpus;
} kernel = {.root = ""};

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

static void read_drm(struct memory_device *out)
{
    for (unsigned i = 0; i < kernel.gpus; i++, out++) {
        uint64_t used;
        snprintf(out->name, sizeof out->name, "gpu%u", nvml.known + i);
        drm_memory(kernel.root, &kernel.gpu[i], &out->total, &used);
        out->available = subtract(out->total, used);
    }
}

static uint64_t host_bytes_of(pid_t pid)
{
    uint64_t anon = 0, shared = 0, file = 0, locked = 0;
    const struct kernel_field fields[] = {
        {"RssAnon", &anon}, {"RssShmem", &shared}, {"RssFile", &file}, {"VmLck", &locked}};
    kernel_fields(fields, sizeof fields / sizeof *fields, "%s/proc/%d/status", kernel.root,
                  (int)pid);
    return anon + shared + min(file, locked);
}

/* --- all */

void memory_init_at(const char *root)
{
    load_nvml();
    kernel.root = root;
    kernel.gpus = drm_find(root, kernel.gpu, GPUS_MAX - nvml.gpus);
    cgroup_find(&kernel.cgroup, root);
}

void memory_init(void)
{
    memory_init_at("");
}

void memory_finish(void)
{
    unload_nvml();
    memset(&kernel, 0, sizeof kernel);
    kernel.root = "";
}

bool memory_has_gpu(void)
{
    return nvml.gpus + kernel.gpus > 0;
}

bool memory_is_complete(void)
{
    return drm_is_complete(kernel.root, nvml.gpus > 0 && nvml.gpus == nvml.known);
}

void memory_read(struct memory_figures *out)
{
    *out = (struct memory_figures){.n = 1 + nvml.gpus + kernel.gpus};
    read_host(&out->device[0]);
    read_nvml(&out->device[1]);
    read_drm(&out->device[1 + nvml.gpus]);
}

void memory_of_process(pid_t pid, struct memory_use *out)
{
    *out = (struct memory_use){.n = 1 + nvml.gpus + kernel.gpus};
    out->bytes[0] = host_bytes_of(pid);
    nvml_bytes_of(pid, &out->bytes[1]);
    drm_of_process(kernel.root, pid, kernel.gpu, kernel.gpus, &out->bytes[1 + nvml.gpus]);
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
    family_read(&table, kernel.root, getpid());
    for (size_t i = 0; i < n; i++) {
        size_t k = family_members(&table, leaders[i], false, members);
        out[i] = (struct memory_use){.n = 1 + nvml.gpus + kernel.gpus};
        while (k)
            add_use(&out[i], members[--k]);
    }
    family_finish(&table);
}

uint64_t memory_oom_kills(void)
{
    uint64_t n = 0;
    const struct kernel_field field = {"oom_kill", &n};
    kernel_fields(&field, 1, "%s/proc/vmstat", kernel.root);
    return n;
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
