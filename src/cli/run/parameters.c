/* SPDX-License-Identifier: MIT */
#include "cli/run/parameters.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/nearest.h"
#include "cli/cli.h"

const struct run_parameter run_parameters[] = {
    {"temperature", NULL, RUN_NUMBER, 0, 100, "0 picks the likeliest token"},
    {"top_p", NULL, RUN_NUMBER, 0, 1, "picks among the likeliest that together reach this share"},
    {"top_k", NULL, RUN_INTEGER, 0, 1e9, "picks among so many of the likeliest; 0: all"},
    {"min_p", NULL, RUN_NUMBER, 0, 1, "leaves out what is less likely, next to the likeliest"},
    {"repeat_penalty", NULL, RUN_NUMBER, 0, 100, "above 1: repeats less"},
    {"presence_penalty", NULL, RUN_NUMBER, -100, 100, "above 0: repeats less"},
    {"frequency_penalty", NULL, RUN_NUMBER, -100, 100, "above 0: the more often, the less"},
    {"seed", NULL, RUN_INTEGER, -1, 4294967295, "answers can be had again; -1: a new one"},
    {"max_tokens", NULL, RUN_INTEGER, 1, 1e9, "ends an answer after so many"},
    {"think", "reasoning", RUN_SWITCH, 0, 0, "on or off, where the model has the choice"},
    {"system", NULL, RUN_TEXT, 0, 0, "the system prompt"},
    {0},
};

/* What llama.cpp gives to the chat template; templates that can think agree on the name. */
#define TEMPLATE "chat_template_kwargs"
#define THINK "enable_thinking"

void run_parameters_finish(struct run_parameters *p)
{
    json_decref(p->request);
    free(p->system);
    *p = (struct run_parameters){0};
}

const struct run_parameter *run_parameter_find(const char *name, struct error *err)
{
    struct nearest near;
    char all[256] = "";
    nearest_init(&near, name);
    for (const struct run_parameter *w = run_parameters; w->name; w++) {
        if (strcmp(w->name, name) == 0 || (w->also && strcmp(w->also, name) == 0))
            return w;
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", w->name);
        nearest_consider(&near, w->name);
        if (w->also)
            nearest_consider(&near, w->also);
    }
    error_set(err, -EINVAL, "there is no parameter '%s'%s%s%s", name,
              near.best ? ": did you mean " : "; there are ", near.best ? near.best : all,
              near.best ? "?" : "");
    return NULL;
}

/* A switch stands in an object of its own. */
static void put(struct run_parameters *p, const struct run_parameter *what, json_t *value)
{
    if (!p->request)
        p->request = json_object();
    if (what->kind == RUN_SWITCH)
        json_object_set_new(p->request, TEMPLATE, json_pack("{s:o}", THINK, value));
    else
        json_object_set_new(p->request, what->name, value);
}

static int put_number(struct run_parameters *p, const struct run_parameter *what, const char *text,
                      struct error *err)
{
    char *end;
    double v = strtod(text, &end); /* LC_NUMERIC is "C" */
    if (!*text || *end || !isfinite(v) || v < what->min || v > what->max)
        return error_set(err, -EINVAL, "'%s' is no number from %.10g to %.10g", text, what->min,
                         what->max);
    if (what->kind == RUN_INTEGER && v != floor(v))
        return error_set(err, -EINVAL, "'%s' is no whole number", text);
    put(p, what, what->kind == RUN_INTEGER ? json_integer((json_int_t)v) : json_real(v));
    return 0;
}

static int put_switch(struct run_parameters *p, const struct run_parameter *what, const char *text,
                      struct error *err)
{
    bool on = strcmp(text, "on") == 0;
    if (!on && strcmp(text, "off") != 0)
        return error_set(err, -EINVAL, "'%s' is neither on nor off", text);
    put(p, what, json_boolean(on));
    return 0;
}

int run_parameter_set(struct run_parameters *p, const struct run_parameter *what, const char *value,
                      struct error *err)
{
    bool unset = strcmp(value, "default") == 0;
    if (what->kind == RUN_TEXT) {
        mem_replace(&p->system, unset ? NULL : value);
        return 0;
    }
    if (unset) {
        json_object_del(p->request, what->kind == RUN_SWITCH ? TEMPLATE : what->name);
        return 0;
    }
    return what->kind == RUN_SWITCH ? put_switch(p, what, value, err)
                                    : put_number(p, what, value, err);
}

int run_parameter_read(struct run_parameters *p, const char *text, struct error *err)
{
    struct error why;
    size_t len = strcspn(text, " \t=");
    const char *value = text + len + strspn(text + len, " \t=");
    char *name = mem_strndup(text, len);
    const struct run_parameter *what = run_parameter_find(name, err);
    free(name);
    if (!what)
        return -EINVAL;
    if (!*value)
        return error_set(err, -EINVAL, "%s wants a value: %s (`default` takes it back)", what->name,
                         what->help);
    if (run_parameter_set(p, what, value, &why))
        return error_set(err, -EINVAL, "%s: %s", what->name, why.text);
    return 0;
}

char *run_parameter_get(const struct run_parameters *p, const struct run_parameter *what)
{
    if (what->kind == RUN_TEXT)
        return p->system ? mem_strdup(p->system) : NULL;
    if (what->kind == RUN_SWITCH) {
        json_t *on = json_object_get(json_object_get(p->request, TEMPLATE), THINK);
        return on ? mem_strdup(json_is_true(on) ? "on" : "off") : NULL;
    }
    json_t *value = json_object_get(p->request, what->name);
    return value ? mem_printf("%.10g", json_number_value(value)) : NULL;
}
