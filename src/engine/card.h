/* SPDX-License-Identifier: MIT */
/*
 * The graphics cards of this machine. A card is known by its UUID and its PCI address; the numbers that
 * CUDA, ROCm, Vulkan or SYCL give it differ between runtimes and environments (device_view.h). Its name
 * for users (`gpu0`) is that of its device in memory_figures.
 */
#ifndef HOSTLER_ENGINE_CARD_H
#define HOSTLER_ENGINE_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARDS_MAX 48 /* MIG instances included */

enum card_vendor { CARD_NVIDIA, CARD_AMD, CARD_INTEL };

struct card {
    enum card_vendor vendor;
    char pci[16];  /* 0000:03:00.0, lower case */
    char uuid[48]; /* GPU-…, of a MIG instance MIG-…, of AMD's GPU-UNIQUE_ID; empty: not known */
    char product[48]; /* NVIDIA RTX A5000, 1002:744C; empty: not known */
    unsigned number;  /* by its driver: NVML's index, of an instance that within its card */
    uint64_t total;   /* bytes of its memory; 0: it does not report them */
    /* Of its memory in memory_figures.device. 0, the host: it reports no memory, or is beyond what is counted.
     * Of a partitioned card its first instance's. */
    uint8_t device;
    bool partitioned; /* in MIG mode: its memory is that of its instances */
    bool instance;    /* a MIG instance, with the address of its card */
};

/* Instances follow their card, unless they do not answer. */
struct card_list {
    size_t n;
    struct card card[CARDS_MAX];
};

/* By PCI address, for sorting; a longer domain comes later. */
int card_compare_pci(const char *a, const char *b);
/* Whether a runtime has no reason to prefer one to the other: the same product with as much memory. */
bool card_is_like(const struct card *a, const struct card *b);
/* Adds a copy, which is returned; NULL when the list is full. */
struct card *card_list_add(struct card_list *l, const struct card *card);

#endif
