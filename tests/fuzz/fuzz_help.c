/* SPDX-License-Identifier: MIT */
/* The help of an engine binary: every option that is read is whole and can be found. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/llama/help.h"

static void check_found(const struct engine_options *o, const struct strv *names)
{
    for (size_t i = 0; i < names->n; i++) {
        bool negated;
        if (names->v[i][0] != '-' || !engine_options_find(o, names->v[i], &negated))
            abort();
    }
}

static void check_option(const struct engine_options *o, const struct engine_option *option)
{
    if (!option->names.n || !strv_has(&option->names, option->canonical))
        abort();
    if (option->takes_value != (option->value != NULL) ||
        (option->takes_value && (option->negations.n || !*option->value)))
        abort();
    if (option->two_values && !option->takes_value)
        abort();
    if (option->env && !engine_options_find_env(o, option->env))
        abort();
    check_found(o, &option->names);
    check_found(o, &option->negations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* These two make it the help of an engine. */
    static const char must[] = "--model FNAME\n--port PORT\n";
    char *text = malloc(sizeof must + size);
    memcpy(text, must, sizeof must - 1);
    if (size)
        memcpy(text + sizeof must - 1, data, size);
    text[sizeof must - 1 + size] = '\0';
    struct engine_options *o;
    struct error err;
    if (llama_help_parse(&o, text, "--port", &err))
        abort();
    for (size_t i = 0; i < engine_options_count(o); i++)
        check_option(o, engine_options_at(o, i));
    engine_options_destroy(o);
    /* And alone, where it is most often refused. */
    if (!llama_help_parse(&o, text + sizeof must - 1, "--port", &err))
        engine_options_destroy(o);
    free(text);
    return 0;
}
