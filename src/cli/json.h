/* SPDX-License-Identifier: MIT */
/*
 * JSON in the commands: members of a server's answer, which may lack any of them or give them another
 * type, and the output of --json.
 */
#ifndef HOSTLER_CLI_JSON_H
#define HOSTLER_CLI_JSON_H

#include <jansson.h>
#include <stdbool.h>

/* The text member `key`; "" (never NULL) where it is missing or no text, also where `object` is NULL.
 * Borrowed. */
const char *cli_json_text(json_t *object, const char *key);
/* The same with another result where it is missing; `fallback` may be NULL. */
const char *cli_json_text_or(json_t *object, const char *key, const char *fallback);
/* Why something failed: `message`, and after it the engine's last lines, `log`, if they are told. NULL where
 * there is no message. The caller frees. */
char *cli_json_failure(json_t *object);
/* 0 where it is missing or of another type. */
json_int_t cli_json_integer(json_t *object, const char *key);
double cli_json_number(json_t *object, const char *key); /* a real or an integer */
/* Whether it is there and `true`. */
bool cli_json_true(json_t *object, const char *key);

/* `text` as a JSON string. Command line arguments may hold bytes that are no UTF-8: they become `?`. */
json_t *cli_json_string(const char *text);
/* Prints `value`, indented, and a newline on stdout, and releases it. On a terminal the output is ASCII, so that no
 * control character in it reaches the terminal. */
void cli_print_json(json_t *value);
/* The same on one line. */
void cli_print_json_line(json_t *value);

#endif
