/* SPDX-License-Identifier: MIT */
/*
 * Part of the peek (peek.h): RFC 8259 as a state machine that is fed in pieces of any size. It does not
 * recurse: it counts the depth, and stores for PEEK_JSON_DEPTH levels whether each is an object or an array.
 */
#ifndef HOSTLER_HTTP_PEEK_JSON_H
#define HOSTLER_HTTP_PEEK_JSON_H

#include <stdint.h>

#include "http/peek_name.h"

/* Below this depth brackets are only counted (outside of strings), and errors are left to the engine's parser:
 * no real request nests so deeply. */
#define PEEK_JSON_DEPTH 4096

enum peek_json_state {
    JSON_START, /* first byte: a byte order mark is skipped, as llama-server's reader does */
    JSON_BOM_2,
    JSON_BOM_3,
    JSON_VALUE,
    JSON_FIRST_ITEM, /* after `[`: a value or `]` */
    JSON_FIRST_KEY,  /* after `{`: a key or `}` */
    JSON_KEY,        /* after `,` in an object */
    JSON_COLON,
    JSON_AFTER, /* after a value inside something */
    JSON_STRING,
    JSON_ESCAPE,     /* after `\` */
    JSON_HEX,        /* in the digits of `\uXXXX` */
    JSON_LOW_ESCAPE, /* after a high surrogate: `\`, then `u` */
    JSON_LOW_U,
    JSON_LITERAL, /* in true, false, null */
    JSON_MINUS,
    JSON_ZERO,
    JSON_INTEGER,
    JSON_POINT,
    JSON_FRACTION,
    JSON_EXPONENT,
    JSON_EXPONENT_SIGN,
    JSON_EXPONENT_DIGITS,
    JSON_DEEP, /* below PEEK_JSON_DEPTH */
    JSON_DEEP_STRING,
    JSON_DEEP_ESCAPE,
    JSON_DONE, /* the document is complete: blanks only, until */
    JSON_REST, /* a zero byte: llama-server's reader takes it for the end */
};

enum peek_json_role {
    JSON_IGNORED, /* a string that does not matter */
    JSON_INNER_KEY,
    JSON_TOP_KEY, /* a key of the outermost object */
    JSON_NAME,    /* the value of the outermost "model" */
};

struct peek_json {
    enum peek_json_state state;
    enum peek_json_role role; /* of the string being read */
    size_t depth;             /* open brackets, of which `is_object` has the kind */
    size_t deep;              /* open brackets below those */
    unsigned matched;         /* bytes of the key that are equal to those of `model` */
    bool key_is_model;        /* the value that follows is the model's name */
    const char *literal;      /* the rest of true, false or null */
    unsigned hex_left;
    uint32_t unit;                          /* of the escape being read */
    uint32_t surrogate;                     /* the high one that waits for its low one; 0: none */
    uint8_t is_object[PEEK_JSON_DEPTH / 8]; /* of the `depth` outermost */
};

void peek_json_init(struct peek_json *j);
/* Takes bytes until they are used up or the scan is over or wrong; `*used` says how many. */
enum peek_scan peek_json_scan(struct peek_json *j, struct peek_name *name, const char *data,
                              size_t len, size_t *used);
/* Whether the document may end here. */
bool peek_json_is_complete(const struct peek_json *j);
/* Whether a name can still come: the document is an object and not over. */
bool peek_json_is_open(const struct peek_json *j);

#endif
