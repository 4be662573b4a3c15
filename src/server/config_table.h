/* SPDX-License-Identifier: MIT */
/*
 * The table of serve's own options, and how a text becomes a value of the configuration; config.c reads the
 * command line and the environment. Internal to the configuration.
 */
#ifndef HOSTLER_SERVER_CONFIG_TABLE_H
#define HOSTLER_SERVER_CONFIG_TABLE_H

#include "server/config.h"

enum config_kind {
    KIND_ENGINE, /* read first, because the engine says which options there are */
    KIND_TEXT,   /* char * at `offset` */
    KIND_COUNT,  /* unsigned */
    KIND_TIME,   /* uint64_t, ms */
    KIND_OTHER,  /* `set` */
};

struct config_entry {
    struct config_option public;
    enum config_kind kind;
    size_t offset;
    int (*set)(struct config *c, const char *value, struct error *err);
    bool passed; /* passed on to engines, too */
    const char *const
        *words; /* a switch that one of these may follow, ended by NULL; NULL: none may */
};

/* By one of its names, or its variable; NULL: it is not serve's own. */
const struct config_entry *config_table_find(const char *name);
const struct config_entry *config_table_find_env(const char *name);
/* `value`: NULL for a switch. A negative errno with a text that says what is wrong with the value. */
int config_table_set(struct config *c, const struct config_entry *o, const char *value,
                     struct error *err) __attribute__((warn_unused_result));

#endif
