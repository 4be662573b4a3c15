/* SPDX-License-Identifier: MIT */
/*
 * A libnvidia-ml of several GPUs, for tests on machines without one. HOSTLER_NVML names it.
 *
 * FAKE_NVML_CARDS lists the GPUs, by commas: `MiB@BUS:PRODUCT`, as `24576@1:NVIDIA A`, with `*N` behind
 * a GPU that is in MIG mode with N instances, each with its part of the memory. Without it gpu0 has
 * 24 GiB and gpu1 48 GiB. UUIDs: GPU-000000BB-0000-0000-0000-000000000000 of the GPU on bus BB (in hex),
 * MIG-000000BB-0000-0000-0000-00000000000I of its instance I. Free is what FAKE_NVML_FREE says (MiB, a
 * number a GPU, by commas), else all. FAKE_NVML_PROCESSES lists processes, `GPU:PID:MiB`, by commas; a
 * GPU in MIG mode has those of `GPU.INSTANCE:PID:MiB`. Where FAKE_NVML_FILE
 * names a file, free, processes and GPUs are its first three lines instead (without a third the variable counts), at each call. While a file
 * of the name FAKE_NVML_HANG exists, such a call does not come back, and while one of the name FAKE_NVML_REST exists, nvmlShutdown() does not.
 *
 * As with NVIDIA's, the GPUs are those that there were at the initialization, numbered then: new ones show after the next one,
 * those that are not listed any more are lost. MIG instances come and go at any time.
 * FAKE_NVML_AWAKE names a file that is there between initialization and nvmlShutdown().
 * FAKE_NVML_SILENT is the number of a GPU that tells no memory, FAKE_NVML_BROKEN makes the
 * initialization fail: with NVML's code, or 999 where it is no number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OK 0
#define INVALID_ARGUMENT 2
#define NOT_SUPPORTED 3
#define INSUFFICIENT_SIZE 7
#define GPU_IS_LOST 15
#define MIB (1ULL << 20)

struct memory {
    unsigned long long total, free, used;
};

struct process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

#define GPUS_MAX 16
#define INSTANCES_MAX 8

struct pci {
    char legacy_id[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char id[32];
};

static struct gpu {
    unsigned long long mib;
    unsigned bus, instances; /* 0: not in MIG mode */
    char product[64];
} gpus[GPUS_MAX];
static unsigned n_gpus;
static int initialized;

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetMemoryInfo(void *device, struct memory *out);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *list);
int nvmlDeviceGetUUID(void *device, char *out, unsigned size);
int nvmlDeviceGetName(void *device, char *out, unsigned size);
int nvmlDeviceGetPciInfo_v3(void *device, struct pci *out);
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending);
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count);
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance);

static void hang(const char *variable)
{
    const char *path = getenv(variable);
    while (path && access(path, F_OK) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* The setting's text: a line of the file, or the variable. */
static const char *setting(int line, const char *variable, char *space, int size)
{
    hang("FAKE_NVML_HANG");
    const char *path = getenv("FAKE_NVML_FILE");
    FILE *f = path ? fopen(path, "r") : NULL;
    if (!f)
        return getenv(variable);
    char *got = space;
    for (int i = 0; got && i <= line; i++)
        got = fgets(space, size, f);
    fclose(f);
    if (got)
        got[strcspn(got, "\n")] = '\0';
    return got || line < 2 ? got : getenv(variable);
}

/* A handle is 1 + the GPU's number + 1000 × (1 + the instance's number). */
static unsigned gpu_of(void *device)
{
    return (unsigned)(((size_t)device - 1) % 1000);
}

/* 0: the GPU itself. */
static unsigned instance_of(void *device)
{
    return (unsigned)(((size_t)device - 1) / 1000);
}

/* Those that there are now; how many. */
static unsigned read_gpus(struct gpu *out)
{
    char space[4096];
    unsigned n = 0;
    const char *text = setting(2, "FAKE_NVML_CARDS", space, sizeof space);
    if (!text)
        text = "24576@1:NVIDIA A,49152@2:NVIDIA B";
    while (*text && n < GPUS_MAX) {
        struct gpu *g = &out[n++];
        *g = (struct gpu){0};
        sscanf(text, "%llu@%u:%63[^,*]*%u", &g->mib, &g->bus, g->product, &g->instances);
        text += strcspn(text, ",");
        text += *text == ',';
    }
    return n;
}

/* Whether the GPU is still there, and how many instances it has now. */
static int ask(unsigned number)
{
    struct gpu now[GPUS_MAX];
    unsigned n = read_gpus(now);
    if (number >= n_gpus || !initialized)
        return INVALID_ARGUMENT;
    for (unsigned i = 0; i < n; i++)
        if (now[i].bus == gpus[number].bus) {
            gpus[number] = now[i];
            return OK;
        }
    return GPU_IS_LOST;
}

static void note_awake(void)
{
    const char *path = getenv("FAKE_NVML_AWAKE");
    FILE *f = path && initialized ? fopen(path, "w") : NULL;
    if (f)
        fclose(f);
    else if (path)
        unlink(path);
}

int nvmlInit_v2(void)
{
    const char *broken = getenv("FAKE_NVML_BROKEN");
    if (broken)
        return atoi(broken) ? atoi(broken) : 999;
    n_gpus = read_gpus(gpus);
    initialized++;
    note_awake();
    return OK;
}

int nvmlShutdown(void)
{
    hang("FAKE_NVML_REST");
    initialized--;
    note_awake();
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = n_gpus;
    return initialized ? OK : 1;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (void *)(size_t)(index + 1);
    return ask(index);
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *out)
{
    char space[4096];
    unsigned gpu = gpu_of(device);
    const char *silent = getenv("FAKE_NVML_SILENT");
    if (ask(gpu) != OK)
        return ask(gpu);
    if (silent && gpu == strtoul(silent, NULL, 10))
        return NOT_SUPPORTED;
    if (instance_of(device) > gpus[gpu].instances)
        return INVALID_ARGUMENT;
    out->total = out->free = gpus[gpu].mib * MIB;
    if (instance_of(device))
        out->total = out->free = out->total / gpus[gpu].instances;
    const char *text = setting(0, "FAKE_NVML_FREE", space, sizeof space);
    for (unsigned i = 0; text && *text; i++) {
        if (i == gpu)
            out->free = strtoull(text, NULL, 10) * MIB;
        text = strchr(text, ',');
        text = text ? text + 1 : NULL;
    }
    out->used = out->total - out->free;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *list)
{
    char space[4096];
    unsigned found = 0, pid, mib, len;
    char on[8], name[32];
    const char *text = setting(1, "FAKE_NVML_PROCESSES", space, sizeof space);
    len = (unsigned)snprintf(name, sizeof name, "%u", gpu_of(device));
    if (instance_of(device))
        snprintf(name + len, sizeof name - len, ".%u", instance_of(device) - 1);
    for (; text && sscanf(text, "%7[0-9.]:%u:%u", on, &pid, &mib) == 3; text++) {
        if (strcmp(on, name) == 0 && found++ < *count)
            list[found - 1] = (struct process){.pid = pid, .used = mib * MIB};
        text = strchr(text, ',');
        if (!text)
            break;
    }
    int rc = found > *count ? INSUFFICIENT_SIZE : OK;
    *count = found;
    return rc;
}

int nvmlDeviceGetUUID(void *device, char *out, unsigned size)
{
    unsigned bus = gpus[gpu_of(device)].bus, instance = instance_of(device);
    snprintf(out, size, "%s-%08x-0000-0000-0000-%012x", instance ? "MIG" : "GPU", bus,
             instance ? instance - 1 : 0);
    return OK;
}

int nvmlDeviceGetName(void *device, char *out, unsigned size)
{
    snprintf(out, size, "%s", gpus[gpu_of(device)].product);
    return OK;
}

int nvmlDeviceGetPciInfo_v3(void *device, struct pci *out)
{
    *out = (struct pci){.bus = gpus[gpu_of(device)].bus};
    return OK;
}

int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending)
{
    *current = *pending = gpus[gpu_of(device)].instances > 0;
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count)
{
    (void)device;
    *count = INSTANCES_MAX;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance)
{
    if (index >= gpus[gpu_of(device)].instances)
        return INVALID_ARGUMENT;
    *instance = (void *)((size_t)device + 1000 * ((size_t)index + 1));
    return OK;
}
