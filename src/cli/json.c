/* SPDX-License-Identifier: MIT */
#include "cli/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

/* --- reading ------------------------------------------------------------------------------------
 */

const char *cli_json_text_or(json_t *object, const char *key, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : fallback;
}

const char *cli_json_text(json_t *object, const char *key)
{
    return cli_json_text_or(object, key, "");
}

char *cli_json_failure(json_t *object)
{
    const char *message = cli_json_text_or(object, "message", NULL);
    const char *log = cli_json_text_or(object, "log", NULL);
    if (!message)
        return NULL;
    return log ? mem_printf("%s; its last log lines:\n%s", message, log) : mem_strdup(message);
}

json_int_t cli_json_integer(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

double cli_json_number(json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

bool cli_json_true(json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* --- writing ------------------------------------------------------------------------------------
 */

json_t *cli_json_string(const char *text)
{
    json_t *s = json_string(text);
    if (s)
        return s;
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    s = json_string(copy);
    free(copy);
    return s;
}

/* jansson escapes C0, and leaves C1, which steer some terminals, too. */
static void print_json(json_t *value, size_t layout)
{
    size_t escapes = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
    json_dumpf(value, stdout, layout | escapes | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(value);
}

void cli_print_json(json_t *value)
{
    print_json(value, JSON_INDENT(2));
}

void cli_print_json_line(json_t *value)
{
    print_json(value, JSON_COMPACT);
}
