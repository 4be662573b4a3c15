/* SPDX-License-Identifier: MIT */
#include "base/strv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void strv_finish(struct strv *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct strv){0};
}

void strv_add_take(struct strv *s, char *text)
{
    /* Grows when n + 1 reaches a power of two; one place more than n is kept for the NULL. */
    if (!s->v || ((s->n + 1) & s->n) == 0)
        s->v = mem_realloc(s->v, (s->n + 1) * 2 * sizeof *s->v);
    s->v[s->n++] = text;
    s->v[s->n] = NULL;
}

void strv_add(struct strv *s, const char *text)
{
    strv_add_take(s, mem_strdup(text));
}

void strv_addf(struct strv *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    strv_add_take(s, text);
}

void strv_copy(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++)
        strv_add(to, from->v[i]);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *s)
{
    size_t kept = 0;
    if (!s->n)
        return;
    qsort(s->v, s->n, sizeof *s->v, compare_texts);
    for (size_t i = 1; i < s->n; i++) {
        if (strcmp(s->v[kept], s->v[i]) == 0)
            free(s->v[i]);
        else
            s->v[++kept] = s->v[i];
    }
    s->n = kept + 1;
    s->v[s->n] = NULL;
}

bool strv_has(const struct strv *s, const char *text)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i], text) == 0)
            return true;
    return false;
}

bool strv_equal(const struct strv *a, const struct strv *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    return true;
}

void strv_split(struct strv *s, const char *text, char sep)
{
    while (*text) {
        const char *end = strchrnul(text, sep);
        const char *from = text, *to = end;
        while (from < to && (*from == ' ' || *from == '\t'))
            from++;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
            to--;
        if (to > from)
            strv_add_take(s, mem_strndup(from, (size_t)(to - from)));
        text = *end ? end + 1 : end;
    }
}
