/* SPDX-License-Identifier: MIT */
/*
 * NVIDIA's cards by NVML (libnvidia-ml.so.1), loaded at run time if it is installed; HOSTLER_NVML names
 * another library (tests). Tested with a library made after NVIDIA's "NVML API Reference Guide"; not yet run with a real
 * card. Readings may block; nothing is locked (memory.h).
 */
#ifndef HOSTLER_ENGINE_NVML_H
#define HOSTLER_ENGINE_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/card.h"

/* Takes the cards, unless they are taken; loads the library first if it is installed. */
void nvml_wake(void);
/* Lets go of the cards, so that they may sleep, until nvml_wake(). No-op when it is done. New cards, and those that fell off the bus, show
 * after that only. */
void nvml_rest(void);
void nvml_close(void);
/*
 * Adds the cards and MIG instances that there are now to `out`, an empty list; a card's index there is its index below, until
 * the next call. `device` stays 0, `total` is 0 of those that report no memory. False: it is not known whether these are all,
 * since NVML is not there, or some do not answer.
 */
bool nvml_find(struct card_list *out);
/* How many cards NVML numbers, with those that do not answer: others' numbers are counted on from here. */
unsigned nvml_cards(void);

/* --- of a card or instance by its index */

/* False: it does not answer; both are 0 then. */
bool nvml_memory(size_t index, uint64_t *total, uint64_t *available);
/* What the process holds there. */
uint64_t nvml_of_process(size_t index, pid_t pid);
/* Writes the pids that are listed anywhere, each once, at most `max`; returns how many. */
size_t nvml_processes(pid_t *out, size_t max);

#endif
