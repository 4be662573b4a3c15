/* SPDX-License-Identifier: MIT */
/*
 * A model that the host serves: what it is (the catalog's entry), how it is to be run (options of the
 * command line and presets), and, each a struct of its own with one owner, what operators want of it
 * (intent.h), what loads before taught (learned.h), how the last engine ended (outcome.h), and its
 * engines (instance.h).
 */
#ifndef HOSTLER_SERVER_MODEL_H
#define HOSTLER_SERVER_MODEL_H

#include <stdbool.h>
#include <sys/queue.h>

#include "catalog/catalog.h"
#include "engine/memory.h"
#include "sched/sched.h"
#include "server/compose.h"
#include "server/instance.h"
#include "server/intent.h"
#include "server/learned.h"
#include "server/load_options.h"
#include "server/outcome.h"

struct host;

/* Readable by api/; changed by the files of server/ that own its parts. */
struct model {
    struct host *host;
    struct catalog_model *entry;
    struct sched_model sched;
    struct engine_launch *launch; /* what its next engine is started with */
    struct settings settings;
    struct strv tags; /* sorted; its aliases are the entry's */
    struct intent intent;
    struct learned learned;
    struct outcome outcome;
    struct load_options load; /* of the load that was asked for, until its engine is gone */
    uint64_t load_instance;   /* number of the instance that was started with `load`; 0: none yet */
    TAILQ_ENTRY(model) link;  /* in host.models, those of removed entries included */
};

/* A record for `entry`, in service with the scheduler. */
struct model *model_create(struct host *host, struct catalog_model *entry);
/* It has no instance, and the scheduler does not know it any more. */
void model_destroy(struct model *m);
/* Takes over what the presets say now. A changed command line replaces its engine. */
void model_configure(struct model *m);
/* What the next load is to be like, in place of what an earlier one said; takes over `o`. A model that runs is loaded anew if
 * its arguments change, as by model_configure(); else a ttl counts at once. */
void model_set_load_options(struct model *m, struct load_options *o);
/* Whether the model's engine would be another one with `o`. */
bool model_load_options_differ(const struct model *m, const struct load_options *o);
/* What its next engine would be started with; the caller is an owner. */
struct engine_launch *model_compose(const struct model *m, const struct load_options *o);
/* `i` has begun with `load`; or has ended, and what was wanted of its load ends with it, unless that load is tried again
 * (`again`). */
void model_begin_load(struct model *m, const struct instance *i);
void model_end_load(struct model *m, const struct instance *i, bool again);
/* What was wanted of a load ends if nobody asks for that any more. */
void model_drop_load(struct model *m);
/* Its header was read, or cannot be. */
void model_take_header(struct model *m);

/* If cards came or went, what it takes is found out anew. To be called before `learned` is used of a model that has no engine and
 * does not wait: the others are told. */
void model_follow_cards(struct model *m);

/* By the arithmetic of its kind. `machine`: as in engine_question. */
void model_estimate(const struct model *m, const struct memory_figures *machine,
                    struct footprint *out);

/* The state of the instance that clients are told of. */
enum sched_state model_state(const struct model *m);
/* It gets no new requests: they wait for its next instance. */
bool model_is_draining(const struct model *m);
/* It serves on, and is unloaded when it is idle. */
bool model_is_to_go(const struct model *m);
/* It waits for room. */
bool model_waits(const struct model *m);
/* An operator asked for it, a place is free, and nobody knows yet whether it has room: the figures that decide it
 * are being read. For clients it is loading, as in llama.cpp, where a load begins with the request for it. */
bool model_is_being_placed(const struct model *m);
/* The instance that clients are told of: the newest. NULL when it is not loaded. */
struct instance *model_instance(const struct model *m);
/* That instance's engine; NULL without one. */
struct engine *model_engine(const struct model *m);
/* The connections to it; NULL unless it serves. */
struct http_client *model_client(const struct model *m);
/* `unloaded`, `loading`, `loaded`, `sleeping`: as clients of llama.cpp's router know them. */
const char *model_status(const struct model *m);
/* What all its instances hold, as of the last snapshot; zeroes without one. */
void model_memory(const struct model *m, struct memory_use *use);

#endif
