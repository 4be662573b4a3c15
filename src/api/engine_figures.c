/* SPDX-License-Identifier: MIT */
#include "api/engine_figures.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/strv.h"

enum type { UNKNOWN, COUNTER, GAUGE, HISTOGRAM, SUMMARY };

struct sample {
    struct sample *next;
    const char *model;           /* the list's */
    char *name, *labels, *value; /* in `text`; labels: the engine's own, without braces */
    char text[];
};

struct family {
    char *name; /* as samples begin: a counter's with `_total` */
    char *help; /* NULL */
    enum type type;
    struct sample *first, **end;
    UT_hash_handle hh;
};

struct engine_figures_list {
    struct family *by_name;
    struct family *next; /* to be written */
    bool begun;
    struct strv models; /* whose texts were added */
};

/* --- names ---------------------------------------------------------------------------------------
 */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
    size_t n = strlen(text), m = strlen(with);
    return n >= m && strcmp(text + n - m, with) == 0;
}

static bool is_name(const char *name)
{
    if (!*name || isdigit((unsigned char)*name))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_' && *name != ':')
            return false;
    return true;
}

/* The caller frees it. */
static char *our_name(const char *name)
{
    bool meets = begins(name, "hostler_") || begins(name, "process_");
    char *out = mem_printf("%s%s", meets ? "engine_" : "", name);
    for (char *p = out; *p; p++)
        if (*p == ':')
            *p = '_';
    return out;
}

/* --- families ------------------------------------------------------------------------------------
 */

static struct family *find(struct engine_figures_list *l, const char *name)
{
    struct family *f;
    HASH_FIND_STR(l->by_name, name, f);
    return f;
}

/* NULL: there are too many. */
static struct family *find_or_add(struct engine_figures_list *l, const char *name)
{
    struct family *f = find(l, name);
    if (f || HASH_COUNT(l->by_name) >= ENGINE_FIGURES_FAMILIES)
        return f;
    f = mem_zalloc(sizeof *f);
    f->name = mem_strdup(name);
    f->end = &f->first;
    HASH_ADD_KEYPTR(hh, l->by_name, f->name, strlen(f->name), f);
    return f;
}

/* Whether it has samples whose names have a suffix. */
static bool is_made_of_parts(const struct family *f)
{
    return f->type == HISTOGRAM || f->type == SUMMARY;
}

/* The family that a sample belongs to: its own, unless it is part of a histogram or a summary. */
static struct family *family_of(struct engine_figures_list *l, const char *name)
{
    static const char *const parts[] = {"_bucket", "_sum", "_count"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!ends(name, parts[i]))
            continue;
        char *base = mem_strndup(name, strlen(name) - strlen(parts[i]));
        struct family *f = find(l, base);
        free(base);
        if (f && is_made_of_parts(f))
            return f;
    }
    return find_or_add(l, name);
}

/* --- lines ---------------------------------------------------------------------------------------
 */

static char *cut_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t");
    *rest = word + strcspn(word, " \t");
    if (**rest)
        *(*rest)++ = '\0';
    return word;
}

static enum type type_of(const char *word, const char *name)
{
    if (strcmp(word, "counter") == 0)
        return ends(name, "_total") ? COUNTER : UNKNOWN;
    return strcmp(word, "gauge") == 0       ? GAUGE
           : strcmp(word, "histogram") == 0 ? HISTOGRAM
           : strcmp(word, "summary") == 0   ? SUMMARY
                                            : UNKNOWN;
}

/* `# HELP name text` or `# TYPE name type`; other comments say nothing. The first engine's word counts. */
static void read_comment(struct engine_figures_list *l, char *line)
{
    char *rest = line + 1;
    const char *what = cut_word(&rest), *name = cut_word(&rest);
    bool help = strcmp(what, "HELP") == 0, type = strcmp(what, "TYPE") == 0;
    if ((!help && !type) || !is_name(name))
        return;
    char *ours = our_name(name);
    struct family *f = find_or_add(l, ours);
    if (f && help && !f->help)
        f->help = mem_strdup(rest + strspn(rest, " \t"));
    else if (f && type && !f->first)
        f->type = type_of(cut_word(&rest), ours);
    free(ours);
}

/* After the quote that closes a value; NULL: none does, or an escape is none. */
static char *skip_quoted(char *p)
{
    for (; *p && *p != '"'; p++)
        if (*p == '\\' && !strchr("\\\"n", *++p))
            return NULL;
    return *p == '"' ? p + 1 : NULL;
}

/* After the brace that closes labels `name="value",…`; NULL: they are none. `p`: after the one that opens them. */
static char *skip_labels(char *p)
{
    while (*p != '}') {
        size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
        if (!n || isdigit((unsigned char)*p) || p[n] != '=' || p[n + 1] != '"')
            return NULL;
        p = skip_quoted(p + n + 2);
        if (!p)
            return NULL;
        p += strspn(p, " ");
        if (*p == ',')
            p++;
        else if (*p != '}')
            return NULL;
        p += strspn(p, " ");
    }
    return p + 1;
}

static bool is_number(const char *text)
{
    char *end;
    (void)strtod(text, &end);
    return *text && end != text && !*end && !strpbrk(text, "xXpP(");
}

/* NULL: there is no memory for it. How much an engine says is its own choice. */
static struct sample *create_sample(const char *name, const char *labels, const char *value)
{
    const size_t n = strlen(name) + 1, l = strlen(labels) + 1, v = strlen(value) + 1;
    struct sample *s = mem_try_zalloc(sizeof *s + n + l + v);
    if (!s)
        return NULL;
    s->name = memcpy(s->text, name, n);
    s->labels = memcpy(s->text + n, labels, l);
    s->value = memcpy(s->text + n + l, value, v);
    return s;
}

static void add_sample(struct engine_figures_list *l, const char *model, const char *name,
                       const char *labels, const char *value)
{
    char *ours = our_name(name);
    struct family *f = family_of(l, ours);
    struct sample *s = f ? create_sample(ours, labels, value) : NULL;
    if (s) {
        s->model = model;
        *f->end = s;
        f->end = &s->next;
    }
    free(ours);
}

/* `name{labels} value timestamp`, labels and timestamp are optional. */
static void read_sample(struct engine_figures_list *l, const char *model, char *line)
{
    char *name = line, *rest = line + strcspn(line, "{ \t");
    const char *labels = "";
    if (*rest == '{') {
        char *after = skip_labels(rest + 1);
        if (!after)
            return;
        *rest = '\0';
        labels = rest + 1;
        after[-1] = '\0';
        rest = after;
    } else if (*rest) {
        *rest++ = '\0';
    }
    const char *value = cut_word(&rest);
    if (is_name(name) && is_number(value))
        add_sample(l, model, name, labels, value);
}

void engine_figures_add(struct engine_figures_list *l, const char *name, char *text)
{
    strv_add(&l->models, name);
    const char *model = l->models.v[l->models.n - 1];
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        size_t n = strlen(line);
        if (n && line[n - 1] == '\r')
            line[n - 1] = '\0';
        line += strspn(line, " \t");
        if (*line == '#')
            read_comment(l, line);
        else if (*line)
            read_sample(l, model, line);
    }
}

/* --- writing -------------------------------------------------------------------------------------
 */

static void put(struct exposition *e, const char *text)
{
    if (!e->rc)
        e->rc = buf_puts(e->out, text);
}

static const char *type_name(const struct exposition *e, enum type type)
{
    switch (type) {
    case UNKNOWN:
        return e->open_metrics ? "unknown" : "untyped";
    case COUNTER:
        return "counter";
    case GAUGE:
        return "gauge";
    case HISTOGRAM:
        return "histogram";
    case SUMMARY:
        return "summary";
    }
    return "unknown";
}

/* OpenMetrics names a counter's family without the suffix. */
static void put_family(struct exposition *e, const struct family *f)
{
    size_t n = strlen(f->name);
    if (e->open_metrics && f->type == COUNTER)
        n -= strlen("_total");
    if (!e->rc)
        e->rc = buf_append(e->out, f->name, n);
}

/* Backslashes must be escapes here, and quotes too in OpenMetrics. */
static void put_help(struct exposition *e, const char *help)
{
    char *plain = mem_strdup(help);
    for (char *p = plain; *p; p++)
        if (*p == '\\' || *p == '"')
            *p = '\'';
    exposition_escape(e, plain);
    free(plain);
}

/* Theirs under another name: what Prometheus itself does then. */
static void put_labels(struct exposition *e, const char *labels)
{
    for (const char *p = labels; *p;) {
        char *end = skip_quoted(strchr(p, '"') + 1);
        put(e, begins(p, "model=") ? ",exported_" : ",");
        if (!e->rc)
            e->rc = buf_append(e->out, p, (size_t)(end - p));
        p = end + strspn(end, " ,");
    }
}

static void put_sample(struct exposition *e, const struct sample *s)
{
    put(e, s->name);
    put(e, "{model=\"");
    exposition_escape(e, s->model);
    put(e, "\"");
    put_labels(e, s->labels);
    put(e, "} ");
    put(e, s->value);
    put(e, "\n");
}

bool engine_figures_write(struct engine_figures_list *l, struct exposition *e)
{
    if (!l->begun)
        l->next = l->by_name;
    l->begun = true;
    struct family *f = l->next;
    while (f && !f->first)
        f = f->hh.next;
    if (!f)
        return false;
    put(e, "# HELP ");
    put_family(e, f);
    put(e, " ");
    put_help(e, f->help && *f->help ? f->help : "As the engine says.");
    put(e, "\n# TYPE ");
    put_family(e, f);
    put(e, " ");
    put(e, type_name(e, f->type));
    put(e, "\n");
    for (const struct sample *s = f->first; s; s = s->next)
        put_sample(e, s);
    l->next = f->hh.next;
    return true;
}

/* --- the whole -----------------------------------------------------------------------------------
 */

struct engine_figures_list *engine_figures_create(void)
{
    return mem_zalloc(sizeof(struct engine_figures_list));
}

static void destroy_family(struct family *f)
{
    struct sample *s;
    while ((s = f->first)) {
        f->first = s->next;
        free(s);
    }
    free(f->help);
    free(f->name);
    free(f);
}

void engine_figures_destroy(struct engine_figures_list *l)
{
    struct family *f, *next;
    if (!l)
        return;
    HASH_ITER (hh, l->by_name, f, next) {
        HASH_DEL(l->by_name, f); // NOLINT(clang-analyzer-unix.Malloc): uthash holds it no more
        destroy_family(f);
    }
    strv_finish(&l->models);
    free(l);
}
