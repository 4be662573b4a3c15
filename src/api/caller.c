/* SPDX-License-Identifier: MIT */
#include "api/caller.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/reply.h"
#include "base/memory.h"
#include "base/text.h"
#include "http/target.h"
#include "server/keys.h"

/* --- the key ------------------------------------------------------------------------------------
 */

static const char *without_scheme(const char *value)
{
    return strncasecmp(value, "Bearer ", 7) == 0 ? value + 7 : value;
}

/* As llama-server looks for it: in Authorization, with `Bearer ` or without, or when that is not there or empty in
 * X-Api-Key. */
const char *caller_key_text(const struct http_head *head)
{
    const char *value = http_head_get(head, "authorization");
    if (!value || !*value)
        value = http_head_get(head, "x-api-key");
    return value ? without_scheme(value) : NULL;
}

/* The name of the key; NULL: none of `keys`. */
static const char *key_of(const struct keys *keys, const struct http_head *head)
{
    const char *key = caller_key_text(head);
    return key ? keys_find(keys, key) : NULL;
}

/* --- rights -------------------------------------------------------------------------------------
 */

#define BIT(right) (1U << (right))
#define ALL_RIGHTS (BIT(RIGHT_COUNT) - 1)
/* A page of any origin may use models, as llama-server has it by default (--cors-origins), and
 * nothing that changes the server or tells of its other users. */
#define FOREIGN_PAGE_RIGHTS (BIT(RIGHT_NONE) | BIT(RIGHT_LIST) | BIT(RIGHT_INFER))

static void set_rights(struct caller *c, bool has_key)
{
    c->rights = has_key ? ALL_RIGHTS : BIT(RIGHT_NONE);
    if (c->page == PAGE_FOREIGN)
        c->rights &= FOREIGN_PAGE_RIGHTS;
}

void caller_init(struct caller *c, const struct config *config, const struct http_exchange *x)
{
    const struct http_head *head = http_exchange_head(x);
    c->x = x;
    c->key = config->api_keys.n ? key_of(&config->api_keys, head) : NULL;
    c->page = origins_page(&config->cors_origins, x);
    set_rights(c, c->key || !config->api_keys.n);
}

bool caller_may(const struct caller *c, enum right right, const struct model *model)
{
    (void)model; /* every key is for all models */
    return c->rights & BIT(right);
}

bool caller_foreign_page_may(enum right right)
{
    return FOREIGN_PAGE_RIGHTS & BIT(right);
}

static void refuse_page(struct http_exchange *x)
{
    const char *origin = http_head_get(http_exchange_head(x), "origin");
    http_exchange_omit_fields(x);
    if (origin && strncmp(origin, "http", 4) == 0)
        reply_error(x, 403,
                    "pages of %.128s may not use this route; to allow it, start the server with "
                    "--cors-origins %.128s",
                    origin, origin);
    else
        reply_error(x, 403,
                    "pages of other origins may not use this route; --cors-origins names those "
                    "that may");
}

void caller_refuse(const struct caller *c, enum right right, struct http_exchange *x)
{
    if (c->page == PAGE_FOREIGN && !caller_foreign_page_may(right))
        refuse_page(x);
    else
        reply_error(x, 401, "Invalid API Key");
}

/* --- in words -----------------------------------------------------------------------------------
 */

static bool is_local(const char *peer)
{
    static const char *const local[] = {"127.", "[::1]:", "[::ffff:127.", "unix"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (strncmp(peer, local[i], strlen(local[i])) == 0)
            return true;
    return false;
}

static void set_text(char *out, size_t size, const char *text)
{
    *out = '\0';
    if (text)
        text_copy(out, size, text, strlen(text));
}

static void set_client(struct caller_text *t, const struct http_exchange *x)
{
    const char *peer = http_exchange_peer(x);
    const char *through = http_head_get(http_exchange_head(x), "x-forwarded-for");
    char via[48]; /* a local peer is short */
    if (!through || !*through || !is_local(peer)) {
        set_text(t->client, sizeof t->client, peer);
        return;
    }
    snprintf(via, sizeof via, " via %s", peer);
    text_copy(t->client, sizeof t->client - strlen(via), through, strcspn(through, ","));
    memcpy(t->client + strlen(t->client), via, strlen(via) + 1);
}

static void set_request(struct caller_text *t, const struct http_exchange *x)
{
    const char *method = http_exchange_method(x), *target = http_exchange_target(x);
    size_t len = strlen(method); /* the longest has 11 */
    memcpy(t->request, method, len);
    t->request[len++] = ' ';
    text_copy(t->request + len, sizeof t->request - len, target, target_path_len(target));
}

void caller_text_set(struct caller_text *t, const struct caller *c)
{
    set_request(t, c->x);
    set_client(t, c->x);
    set_text(t->key, sizeof t->key, c->key);
    set_text(t->agent, sizeof t->agent, http_head_get(http_exchange_head(c->x), "user-agent"));
}

char *caller_text_describe(const struct caller_text *t)
{
    const char *open = *t->key || *t->agent ? " (" : "", *close = *open ? ")" : "";
    const char *comma = *t->key && *t->agent ? ", " : "";
    return mem_printf("%s from %s%s%s%s%s%s%s", t->request, t->client, open,
                      *t->key && strncmp(t->key, "key ", 4) != 0 ? "key " : "", t->key, comma,
                      t->agent, close);
}

char *caller_describe(const struct caller *c)
{
    struct caller_text text;
    caller_text_set(&text, c);
    return caller_text_describe(&text);
}
