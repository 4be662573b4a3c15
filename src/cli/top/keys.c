/* SPDX-License-Identifier: MIT */
/* The keys of `hostler top`: what each one does in each mode. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/peer/peer.h"
#include "cli/terminal/screen.h"
#include "cli/top/top.h"

#define ESCAPE 0x1b
#define CTRL(letter) ((letter)&0x1f)
#define FILTER_MAX 128  /* bytes */
#define MESSAGE_MS 8000 /* how long a message stays */

void top_show_message(struct top *t, bool bad, char *text)
{
    free(t->message);
    t->message = text;
    t->message_is_error = bad;
    t->message_until = cli_now_ms() + MESSAGE_MS;
}

const struct top_row *top_selected(const struct top *t)
{
    size_t i = top_snapshot_find(&t->snapshot, t->selected);
    return i < t->snapshot.n_rows ? &t->snapshot.rows[i] : NULL;
}

/* --- moving -------------------------------------------------------------------------------------
 */

static void select_row(struct top *t, size_t i)
{
    const struct top_snapshot *f = &t->snapshot;
    if (!f->rows || !f->n_rows)
        return;
    free(t->selected);
    t->selected = mem_strdup(f->rows[i < f->n_rows ? i : f->n_rows - 1].id);
}

/* Applies a movement key to the index *at in 0 to n - 1. False for other keys. */
static bool move(int key, size_t n, size_t page, size_t *at)
{
    size_t last = n ? n - 1 : 0;
    switch (key) {
    case SCREEN_UP:
    case 'k':
        *at -= *at > 0;
        return true;
    case SCREEN_DOWN:
    case 'j':
        *at += *at < last;
        return true;
    case SCREEN_PAGE_UP:
    case CTRL('b'):
    case CTRL('u'):
        *at = *at > page ? *at - page : 0;
        return true;
    case SCREEN_PAGE_DOWN:
    case CTRL('f'):
    case CTRL('d'):
    case ' ':
        *at = *at + page < last ? *at + page : last;
        return true;
    case SCREEN_HOME:
    case 'g':
        *at = 0;
        return true;
    case SCREEN_END:
    case 'G':
        *at = last;
        return true;
    default:
        return false;
    }
}

/* --- actions -------------------------------------------------------------------------------------
 */

/* Sends the action `what` for model `id` to `path`. */
static void act(struct top *t, const char *what, const char *path, const char *id)
{
    char *label = mem_printf("%s %s", what, id);
    json_t *body = json_pack("{s:s}", "model", id);
    top_feed_send(&t->feed, label, path, body);
    free(label);
}

/* Whether the server is hostler; else says that it cannot do `what`. */
static bool on_hostler(struct top *t, const char *what)
{
    if (t->router.kind == ROUTER_HOSTLER)
        return true;
    top_show_message(t, true,
                     mem_printf("%s: this is %s, which cannot; serve with hostler for that", what,
                                t->router.peer->name));
    return false;
}

static void hold_or_release(struct top *t, const struct top_row *r)
{
    if (on_hostler(t, "hold"))
        act(t, r->hold ? "release" : "hold", r->hold ? "/models/release" : "/models/hold", r->id);
}

static void pin_or_unpin(struct top *t, const struct top_row *r)
{
    if (on_hostler(t, "pin"))
        act(t, r->pinned ? "unpin" : "pin", r->pinned ? "/models/unpin" : "/models/pin", r->id);
}

static void follow_log(struct top *t, const struct top_row *r)
{
    if (!on_hostler(t, "log"))
        return;
    top_feed_follow(&t->feed, r->id);
    t->log_back = t->log_seen = 0;
    t->mode = TOP_LOG;
}

/* `id` NULL: all models. Asks for confirmation, except for one model on hostler: there its requests finish first, a stock
 * router aborts them. */
static void unload(struct top *t, const char *id)
{
    if (id && t->router.kind == ROUTER_HOSTLER) {
        act(t, "unload", "/models/unload", id);
        return;
    }
    free(t->confirm_model);
    t->confirm_model = id ? mem_strdup(id) : NULL;
    t->mode = TOP_CONFIRMING;
}

static void unload_all(struct top *t)
{
    if (top_snapshot_sums(&t->snapshot).loaded)
        unload(t, NULL);
    else
        top_show_message(t, false, mem_strdup("nothing is loaded"));
}

/* --- modes --------------------------------------------------------------------------------------
 */

static void do_unload(struct top *t, bool hold)
{
    if (t->router.kind == ROUTER_HOSTLER && !t->confirm_model) {
        top_feed_send(&t->feed, hold ? "unload all and hold" : "unload all", "/models/unload-all",
                      json_pack("{s:b, s:s}", "hold", hold, "reason", "asked for in hostler top"));
    } else if (t->confirm_model) {
        act(t, "unload", "/models/unload", t->confirm_model);
    } else { /* a stock router has no such route */
        for (size_t i = 0; i < t->snapshot.models.n; i++)
            if (router_is_active(&t->snapshot.models.v[i]))
                act(t, "unload", "/models/unload", t->snapshot.models.v[i].id);
    }
}

/* Any other key than yes is no. */
static void key_confirming(struct top *t, int key)
{
    bool can_hold = t->router.kind == ROUTER_HOSTLER && !t->confirm_model;
    if (key == 'y' || key == 'Y' || (key == 'h' && can_hold))
        do_unload(t, key == 'h');
    else
        top_show_message(t, false, mem_strdup("nothing was unloaded"));
    t->mode = TOP_TABLE;
}

static void set_filter(struct top *t, char *filter)
{
    free(t->snapshot.filter);
    t->snapshot.filter = filter && *filter ? filter : NULL;
    if (!t->snapshot.filter)
        free(filter);
    top_snapshot_arrange(&t->snapshot);
    if (!top_selected(t))
        select_row(t, 0);
}

/* Without its last character, which may have several bytes. */
static char *shorter(const char *text)
{
    size_t len = strlen(text);
    while (len && ((unsigned char)text[--len] & 0xc0) == 0x80)
        continue;
    return mem_strndup(text, len);
}

static void key_filtering(struct top *t, int key)
{
    const char *now = t->snapshot.filter ? t->snapshot.filter : "";
    if (key == '\n' || key == '\r') {
        t->mode = TOP_TABLE;
    } else if (key == ESCAPE || key == CTRL('c')) {
        set_filter(t, NULL);
        t->mode = TOP_TABLE;
    } else if (key == SCREEN_BACKSPACE) {
        set_filter(t, shorter(now));
    } else if (key == CTRL('u')) {
        set_filter(t, NULL);
    } else if (key >= ' ' && key <= 0xff && strlen(now) < FILTER_MAX) {
        set_filter(t, mem_printf("%s%c", now, key));
    } else if (key == SCREEN_UP || key == SCREEN_DOWN) {
        t->mode = TOP_TABLE;
        top_key(t, key);
    }
}

static void key_log(struct top *t, int key)
{
    size_t n = t->feed.log.lines.n, at = n - (n ? 1 : 0) - t->log_back;
    if (key == 'q' || key == ESCAPE || key == 'f') {
        top_feed_unfollow(&t->feed);
        t->mode = TOP_TABLE;
    } else if (n && move(key, n, t->page, &at)) {
        t->log_back = n - 1 - at;
    }
}

static bool key_order(struct top *t, int key)
{
    if (key == 's')
        t->snapshot.sort = (t->snapshot.sort + 1) % TOP_SORTS;
    else if (key == 'r')
        t->snapshot.backwards = !t->snapshot.backwards;
    else
        return false;
    top_snapshot_arrange(&t->snapshot);
    return true;
}

/* Keys about the selected model. */
static void key_model(struct top *t, int key, const struct top_row *r)
{
    switch (key) {
    case 'l':
        act(t, "load", "/models/load", r->id);
        break;
    case 'u':
        unload(t, r->id);
        break;
    case 'h':
        hold_or_release(t, r);
        break;
    case 'p':
        pin_or_unpin(t, r);
        break;
    case 'f':
    case '\n':
    case '\r':
        follow_log(t, r);
        break;
    default:
        break;
    }
}

static void key_table(struct top *t, int key)
{
    const struct top_row *r = top_selected(t);
    size_t at = r ? (size_t)(r - t->snapshot.rows) : 0;
    if (move(key, t->snapshot.n_rows, t->page, &at))
        select_row(t, at);
    else if (key == 'q')
        t->quit = true;
    else if (key == '?' || key == SCREEN_HELP)
        t->mode = TOP_HELP;
    else if (key == '/')
        t->mode = TOP_FILTERING;
    else if (key == ESCAPE)
        set_filter(t, NULL);
    else if (key == '\t')
        t->wants_requests = !t->wants_requests;
    else if (key == 'U')
        unload_all(t);
    else if (!key_order(t, key) && r)
        key_model(t, key, r);
}

void top_key(struct top *t, int key)
{
    switch (t->mode) {
    case TOP_TABLE:
        key_table(t, key);
        break;
    case TOP_FILTERING:
        key_filtering(t, key);
        break;
    case TOP_CONFIRMING:
        key_confirming(t, key);
        break;
    case TOP_LOG:
        key_log(t, key);
        break;
    case TOP_HELP:
        t->mode = TOP_TABLE;
        break;
    }
}
