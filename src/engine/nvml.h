/* SPDX-License-Identifier: MIT */
/*
 * NVIDIA's cards by NVML (libnvidia-ml.so.1), loaded at run time if it is installed; HOSTLER_NVML names
 * another library (tests). A *device* here is a card that reports its memory, or one instance of a card in
 * MIG mode. Tested with a library made after NVIDIA's "NVML API Reference Guide"; not yet run with a real
 * card. Readings may block; nothing is locked (memory.h).
 */
#ifndef HOSTLER_ENGINE_NVML_H
#define HOSTLER_ENGINE_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/card.h"

/* Loads the library and adds the cards to `cards`; those with memory become the devices `first`,
 * `first` + 1, … up to `first` + `max` - 1 there. */
void nvml_open(struct card_list *cards, size_t first, size_t max);
void nvml_close(void);
/* Lets go of the cards, so that they may sleep, until nvml_wake(). No-op when it is done. */
void nvml_rest(void);
/* Before a reading: takes the cards, those too that did not answer before. Their numbers may be others now. */
void nvml_wake(void);
/* Devices that were found. */
size_t nvml_devices(void);
/* Cards that NVML knows, with those that report no memory: others' names are counted on from here. */
unsigned nvml_cards(void);
/* NVML is there, and every card's memory is in some device. */
bool nvml_is_complete(void);

/* --- of a device, by its number below nvml_devices() */

/* Its name: `gpu0`, or `gpu0.1` of the second instance of that card. */
void nvml_name(size_t device, char *out, size_t size);
/* False: it does not answer; `available` is 0 then. */
bool nvml_memory(size_t device, uint64_t *total, uint64_t *available);
/* What the process holds there. */
uint64_t nvml_of_process(size_t device, pid_t pid);
/* Writes the pids that are listed on any device, each once, at most `max`; returns how many. */
size_t nvml_processes(pid_t *out, size_t max);

#endif
