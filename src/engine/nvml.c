/* SPDX-License-Identifier: MIT */
#include "engine/nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/memory.h"

/* The part of NVML's interface that is used, declared here so that the build needs no header of NVIDIA.
 * Names and layouts: NVIDIA's "NVML API Reference Guide"; a layout that changes gets a new name (_v2). */

#define NVML_OK 0
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

    struct {
        nvml_handle handle; /* valid while NVML is awake; NULL: the card has gone */
        char uuid[48];      /* empty: not known */
        uint64_t total;
        bool lost;         /* it does not answer, and the log says so */
        unsigned card;     /* NVML's number */
        unsigned instance; /* 0, or 1 + the number of the MIG instance */
    } device[MEMORY_DEVICES_MAX];
    size_t devices;
    unsigned cards;
    bool silent; /* a card's memory is in no device */
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
    if (!nvml.library && name)
        log_warn("HOSTLER_NVML: %s", dlerror());
    return nvml.library;
}

static void close_library(void)
{
    if (nvml.library)
        dlclose(nvml.library);
    nvml.library = NULL;
}

static bool load(void)
{
    if (!open_library())
        return false;
    nvml.awake = load_symbols() && nvml.init() == NVML_OK;
    if (nvml.awake)
        return true;
    log_warn("NVML is installed but does not work: memory of GPUs is not taken into account");
    close_library();
    return false;
}

/* --- cards */

struct search {
    struct card_list *cards;
    size_t first, max; /* of memory_figures.device */
};

static void get_text(nvml_text_fn *get, nvml_handle handle, char *out, size_t size)
{
    char text[96];
    bool found = get && get(handle, text, sizeof text) == NVML_OK;
    snprintf(out, size, "%.*s", (int)size - 1, found ? text : "");
}

static void get_address(nvml_handle handle, unsigned number, struct card *out)
{
    struct nvml_pci pci = {
        .bus = number}; /* without an address NVML's order, which is that of addresses */
    if (nvml.pci && nvml.pci(handle, &pci) != NVML_OK)
        pci = (struct nvml_pci){.bus = number};
    snprintf(out->pci, sizeof out->pci, "%04x:%02x:%02x.0", pci.domain, pci.bus & 0xff,
             pci.device & 0x1f);
}

/* Its index in memory_figures; 0: it reports no memory, or there are too many. */
static uint8_t add_device(const struct search *s, nvml_handle handle, unsigned card,
                          unsigned instance, uint64_t *total)
{
    struct nvml_memory figures;
    if (nvml.devices == s->max || nvml.memory(handle, &figures) != NVML_OK) {
        nvml.silent = true;
        return 0;
    }
    nvml.device[nvml.devices].handle = handle;
    nvml.device[nvml.devices].card = card;
    nvml.device[nvml.devices].instance = instance;
    get_text(nvml.uuid, handle, nvml.device[nvml.devices].uuid,
             sizeof nvml.device[nvml.devices].uuid);
    *total = nvml.device[nvml.devices].total = figures.total;
    return (uint8_t)(s->first + nvml.devices++);
}

static bool is_partitioned(nvml_handle handle)
{
    unsigned now = 0, pending;
    return nvml.mig_mode && nvml.mig_max && nvml.mig_by_index &&
           nvml.mig_mode(handle, &now, &pending) == NVML_OK && now == NVML_MIG_ENABLED;
}

static void add_instances(const struct search *s, nvml_handle handle, unsigned number,
                          struct card *card)
{
    unsigned most = 0;
    if (!card || nvml.mig_max(handle, &most) != NVML_OK)
        return;
    for (unsigned i = 0; i < most; i++) {
        nvml_handle instance;
        struct card c = *card;
        if (nvml.mig_by_index(handle, i, &instance) != NVML_OK)
            continue; /* numbers may have gaps */
        c.partitioned = false;
        c.instance = true;
        get_text(nvml.uuid, instance, c.uuid, sizeof c.uuid);
        c.device = add_device(s, instance, number, i + 1, &c.total);
        if (!card->device)
            card->device = c.device;
        card_list_add(s->cards, &c);
    }
}

/* A card that does not report its memory has no device: on small boards it uses the host's. */
static void add_card(const struct search *s, unsigned number)
{
    nvml_handle handle;
    struct card card = {.vendor = CARD_NVIDIA};
    if (nvml.by_index(number, &handle) != NVML_OK) {
        nvml.silent = true;
        return;
    }
    get_address(handle, number, &card);
    get_text(nvml.uuid, handle, card.uuid, sizeof card.uuid);
    get_text(nvml.product, handle, card.product, sizeof card.product);
    card.partitioned = is_partitioned(handle);
    if (card.partitioned)
        add_instances(s, handle, number, card_list_add(s->cards, &card));
    else {
        card.device = add_device(s, handle, number, 0, &card.total);
        card_list_add(s->cards, &card);
    }
}

void nvml_open(struct card_list *cards, size_t first, size_t max)
{
    const struct search s = {.cards = cards, .first = first, .max = max};
    if (!load() || nvml.count(&nvml.cards) != NVML_OK)
        return;
    for (unsigned i = 0; i < nvml.cards; i++)
        add_card(&s, i);
}

void nvml_close(void)
{
    nvml_rest();
    close_library();
    memset(&nvml, 0, sizeof nvml);
}

size_t nvml_devices(void)
{
    return nvml.devices;
}

unsigned nvml_cards(void)
{
    return nvml.cards;
}

bool nvml_is_complete(void)
{
    return nvml.devices && !nvml.silent;
}

/* --- rest */

void nvml_rest(void)
{
    if (nvml.awake)
        nvml.shutdown();
    nvml.awake = false;
}

/* Handles are new after each init(), and so may be the numbers of cards. */
static void take_again(nvml_handle handle)
{
    char uuid[48];
    get_text(nvml.uuid, handle, uuid, sizeof uuid);
    for (size_t i = 0; i < nvml.devices; i++)
        if (*uuid && strcmp(nvml.device[i].uuid, uuid) == 0)
            nvml.device[i].handle = handle;
}

static void take_card_again(unsigned number)
{
    nvml_handle handle, instance;
    unsigned most = 0;
    if (nvml.by_index(number, &handle) != NVML_OK)
        return;
    take_again(handle);
    for (size_t i = 0; i < nvml.devices; i++) /* of a driver that tells no UUID */
        if (!*nvml.device[i].uuid && nvml.device[i].card == number)
            nvml.device[i].handle = handle;
    if (is_partitioned(handle) && nvml.mig_max(handle, &most) == NVML_OK)
        for (unsigned i = 0; i < most; i++)
            if (nvml.mig_by_index(handle, i, &instance) == NVML_OK)
                take_again(instance);
}

/* A driver that was updated meanwhile wants its own library. */
static bool init_again(void)
{
    if (nvml.library && nvml.init() == NVML_OK)
        return true;
    close_library();
    return open_library() && load_symbols() && nvml.init() == NVML_OK;
}

static bool is_any_lost(void)
{
    for (size_t i = 0; i < nvml.devices; i++)
        if (!nvml.device[i].handle)
            return true;
    return false;
}

void nvml_wake(void)
{
    unsigned n = 0;
    if (!nvml.devices)
        return;
    if (!nvml.awake) {
        for (size_t i = 0; i < nvml.devices; i++)
            nvml.device[i].handle = NULL;
        nvml.awake = init_again();
    }
    if (nvml.awake && is_any_lost() && nvml.count(&n) == NVML_OK)
        for (unsigned i = 0; i < n; i++)
            take_card_again(i);
}

/* --- devices */

void nvml_name(size_t device, char *out, size_t size)
{
    unsigned card = nvml.device[device].card, instance = nvml.device[device].instance;
    if (instance)
        snprintf(out, size, "gpu%u.%u", card, instance - 1);
    else
        snprintf(out, size, "gpu%u", card);
}

static void tell(size_t device, bool lost)
{
    char name[16];
    nvml_name(device, name, sizeof name);
    if (lost)
        log_warn("%s does not answer any more: no model is placed there until it does", name);
    else
        log_info("%s answers again", name);
    nvml.device[device].lost = lost;
}

bool nvml_memory(size_t device, uint64_t *total, uint64_t *available)
{
    struct nvml_memory figures = {.total = nvml.device[device].total};
    nvml_handle handle = nvml.awake ? nvml.device[device].handle : NULL;
    const bool answers = handle && nvml.memory(handle, &figures) == NVML_OK;
    if (!answers)
        nvml.device[device].handle = NULL;
    if (answers == nvml.device[device].lost)
        tell(device, !answers);
    *total = figures.total;
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

uint64_t nvml_of_process(size_t device, pid_t pid)
{
    nvml_handle handle = nvml.awake ? nvml.device[device].handle : NULL;
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
    for (size_t i = 0; nvml.awake && i < nvml.devices; i++) {
        if (!nvml.device[i].handle)
            continue;
        each_listed(nvml.compute_processes, nvml.device[i].handle, add_pid, &pids);
        each_listed(nvml.graphics_processes, nvml.device[i].handle, add_pid, &pids);
    }
    return pids.n;
}
