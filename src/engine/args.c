/* SPDX-License-Identifier: MIT */
#include "engine/args.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/value.h"

void engine_args_finish(struct engine_args *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i].value);
    free(a->v);
    *a = (struct engine_args){0};
}

static void append(struct engine_args *a, const struct engine_arg *arg)
{
    /* Grows by doubling: whenever n is a power of two (or none). */
    if ((a->n & (a->n - 1)) == 0)
        a->v = mem_realloc(a->v, (a->n ? a->n * 2 : 1) * sizeof *a->v);
    a->v[a->n] = *arg;
    a->v[a->n].value = arg->value ? mem_strdup(arg->value) : NULL;
    a->n++;
}

/* Removes the values of `option`, or with `except` only those of another origin. Returns the index that
 * the first of them had; `a->n` if there was none. */
static size_t remove_option(struct engine_args *a, const struct engine_option *option,
                            const enum args_origin *except)
{
    size_t kept = 0, first = a->n;
    for (size_t i = 0; i < a->n; i++) {
        bool stays = a->v[i].option != option || (except && a->v[i].origin == *except);
        if (stays) {
            a->v[kept++] = a->v[i];
            continue;
        }
        first = first == a->n ? kept : first;
        free(a->v[i].value);
    }
    bool found = kept < a->n;
    a->n = kept;
    return found ? first : kept;
}

/* Moves the last argument to `index`. */
static void move_last_to(struct engine_args *a, size_t index)
{
    struct engine_arg last = a->v[a->n - 1];
    memmove(a->v + index + 1, a->v + index, (a->n - 1 - index) * sizeof *a->v);
    a->v[index] = last;
}

static bool is_set(const struct engine_option *o)
{
    return o->role == ENGINE_OPTION_MODEL_SET;
}

/* How many sets precede an argument of the command line, itself included, where the order counts. */
static unsigned count_sets(const struct engine_args *a, const struct engine_arg *arg)
{
    unsigned n = is_set(arg->option);
    for (size_t i = 0; i < a->n; i++)
        n += is_set(a->v[i].option);
    return arg->origin == ARGS_FROM_COMMAND_LINE ? n : 0;
}

void engine_args_set(struct engine_args *a, const struct engine_option *option, bool negated,
                     const char *value, enum args_origin origin)
{
    assert(option && (value != NULL) == option->takes_value);
    /* `value` may point into `a`, which is about to free it. */
    char *copy = value ? mem_strdup(value) : NULL;
    struct engine_arg arg = {.option = option, .negated = negated, .value = copy, .origin = origin};
    bool adds = option->accumulates;
    size_t place = remove_option(a, option, adds ? &origin : NULL);
    arg.sets = count_sets(a, &arg);
    append(a, &arg);
    if (!adds)
        move_last_to(a, place);
    free(copy);
}

static bool is_pair(const char *text)
{
    struct strv words = {0};
    strv_split(&words, text, ' ');
    bool pair = words.n == 2;
    strv_finish(&words);
    return pair;
}

int engine_args_set_text(struct engine_args *a, const struct engine_option *option, bool negated,
                         const char *text, enum args_origin origin, struct error *err)
{
    bool on = true;
    if (option->two_values && !is_pair(text))
        return error_set(err, -EINVAL, "'%s' must be two values, with a blank between", text);
    if (!option->takes_value) {
        int rc = value_truth(text, &on, err);
        if (rc)
            return rc;
    }
    engine_args_set(a, option, on == negated, option->takes_value ? text : NULL, origin);
    return 0;
}

void engine_args_unset(struct engine_args *a, const struct engine_option *option)
{
    remove_option(a, option, NULL);
}

void engine_args_unset_role(struct engine_args *a, enum engine_option_role role)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (a->v[i].option->role == role)
            free(a->v[i].value);
        else
            a->v[kept++] = a->v[i];
    }
    a->n = kept;
}

/* A set of settings comes before what is to change it. */
static int compare_sets(const struct engine_arg *a, const struct engine_arg *b)
{
    if (a->sets != b->sets)
        return a->sets < b->sets ? -1 : 1;
    return is_set(b->option) - is_set(a->option);
}

static int compare_args(const void *va, const void *vb)
{
    const struct engine_arg *a = va, *b = vb;
    int c = compare_sets(a, b);
    if (c)
        return c;
    c = strcmp(a->option->names.v[0], b->option->names.v[0]);
    return c ? c : (a->order > b->order) - (a->order < b->order);
}

void engine_args_sort(struct engine_args *a)
{
    for (size_t i = 0; i < a->n; i++)
        a->v[i].order = i; /* values of one option keep their order */
    if (a->n)
        qsort(a->v, a->n, sizeof *a->v, compare_args);
}

void engine_args_merge(struct engine_args *to, const struct engine_args *from)
{
    /* What this call adds must not count as set: an option that accumulates has several in `from`. */
    struct engine_args before = {to->v, to->n};
    struct engine_args added = {0};
    for (size_t i = 0; i < from->n; i++)
        if (!engine_args_get(&before, from->v[i].option))
            append(&added, &from->v[i]);
    for (size_t i = 0; i < added.n; i++)
        append(to, &added.v[i]);
    engine_args_finish(&added);
}

const struct engine_arg *engine_args_get(const struct engine_args *a,
                                         const struct engine_option *option)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].option == option)
            return &a->v[i];
    return NULL;
}

const struct engine_arg *engine_args_find(const struct engine_args *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++)
        if (engine_option_has_name(a->v[i].option, name))
            return &a->v[i];
    return NULL;
}

const struct engine_arg *engine_args_role(const struct engine_args *a, enum engine_option_role role)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].option->role == role)
            return &a->v[i];
    return NULL;
}

const struct engine_arg *engine_args_class(const struct engine_args *a,
                                           enum engine_option_class class)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].option->class == class)
            return &a->v[i];
    return NULL;
}

const struct engine_arg *engine_args_model(const struct engine_args *a)
{
    const struct engine_arg *arg = engine_args_role(a, ENGINE_OPTION_MODEL);
    if (!arg)
        arg = engine_args_role(a, ENGINE_OPTION_REPO);
    if (!arg)
        arg = engine_args_role(a, ENGINE_OPTION_REMOTE);
    if (!arg)
        arg = engine_args_role(a, ENGINE_OPTION_MODEL_SET);
    return arg && !arg->negated ? arg : NULL;
}

bool engine_args_fetch(const struct engine_args *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].option->fetches)
            return true;
    return false;
}

static void append_values(const struct engine_arg *arg, struct strv *argv)
{
    if (arg->option->two_values)
        strv_split(argv, arg->value, ' ');
    else
        strv_add(argv, arg->value);
}

static void append_one(const struct engine_arg *arg, struct strv *argv)
{
    const struct engine_option *o = arg->option;
    if (!arg->negated)
        strv_add(argv, o->canonical);
    else if (o->negations.n)
        strv_add(argv, o->negations.v[o->negations.n - 1]);
    /* A switch without a negation is off when it is left out. */
    if (arg->value)
        append_values(arg, argv);
}

void engine_args_print_ini(const struct engine_args *a, struct buf *out)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct engine_arg *arg = &a->v[i];
        const char *name = arg->option->canonical;
        buf_printf(out, "%s = %s\n", name + strspn(name, "-"),
                   arg->value     ? arg->value
                   : arg->negated ? "false"
                                  : "true");
    }
}

void engine_args_append(const struct engine_args *a, struct strv *argv)
{
    for (size_t i = 0; i < a->n; i++)
        append_one(&a->v[i], argv);
}
