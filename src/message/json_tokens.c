/* SPDX-License-Identifier: MIT */
/*
 * Nearly all bytes of a large body are within strings: there plain_run() skips, block by block, to the next quote, backslash or
 * control character.
 */
#include "message/json_tokens.h"

#include <endian.h>
#include <string.h>

/* A byte position in what was fed, and the piece being made. */
struct reader {
    const char *at, *end;
    struct json_piece *piece;
};

void json_tokens_init(struct json_tokens *t)
{
    memset(t, 0, offsetof(struct json_tokens, is_object)); /* those bits are set as brackets open */
    t->state = JSON_START;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- brackets -----------------------------------------------------------------------------------
 */
bool json_tokens_in_object(const struct json_tokens *t)
{
    size_t level = t->depth - 1;
    return t->depth && (t->is_object[level / 8] >> (level % 8) & 1);
}

static void value_over(struct json_tokens *t)
{
    t->state = t->depth ? JSON_AFTER : JSON_DONE;
}

static enum json_token open_bracket(struct json_tokens *t, bool object)
{
    if (t->depth == JSON_DEPTH) {
        t->deep = 1;
        t->state = JSON_DEEP;
        return TOKEN_TOO_DEEP;
    }
    size_t level = t->depth++;
    uint8_t bit = (uint8_t)(1U << (level % 8));
    if (object)
        t->is_object[level / 8] |= bit;
    else
        t->is_object[level / 8] &= (uint8_t)~bit;
    t->state = object ? JSON_FIRST_KEY : JSON_FIRST_ITEM;
    return object ? TOKEN_OBJECT : TOKEN_ARRAY;
}

static enum json_token close_bracket(struct json_tokens *t, bool object)
{
    t->depth--;
    value_over(t);
    return object ? TOKEN_OBJECT_END : TOKEN_ARRAY_END;
}

/* --- strings ------------------------------------------------------------------------------------
 */
/* No quote, backslash or control character. The loop has a fixed length so that compilers turn it into vector instructions. */
#define BLOCK 64
static bool is_plain_block(const unsigned char *p)
{
    unsigned char special = 0;
    for (int i = 0; i < BLOCK; i++)
        special |= (unsigned char)((p[i] == '"') | (p[i] == '\\') | (p[i] < 0x20));
    return !special;
}

static bool is_plain(unsigned char c)
{
    return c != '"' && c != '\\' && c >= 0x20;
}

/* In each byte of eight. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* How many of eight bytes are plain before the first that is not. Of the bits that are set in `special`, the lowest is right (those
 * above it may come of a borrow): that of the first byte that is equal to a quote or a backslash, or less than 0x20. */
static unsigned plain_of_eight(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    v = le64toh(v);
    uint64_t quote = v ^ EACH('"'), backslash = v ^ EACH('\\');
    uint64_t special = ((quote - EACH(1)) & ~quote) | ((backslash - EACH(1)) & ~backslash) |
                       ((v - EACH(0x20)) & ~v);
    special &= EACH(0x80);
    return special ? (unsigned)__builtin_ctzll(special) / 8 : 8;
}

static inline const unsigned char *plain_eights(const unsigned char *p, const unsigned char *end)
{
    for (unsigned n = 8; n == 8 && end - p >= 8; p += n)
        n = plain_of_eight(p);
    return p;
}

/* Most strings are short, and nearly all bytes are in long ones: blocks are tried once a string has shown to be long. */
static const char *plain_run(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at, *stop = (const unsigned char *)end;
    const unsigned char *near = stop - p > 32 ? p + 32 : stop;
    p = plain_eights(p, near);
    if (p == near) {
        while (stop - p >= BLOCK && is_plain_block(p))
            p += BLOCK;
        p = plain_eights(p, stop);
    }
    while (p < stop && is_plain(*p))
        p++;
    return (const char *)p;
}

/* The text of the piece goes on to the reader's position. */
static void text_to(struct reader *r, const char *text)
{
    r->piece->text = text;
    r->piece->text_len = (size_t)(r->at - text);
}

static void code_point_text(struct json_tokens *t, struct json_piece *piece, uint32_t cp)
{
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t len = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    piece->text = t->decoded;
    piece->text_len = len;
    for (size_t i = len - 1; i > 0; i--, cp >>= 6)
        t->decoded[i] = (char)(0x80 | (cp & 0x3F));
    t->decoded[0] = (char)(lead[len] | cp);
}

static bool begin_hex(struct json_tokens *t)
{
    t->hex_left = 4;
    t->unit = 0;
    t->state = JSON_HEX;
    return true;
}

static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";

static bool escape(struct json_tokens *t, struct json_piece *piece, char c)
{
    if (c == 'u') {
        t->surrogate = 0;
        return begin_hex(t);
    }
    const char *found = c ? strchr(escapes, c) : NULL;
    if (!found)
        return false;
    code_point_text(t, piece, (unsigned char)meant[found - escapes]);
    t->state = JSON_IN_STRING;
    return true;
}

/* A UTF-16 unit is complete. */
static bool unit_over(struct json_tokens *t, struct json_piece *piece)
{
    bool is_high = t->unit >= 0xD800 && t->unit <= 0xDBFF;
    bool is_low = t->unit >= 0xDC00 && t->unit <= 0xDFFF;
    if (is_low != (t->surrogate != 0))
        return false;
    if (is_high) {
        t->surrogate = t->unit;
        t->state = JSON_LOW_ESCAPE;
        return true;
    }
    uint32_t cp = t->unit;
    if (is_low)
        cp = 0x10000 + ((t->surrogate - 0xD800) << 10) + (t->unit - 0xDC00);
    code_point_text(t, piece, cp);
    t->state = JSON_IN_STRING;
    return true;
}

static bool hex(struct json_tokens *t, struct json_piece *piece, char c)
{
    char lower = (char)(c | 0x20);
    bool letter = lower >= 'a' && lower <= 'f';
    if (!is_digit(c) && !letter)
        return false;
    t->unit = t->unit << 4 | (uint32_t)(letter ? lower - 'a' + 10 : c - '0');
    return --t->hex_left ? true : unit_over(t, piece);
}

/* A byte after a backslash. False: not one of an escape. */
static bool escape_byte(struct json_tokens *t, struct json_piece *piece, char c)
{
    if (t->state == JSON_ESCAPE)
        return escape(t, piece, c);
    if (t->state == JSON_HEX)
        return hex(t, piece, c);
    if (t->state == JSON_LOW_ESCAPE) {
        t->state = JSON_LOW_U;
        return c == '\\';
    }
    return c == 'u' && begin_hex(t); /* JSON_LOW_U */
}

static enum json_token string_over(struct json_tokens *t, struct reader *r)
{
    r->at++;
    r->piece->last = true;
    if (t->is_key)
        t->state = JSON_COLON;
    else
        value_over(t);
    return t->is_key ? TOKEN_KEY : TOKEN_STRING;
}

/* Escapes, as many as follow one another. False: a wrong one. Stops behind the first that is complete when texts are wanted. */
static bool read_escapes(struct json_tokens *t, struct reader *r, bool decode)
{
    while (r->at < r->end && t->state != JSON_IN_STRING) {
        if (!escape_byte(t, r->piece, *r->at))
            return false;
        r->at++;
        if (t->state == JSON_IN_STRING && !decode && r->at < r->end && *r->at == '\\') {
            r->at++;
            t->state = JSON_ESCAPE;
        }
    }
    return true;
}

/* Takes bytes up to the string's end, or the feed's; with texts, up to the next escape, or one escape. */
static enum json_token read_string(struct json_tokens *t, struct reader *r)
{
    bool decode = t->is_key || t->in_detail;
    enum json_token token = t->is_key ? TOKEN_KEY : TOKEN_STRING;
    while (r->at < r->end) {
        if (t->state != JSON_IN_STRING) {
            if (!read_escapes(t, r, decode))
                return TOKEN_BAD;
            if (decode)
                return token;
            continue;
        }
        const char *text = r->at;
        r->at = plain_run(r->at, r->end);
        text_to(r, text);
        if (r->at == r->end)
            return token;
        if (*r->at == '"')
            return string_over(t, r);
        if (decode && r->at > text)
            return token;
        if (*r->at != '\\')
            return TOKEN_BAD;
        r->at++;
        t->state = JSON_ESCAPE;
    }
    return token;
}

static enum json_token begin_string(struct json_tokens *t, struct reader *r, bool is_key)
{
    t->is_key = is_key;
    t->state = JSON_IN_STRING;
    r->piece->first = true;
    r->at++;
    return read_string(t, r);
}

/* --- numbers and words --------------------------------------------------------------------------
 */
static enum json_token number_over(struct json_tokens *t, struct reader *r)
{
    r->piece->last = true;
    value_over(t);
    return TOKEN_NUMBER;
}

/* What follows each state of a number, by the byte's kind. JSON_START: that byte is wrong; JSON_AFTER: it is not the number's. */
static const struct {
    uint8_t zero, digit, point, power, sign, other;
} number_steps[] = {
    [JSON_MINUS] = {.zero = JSON_ZERO, .digit = JSON_DIGITS},
    [JSON_ZERO] = {JSON_AFTER, JSON_AFTER, JSON_POINT, JSON_EXPONENT, JSON_AFTER, JSON_AFTER},
    [JSON_DIGITS] = {JSON_DIGITS, JSON_DIGITS, JSON_POINT, JSON_EXPONENT, JSON_AFTER, JSON_AFTER},
    [JSON_POINT] = {.zero = JSON_FRACTION, .digit = JSON_FRACTION},
    [JSON_FRACTION] = {JSON_FRACTION, JSON_FRACTION, JSON_AFTER, JSON_EXPONENT, JSON_AFTER,
                       JSON_AFTER},
    [JSON_EXPONENT] = {.zero = JSON_EXPONENT_DIGITS,
                       .digit = JSON_EXPONENT_DIGITS,
                       .sign = JSON_EXPONENT_SIGN},
    [JSON_EXPONENT_SIGN] = {.zero = JSON_EXPONENT_DIGITS, .digit = JSON_EXPONENT_DIGITS},
    [JSON_EXPONENT_DIGITS] = {JSON_EXPONENT_DIGITS, JSON_EXPONENT_DIGITS, JSON_AFTER, JSON_AFTER,
                              JSON_AFTER, JSON_AFTER},
};

static enum json_state number_state(enum json_state state, char c)
{
    if (c == '0')
        return number_steps[state].zero;
    if (is_digit(c))
        return number_steps[state].digit;
    if (c == '.')
        return number_steps[state].point;
    if (c == 'e' || c == 'E')
        return number_steps[state].power;
    return c == '+' || c == '-' ? number_steps[state].sign : number_steps[state].other;
}

static enum json_token read_number(struct json_tokens *t, struct reader *r)
{
    for (; r->at < r->end; r->at++) {
        if (t->state == JSON_DIGITS && is_digit(*r->at))
            continue;
        enum json_state next = number_state(t->state, *r->at);
        if (next == JSON_START)
            return TOKEN_BAD;
        if (next == JSON_AFTER)
            return number_over(t, r);
        t->state = next;
    }
    return TOKEN_NUMBER;
}

static enum json_token begin_number(struct json_tokens *t, struct reader *r, enum json_state state)
{
    t->state = state;
    r->piece->first = true;
    r->at++;
    return t->in_detail ? TOKEN_NUMBER : read_number(t, r);
}

static enum json_token read_word(struct json_tokens *t, struct reader *r)
{
    for (; r->at < r->end && *t->word; r->at++, t->word++)
        if (*r->at != *t->word)
            return TOKEN_BAD;
    r->piece->last = !*t->word;
    if (r->piece->last)
        value_over(t);
    return t->word_token;
}

static enum json_token begin_word(struct json_tokens *t, struct reader *r, const char *word,
                                  enum json_token token)
{
    t->word = word + 1;
    t->word_token = token;
    t->state = JSON_WORD;
    r->piece->first = true;
    r->at++;
    return t->in_detail ? token : read_word(t, r);
}

/* --- the grammar --------------------------------------------------------------------------------
 */
static enum json_token begin_value(struct json_tokens *t, struct reader *r)
{
    char c = *r->at;
    switch (c) {
    case '"':
        return begin_string(t, r, false);
    case '{':
    case '[':
        r->at++;
        return open_bracket(t, c == '{');
    case 't':
        return begin_word(t, r, "true", TOKEN_LITERAL);
    case 'f':
        return begin_word(t, r, "false", TOKEN_LITERAL);
    case 'n':
        return begin_word(t, r, "null", TOKEN_NULL);
    case '-':
        return begin_number(t, r, JSON_MINUS);
    case '0':
        return begin_number(t, r, JSON_ZERO);
    default: /* not an enum: every other byte */
        return is_digit(c) ? begin_number(t, r, JSON_DIGITS) : TOKEN_BAD;
    }
}

static enum json_token end_or(struct json_tokens *t, struct reader *r, char end,
                              enum json_token (*other)(struct json_tokens *, struct reader *))
{
    if (*r->at != end)
        return other(t, r);
    r->at++;
    return close_bracket(t, end == '}');
}

static enum json_token begin_key(struct json_tokens *t, struct reader *r)
{
    return *r->at == '"' ? begin_string(t, r, true) : TOKEN_BAD;
}

static enum json_token to(struct json_tokens *t, struct reader *r, enum json_state state)
{
    r->at++;
    t->state = state;
    return TOKEN_NONE;
}

static enum json_token expect(struct json_tokens *t, struct reader *r, unsigned char wanted,
                              enum json_state then)
{
    return (unsigned char)*r->at == wanted ? to(t, r, then) : TOKEN_BAD;
}

static enum json_token after_value(struct json_tokens *t, struct reader *r)
{
    bool object = json_tokens_in_object(t);
    if (*r->at == ',')
        return to(t, r, object ? JSON_NEXT_KEY : JSON_VALUE);
    if (*r->at != (object ? '}' : ']'))
        return TOKEN_BAD;
    r->at++;
    return close_bracket(t, object);
}

static enum json_token start(struct json_tokens *t, struct reader *r)
{
    if ((unsigned char)*r->at == 0xEF)
        return to(t, r, JSON_BOM_2);
    t->state = JSON_VALUE;
    return TOKEN_NONE;
}

static enum json_token deep(struct json_tokens *t, struct reader *r)
{
    char c = *r->at++;
    if (c == '"')
        t->state = JSON_DEEP_STRING;
    else if (c == '{' || c == '[')
        t->deep++;
    else if ((c == '}' || c == ']') && --t->deep == 0)
        value_over(t);
    return TOKEN_NONE;
}

static enum json_token deep_string(struct json_tokens *t, struct reader *r)
{
    r->at = plain_run(r->at, r->end);
    if (r->at == r->end)
        return TOKEN_NONE;
    char c = *r->at;
    return to(t, r, c == '"' ? JSON_DEEP : c == '\\' ? JSON_DEEP_ESCAPE : JSON_DEEP_STRING);
}

/* Where a blank is passed over: before a token, not within one. */
static bool may_be_blank(enum json_state state)
{
    return (state >= JSON_VALUE && state <= JSON_AFTER) || state == JSON_DONE;
}

static enum json_token step(struct json_tokens *t, struct reader *r)
{
    switch (t->state) {
    case JSON_START:
        return start(t, r);
    case JSON_BOM_2:
        return expect(t, r, 0xBB, JSON_BOM_3);
    case JSON_BOM_3:
        return expect(t, r, 0xBF, JSON_VALUE);
    case JSON_VALUE:
        return begin_value(t, r);
    case JSON_FIRST_ITEM:
        return end_or(t, r, ']', begin_value);
    case JSON_FIRST_KEY:
        return end_or(t, r, '}', begin_key);
    case JSON_NEXT_KEY:
        return begin_key(t, r);
    case JSON_COLON:
        return expect(t, r, ':', JSON_VALUE);
    case JSON_AFTER:
        return after_value(t, r);
    case JSON_IN_STRING:
    case JSON_ESCAPE:
    case JSON_HEX:
    case JSON_LOW_ESCAPE:
    case JSON_LOW_U:
        return read_string(t, r);
    case JSON_WORD:
        return read_word(t, r);
    case JSON_MINUS:
    case JSON_ZERO:
    case JSON_DIGITS:
    case JSON_POINT:
    case JSON_FRACTION:
    case JSON_EXPONENT:
    case JSON_EXPONENT_SIGN:
    case JSON_EXPONENT_DIGITS:
        return read_number(t, r);
    case JSON_DEEP:
        return deep(t, r);
    case JSON_DEEP_STRING:
        return deep_string(t, r);
    case JSON_DEEP_ESCAPE:
        return to(t, r, JSON_DEEP_STRING);
    case JSON_DONE:
        return expect(t, r, 0, JSON_REST);
    case JSON_REST:
        r->at = r->end;
        return TOKEN_NONE;
    }
    return TOKEN_BAD;
}

enum json_token json_tokens_next(struct json_tokens *t, const char **at, const char *end,
                                 struct json_piece *piece)
{
    struct reader r = {.at = *at, .end = end, .piece = piece};
    enum json_token token = TOKEN_NONE;
    *piece = (struct json_piece){0};
    while (r.at < end && token == TOKEN_NONE) {
        if (is_blank(*r.at) && may_be_blank(t->state)) {
            r.at++;
            continue;
        }
        piece->data = r.at;
        token = step(t, &r);
    }
    piece->len = (size_t)(r.at - (piece->data ? piece->data : r.at));
    *at = r.at;
    return token;
}

bool json_tokens_is_over(const struct json_tokens *t)
{
    return t->state == JSON_DONE || t->state == JSON_REST;
}

bool json_tokens_is_complete(const struct json_tokens *t)
{
    bool number = t->state == JSON_ZERO || t->state == JSON_DIGITS || t->state == JSON_FRACTION ||
                  t->state == JSON_EXPONENT_DIGITS;
    return json_tokens_is_over(t) || (number && !t->depth);
}

bool json_tokens_is_open_object(const struct json_tokens *t)
{
    if (!t->depth)
        return t->state == JSON_START || t->state == JSON_VALUE || t->state == JSON_BOM_2 ||
               t->state == JSON_BOM_3;
    return t->is_object[0] & 1;
}
