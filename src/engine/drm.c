/* SPDX-License-Identifier: MIT */
#include "engine/drm.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernel.h"

#define CLIENTS_MAX 64 /* of one process; an engine has one or two a card */

static DIR *open_folder(const char *root, const char *path)
{
    char full[PATH_MAX];
    int len = snprintf(full, sizeof full, "%s%s", root, path);
    return (size_t)len < sizeof full ? opendir(full) : NULL;
}

/* --- cards */

static bool number_after(const char *name, const char *prefix, unsigned *out)
{
    size_t len = strlen(prefix);
    char *end;
    if (strncmp(name, prefix, len) != 0)
        return false;
    unsigned long n = strtoul(name + len, &end, 10);
    *out = (unsigned)n;
    return end != name + len && !*end && n <= UINT_MAX;
}

/* What uevent says of a card. */
struct uevent {
    char pci[16], driver[16], product[16];
};

/* False: it is no PCI device. Lines are NAME=VALUE; an address, or an id, was cut at its first colon. */
static bool read_uevent(const char *root, unsigned node, struct uevent *out)
{
    struct kernel_line line;
    FILE *f = kernel_open("%s/sys/class/drm/renderD%u/device/uevent", root, node);
    *out = (struct uevent){0};
    while (f && kernel_next(f, &line)) {
        const char *sign = strchr(line.key, '=');
        size_t len = sign ? (size_t)(sign - line.key) : 0;
        if (len == 13 && memcmp(line.key, "PCI_SLOT_NAME", len) == 0)
            snprintf(out->pci, sizeof out->pci, "%.6s:%.8s", sign + 1, line.value);
        else if (len == 6 && memcmp(line.key, "PCI_ID", len) == 0)
            snprintf(out->product, sizeof out->product, "%.6s:%.8s", sign + 1, line.value);
        else if (len == 6 && memcmp(line.key, "DRIVER", len) == 0)
            snprintf(out->driver, sizeof out->driver, "%.15s", sign + 1);
    }
    if (f)
        fclose(f);
    return out->pci[0] != '\0';
}

static bool read_address(const char *root, struct drm_gpu *gpu)
{
    struct uevent uevent;
    bool ok = read_uevent(root, gpu->node, &uevent);
    memcpy(gpu->pci, uevent.pci, sizeof gpu->pci);
    return ok;
}

static int by_address(const void *a, const void *b)
{
    const struct drm_gpu *x = a, *y = b;
    return card_compare_pci(x->pci, y->pci);
}

size_t drm_find(const char *root, struct drm_gpu *out, size_t max)
{
    DIR *dir = open_folder(root, "/sys/class/drm");
    size_t n = 0;
    uint64_t total, used;
    for (struct dirent *e; dir && n < max && (e = readdir(dir));)
        if (number_after(e->d_name, "renderD", &out[n].node) &&
            drm_memory(root, &out[n], &total, &used) && read_address(root, &out[n]))
            n++;
    if (dir)
        closedir(dir);
    qsort(out, n, sizeof *out, by_address);
    return n;
}

/* ROCm's name for the card. */
static void read_uuid(const char *root, unsigned node, struct card *out)
{
    struct kernel_line line;
    FILE *f = kernel_open("%s/sys/class/drm/renderD%u/device/unique_id", root, node);
    if (f && kernel_next(f, &line))
        snprintf(out->uuid, sizeof out->uuid, "GPU-%.16s", line.key);
    if (f)
        fclose(f);
}

/* False: another vendor's, or NVIDIA's, which NVML knows better. */
static bool read_card(const char *root, unsigned node, struct card *out)
{
    struct uevent uevent;
    uint64_t used;
    *out = (struct card){.vendor = CARD_AMD};
    if (!read_uevent(root, node, &uevent))
        return false;
    if (strcmp(uevent.driver, "i915") == 0 || strcmp(uevent.driver, "xe") == 0)
        out->vendor = CARD_INTEL;
    else if (strcmp(uevent.driver, "amdgpu") != 0)
        return false;
    memcpy(out->pci, uevent.pci, sizeof uevent.pci);
    memcpy(out->product, uevent.product, sizeof uevent.product);
    drm_memory(root, &(struct drm_gpu){.node = node}, &out->total, &used);
    read_uuid(root, node, out);
    return true;
}

static int by_card_address(const void *a, const void *b)
{
    const struct card *x = a, *y = b;
    return card_compare_pci(x->pci, y->pci);
}

void drm_add_cards(const char *root, struct card_list *out)
{
    DIR *dir = open_folder(root, "/sys/class/drm");
    size_t before = out->n;
    struct card card;
    unsigned node;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (number_after(e->d_name, "renderD", &node) && read_card(root, node, &card))
            card_list_add(out, &card);
    if (dir)
        closedir(dir);
    qsort(&out->card[before], out->n - before, sizeof card, by_card_address);
}

bool drm_is_complete(const char *root, bool nvidia_by_nvml)
{
    DIR *dir = open_folder(root, "/sys/class/drm");
    FILE *driver = kernel_open("%s/proc/driver/nvidia/version", root);
    bool all = !driver || nvidia_by_nvml;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct drm_gpu gpu;
        struct uevent uevent;
        uint64_t total, used;
        if (!number_after(e->d_name, "renderD", &gpu.node) || drm_memory(root, &gpu, &total, &used))
            continue;
        read_uevent(root, gpu.node, &uevent);
        all &= strcmp(uevent.driver, "nvidia") == 0 && nvidia_by_nvml;
    }
    if (driver)
        fclose(driver);
    if (dir)
        closedir(dir);
    return all;
}

bool drm_memory(const char *root, const struct drm_gpu *gpu, uint64_t *total, uint64_t *used)
{
    static const char path[] = "/sys/class/drm/renderD";
    bool ok = kernel_number(total, "%s%s%u/device/mem_info_vram_total", root, path, gpu->node) &&
              kernel_number(used, "%s%s%u/device/mem_info_vram_used", root, path, gpu->node);
    if (!ok)
        *total = *used = 0;
    return ok;
}

/* --- processes */

/* The figures in the fdinfo of one file descriptor. Regions of a card's memory are `vram`, `vram0`, … */
struct fdinfo {
    char pci[16], client[24];
    uint64_t resident, memory, total;
    bool has_resident, has_memory;
};

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void read_line(struct fdinfo *i, const struct kernel_line *line)
{
    if (strcmp(line->key, "drm-pdev") == 0)
        snprintf(i->pci, sizeof i->pci, "%.15s", line->value);
    else if (strcmp(line->key, "drm-client-id") == 0)
        snprintf(i->client, sizeof i->client, "%.23s", line->value);
    else if (starts(line->key, "drm-total-vram"))
        i->total += kernel_bytes(line->value);
    else if (starts(line->key, "drm-resident-vram")) {
        i->resident += kernel_bytes(line->value);
        i->has_resident = true;
    } else if (starts(line->key, "drm-memory-vram")) {
        i->memory += kernel_bytes(line->value);
        i->has_memory = true;
    }
}

static void read_fdinfo(const char *root, pid_t pid, const char *fd, struct fdinfo *out)
{
    struct kernel_line line;
    FILE *f = kernel_open("%s/proc/%d/fdinfo/%s", root, (int)pid, fd);
    *out = (struct fdinfo){0};
    while (f && kernel_next(f, &line))
        read_line(out, &line);
    if (f)
        fclose(f);
}

/* Resident memory counts. drm-memory- is its older name, and amdgpu's only figure on older kernels. Total
 * includes memory that was moved to the host. */
static uint64_t vram_of(const struct fdinfo *i)
{
    if (i->has_resident)
        return i->resident;
    return i->has_memory ? i->memory : i->total;
}

struct clients {
    struct {
        char pci[16], id[24];
    } seen[CLIENTS_MAX];
    size_t n;
};

/* A client counts once, however many descriptors refer to it; its id is unique on its card. */
static bool first_seen(struct clients *c, const struct fdinfo *i)
{
    for (size_t k = 0; k < c->n; k++)
        if (strcmp(c->seen[k].id, i->client) == 0 && strcmp(c->seen[k].pci, i->pci) == 0)
            return false;
    if (c->n == CLIENTS_MAX)
        return false;
    memcpy(c->seen[c->n].id, i->client, sizeof i->client);
    memcpy(c->seen[c->n].pci, i->pci, sizeof i->pci);
    c->n++;
    return true;
}

void drm_of_process(const char *root, pid_t pid, const struct drm_gpu *gpus, size_t n,
                    uint64_t *bytes)
{
    char path[40];
    struct clients clients = {.n = 0};
    struct fdinfo info;
    snprintf(path, sizeof path, "/proc/%d/fdinfo", (int)pid);
    memset(bytes, 0, n * sizeof *bytes);
    DIR *dir = n ? open_folder(root, path) : NULL; /* without a card there is nothing to read */
    for (struct dirent *e; dir && (e = readdir(dir));) {
        read_fdinfo(root, pid, e->d_name, &info);
        if (!*info.pci || !*info.client || !first_seen(&clients, &info))
            continue;
        for (size_t i = 0; i < n; i++)
            if (strcmp(gpus[i].pci, info.pci) == 0)
                bytes[i] += vram_of(&info);
    }
    if (dir)
        closedir(dir);
}
