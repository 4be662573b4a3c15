/* SPDX-License-Identifier: MIT */
#include "engine/memory.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* --- NVML */

/* What is used of it, declared here so that the build needs nothing of NVIDIA's. Names and layouts:
 * NVIDIA's "NVML API Reference Guide"; a layout that changes gets a new name there (_v2, _v3). */

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
    } gpu[MEMORY_DEVICES_MAX - 1];
    size_t gpus;
} nvml;

/* POSIX lets dlsym()'s result be taken for a function's address; ISO C has no cast for it. */
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

/* A device that does not tell its memory (it shares the host's, as small boards do) is left out:
 * what it holds is the host's. */
static void find_gpus(void)
{
    unsigned count = 0;
    if (nvml.device_count(&count) != NVML_OK)
        return;
    for (unsigned i = 0; i < count && nvml.gpus < MEMORY_DEVICES_MAX - 1; i++) {
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

void memory_init(void)
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
    log_warn("NVML is there but does not work: memory of GPUs is not watched");
    dlclose(nvml.library);
    memset(&nvml, 0, sizeof nvml);
}

void memory_finish(void)
{
    if (!nvml.library)
        return;
    nvml.shutdown();
    dlclose(nvml.library);
    memset(&nvml, 0, sizeof nvml);
}

bool memory_has_gpu(void)
{
    return nvml.gpus > 0;
}

/* --- the host */

/* Reads `NAME:   123 kB` lines of a file under /proc into bytes; what is not there stays as it was.
 */
struct proc_field {
    const char *name;
    uint64_t *bytes;
};

static void read_proc(const char *path, const struct proc_field *fields, size_t n)
{
    char line[256];
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        size_t len = strcspn(line, ":");
        if (!line[len])
            continue;
        for (size_t i = 0; i < n; i++)
            if (strlen(fields[i].name) == len && memcmp(line, fields[i].name, len) == 0)
                *fields[i].bytes = strtoull(line + len + 1, NULL, 10) * 1024;
    }
    fclose(f);
}

static uint64_t host_bytes_of(pid_t pid)
{
    uint64_t anon = 0, shared = 0, file = 0, locked = 0;
    const struct proc_field fields[] = {
        {"RssAnon", &anon}, {"RssShmem", &shared}, {"RssFile", &file}, {"VmLck", &locked}};
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    read_proc(path, fields, sizeof fields / sizeof *fields);
    return anon + shared + (file < locked ? file : locked);
}

/* --- both */

void memory_read(struct memory_figures *out)
{
    *out = (struct memory_figures){.n = 1 + nvml.gpus};
    const struct proc_field fields[] = {{"MemTotal", &out->device[0].total},
                                        {"MemAvailable", &out->device[0].available}};
    snprintf(out->device[0].name, sizeof out->device[0].name, "host");
    read_proc("/proc/meminfo", fields, sizeof fields / sizeof *fields);
    for (size_t i = 0; i < nvml.gpus; i++) {
        struct memory_device *d = &out->device[1 + i];
        struct nvml_memory figures;
        snprintf(d->name, sizeof d->name, "gpu%u", nvml.gpu[i].index);
        if (nvml.memory_info(nvml.gpu[i].handle, &figures) != NVML_OK)
            continue;
        d->total = figures.total;
        d->available = figures.free;
    }
}

/* What the list says of the pid: a process may have several entries (one a MIG instance). */
static uint64_t gpu_bytes_listed(nvml_processes_fn *list, nvml_device device, pid_t pid)
{
    struct nvml_process some[64], *all = some;
    unsigned count = sizeof some / sizeof *some;
    uint64_t bytes = 0;
    int rc = list ? list(device, &count, all) : -1;
    if (rc == NVML_INSUFFICIENT_SIZE) {
        count += 16; /* more may come meanwhile */
        all = calloc(count, sizeof *all);
        rc = all ? list(device, &count, all) : -1;
    }
    for (unsigned i = 0; rc == NVML_OK && i < count; i++)
        if (all[i].pid == (unsigned)pid && all[i].used != NVML_NOT_AVAILABLE)
            bytes += all[i].used;
    if (all != some)
        free(all);
    return bytes;
}

void memory_of_process(pid_t pid, struct memory_use *out)
{
    *out = (struct memory_use){.n = 1 + nvml.gpus};
    out->bytes[0] = host_bytes_of(pid);
    for (size_t i = 0; i < nvml.gpus; i++) {
        /* One that computes and draws is in both lists, with the same figure. */
        uint64_t compute = gpu_bytes_listed(nvml.compute_processes, nvml.gpu[i].handle, pid);
        uint64_t graphics = gpu_bytes_listed(nvml.graphics_processes, nvml.gpu[i].handle, pid);
        out->bytes[1 + i] = compute > graphics ? compute : graphics;
    }
}
