/* SPDX-License-Identifier: MIT */
#include "api/engine_figures.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/strv.h"

#define LABELS_MAX 64 /* of a sample */

enum type { UNKNOWN, COUNTER, GAUGE, HISTOGRAM, SUMMARY };

struct sample {
    struct sample *next;
    const char *model;           /* the list's */
    char *name, *labels, *value; /* in `text`; labels: the engine's own, in order, without braces */
    UT_hash_handle hh;           /* while its engine's text is read */
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
    struct strv models;       /* whose texts were added */
    struct sample *of_engine; /* by name and labels, of the engine whose text is read */
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

/* `name="value"` in the engine's text. */
struct label {
    const char *text;
    size_t len, name_len;
};

struct labels {
    struct label v[LABELS_MAX];
    size_t n;
    bool too_many;
};

static void add_label(struct labels *l, const char *text, size_t name_len, const char *end)
{
    if (l->n == LABELS_MAX)
        l->too_many = true;
    else
        l->v[l->n++] = (struct label){text, (size_t)(end - text), name_len};
}

/* After the brace that closes labels `name="value",…`; NULL: they are none. `p`: after the one that opens them. */
static char *read_labels(struct labels *l, char *p)
{
    while (*p != '}') {
        size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
        if (!n || isdigit((unsigned char)*p) || p[n] != '=' || p[n + 1] != '"')
            return NULL;
        char *end = skip_quoted(p + n + 2);
        if (!end)
            return NULL;
        add_label(l, p, n, end);
        p = end + strspn(end, " ");
        if (*p == ',')
            p++;
        else if (*p != '}')
            return NULL;
        p += strspn(p, " ");
    }
    return p + 1;
}

static int by_name(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->name_len < y->name_len ? x->name_len : y->name_len);
    return order ? order : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

static bool is_named(const struct label *l, const char *name)
{
    return l->name_len == strlen(name) && memcmp(l->text, name, l->name_len) == 0;
}

static bool has_label(const struct labels *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (is_named(&l->v[i], name))
            return true;
    return false;
}

/* Prometheus refuses a whole scrape for one name that stands twice, and keeps names that begin with `__` for itself. */
static bool may_be_told(struct labels *l)
{
    bool clash = has_label(l, "model") && has_label(l, "exported_model");
    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_name);
    for (size_t i = 0; i < l->n; i++)
        if (begins(l->v[i].text, "__") || (i && by_name(&l->v[i - 1], &l->v[i]) == 0))
            return false;
    return !clash && !l->too_many;
}

/* A label `model` of theirs under another name: what Prometheus itself does then. The caller frees it. */
static char *join_labels(const struct labels *l)
{
    struct buf out;
    buf_init(&out, BUF_UNBOUNDED);
    for (size_t i = 0; i < l->n; i++) {
        (void)buf_puts(&out, i ? "," : "");
        (void)buf_puts(&out, is_named(&l->v[i], "model") ? "exported_" : "");
        (void)buf_append(&out, l->v[i].text, l->v[i].len);
    }
    char *text = mem_strdup(buf_cstr(&out));
    buf_finish(&out);
    return text;
}

/* What every reader takes: neither hexadecimal nor too large for a double. */
static bool is_number(const char *text)
{
    char *end;
    const double v = strtod(text, &end);
    const bool is_finite = strspn(text, "+-.0123456789eE") == strlen(text);
    return *text && end != text && !*end && !strpbrk(text, "xXpP(") && !(is_finite && isinf(v));
}

/* The value of a label is a number. */
static bool is_bound(const struct labels *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct label *b = &l->v[i];
        if (!is_named(b, name))
            continue;
        char *value = mem_strndup(b->text + b->name_len + 2, b->len - b->name_len - 3);
        bool is = is_number(value);
        free(value);
        return is;
    }
    return false;
}

/* A histogram has no sample of its bare name, and its buckets have bounds; what a summary has of its bare name are quantiles. */
static bool fits(const struct family *f, const char *name, const struct labels *labels)
{
    const bool is_bare = strcmp(name, f->name) == 0;
    if (f->type == HISTOGRAM)
        return !is_bare && (!ends(name, "_bucket") || is_bound(labels, "le"));
    return f->type != SUMMARY || (is_bare ? is_bound(labels, "quantile") : !ends(name, "_bucket"));
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

/* Length of the name and the labels, which are one after the other: what makes it a series. */
static unsigned key_len(const struct sample *s)
{
    return (unsigned)(s->value - s->name);
}

/* Of two samples of one series the first counts. */
static void add_to_family(struct engine_figures_list *l, struct family *f, struct sample *s)
{
    struct sample *same;
    HASH_FIND(hh, l->of_engine, s->name, key_len(s), same);
    if (same) {
        free(s);
        return;
    }
    HASH_ADD_KEYPTR(hh, l->of_engine, s->name, key_len(s), s);
    *f->end = s;
    f->end = &s->next;
}

static void add_sample(struct engine_figures_list *l, const char *model, const char *name,
                       struct labels *labels, const char *value)
{
    if (!may_be_told(labels))
        return;
    char *ours = our_name(name), *joined = join_labels(labels);
    struct family *f = family_of(l, ours);
    struct sample *s = f && fits(f, ours, labels) ? create_sample(ours, joined, value) : NULL;
    if (s) {
        s->model = model;
        add_to_family(l, f, s);
    }
    free(joined);
    free(ours);
}

/* `name{labels} value timestamp`, labels and timestamp are optional. */
static void read_sample(struct engine_figures_list *l, const char *model, char *line)
{
    char *name = line, *rest = line + strcspn(line, "{ \t");
    struct labels labels;
    labels.n = 0;
    labels.too_many = false;
    if (*rest == '{') {
        char *after = read_labels(&labels, rest + 1);
        if (!after)
            return;
        *rest = '\0';
        rest = after;
    } else if (*rest) {
        *rest++ = '\0';
    }
    const char *value = cut_word(&rest);
    if (is_name(name) && is_number(value))
        add_sample(l, model, name, &labels, isnan(strtod(value, NULL)) ? "NaN" : value);
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
    HASH_CLEAR(hh, l->of_engine);
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

/* OpenMetrics names a counter's family without the suffix: where another family has that name, the counter has no type. */
static enum type written_type(struct engine_figures_list *l, const struct exposition *e,
                              const struct family *f)
{
    if (!e->open_metrics || f->type != COUNTER)
        return f->type;
    char *base = mem_strndup(f->name, strlen(f->name) - strlen("_total"));
    const struct family *other = find(l, base);
    free(base);
    return other && other->first ? UNKNOWN : COUNTER;
}

static void put_family(struct exposition *e, const struct family *f, enum type type)
{
    size_t n = strlen(f->name);
    if (e->open_metrics && type == COUNTER)
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

static void put_sample(struct exposition *e, const struct sample *s)
{
    put(e, s->name);
    put(e, "{model=\"");
    exposition_escape(e, s->model);
    put(e, *s->labels ? "\"," : "\"");
    put(e, s->labels);
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
    const enum type type = written_type(l, e, f);
    put(e, "# HELP ");
    put_family(e, f, type);
    put(e, " ");
    put_help(e, f->help && *f->help ? f->help : "As the engine says.");
    put(e, "\n# TYPE ");
    put_family(e, f, type);
    put(e, " ");
    put(e, type_name(e, type));
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
