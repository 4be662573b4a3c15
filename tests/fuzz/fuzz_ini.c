/* SPDX-License-Identifier: MIT */
/* An INI file of any bytes: what is reported of a line is what INI allows, and of that line. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "catalog/ini.h"

static void check(bool good)
{
    if (!good)
        abort();
}

struct lines {
    const char *text;
    size_t len;
    unsigned last; /* number of the last that was reported */
};

/* Line `number`, counted here once more: CR, LF and CR LF each end one. NULL: there are not so
 * many. */
static const char *find_line(const struct lines *l, unsigned number, size_t *len)
{
    const char *at = l->text, *end = l->text + l->len;
    while (at < end) {
        const char *stop = at;
        while (stop < end && *stop != '\r' && *stop != '\n')
            stop++;
        *len = (size_t)(stop - at);
        if (--number == 0)
            return at;
        at = stop + 1;
        if (stop < end && *stop == '\r' && at < end && *at == '\n')
            at++;
    }
    return NULL;
}

static void check_key(const char *key)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    check(*key && strchr(first, *key));
    for (; *key; key++)
        check(strchr(first, *key) || strchr("0123456789.-", *key));
}

/* A tab may be within. */
static void check_trimmed(const char *text)
{
    size_t len = strlen(text);
    check(!len || (!strchr(" \t", text[0]) && !strchr(" \t", text[len - 1])));
    char *plain = strdup(text);
    for (char *tab = plain; (tab = strchr(tab, '\t'));)
        *tab = ' ';
    check(text_clean(plain));
    free(plain);
}

static int on_line(const struct ini_line *line, void *ctx, struct error *err)
{
    struct lines *l = ctx;
    size_t len = 0;
    const char *raw = find_line(l, line->number, &len);
    (void)err;
    check(raw && line->number > l->last);
    l->last = line->number;
    if (line->key) {
        check_key(line->key);
        check_trimmed(line->value);
        check(!strpbrk(line->value, ";#"));
        check(memmem(raw, len, line->key, strlen(line->key)) && memchr(raw, '=', len));
    } else {
        check(line->section && *line->section && !line->value && memchr(raw, '[', len));
    }
    if (line->section) {
        check_trimmed(line->section);
        check(!strchr(line->section, ']'));
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {""};
    char *copy = malloc(size ? size : 1); /* of the exact size, to see a read behind its end */
    if (size)
        memcpy(copy, data, size);
    struct lines l = {.text = copy, .len = size};
    int rc = ini_parse(copy, size, on_line, &l, &err);
    check(rc <= 0 && (rc == 0) == !*err.text);
    if (rc) {
        size_t len;
        unsigned number = (unsigned)strtoul(err.text + strlen("line "), NULL, 10);
        check(strncmp(err.text, "line ", 5) == 0 && number > l.last && find_line(&l, number, &len));
        check(text_clean(err.text));
    }
    free(copy);
    return 0;
}
