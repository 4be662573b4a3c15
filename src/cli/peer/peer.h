/* SPDX-License-Identifier: MIT */
/*
 * The kinds of servers that the commands can talk to: how each lists its models and how it unloads one. `list` converts
 * every answer to llama.cpp's shape (router.h), so that commands need not know the kinds.
 *
 * hostler speaks llama.cpp's API, so it is that kind with more to it (enum router_kind).
 */
#ifndef HOSTLER_CLI_PEER_PEER_H
#define HOSTLER_CLI_PEER_PEER_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/peer/router.h"

struct peer_request {
    const char *method;
    char *path;   /* owned */
    json_t *body; /* owned; NULL */
};

struct peer {
    enum router_kind kind;
    const char *name;      /* with its article: `a stock llama.cpp router` */
    const char *in_flight; /* completes a sentence: what an unload does to running requests */
    /* Whether the server is of this kind, by a route that no other kind has. An exit status. NULL:
     * taken when it is no other. */
    int (*recognise)(struct router *r, bool *is);
    /* As router_list(). */
    int (*list)(struct router *r, struct router_models *m, bool reload);
    /* What to send to unload `model`. */
    void (*unload)(const char *model, struct peer_request *out);
    bool unload_waits; /* its answer to an unload comes after the process has ended */
    /* A GET that unloads all at once; NULL: there is none. */
    const char *unload_all;
    /* Compares two active entries of one model: whether it was reloaded in between. NULL: its lists do not tell. */
    bool (*is_another)(const struct router_model *before, const struct router_model *now);
};

extern const struct peer peer_llama_cpp, peer_llama_swap, peer_ollama;

#endif
