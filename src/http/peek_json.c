/* SPDX-License-Identifier: MIT */
/*
 * step() takes one byte. Nearly all bytes of a large body are within strings: there plain_run() skips, block
 * by block, to the next quote, backslash or control character.
 */
#include "http/peek_json.h"

#include <stddef.h>
#include <string.h>

static const char key_wanted[] = "model";
#define KEY_LEN (sizeof key_wanted - 1)
#define KEY_DIFFERS 255U

enum step {
    STEP_NEXT,  /* byte taken */
    STEP_AGAIN, /* state changed, same byte */
    STEP_BAD,
};

void peek_json_init(struct peek_json *j)
{
    memset(j, 0, offsetof(struct peek_json, is_object)); /* those bits are set as brackets open */
    j->state = JSON_START;
}

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static enum step to(struct peek_json *j, enum peek_json_state state)
{
    j->state = state;
    return STEP_NEXT;
}

/* --- brackets -----------------------------------------------------------------------------------
 */
static bool in_object(const struct peek_json *j)
{
    size_t level = j->depth - 1;
    return j->depth && (j->is_object[level / 8] >> (level % 8) & 1);
}

static enum step value_over(struct peek_json *j)
{
    return to(j, j->depth ? JSON_AFTER : JSON_DONE);
}

static enum step open_bracket(struct peek_json *j, bool object)
{
    if (j->depth == PEEK_JSON_DEPTH) {
        j->deep = 1;
        return to(j, JSON_DEEP);
    }
    size_t level = j->depth++;
    uint8_t bit = (uint8_t)(1U << (level % 8));
    if (object)
        j->is_object[level / 8] |= bit;
    else
        j->is_object[level / 8] &= (uint8_t)~bit;
    return to(j, object ? JSON_FIRST_KEY : JSON_FIRST_ITEM);
}

static enum step close_bracket(struct peek_json *j)
{
    j->depth--;
    return value_over(j);
}

static enum step step_deep(struct peek_json *j, unsigned char c)
{
    if (c == '"')
        return to(j, JSON_DEEP_STRING);
    if (c == '{' || c == '[')
        j->deep++;
    if ((c == '}' || c == ']') && --j->deep == 0)
        return to(j, JSON_AFTER);
    return STEP_NEXT;
}

/* --- values -------------------------------------------------------------------------------------
 */
static enum step begin_string(struct peek_json *j, struct peek_name *name, enum peek_json_role role)
{
    j->role = role;
    j->matched = 0;
    if (role == JSON_NAME)
        peek_name_begin(name);
    return to(j, JSON_STRING);
}

static enum step begin_literal(struct peek_json *j, const char *rest)
{
    j->literal = rest;
    return to(j, JSON_LITERAL);
}

static enum step begin_value(struct peek_json *j, unsigned char c)
{
    switch (c) {
    case '{':
    case '[':
        return open_bracket(j, c == '{');
    case 't':
        return begin_literal(j, "rue");
    case 'f':
        return begin_literal(j, "alse");
    case 'n':
        return begin_literal(j, "ull");
    case '-':
        return to(j, JSON_MINUS);
    case '0':
        return to(j, JSON_ZERO);
    default: /* not an enum: every other byte */
        return is_digit(c) ? to(j, JSON_INTEGER) : STEP_BAD;
    }
}

static enum step step_value(struct peek_json *j, struct peek_name *name, unsigned char c)
{
    if (is_blank(c))
        return STEP_NEXT;
    bool wanted = j->key_is_model;
    j->key_is_model = false;
    if (c == '"')
        return begin_string(j, name, wanted ? JSON_NAME : JSON_IGNORED);
    enum step step = begin_value(j, c);
    if (wanted && step != STEP_BAD)
        peek_name_not_string(name);
    return step;
}

static enum step step_key(struct peek_json *j, struct peek_name *name, unsigned char c)
{
    if (is_blank(c))
        return STEP_NEXT;
    if (c == '"')
        return begin_string(j, name, j->depth == 1 ? JSON_TOP_KEY : JSON_INNER_KEY);
    return STEP_BAD;
}

static enum step step_after(struct peek_json *j, unsigned char c)
{
    bool object = in_object(j);
    if (is_blank(c))
        return STEP_NEXT;
    if (c == ',')
        return to(j, object ? JSON_KEY : JSON_VALUE);
    return c == (object ? '}' : ']') ? close_bracket(j) : STEP_BAD;
}

static enum step step_literal(struct peek_json *j, unsigned char c)
{
    if (c != (unsigned char)*j->literal)
        return STEP_BAD;
    return *++j->literal ? STEP_NEXT : value_over(j);
}

/* The byte after a number is read again, in the next state. */
static enum step number_over(struct peek_json *j)
{
    value_over(j);
    return STEP_AGAIN;
}

/* Where a number may also be over: after `0`, in the integer, in the fraction. */
static enum step number_tail(struct peek_json *j, unsigned char c, bool digits, bool point)
{
    if (digits && is_digit(c))
        return STEP_NEXT;
    if (point && c == '.')
        return to(j, JSON_POINT);
    return c == 'e' || c == 'E' ? to(j, JSON_EXPONENT) : number_over(j);
}

static enum step digit_to(struct peek_json *j, unsigned char c, enum peek_json_state state)
{
    return is_digit(c) ? to(j, state) : STEP_BAD;
}

/* --- strings ------------------------------------------------------------------------------------
 */
/* No quote, backslash or control character. The loop has a fixed length so that compilers turn it into
 * vector instructions. */
#define BLOCK 64
static bool is_plain_block(const unsigned char *p)
{
    unsigned char special = 0;
    for (int i = 0; i < BLOCK; i++)
        special |= (unsigned char)((p[i] == '"') | (p[i] == '\\') | (p[i] < 0x20));
    return !special;
}

static size_t plain_run(const unsigned char *p, size_t len)
{
    size_t n = 0;
    while (len - n >= BLOCK && is_plain_block(p + n))
        n += BLOCK;
    while (n < len && p[n] != '"' && p[n] != '\\' && p[n] >= 0x20)
        n++;
    return n;
}

static void match_key(struct peek_json *j, const char *data, size_t len)
{
    for (size_t i = 0; i < len && j->matched != KEY_DIFFERS; i++) {
        if (j->matched < KEY_LEN && data[i] == key_wanted[j->matched])
            j->matched++;
        else
            j->matched = KEY_DIFFERS;
    }
}

/* The string's next bytes, escapes undone. Returns how many were right (see peek_name_append). */
static size_t string_bytes(struct peek_json *j, struct peek_name *name, const char *data,
                           size_t len)
{
    switch (j->role) {
    case JSON_IGNORED:
    case JSON_INNER_KEY:
        break;
    case JSON_TOP_KEY:
        match_key(j, data, len);
        break;
    case JSON_NAME:
        return peek_name_append(name, data, len);
    }
    return len;
}

static enum step string_over(struct peek_json *j, struct peek_name *name)
{
    switch (j->role) {
    case JSON_IGNORED:
        return value_over(j);
    case JSON_INNER_KEY:
        return to(j, JSON_COLON);
    case JSON_TOP_KEY:
        j->key_is_model = j->matched == KEY_LEN;
        return to(j, JSON_COLON);
    case JSON_NAME:
        return peek_name_end(name) ? value_over(j) : STEP_BAD;
    }
    return STEP_BAD;
}

static enum step step_string(struct peek_json *j, struct peek_name *name, unsigned char c)
{
    if (c == '"')
        return string_over(j, name);
    if (c == '\\')
        return to(j, JSON_ESCAPE);
    return STEP_BAD; /* a control character: the rest plain_run() has taken */
}

static enum step put_bytes(struct peek_json *j, struct peek_name *name, const char *data,
                           size_t len)
{
    if (string_bytes(j, name, data, len) < len)
        return STEP_BAD;
    return to(j, JSON_STRING);
}

static enum step put_code_point(struct peek_json *j, struct peek_name *name, uint32_t cp)
{
    char out[4];
    if (cp < 0x80) {
        out[0] = (char)cp;
        return put_bytes(j, name, out, 1);
    }
    size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3F));
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(lead[len] | cp);
    return put_bytes(j, name, out, len);
}

static enum step begin_hex(struct peek_json *j)
{
    j->hex_left = 4;
    j->unit = 0;
    return to(j, JSON_HEX);
}

static enum step step_escape(struct peek_json *j, struct peek_name *name, unsigned char c)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        j->surrogate = 0;
        return begin_hex(j);
    }
    const char *at = c ? strchr(escapes, c) : NULL;
    return at ? put_bytes(j, name, &meant[at - escapes], 1) : STEP_BAD;
}

/* A UTF-16 unit is complete. Half a surrogate pair is an error, as in llama-server's parser. */
static enum step unit_over(struct peek_json *j, struct peek_name *name)
{
    bool is_high = j->unit >= 0xD800 && j->unit <= 0xDBFF;
    bool is_low = j->unit >= 0xDC00 && j->unit <= 0xDFFF;
    if (is_low != (j->surrogate != 0))
        return STEP_BAD;
    if (is_high) {
        j->surrogate = j->unit;
        return to(j, JSON_LOW_ESCAPE);
    }
    if (!is_low)
        return put_code_point(j, name, j->unit);
    uint32_t cp = 0x10000 + ((j->surrogate - 0xD800) << 10) + (j->unit - 0xDC00);
    return put_code_point(j, name, cp);
}

static enum step step_hex(struct peek_json *j, struct peek_name *name, unsigned char c)
{
    unsigned char lower = c | 0x20;
    bool letter = lower >= 'a' && lower <= 'f';
    if (!is_digit(c) && !letter)
        return STEP_BAD;
    j->unit = j->unit << 4 | (uint32_t)(letter ? lower - 'a' + 10 : c - '0');
    return --j->hex_left ? STEP_NEXT : unit_over(j, name);
}

/* --- the machine --------------------------------------------------------------------------------
 */
static enum step expect(struct peek_json *j, unsigned char c, unsigned char wanted,
                        enum peek_json_state then)
{
    return c == wanted ? to(j, then) : STEP_BAD;
}

static enum step step_start(struct peek_json *j, unsigned char c)
{
    if (c == 0xEF)
        return to(j, JSON_BOM_2);
    j->state = JSON_VALUE;
    return STEP_AGAIN;
}

static enum step step(struct peek_json *j, struct peek_name *name, unsigned char c)
{
    switch (j->state) {
    case JSON_START:
        return step_start(j, c);
    case JSON_BOM_2:
        return expect(j, c, 0xBB, JSON_BOM_3);
    case JSON_BOM_3:
        return expect(j, c, 0xBF, JSON_VALUE);
    case JSON_VALUE:
        return step_value(j, name, c);
    case JSON_FIRST_ITEM:
        return c == ']' ? close_bracket(j) : step_value(j, name, c);
    case JSON_FIRST_KEY:
        return c == '}' ? close_bracket(j) : step_key(j, name, c);
    case JSON_KEY:
        return step_key(j, name, c);
    case JSON_COLON:
        return is_blank(c) ? STEP_NEXT : expect(j, c, ':', JSON_VALUE);
    case JSON_AFTER:
        return step_after(j, c);
    case JSON_STRING:
        return step_string(j, name, c);
    case JSON_ESCAPE:
        return step_escape(j, name, c);
    case JSON_HEX:
        return step_hex(j, name, c);
    case JSON_LOW_ESCAPE:
        return expect(j, c, '\\', JSON_LOW_U);
    case JSON_LOW_U:
        return c == 'u' ? begin_hex(j) : STEP_BAD;
    case JSON_LITERAL:
        return step_literal(j, c);
    case JSON_MINUS:
        return c == '0' ? to(j, JSON_ZERO) : digit_to(j, c, JSON_INTEGER);
    case JSON_ZERO:
        return number_tail(j, c, false, true);
    case JSON_INTEGER:
        return number_tail(j, c, true, true);
    case JSON_POINT:
        return digit_to(j, c, JSON_FRACTION);
    case JSON_FRACTION:
        return number_tail(j, c, true, false);
    case JSON_EXPONENT:
        if (c == '+' || c == '-')
            return to(j, JSON_EXPONENT_SIGN);
        return digit_to(j, c, JSON_EXPONENT_DIGITS);
    case JSON_EXPONENT_SIGN:
        return digit_to(j, c, JSON_EXPONENT_DIGITS);
    case JSON_EXPONENT_DIGITS:
        return is_digit(c) ? STEP_NEXT : number_over(j);
    case JSON_DEEP:
        return step_deep(j, c);
    case JSON_DEEP_STRING:
        return c == '"' ? to(j, JSON_DEEP) : c == '\\' ? to(j, JSON_DEEP_ESCAPE) : STEP_NEXT;
    case JSON_DEEP_ESCAPE:
        return to(j, JSON_DEEP_STRING);
    case JSON_DONE:
        return is_blank(c) ? STEP_NEXT : c ? STEP_BAD : to(j, JSON_REST);
    case JSON_REST:
        return STEP_NEXT;
    }
    return STEP_BAD;
}

/* At the first name after the window, or where an object that had none is over. */
static bool is_over(const struct peek_json *j, const struct peek_name *name)
{
    bool complete = j->state == JSON_DONE || j->state == JSON_REST;
    return name->first_wins && (complete || name->chosen != PEEK_MORE);
}

/* Skips plain bytes where a string is open. False: a byte of the name is not UTF-8. */
static bool skip_plain(struct peek_json *j, struct peek_name *name, const char *data, size_t len,
                       size_t *used)
{
    if (j->state != JSON_STRING && j->state != JSON_DEEP_STRING)
        return true;
    size_t run = plain_run((const unsigned char *)data + *used, len - *used);
    bool kept = j->state == JSON_STRING;
    size_t right = kept ? string_bytes(j, name, data + *used, run) : run;
    *used += right;
    return right == run;
}

enum peek_scan peek_json_scan(struct peek_json *j, struct peek_name *name, const char *data,
                              size_t len, size_t *used)
{
    *used = 0;
    while (*used < len) {
        if (!skip_plain(j, name, data, len, used))
            return PEEK_SCAN_BAD;
        if (*used == len)
            break;
        switch (step(j, name, (unsigned char)data[*used])) {
        case STEP_NEXT:
            ++*used;
            break;
        case STEP_AGAIN:
            break;
        case STEP_BAD:
            return PEEK_SCAN_BAD;
        }
        if (is_over(j, name))
            return PEEK_SCAN_OVER;
    }
    return PEEK_SCAN_MORE;
}

bool peek_json_is_complete(const struct peek_json *j)
{
    bool number = j->state == JSON_ZERO || j->state == JSON_INTEGER || j->state == JSON_FRACTION ||
                  j->state == JSON_EXPONENT_DIGITS;
    return j->state == JSON_DONE || j->state == JSON_REST || (number && !j->depth);
}

bool peek_json_is_open(const struct peek_json *j)
{
    /* Nothing but blanks so far: the object may still come. */
    if (!j->depth)
        return j->state == JSON_START || j->state == JSON_VALUE;
    return j->is_object[0] & 1;
}
