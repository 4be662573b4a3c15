/* SPDX-License-Identifier: MIT */
/*
 * The devices of this machine: the host, and the memory of each card, or MIG instance, that was seen since the start. Cards come and go while
 * the daemon runs; a device keeps its index in memory_figures.device, and its name.
 *
 *  - A card is known by its UUID, or where that is not known by its PCI address. One that comes back is the same device
 *    again, wherever it is plugged in, and whatever its driver's number is now.
 *  - A new one is appended. `gpu0`: the driver's number when the card was first seen, if no other device has it, else
 *    the first that is not given. `gpu0.1`: the MIG instance 1 of that card; a new instance takes the device of one that
 *    has gone and had the same name.
 *  - When all indices are given, a new card takes that of the device that has been gone the longest.
 */
#ifndef HOSTLER_ENGINE_DEVICE_TABLE_H
#define HOSTLER_ENGINE_DEVICE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/card.h"

#define MEMORY_DEVICES_MAX 17 /* the host and 16 GPUs */

enum device_state {
    DEVICE_ANSWERS,
    DEVICE_SILENT, /* its driver does not tell its memory now: its card may be there */
    DEVICE_GONE,   /* there is no such card now */
};

struct device {
    char name[16];
    struct card card;        /* as it was last seen; of the host nothing */
    enum device_state state; /* set by device_table_set_state() alone */
    unsigned number;         /* of its name: gpuNUMBER */
    uint64_t left_at;        /* GONE: the number of the update that did not find it */
};

struct device_table {
    size_t n; /* at least 1: device[0] is the host */
    struct device device[MEMORY_DEVICES_MAX];
    struct card_list cards; /* as of the last update */
    uint64_t updates;
    uint64_t version; /* another one whenever `cards` are others, or have other devices */
};

void device_table_init(struct device_table *t);
/*
 * `found`: the cards that there are now, with card.number as their drivers number them, and `total` 0 where they do not
 * report memory. Sets their `device`, and adds the cards of SILENT devices that were not found. `complete`: NVIDIA's cards
 * that are not in the list are not there; otherwise they may be. Logs what came and went, except the first time.
 */
void device_table_update(struct device_table *t, const struct card_list *found, bool complete);
/* No-op when it is in that state already; else the log says so. */
void device_table_set_state(struct device_table *t, size_t device, enum device_state state);
bool device_table_has(const struct device_table *t, enum device_state state);

#endif
