/* SPDX-License-Identifier: MIT */
/*
 * What is being done with one engine's slots: it is asked what they hold, and they are saved and restored, one question at a time.
 * What prompts.c is made of; internal to both.
 *
 *     IDLE → LISTS → SAVES (a slot after the other) → IDLE       before the engine's stop, or for later
 *     IDLE → LISTS → (SAVES) → LENDS → RESTORES → IDLE           for the first request that waits
 */
#ifndef HOSTLER_SERVER_PROMPT_WORK_H
#define HOSTLER_SERVER_PROMPT_WORK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "engine/slots.h"
#include "server/conversations.h"
#include "server/prompt_costs.h"
#include "server/prompts.h"

#define PROMPT_SLOTS_MAX 64

struct prompts {
    struct host *host;
    struct prompt_store *store;
    char *problem; /* NULL */
};

/* What is being done with the engine's slots. Changed by prompt_work_set_step() alone. */
enum step {
    IDLE,
    LISTS,    /* it was asked what its slots hold */
    SAVES,    /* one slot is being written */
    LENDS,    /* the store makes a file readable */
    RESTORES, /* it is being read */
};

/* What for. */
enum aim {
    AIM_KEEP,    /* save what is worth it while the engine runs */
    AIM_LEAVE,   /* the same before its stop */
    AIM_RESTORE, /* for the first request that waits */
};

struct instance_prompts {
    struct prompts *prompts;
    struct instance *instance;
    struct prompt_identity *finding;
    char *identity;  /* NULL: not found yet */
    char *folder;    /* that the engine saves to */
    bool own_folder; /* it is the store's, not the user's */
    const char *off; /* why nothing is saved; NULL */
    struct conversations conversations;
    TAILQ_HEAD(, prompt_request) waiting;
    struct prompt_request *serving; /* of these, the one for which a file is restored; NULL */
    uv_timer_t patience;            /* of the one that waits no longer first */
    enum step step;
    enum aim aim;
    bool wants_keep, wants_leave;
    bool discard; /* nothing is saved any more */
    bool stopped; /* its connections are closed: nothing is begun any more */
    struct http_fetch *fetch;
    struct engine_slot slot[PROMPT_SLOTS_MAX];
    int slots; /* of `slot`; how many the engine has, by its last list */
    uint64_t
        unlisted[PROMPT_SLOTS_MAX]; /* by index: tokens restored to a slot that had no task yet */
    int at;                         /* in SAVES, LENDS, RESTORES: index of the slot */
    uint64_t number;        /* in LENDS, RESTORES: the file's, in SAVES the conversation's */
    uint64_t tokens;        /* in LENDS, RESTORES: the file's, which may be dropped meanwhile */
    uint64_t began;         /* uv_now() */
    char path[4096];        /* of the file that is written or read */
    unsigned save_failures; /* in a row */
    uint64_t granted;       /* requests with a prompt, so far */
};

/* What saving and restoring takes, of its model. */
struct prompt_costs *prompt_work_costs(const struct instance_prompts *p);
bool prompt_work_is_worth_saving(const struct instance_prompts *p, const struct conversation *c,
                                 uint64_t tokens, enum prompt_moment moment);
/* How many conversations the slots may hold. */
unsigned prompt_work_held_at_once(const struct instance_prompts *p);
/* What a stop would have to save. */
void prompt_work_tell_scheduler(const struct instance_prompts *p);
/* Nothing is saved or restored any more. `why`: never freed. */
void prompt_work_turn_off(struct instance_prompts *p, const char *why);
void prompt_work_set_step(struct instance_prompts *p, enum step step);
/* For the request that has waited the longest. */
void prompt_work_arm_patience(struct instance_prompts *p);
/* The request does not wait any more. */
void prompt_work_leave(struct prompt_request *r);
/* All that wait may be sent. `gone`: their engine is not there any more. */
void prompt_work_let_all_go(struct instance_prompts *p, bool gone);
/* Begins what is wanted next, if nothing is being done. */
void prompt_work_next(struct instance_prompts *p);

#endif
