/* SPDX-License-Identifier: MIT */
/* The state of `hostler top`: the server's snapshot (snapshot.h), the network (feed.h), and what the user has selected.
 * view.c draws it, keys.c changes it, top.c runs the loop. */
#ifndef HOSTLER_CLI_TOP_TOP_H
#define HOSTLER_CLI_TOP_TOP_H

#include "cli/top/feed.h"
#include "cli/top/snapshot.h"

enum top_mode {
    TOP_TABLE,
    TOP_FILTERING,  /* typed letters edit the filter */
    TOP_CONFIRMING, /* a question: unload? */
    TOP_LOG,
    TOP_HELP,
};

struct top {
    struct router router;
    struct top_snapshot snapshot;
    struct top_feed feed;
    enum top_mode mode;
    char *selected;      /* a model's id; NULL until the first list of models */
    size_t first;        /* the row that is shown first */
    size_t page;         /* rows that are shown */
    char *confirm_model; /* of TOP_CONFIRMING; NULL: all models */
    bool wants_requests; /* show requests rather than events where only one list fits */
    size_t log_back;     /* lines from the log's end, which is shown with 0 */
    size_t log_seen;     /* the log's `written` when it was drawn */
    char *message;       /* the result of a key; NULL */
    bool message_is_error;
    uint64_t message_until; /* ms */
    bool quit;
};

/* The selected model's row; NULL where it is not among the rows. */
const struct top_row *top_selected(const struct top *t);
/* Takes `text`. */
void top_show_message(struct top *t, bool bad, char *text);

void top_draw(struct top *t, uint64_t now);
/* `key`: of screen_key(). */
void top_key(struct top *t, int key);

#endif
