/* SPDX-License-Identifier: MIT */
#include "engine/nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* The part of NVML's interface that is used, declared here so that the build needs no header of NVIDIA.
 * Names and layouts: NVIDIA's "NVML API Reference Guide"; a layout that changes gets a new name (_v2). */

#define NVML_OK 0
#define NVML_DRIVER_NOT_LOADED 9
#define NVML_INSUFFICIENT_SIZE 7
#define NVML_NOT_AVAILABLE ((unsigned long long)-1) /* of usedGpuMemory */
#define NVML_MIG_ENABLED 1

struct nvml_memory { /* nvmlMemory_t */
    unsigned long long total, free, used;
};

struct nvml_process { /* nvmlProcessInfo_t */
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

struct nvml_pci { /* nvmlPciInfo_t */
    char legacy_id[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char id[32];
};

typedef void *nvml_handle;
typedef int nvml_processes_fn(nvml_handle device, unsigned *count, struct nvml_process *list);
typedef int nvml_text_fn(nvml_handle device, char *out, unsigned size);

static struct {
    void *library; /* NULL: none */
    bool awake;    /* between init() and shutdown() */
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *count);
    int (*by_index)(unsigned index, nvml_handle *device);
    int (*memory)(nvml_handle device, struct nvml_memory *out);
    nvml_processes_fn *compute_processes;  /* CUDA */
    nvml_processes_fn *graphics_processes; /* Vulkan; may be NULL, like all that follow */
    nvml_text_fn *uuid, *product;
    int (*pci)(nvml_handle device, struct nvml_pci *out);
    int (*mig_mode)(nvml_handle device, unsigned *current, unsigned *pending);
    int (*mig_max)(nvml_handle device, unsigned *count);
    int (*mig_by_index)(nvml_handle device, unsigned index, nvml_handle *instance);

    nvml_handle handle[CARDS_MAX]; /* by index, valid while NVML is awake */
    size_t found;
    unsigned cards;
    bool unloaded;                      /* its driver is not: there is no card */
    bool told_no_library, told_no_init; /* the log says so */
} nvml;

/* --- the library */

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
    load_symbol("nvmlDeviceGetUUID", &nvml.uuid);
    load_symbol("nvmlDeviceGetName", &nvml.product);
    load_symbol("nvmlDeviceGetPciInfo_v3", &nvml.pci);
    load_symbol("nvmlDeviceGetMigMode", &nvml.mig_mode);
    load_symbol("nvmlDeviceGetMaxMigDeviceCount", &nvml.mig_max);
    load_symbol("nvmlDeviceGetMigDeviceHandleByIndex", &nvml.mig_by_index);
    return load_symbol("nvmlInit_v2", &nvml.init) && load_symbol("nvmlShutdown", &nvml.shutdown) &&
           load_symbol("nvmlDeviceGetCount_v2", &nvml.count) &&
           load_symbol("nvmlDeviceGetHandleByIndex_v2", &nvml.by_index) &&
           load_symbol("nvmlDeviceGetMemoryInfo", &nvml.memory) &&
           load_symbol("nvmlDeviceGetComputeRunningProcesses_v3", &nvml.compute_processes);
}

static bool open_library(void)
{
    const char *name = getenv("HOSTLER_NVML");
    nvml.library = dlopen(name ? name : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!nvml.library && name && !nvml.told_no_library)
        log_warn("HOSTLER_NVML: %s", dlerror());
    nvml.told_no_library = !nvml.library;
    return nvml.library;
}

static void close_library(void)
{
    if (nvml.library)
        dlclose(nvml.library);
    nvml.library = NULL;
}

/* A driver that was updated meanwhile wants its own library. */
static int init(void)
{
    int rc = nvml.library ? nvml.init() : -1;
    if (rc == NVML_OK)
        return rc;
    close_library();
    return open_library() && load_symbols() ? nvml.init() : -1;
}

void nvml_wake(void)
{
    if (nvml.awake)
        return;
    int rc = init();
    bool broken = nvml.library && rc != NVML_OK;
    nvml.awake = rc == NVML_OK;
    nvml.unloaded = rc == NVML_DRIVER_NOT_LOADED;
    if (broken && !nvml.told_no_init)
        log_warn("NVML is installed but does not work: memory of GPUs is not taken into account");
    nvml.told_no_init = broken;
    if (broken)
        close_library();
}

void nvml_rest(void)
{
    if (nvml.awake)
        nvml.shutdown();
    nvml.awake = false;
    nvml.found = 0;
}

void nvml_close(void)
{
    nvml_rest();
    close_library();
    memset(&nvml, 0, sizeof nvml);
}

/* --- cards */

static void get_text(nvml_text_fn *get, nvml_handle handle, char *out, size_t size)
{
    char text[96];
    bool found = get && get(handle, text, sizeof text) == NVML_OK;
    snprintf(out, size, "%.*s", (int)size - 1, found ? text : "");
}

/* Where the library tells none NVML's number counts, which is in the order of addresses. False: it does not answer. */
static bool get_address(nvml_handle handle, unsigned number, struct card *out)
{
    struct nvml_pci pci = {.bus = number};
    if (nvml.pci && nvml.pci(handle, &pci) != NVML_OK)
        return false;
    snprintf(out->pci, sizeof out->pci, "%04x:%02x:%02x.0", pci.domain, pci.bus & 0xff,
             pci.device & 0x1f);
    return true;
}

/* NULL when there are too many. */
static struct card *add(struct card_list *out, nvml_handle handle, const struct card *card)
{
    struct nvml_memory figures;
    struct card *added = card_list_add(out, card);
    if (!added)
        return NULL;
    bool reports = !card->partitioned && nvml.memory(handle, &figures) == NVML_OK;
    added->total = reports ? figures.total : 0;
    nvml.handle[nvml.found++] = handle;
    return added;
}

static bool is_partitioned(nvml_handle handle)
{
    unsigned now = 0, pending;
    return nvml.mig_mode && nvml.mig_max && nvml.mig_by_index &&
           nvml.mig_mode(handle, &now, &pending) == NVML_OK && now == NVML_MIG_ENABLED;
}

/* Numbers may have gaps. */
static void add_instances(struct card_list *out, nvml_handle handle, const struct card *whole)
{
    unsigned most = 0;
    if (nvml.mig_max(handle, &most) != NVML_OK)
        return;
    for (unsigned i = 0; i < most; i++) {
        nvml_handle instance;
        struct card card = *whole;
        if (nvml.mig_by_index(handle, i, &instance) != NVML_OK)
            continue;
        card.partitioned = false;
        card.instance = true;
        card.number = i;
        get_text(nvml.uuid, instance, card.uuid, sizeof card.uuid);
        add(out, instance, &card);
    }
}

/* False: the card does not answer. One that does not report its memory is a card all the same: on small boards it uses the
 * host's. */
static bool add_card(struct card_list *out, unsigned number)
{
    nvml_handle handle;
    struct card card = {.vendor = CARD_NVIDIA, .number = number};
    if (nvml.by_index(number, &handle) != NVML_OK || !get_address(handle, number, &card))
        return false;
    get_text(nvml.uuid, handle, card.uuid, sizeof card.uuid);
    get_text(nvml.product, handle, card.product, sizeof card.product);
    card.partitioned = is_partitioned(handle);
    if (add(out, handle, &card) && card.partitioned)
        add_instances(out, handle, &card);
    return true;
}

bool nvml_find(struct card_list *out)
{
    bool all = true;
    nvml.found = 0;
    nvml.cards = 0;
    if (!nvml.awake)
        return nvml.unloaded;
    if (nvml.count(&nvml.cards) != NVML_OK)
        return false;
    for (unsigned i = 0; i < nvml.cards; i++)
        all &= add_card(out, i);
    return all;
}

unsigned nvml_cards(void)
{
    return nvml.cards;
}

/* --- figures */

/* NULL: it is not taken now. */
static nvml_handle handle_of(size_t index)
{
    return nvml.awake && index < nvml.found ? nvml.handle[index] : NULL;
}

bool nvml_memory(size_t index, uint64_t *total, uint64_t *available)
{
    struct nvml_memory figures;
    nvml_handle handle = handle_of(index);
    bool answers = handle && nvml.memory(handle, &figures) == NVML_OK;
    *total = answers ? figures.total : 0;
    *available = answers ? figures.free : 0;
    return answers;
}

/* Calls `each` for the entries of a list; a process has one for each MIG instance that it uses. */
static void each_listed(nvml_processes_fn *list, nvml_handle device,
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

static uint64_t bytes_listed(nvml_processes_fn *list, nvml_handle device, pid_t pid)
{
    struct sum sum = {.pid = (unsigned)pid};
    each_listed(list, device, add_bytes, &sum);
    return sum.bytes;
}

uint64_t nvml_of_process(size_t index, pid_t pid)
{
    nvml_handle handle = handle_of(index);
    if (!handle)
        return 0;
    /* A process that computes and draws is in both lists, with the same figure. */
    uint64_t compute = bytes_listed(nvml.compute_processes, handle, pid);
    uint64_t graphics = bytes_listed(nvml.graphics_processes, handle, pid);
    return compute > graphics ? compute : graphics;
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

size_t nvml_processes(pid_t *out, size_t max)
{
    struct pids pids = {.v = out, .max = max};
    for (size_t i = 0; nvml.awake && i < nvml.found; i++) {
        each_listed(nvml.compute_processes, nvml.handle[i], add_pid, &pids);
        each_listed(nvml.graphics_processes, nvml.handle[i], add_pid, &pids);
    }
    return pids.n;
}
