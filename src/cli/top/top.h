/* SPDX-License-Identifier: MIT */
/* The parts of `hostler top`: what is known (snapshot.h), the network (feed.h), and here what
 * the person at the keys has chosen. view.c draws it, keys.c changes it, top.c turns. */
#ifndef HOSTLER_CLI_TOP_TOP_H
#define HOSTLER_CLI_TOP_TOP_H

#include "cli/top/feed.h"
#include "cli/top/snapshot.h"

enum top_mode {
    TOP_TABLE,
    TOP_FILTERING, /* letters go into the filter */
    TOP_ASKING,    /* shall really be unloaded? */
    TOP_LOG,
    TOP_HELP,
};

struct top {
    struct router router;
    struct top_snapshot snapshot;
    struct top_feed feed;
    enum top_mode mode;
    char *selected;      /* a model's id; NULL before there was one */
    size_t first;        /* the row that is shown first */
    size_t page;         /* rows that are shown */
    char *asked;         /* TOP_ASKING about this model; NULL: about all */
    bool wants_requests; /* below the table, where there is room for one list only */
    size_t log_back;     /* lines from the log's end, which is shown with 0 */
    size_t log_seen;     /* the log's `written` when it was drawn */
    char *message;       /* what a key led to; NULL */
    bool message_bad;
    uint64_t message_until; /* ms */
    bool over;
};

/* The row that is selected; NULL when there is none. */
const struct top_row *top_selected(const struct top *t);
/* Takes `text`. */
void top_show_message(struct top *t, bool bad, char *text);

void top_draw(struct top *t, uint64_t now);
/* `key`: of screen_key(). */
void top_key(struct top *t, int key);

#endif
