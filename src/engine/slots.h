/* SPDX-License-Identifier: MIT */
/*
 * What a kind's engines hold of prompts: each slot the tokens of one conversation, and how an engine is asked to
 * write that to a file and to read it again. The routes are the engine's own, and its clients never see them.
 */
#ifndef HOSTLER_ENGINE_SLOTS_H
#define HOSTLER_ENGINE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/args.h"
#include "engine/options.h"
#include "engine/route.h"

struct engine_slot {
    unsigned id;
    bool busy;
    int64_t task;     /* the last one that it did: a later one has a greater number; -1: none */
    uint64_t tokens;  /* that it holds; 0: none, or not known */
    uint64_t context; /* that it may hold */
};

enum engine_slot_deed { ENGINE_SLOT_SAVE, ENGINE_SLOT_RESTORE };

struct engine_slots {
    /* Whether an engine with these arguments has prompts that are worth it. */
    bool (*has_prompts)(const struct engine_args *args);
    /* Whether what a slot holds depends on the option, or may. The values of others do not tell engines apart. */
    bool (*depends_on)(const struct engine_option *o);
    /* Whether its requests have prompts that slots hold. */
    bool (*is_prompt_route)(const struct engine_route *r);
    /* Whether they change what the engine computes for the same tokens from then on. */
    bool (*is_changing_route)(const struct engine_route *r);
    /* Whether clients ask by this route for files of slots; `refusal`: what an engine without a folder says then. */
    bool (*is_files_route)(const struct engine_route *r);
    const char *refusal;
    /* GET: what the slots hold. */
    const char *list_path;
    /* How many there are, at most `max` of which are written to `out`; -EBADMSG. */
    int (*parse_list)(const char *body, size_t len, struct engine_slot *out, size_t max);
    /* POST: path and body, in `size` bytes each. `name`: of a file in the folder that the engine was given. */
    void (*path)(char *out, size_t size, unsigned slot, enum engine_slot_deed deed);
    void (*body)(char *out, size_t size, const char *name);
    /* Whether all slots of an engine with these arguments share one context. */
    bool (*shares_context)(const struct engine_args *args);
    /* How many tokens were written or read; -EBADMSG. */
    int64_t (*parse_done)(const char *body, size_t len, enum engine_slot_deed deed);
    /* How many bytes were written; 0: not said. */
    uint64_t (*parse_bytes)(const char *body, size_t len);
};

#endif
