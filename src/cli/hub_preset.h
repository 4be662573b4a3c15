/* SPDX-License-Identifier: MIT */
/*
 * The presets that a repository on the hub may hold, as a file preset.ini: `serve -hf USER/REPO` is a router of their
 * sections then, as llama-server is. It is put where llama-server puts it, into the snapshot of the Hugging Face
 * cache, and found there when the hub cannot be reached.
 *
 * A process of its own asks the hub: libcurl and its libraries would stay in the daemon.
 */
#ifndef HOSTLER_CLI_HUB_PRESET_H
#define HOSTLER_CLI_HUB_PRESET_H

#include <stdbool.h>

struct hub_question {
    const char *repo;      /* USER/REPO; a tag after it does not count */
    const char *cache_dir; /* of the Hugging Face cache */
    const char *endpoint;  /* NULL: huggingface.co */
    const char *token;     /* NULL: none */
    bool offline;          /* only the cache is asked */
};

/* The file's path, which the caller frees. NULL: there is none, as far as is known; a warning was logged if the hub
 * could not be asked. Blocks: the hub has 10 s for all its answers together, and what is written waits for the cache's
 * disk. Before any thread was started. */
char *hub_preset_find(const struct hub_question *q);

#endif
