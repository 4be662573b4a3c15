/* SPDX-License-Identifier: MIT */
/*
 * JSON (RFC 8259) as tokens, fed in pieces of any size. No tree is built and nothing is copied: a token points into the bytes that
 * were fed. It does not recurse: it counts the depth, and stores for JSON_DEPTH levels whether each is an object or an array.
 *
 * As strict as llama-server's reader: no half surrogate pairs, no control characters in strings. Whether a string is UTF-8 is not
 * examined. As by that reader, a byte order mark before the document and whatever follows a zero byte after it are passed over.
 */
#ifndef HOSTLER_MESSAGE_JSON_TOKENS_H
#define HOSTLER_MESSAGE_JSON_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Below this depth brackets are only counted (outside of strings), and errors are left to the engine's reader: no real request
 * nests so deeply. */
#define JSON_DEPTH 4096

enum json_token {
    TOKEN_NONE, /* all bytes are used */
    TOKEN_BAD,  /* the byte at the position is not JSON */
    TOKEN_OBJECT,
    TOKEN_OBJECT_END,
    TOKEN_ARRAY,
    TOKEN_ARRAY_END,
    TOKEN_KEY,    /* a piece of a key, quotes included */
    TOKEN_STRING, /* a piece of a string that is a value */
    TOKEN_NUMBER, /* a piece of a number; the last may be empty, since only the byte after a number ends it */
    TOKEN_LITERAL,  /* a piece of true or false */
    TOKEN_NULL,     /* a piece of null */
    TOKEN_TOO_DEEP, /* the value that begins here, which is too deep, is passed over */
};

/* Of a token that may come in several pieces. */
struct json_piece {
    const char *data; /* as it stands in the document */
    size_t len;
    const char *
        text; /* of keys, and of strings while `in_detail` is set: what is meant by these bytes, escapes undone */
    size_t text_len;
    bool first, last;
};

enum json_state {
    JSON_START, /* first byte */
    JSON_BOM_2,
    JSON_BOM_3,
    JSON_VALUE,
    JSON_FIRST_ITEM, /* after `[`: a value or `]` */
    JSON_FIRST_KEY,  /* after `{`: a key or `}` */
    JSON_NEXT_KEY,   /* after `,` in an object */
    JSON_COLON,
    JSON_AFTER, /* after a value inside something */
    JSON_IN_STRING,
    JSON_ESCAPE,     /* after `\` */
    JSON_HEX,        /* in the digits of `\uXXXX` */
    JSON_LOW_ESCAPE, /* after a high surrogate: `\`, then `u` */
    JSON_LOW_U,
    JSON_WORD, /* in true, false, null */
    JSON_MINUS,
    JSON_ZERO,
    JSON_DIGITS,
    JSON_POINT,
    JSON_FRACTION,
    JSON_EXPONENT,
    JSON_EXPONENT_SIGN,
    JSON_EXPONENT_DIGITS,
    JSON_DEEP, /* below JSON_DEPTH */
    JSON_DEEP_STRING,
    JSON_DEEP_ESCAPE,
    JSON_DONE, /* the document is complete: blanks only, until */
    JSON_REST, /* a zero byte */
};

/* Embedded. The user sets `in_detail` and reads `depth`; the rest is the tokenizer's own. */
struct json_tokens {
    enum json_state state;
    bool
        in_detail; /* set before a value: a string comes with its text, and of another scalar the first byte is a piece of its own */
    bool is_key;   /* of the string being read */
    size_t depth;  /* open brackets, the one just opened included and the one just closed not */
    size_t deep;   /* open brackets below those */
    const char *word; /* the rest of true, false or null */
    enum json_token word_token;
    unsigned hex_left;
    uint32_t unit;      /* of the escape being read */
    uint32_t surrogate; /* the high one that waits for its low one; 0: none */
    char decoded[4];    /* the text of the last escape */
    uint8_t is_object[JSON_DEPTH / 8];
};

void json_tokens_init(struct json_tokens *t);
/* The next token of the bytes from `*at` to `end`; `*at` is moved behind what was used. `piece` is set for keys and scalar values. */
enum json_token json_tokens_next(struct json_tokens *t, const char **at, const char *end,
                                 struct json_piece *piece);
/* Whether the innermost open bracket is an object's. */
bool json_tokens_in_object(const struct json_tokens *t);
/* Whether the document is over: at most blanks may follow, or a zero byte and anything. */
bool json_tokens_is_over(const struct json_tokens *t);
/* Whether the document may end here: it is over, or a number that nothing is around. */
bool json_tokens_is_complete(const struct json_tokens *t);
/* Whether the document is an object, and not over; also while nothing but blanks has come. */
bool json_tokens_is_open_object(const struct json_tokens *t);

#endif
