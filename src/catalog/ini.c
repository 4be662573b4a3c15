/* SPDX-License-Identifier: MIT */
#include "catalog/ini.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define QUOTED_MAX ((size_t)60) /* bytes of a line in an error */

struct reader {
    ini_handler *handler;
    void *ctx;
    struct error *err;
    struct ini_line line;
    char *section; /* owned */
};

#define BLANKS " \t"
#define COMMENT ";#" /* what begins one */

/* Cuts the blanks off both ends, in place. */
static char *trim(char *text)
{
    size_t len = strlen(text);
    while (len && strchr(BLANKS, text[len - 1]))
        text[--len] = '\0';
    return text + strspn(text, BLANKS);
}

/* A tab is the one control character that may be there. */
static bool is_clean(const char *text)
{
    char *plain = mem_strdup(text);
    for (char *tab = plain; (tab = strchr(tab, '\t'));)
        *tab = ' ';
    bool clean = text_clean(plain);
    free(plain);
    return clean;
}

static void cut_comment(char *text)
{
    text[strcspn(text, COMMENT)] = '\0';
}

/* Cuts what an error quotes, in place, and makes one line of it: somebody may have named a file that
 * is none of presets. */
static char *shorten(char *text)
{
    size_t len = QUOTED_MAX;
    for (char *tab = text; (tab = strchr(tab, '\t'));)
        *tab = ' ';
    if (strlen(text) <= len)
        return text;
    while ((text[len] & 0xC0) == 0x80) /* not within a character */
        len--;
    text[len] = '\0';
    return text;
}

static bool starts_key(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_key(const char *text)
{
    if (!starts_key(*text))
        return false;
    for (; *text; text++)
        if (!starts_key(*text) && !(*text >= '0' && *text <= '9') && *text != '.' && *text != '-')
            return false;
    return true;
}

static int begin_section(struct reader *r, char *text)
{
    char *end = strchr(text, ']');
    if (!end)
        return error_set(r->err, -EINVAL, "line %u: '[' without ']': write [NAME]", r->line.number);
    *end = '\0';
    cut_comment(end + 1);
    char *name = trim(text + 1);
    if (!*name)
        return error_set(r->err, -EINVAL, "line %u: a section needs a name: [NAME], or [*] for all",
                         r->line.number);
    if (*trim(end + 1))
        return error_set(r->err, -EINVAL, "line %u: nothing may follow [%s] but a comment",
                         r->line.number, shorten(name));
    free(r->section);
    r->section = mem_strdup(name);
    r->line.section = r->section;
    r->line.key = r->line.value = NULL;
    r->line.cut = r->line.unclosed = false;
    return r->handler(&r->line, r->ctx, r->err);
}

/* The quote that closes the one at `text`: the first one after which the line has only a comment. NULL: none. */
static char *closing_quote(char *text)
{
    for (char *end = text; (end = strchr(end + 1, *text));) {
        const char *rest = end + 1 + strspn(end + 1, BLANKS);
        if (!*rest || *rest == ';' || *rest == '#')
            return end;
    }
    return NULL;
}

/* `text`: what follows the `=`; it is changed. `*cut`: a comment follows without a blank before it, which may be a
 * part of the value. `*unclosed`: it begins with a quote that has no second one. */
static char *take_value(char *text, bool *cut, bool *unclosed)
{
    text += strspn(text, BLANKS);
    bool quoted = *text == '"' || *text == '\'';
    char *end = quoted ? closing_quote(text) : NULL;
    char *comment = text + strcspn(text, COMMENT);
    *cut = false;
    *unclosed = quoted && !end;
    if (end && comment < end) {
        *end = '\0';
        return text + 1;
    }
    if (*comment && comment > text)
        *cut = !strchr(BLANKS, comment[-1]) || (quoted && !end);
    *comment = '\0';
    return trim(text);
}

static int read_pair(struct reader *r, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || equals > text + strcspn(text, COMMENT)) {
        cut_comment(text);
        return error_set(r->err, -EINVAL, "line %u: '%s' is neither [SECTION] nor KEY = VALUE",
                         r->line.number, shorten(text));
    }
    *equals = '\0';
    char *key = trim(text);
    if (key[0] == '-')
        return error_set(r->err, -EINVAL, "line %u: write '%s' without its dashes", r->line.number,
                         shorten(key));
    if (!is_key(key))
        return error_set(r->err, -EINVAL, "line %u: '%s' cannot be a key", r->line.number,
                         shorten(key));
    r->line.key = key;
    r->line.value = take_value(equals + 1, &r->line.cut, &r->line.unclosed);
    return r->handler(&r->line, r->ctx, r->err);
}

/* `text` is the line without its end; it is changed. */
static int read_line(struct reader *r, char *text, size_t len)
{
    if (strlen(text) != len || !is_clean(text))
        return error_set(r->err, -EINVAL,
                         "line %u: it holds control characters or bytes that are not UTF-8",
                         r->line.number);
    text = trim(text);
    if (*text == '\0' || *text == ';' || *text == '#')
        return 0;
    return *text == '[' ? begin_section(r, text) : read_pair(r, text);
}

/* With `problem` to the end, whatever stands there. */
static int read_all(struct reader *r, const char *text, size_t len, ini_problem *problem)
{
    const char *at = text, *end = text + len;
    int rc = 0;
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) /* a mark that Windows editors leave */
        at += 3;
    while (at < end && rc == 0) {
        const char *eol = at;
        while (eol < end && *eol != '\n' && *eol != '\r')
            eol++;
        char *line = mem_strndup(at, (size_t)(eol - at));
        r->line.number++;
        rc = read_line(r, line, (size_t)(eol - at));
        free(line);
        if (rc && problem) {
            problem(r->line.number, r->section, r->err->text, r->ctx);
            rc = 0;
        }
        if (eol + 1 < end && eol[0] == '\r' && eol[1] == '\n')
            eol++;
        at = eol + 1;
    }
    free(r->section);
    return rc;
}

int ini_parse(const char *text, size_t len, ini_handler *handler, void *ctx, struct error *err)
{
    struct reader r = {.handler = handler, .ctx = ctx, .err = err};
    return read_all(&r, text, len, NULL);
}

void ini_parse_all(const char *text, size_t len, ini_handler *handler, ini_problem *problem,
                   void *ctx)
{
    struct error err = {""};
    struct reader r = {.handler = handler, .ctx = ctx, .err = &err};
    (void)!read_all(&r, text, len, problem);
}
