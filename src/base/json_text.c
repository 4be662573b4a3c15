/* SPDX-License-Identifier: MIT */
#include "base/json_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/memory_reserve.h"

/* A text of so many bytes makes at most 100 times as many of jansson's: what the reserve has for it. */
#define PARSED_WHILE_SHORT_MAX ((size_t)4 * 1024)
#define OVERHEAD ((size_t)16) /* bytes of malloc's own for an allocation */

static __thread enum { BUILDING, PARSING_SMALL, PARSING_LARGE } doing;
static __thread size_t left; /* bytes that the document may still take */
static __thread int failure; /* of the text that is parsed: a negative errno */
static __thread bool incomplete;

static void *allocate(size_t size)
{
    if (doing == BUILDING && size <= MEM_SMALL)
        return mem_realloc(NULL, size);
    if (doing == BUILDING) {
        void *p = mem_try_realloc(NULL, size);
        incomplete |= !p;
        return p;
    }
    if (size + OVERHEAD > left) {
        failure = -ENOBUFS;
        return NULL;
    }
    left -= size + OVERHEAD;
    /* Of many small pieces, too, the sum is large: they are not for the reserve. */
    bool none = doing == PARSING_LARGE && memory_is_short();
    void *p = none ? NULL : mem_try_realloc(NULL, size);
    if (!p)
        failure = -ENOMEM;
    return p;
}

void json_text_init(void)
{
    json_set_alloc_funcs(allocate, free);
}

/* Behind the document: blanks, then nothing or a zero byte. */
static bool ends_there(const char *text, size_t len)
{
    while (len && *text && strchr(" \t\r\n", *text)) {
        text++;
        len--;
    }
    return !len || !*text;
}

static json_t *load(const char *text, size_t len, size_t max, json_error_t *why)
{
    json_error_t end;
    left = max;
    json_t *document = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, why ? why : &end);
    if (why)
        end = *why;
    if (!document || ends_there(text + end.position, len - (size_t)end.position))
        return document;
    json_decref(document);
    left = max;
    return json_loadb(text, len, 0, why); /* says what is wrong after it */
}

int json_text_parse(json_t **out, const char *text, size_t len, size_t max, json_error_t *why)
{
    size_t mark = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    doing = len <= PARSED_WHILE_SHORT_MAX ? PARSING_SMALL : PARSING_LARGE;
    failure = 0;
    *out = load(text + mark, len - mark, max, why);
    doing = BUILDING;
    if (!failure)
        return *out ? 0 : -EINVAL;
    json_decref(*out);
    *out = NULL;
    return failure;
}

struct appending {
    struct buf *out;
    int rc; /* of the first append that failed: jansson goes on after some */
};

static int append(const char *data, size_t len, void *ctx)
{
    struct appending *a = ctx;
    if (!a->rc)
        a->rc = buf_append(a->out, data, len);
    return a->rc ? -1 : 0;
}

int json_text_append(struct buf *out, const json_t *value, size_t flags)
{
    struct appending a = {.out = out};
    int rc = json_dump_callback(value, append, &a, flags);
    return a.rc ? a.rc : rc ? -ENOMEM : 0;
}

void json_text_begin(void)
{
    incomplete = false;
}

bool json_text_was_incomplete(void)
{
    bool was = incomplete;
    incomplete = false;
    return was;
}
