/* SPDX-License-Identifier: MIT */
#include "engine/llama/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/llama/help.h"
#include "engine/probe.h"

/* Its line is `error while handling argument "--ctx-size": stoi`. NULL: there is none. */
static char *find_complaint(struct buf *text)
{
    static const char begin[] = "error while handling argument \"";
    const char *all = buf_cstr(text), *at = all ? strstr(all, begin) : NULL;
    if (!at)
        return NULL;
    at += sizeof begin - 1;
    return mem_strndup(at, strcspn(at, "\r\n"));
}

/* std::stoi() and its like, whose exceptions say no more than that. */
static bool is_of_number(const char *reason)
{
    return strncmp(reason, "sto", 3) == 0 && strlen(reason) <= 5;
}

static int explain(const struct engine_args *args, char *complaint, struct error *err)
{
    static const char separator[] = "\": ", prefix[] = "error: ";
    char *reason = strstr(complaint, separator);
    if (!reason)
        return error_set(err, -EINVAL, "the engine refuses an option: %s", complaint);
    *reason = '\0';
    reason += sizeof separator - 1;
    if (strncmp(reason, prefix, sizeof prefix - 1) == 0)
        reason += sizeof prefix - 1;
    const struct engine_arg *arg = engine_args_find(args, complaint);
    bool is_variable = arg && arg->origin == ARGS_FROM_ENVIRONMENT && arg->option->env;
    const char *value = arg && arg->value ? arg->value : "";
    if (is_of_number(reason))
        reason = "it is no number of its range";
    return error_set(err, -EINVAL, "%s%s: the engine refuses '%s': %s",
                     is_variable ? "environment variable " : "",
                     is_variable ? arg->option->env : complaint, value, reason);
}

int llama_values_check(const char *binary, const struct engine_args *args, struct error *err)
{
    struct probe p;
    struct error ignored = {0};
    struct strv argv = {0};
    char *complaint = NULL;
    int rc = 0;
    engine_args_append(args, &argv);
    strv_add(&argv, "--version");
    if (llama_help_ask(&p, binary, &argv, &ignored) == 0 && p.code > 0) {
        complaint = find_complaint(&p.err);
        if (!complaint)
            complaint = find_complaint(&p.out);
        rc = complaint ? explain(args, complaint, err) : 0;
    }
    free(complaint);
    probe_finish(&p);
    strv_finish(&argv);
    return rc;
}
