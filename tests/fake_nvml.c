/* SPDX-License-Identifier: MIT */
/*
 * A libnvidia-ml of two GPUs, for tests on machines without one. HOSTLER_NVML names it.
 *
 * gpu0 has 24 GiB, gpu1 48 GiB; free is what FAKE_NVML_FREE says (MiB, a number a GPU, by commas),
 * else all. FAKE_NVML_PROCESSES lists processes, `GPU:PID:MiB`, by commas. Where FAKE_NVML_FILE
 * names a file, both are read from its first and second line instead, at each call. While a file of
 * the name FAKE_NVML_HANG exists, such a call does not come back.
 * FAKE_NVML_SILENT is the number of a GPU that tells no memory, FAKE_NVML_BROKEN makes the
 * initialization fail.
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
#define MIB (1ULL << 20)

struct memory {
    unsigned long long total, free, used;
};

struct process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

static const unsigned long long totals[] = {24576, 49152}; /* MiB */
#define GPUS (sizeof totals / sizeof *totals)
static int initialized;

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetMemoryInfo(void *device, struct memory *out);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *list);

static void hang(void)
{
    const char *path = getenv("FAKE_NVML_HANG");
    while (path && access(path, F_OK) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* The setting's text: a line of the file, or the variable. */
static const char *setting(int line, const char *variable, char *space, int size)
{
    hang();
    const char *path = getenv("FAKE_NVML_FILE");
    FILE *f = path ? fopen(path, "r") : NULL;
    if (!f)
        return getenv(variable);
    char *got = NULL;
    for (int i = 0; i <= line; i++)
        got = fgets(space, size, f);
    fclose(f);
    return got;
}

static unsigned gpu_of(void *device)
{
    return (unsigned)((size_t)device - 1);
}

int nvmlInit_v2(void)
{
    if (getenv("FAKE_NVML_BROKEN"))
        return 999;
    initialized++;
    return OK;
}

int nvmlShutdown(void)
{
    initialized--;
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = GPUS;
    return initialized ? OK : 1;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (void *)(size_t)(index + 1);
    return index < GPUS ? OK : INVALID_ARGUMENT;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *out)
{
    char space[4096];
    unsigned gpu = gpu_of(device);
    const char *silent = getenv("FAKE_NVML_SILENT");
    if (gpu >= GPUS || (silent && gpu == strtoul(silent, NULL, 10)))
        return NOT_SUPPORTED;
    out->total = out->free = totals[gpu] * MIB;
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
    unsigned gpu = gpu_of(device), found = 0, on, pid, mib;
    const char *text = setting(1, "FAKE_NVML_PROCESSES", space, sizeof space);
    for (; text && sscanf(text, "%u:%u:%u", &on, &pid, &mib) == 3; text++) {
        if (on == gpu && found++ < *count)
            list[found - 1] = (struct process){.pid = pid, .used = mib * MIB};
        text = strchr(text, ',');
        if (!text)
            break;
    }
    int rc = found > *count ? INSUFFICIENT_SIZE : OK;
    *count = found;
    return rc;
}
