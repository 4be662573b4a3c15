/* SPDX-License-Identifier: MIT */
#include "api/who.h"

#include <stdio.h>
#include <string.h>

#include "api/access.h"
#include "base/memory.h"
#include "base/text.h"
#include "http/target.h"

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
    text_copy(out, size, text ? text : "", text ? strlen(text) : 0);
}

static void set_client(struct who *w, const struct http_exchange *x)
{
    const char *peer = http_exchange_peer(x);
    const char *through = http_head_get(http_exchange_head(x), "x-forwarded-for");
    char via[48]; /* a local peer is short */
    if (!through || !*through || !is_local(peer)) {
        set_text(w->client, sizeof w->client, peer);
        return;
    }
    snprintf(via, sizeof via, " via %s", peer);
    text_copy(w->client, sizeof w->client - strlen(via), through, strcspn(through, ","));
    memcpy(w->client + strlen(w->client), via, strlen(via) + 1);
}

static void set_request(struct who *w, const struct http_exchange *x)
{
    const char *method = http_exchange_method(x), *target = http_exchange_target(x);
    size_t len = strlen(method); /* the longest has 11 */
    memcpy(w->request, method, len);
    w->request[len++] = ' ';
    text_copy(w->request + len, sizeof w->request - len, target, target_path_len(target));
}

void who_set(struct who *w, const struct keys *keys, const struct http_exchange *x)
{
    const struct http_head *head = http_exchange_head(x);
    set_request(w, x);
    set_client(w, x);
    set_text(w->key, sizeof w->key, keys->n ? access_key(keys, head) : NULL);
    set_text(w->agent, sizeof w->agent, http_head_get(head, "user-agent"));
}

char *who_describe(const struct who *w)
{
    const char *open = *w->key || *w->agent ? " (" : "", *close = *open ? ")" : "";
    const char *comma = *w->key && *w->agent ? ", " : "";
    return mem_printf("%s from %s%s%s%s%s%s%s", w->request, w->client, open,
                      *w->key && strncmp(w->key, "key ", 4) != 0 ? "key " : "", w->key, comma,
                      w->agent, close);
}
