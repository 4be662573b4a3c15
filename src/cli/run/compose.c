/* SPDX-License-Identifier: MIT */
#include "cli/run/compose.h"

#define MARK "\"\"\""
#define MARK_LEN strlen(MARK)

void run_compose_init(struct run_compose *c, size_t max)
{
    *c = (struct run_compose){0};
    buf_init(&c->text, max);
}

void run_compose_finish(struct run_compose *c)
{
    buf_finish(&c->text);
}

void run_compose_clear(struct run_compose *c)
{
    buf_clear(&c->text);
    c->begun = c->block = c->quoted = false;
}

/* Whether `line` ends with the mark; `line` itself without it if so. */
static size_t without_mark(const char *line, size_t len)
{
    bool ends = len >= MARK_LEN && memcmp(line + len - MARK_LEN, MARK, MARK_LEN) == 0;
    return ends ? len - MARK_LEN : len;
}

static enum run_compose_result add(struct run_compose *c, const char *line, size_t len, bool more)
{
    if (buf_append(&c->text, line, len) || (more && buf_puts(&c->text, "\n")))
        return RUN_COMPOSE_TOO_LONG;
    return more ? RUN_COMPOSE_MORE : RUN_COMPOSE_DONE;
}

enum run_compose_result run_compose_add(struct run_compose *c, const char *line)
{
    bool opens = !c->begun && strncmp(line, MARK, MARK_LEN) == 0;
    if (opens) {
        line += MARK_LEN;
        c->block = c->quoted = true;
    }
    c->begun = true;
    size_t len = strlen(line);
    if (c->block) {
        size_t inner = without_mark(line, len);
        c->block = inner == len;
        /* What opens the block may stand on a line of its own. */
        return opens && !len ? RUN_COMPOSE_MORE : add(c, line, inner, c->block);
    }
    bool more = len && line[len - 1] == '\\';
    return add(c, line, more ? len - 1 : len, more);
}

bool run_compose_is_command(struct run_compose *c)
{
    const char *text = buf_cstr(&c->text);
    if (c->quoted || !text || text[0] != '/' || strchr(text, '\n'))
        return false;
    return !memchr(text + 1, '/', strcspn(text + 1, " \t"));
}
