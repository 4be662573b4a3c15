/* SPDX-License-Identifier: MIT */
#include "server/load_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/memory.h"
#include "server/presets.h"

#define KEY_MAX 128 /* bytes */

struct reader {
    struct load_options *options;
    const struct engine_program *program;
    enum load_options_from from;
    size_t n; /* values so far */
};

/* --- which options ------------------------------------------------------------------------------
 */

bool load_options_may(const struct engine_option *o, enum load_options_from from, const char **why)
{
    if (o->class == ENGINE_OPTION_ROUTERS || o->role == ENGINE_OPTION_ALIAS ||
        o->role == ENGINE_OPTION_TAGS)
        *why = "it belongs to the router";
    else if (o->class == ENGINE_OPTION_ENDS)
        *why = "it makes the engine print something and end";
    else if (o->class == ENGINE_OPTION_CHOOSES || o->selects)
        *why = "it chooses another model";
    else if (from == LOAD_OPTIONS_FROM_ANYBODY && (!o->harmless || o->fetches))
        *why = "it may reach files, commands or the network: only a key with the right to change "
               "settings may give it";
    else
        *why = NULL;
    return !*why;
}

/* --- values -------------------------------------------------------------------------------------
 */

/* A scalar as a preset has it; NULL: it is none. The caller frees. */
static char *text_of(const json_t *v)
{
    if (json_is_string(v))
        return mem_strdup(json_string_value(v));
    if (json_is_boolean(v))
        return mem_strdup(json_is_true(v) ? "true" : "false");
    if (json_is_integer(v))
        return mem_printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
    if (json_is_real(v))
        return mem_printf("%.17g", json_real_value(v));
    return NULL;
}

static bool is_plain(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' && *p != '\n' && *p != '\t')
            return false;
    return strlen(text) <= LOAD_VALUE_MAX;
}

static int read_text(const json_t *v, char **text, struct error *err)
{
    *text = text_of(v);
    if (!*text)
        return error_set(err, -EINVAL,
                         "its value must be a text, a number, true, false, or a list of these");
    if (is_plain(*text))
        return 0;
    free(*text);
    *text = NULL;
    return error_set(err, -EINVAL, "its value is longer than %d bytes or has control characters",
                     LOAD_VALUE_MAX);
}

static int set_value(struct reader *r, const struct engine_option *o, bool negated, const json_t *v,
                     struct error *err)
{
    char *text;
    int rc = read_text(v, &text, err);
    if (rc)
        return rc;
    if (++r->n > LOAD_ARGS_MAX)
        rc = error_set(err, -EINVAL, "more than %d arguments", LOAD_ARGS_MAX);
    else
        rc = engine_args_set_text(&r->options->args, o, negated, text, ARGS_FROM_LOAD, err);
    free(text);
    return rc;
}

/* A list for an option that has one value: as presets write it. */
static int set_joined(struct reader *r, const struct engine_option *o, const json_t *list,
                      struct error *err)
{
    struct buf all;
    char *text = NULL;
    int rc = 0;
    buf_init(&all, LOAD_VALUE_MAX + 1);
    for (size_t i = 0; !rc && i < json_array_size(list); i++) {
        rc = read_text(json_array_get(list, i), &text, err);
        if (!rc && buf_printf(&all, "%s%s", !i ? "" : o->two_values ? " " : ",", text))
            rc = error_set(err, -EINVAL, "its list is longer than %d bytes", LOAD_VALUE_MAX);
        free(text);
        text = NULL;
    }
    if (!rc) {
        json_t *joined = json_stringn(all.data, all.len);
        rc = set_value(r, o, false, joined, err);
        json_decref(joined);
    }
    buf_finish(&all);
    return rc;
}

static int set_list(struct reader *r, const struct engine_option *o, bool negated,
                    const json_t *list, struct error *err)
{
    int rc = 0;
    if (!json_array_size(list) || !o->takes_value)
        return error_set(err, -EINVAL,
                         o->takes_value ? "its list is empty" : "a switch takes true or false");
    if (!o->accumulates)
        return set_joined(r, o, list, err);
    for (size_t i = 0; !rc && i < json_array_size(list); i++)
        rc = set_value(r, o, negated, json_array_get(list, i), err);
    return rc;
}

/* --- keys ---------------------------------------------------------------------------------------
 */

static int read_key(struct reader *r, const char *key, const json_t *v, struct error *err)
{
    bool negated;
    const char *why;
    if (strlen(key) > KEY_MAX)
        return error_set(err, -EINVAL, "no option has so long a name");
    if (presets_is_own_key(key))
        return error_set(err, -EINVAL,
                         strcmp(key, "ttl") == 0
                             ? "it stands beside \"args\", not in it"
                             : "it is a key of presets, not an option of the engine");
    const struct engine_option *o = presets_find_option(r->program, key, &negated);
    if (!o)
        return presets_unknown_key(r->program, key, err);
    if (!load_options_may(o, LOAD_OPTIONS_FROM_OPERATOR, &why))
        return error_set(err, -EINVAL, "%s", why);
    if (!load_options_may(o, r->from, &why))
        return error_set(err, -EPERM, "%s", why);
    if (engine_args_get(&r->options->args, o))
        return error_set(err, -EINVAL, "it is the same option as another argument: %s",
                         o->canonical);
    return json_is_array(v) ? set_list(r, o, negated, v, err) : set_value(r, o, negated, v, err);
}

int load_options_read(struct load_options *o, const struct engine_program *program,
                      const json_t *args, enum load_options_from from, struct error *err)
{
    struct reader r = {.options = o, .program = program, .from = from};
    struct error why = {""};
    const char *key;
    json_t *v;
    if (!json_is_object(args))
        return error_set(err, -EINVAL,
                         "'args' must be an object: {\"OPTION\": VALUE}, as in a preset");
    o->has_args = true;
    json_object_foreach ((json_t *)args, key, v) {
        int rc = read_key(&r, key, v, &why);
        if (rc)
            return error_set(err, rc, "args: %.128s: %s", key, why.text);
    }
    return 0;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

char *load_options_describe(const struct load_options *o)
{
    struct buf text;
    char time[32];
    const char *before = ", with ";
    buf_init(&text, BUF_OWN);
    for (size_t i = 0; o->has_args && i < o->args.n; i++) {
        const struct engine_arg *arg = &o->args.v[i];
        const char *name = arg->option->canonical;
        if (arg->option->role == ENGINE_OPTION_TOKEN)
            continue;
        buf_printf(&text, "%s%s = %.80s", before, name + strspn(name, "-"),
                   arg->value     ? arg->value
                   : arg->negated ? "false"
                                  : "true");
        before = ", ";
    }
    if (o->has_ttl)
        buf_printf(&text, "%sttl = %s", before,
                   o->ttl_ms ? duration_format(o->ttl_ms, time, sizeof time) : "0");
    buf_puts(&text, "");
    return buf_take(&text);
}

void load_options_finish(struct load_options *o)
{
    engine_args_finish(&o->args);
    *o = (struct load_options){0};
}
