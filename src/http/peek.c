/* SPDX-License-Identifier: MIT */
/*
 * Applies the rule of the window (peek.h) to what the scans find. A name counts at the offset where it
 * ends, a value that is no string where it begins, so that the result does not depend on the sizes of reads.
 */
#include "http/peek.h"

#include <stdlib.h>

#include "base/memory.h"
#include "http/peek_json.h"
#include "http/peek_multipart.h"
#include "http/peek_name.h"

struct peek {
    enum peek_result result; /* PEEK_MORE until decided */
    size_t offset;           /* bytes of the body taken; where it went wrong when MALFORMED */
    bool multipart;
    struct peek_name name;
    union {
        struct peek_json json;
        struct peek_multipart parts;
    } scan;
};

/* A freed one, for the next request: most requests need it for one turn of the loop. */
static struct peek *spare;

struct peek *peek_create(const char *content_type)
{
    /* Not zeroed: most of it are buffers for names and header lines that few bodies use. */
    struct peek *p = spare ? spare : mem_realloc(NULL, sizeof *p);
    spare = NULL;
    p->result = PEEK_MORE;
    p->offset = 0;
    peek_name_init(&p->name);
    p->multipart = peek_multipart_init(&p->scan.parts, content_type);
    if (!p->multipart)
        peek_json_init(&p->scan.json);
    return p;
}

void peek_destroy(struct peek *p)
{
    if (p && p->multipart)
        peek_multipart_finish(&p->scan.parts);
    if (p && !spare)
        spare = p;
    else
        free(p);
}

static void decide(struct peek *p)
{
    p->result = p->name.chosen == PEEK_MORE ? PEEK_MISSING : p->name.chosen;
}

static void at_window(struct peek *p)
{
    if (p->name.chosen != PEEK_MORE || (!p->multipart && !peek_json_is_open(&p->scan.json)))
        decide(p);
    p->name.first_wins = true;
}

static enum peek_scan scan(struct peek *p, const char *data, size_t len, size_t *used)
{
    return p->multipart ? peek_multipart_scan(&p->scan.parts, &p->name, data, len, used)
                        : peek_json_scan(&p->scan.json, &p->name, data, len, used);
}

enum peek_result peek_feed(struct peek *p, const char *data, size_t len)
{
    while (len && p->result == PEEK_MORE) {
        size_t used, n = len;
        if (p->offset < PEEK_WINDOW && n > PEEK_WINDOW - p->offset)
            n = PEEK_WINDOW - p->offset;
        enum peek_scan state = scan(p, data, n, &used);
        p->offset += used;
        data += used;
        len -= used;
        switch (state) {
        case PEEK_SCAN_MORE:
            if (p->offset == PEEK_WINDOW)
                at_window(p);
            break;
        case PEEK_SCAN_OVER:
            decide(p);
            break;
        case PEEK_SCAN_BAD:
            p->result = PEEK_MALFORMED;
            break;
        }
    }
    return p->result;
}

enum peek_result peek_end(struct peek *p)
{
    if (p->result != PEEK_MORE)
        return p->result;
    /* A multipart body that is whole was decided at its last boundary. */
    if (!p->multipart && peek_json_is_complete(&p->scan.json))
        decide(p);
    else
        p->result = PEEK_MALFORMED;
    return p->result;
}

const char *peek_model(const struct peek *p)
{
    return p->name.text;
}

size_t peek_error_at(const struct peek *p)
{
    return p->offset;
}
