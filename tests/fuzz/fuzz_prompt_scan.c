/* SPDX-License-Identifier: MIT */
/*
 * The chain of a prompt: cuts do not matter, and where jansson says that a body is JSON, points and head are those of the canonical form
 * (message/prompt_scan.h) as it is written here once more, with recursion and buffers.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/buf.h"
#include "message/prompt_scan.h"

#define SEED 5

static const char *const heads[] = {
    "system",           "instructions", "tools", "chat_template_kwargs",
    "reasoning_effort", "reasoning",    "lora"};
#define HEADS (sizeof heads / sizeof heads[0])
static const char *const prompts[] = {"messages", "input", "prompt"};
#define PROMPTS 3

struct reference {
    const char *at; /* in the body: valid JSON, a zero byte behind it */
    struct buf out;
    bool is_system;
    struct buf prompt, ends; /* size_t: where points are but for multiples of PROMPT_STEP */
    bool ends_in_text;
    size_t kind;
    XXH128_hash_t head[HEADS];
};

static void blanks(struct reference *r)
{
    r->at += strspn(r->at, " \t\r\n");
}

/* Takes `c`, or nothing. */
static bool take(struct reference *r, char c)
{
    blanks(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

static void put(struct reference *r, const char *text)
{
    buf_puts(&r->out, text);
}

static void mask(char *text, size_t len)
{
    static const char prefix[] = "\"x-anthropic-billing-header:";
    char *end = text + len - 1; /* the closing quote */
    if (len < sizeof prefix || memcmp(text, prefix, sizeof prefix - 1) != 0)
        return;
    char *found = memmem(text + sizeof prefix - 1, len - sizeof prefix, "cch=", 4);
    for (char *p = found ? found + 4 : end; p < end && p < found + 9; p++)
        *p = 'f';
}

static void copy_string(struct reference *r)
{
    const char *begin = r->at++;
    for (; *r->at != '"'; r->at++)
        if (*r->at == '\\')
            r->at++;
    r->at++;
    size_t from = r->out.len;
    buf_append(&r->out, begin, (size_t)(r->at - begin));
    if (r->is_system)
        mask(r->out.data + from, r->out.len - from);
}

/* Takes a key, which is to be freed, and leaves it as it is written at the end of `out`. */
static json_t *copy_key(struct reference *r)
{
    bool is_system = r->is_system;
    size_t from = r->out.len;
    blanks(r);
    r->is_system = false;
    copy_string(r);
    r->is_system = is_system;
    json_t *key =
        json_loadb(r->out.data + from, r->out.len - from, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    take(r, ':');
    blanks(r);
    return key;
}

static bool key_is(const json_t *key, const char *name)
{
    return json_string_length(key) == strlen(name) && strcmp(json_string_value(key), name) == 0;
}

static void value(struct reference *r, bool marked);

static void content(struct reference *r)
{
    bool string = *r->at == '"';
    if (string)
        put(r, "[{\"type\":\"text\",\"text\":");
    value(r, *r->at == '[');
    if (string)
        put(r, ",},]");
}

/* After its bracket. */
static void object(struct reference *r, bool marked)
{
    put(r, "{");
    while (!take(r, '}')) {
        size_t from = r->out.len;
        json_t *key = copy_key(r);
        put(r, ":");
        if (marked && key_is(key, "content"))
            content(r);
        else
            value(r, false);
        put(r, ",");
        if (marked && key_is(key, "cache_control"))
            r->out.len = from;
        json_decref(key);
        take(r, ',');
    }
    put(r, "}");
}

static void array(struct reference *r, bool marked)
{
    put(r, "[");
    while (!take(r, ']')) {
        blanks(r);
        value(r, marked && *r->at == '{');
        put(r, ",");
        take(r, ',');
    }
    put(r, "]");
}

static void value(struct reference *r, bool marked)
{
    if (take(r, '{')) {
        object(r, marked);
    } else if (take(r, '[')) {
        array(r, marked);
    } else if (*r->at == '"') {
        copy_string(r);
    } else {
        size_t len = strcspn(r->at, ",]} \t\r\n");
        buf_append(&r->out, r->at, len);
        r->at += len;
    }
}

/* An array or object, element by element, without its last bracket. */
static void elements(struct reference *r, bool is_object)
{
    put(r, is_object ? "{" : "[");
    while (!take(r, is_object ? '}' : ']')) {
        blanks(r);
        if (is_object) {
            json_decref(copy_key(r));
            put(r, ":");
        }
        r->ends_in_text = *r->at != '{' && *r->at != '[';
        value(r, !is_object && *r->at == '{');
        put(r, ",");
        if (!r->ends_in_text)
            buf_append(&r->ends, &r->out.len, sizeof r->out.len);
        take(r, ',');
    }
}

static void prompt(struct reference *r, size_t kind)
{
    bool replaces = kind <= r->kind;
    if (!replaces) {
        value(r, false);
        return;
    }
    buf_clear(&r->ends);
    buf_clear(&r->prompt);
    r->kind = kind;
    r->ends_in_text = *r->at == '"';
    if (take(r, '['))
        elements(r, false);
    else if (take(r, '{'))
        elements(r, true);
    else {
        if (*r->at != '"')
            r->kind = PROMPTS;
        value(r, false);
    }
    buf_append(&r->prompt, r->out.data, r->out.len);
}

static void head(struct reference *r, size_t member)
{
    r->is_system = member == 0;
    value(r, *r->at == '[');
    r->is_system = false;
    bool is_null = r->out.len == 4 && memcmp(r->out.data, "null", 4) == 0;
    r->head[member] =
        is_null ? (XXH128_hash_t){0} : XXH3_128bits_withSeed(r->out.data, r->out.len, SEED);
}

static size_t find(const json_t *key, const char *const *names, size_t n)
{
    size_t i = 0;
    while (i < n && !key_is(key, names[i]))
        i++;
    return i;
}

static void body(struct reference *r)
{
    while (!take(r, '}')) {
        json_t *key = copy_key(r);
        size_t kind = find(key, prompts, PROMPTS), member = find(key, heads, HEADS);
        buf_clear(&r->out);
        if (kind < PROMPTS)
            prompt(r, kind);
        else if (member < HEADS)
            head(r, member);
        else
            value(r, false);
        buf_clear(&r->out);
        json_decref(key);
        take(r, ',');
    }
}

static void check(bool right)
{
    if (!right)
        abort();
}

static bool same(struct prompt_hash a, XXH128_hash_t b)
{
    return a.low == b.low64 && a.high == b.high64;
}

/* The next end of an element, or the prompt's, behind `at`. */
static uint64_t next_end(const struct reference *r, uint64_t at)
{
    size_t end, n = r->ends.len / sizeof end;
    for (size_t i = 0; i < n; i++) {
        memcpy(&end, r->ends.data + i * sizeof end, sizeof end);
        if (end > at)
            return end;
    }
    return r->prompt.len;
}

static void check_points(const struct reference *r, const struct prompt_chain *c)
{
    uint64_t at = 0, size = r->prompt.len, steps = size - size % PROMPT_STEP;
    size_t end = 0, n = r->ends.len;
    if (n)
        memcpy(&end, r->ends.data + n - sizeof end, sizeof end);
    uint64_t last = steps > end ? steps : end;
    check(c->coarse || c->bytes == (r->ends_in_text && last ? last : size));
    for (size_t i = 0; i < c->n; i++) {
        uint64_t step = (at / PROMPT_STEP + 1) * PROMPT_STEP, end = next_end(r, at);
        at = step < end ? step : end;
        check(c->coarse || c->point[i].at == at);
        at = c->point[i].at;
        check(same(c->point[i].hash, XXH3_128bits_withSeed(r->prompt.data, at, SEED)));
    }
    check(at == c->bytes);
}

static void check_head(const struct reference *r, const struct prompt_chain *c)
{
    struct prompt_hash parts[HEADS + 1];
    for (size_t i = 0; i < HEADS; i++)
        parts[i] = (struct prompt_hash){.low = r->head[i].low64, .high = r->head[i].high64};
    parts[HEADS] = (struct prompt_hash){.low = r->kind};
    check(same(c->head, XXH3_128bits_withSeed(parts, sizeof parts, SEED)));
}

/* `c` is NULL where the scan found no prompt. */
static void compare(const char *json, const struct prompt_chain *c)
{
    struct reference r = {.at = json, .kind = PROMPTS};
    if (strncmp(json, "\xEF\xBB\xBF", 3) == 0)
        r.at += 3;
    buf_init(&r.out, BUF_UNBOUNDED);
    buf_init(&r.prompt, BUF_UNBOUNDED);
    buf_init(&r.ends, BUF_UNBOUNDED);
    if (take(&r, '{'))
        body(&r);
    check((r.kind < PROMPTS && r.prompt.len > 1) == (c != NULL));
    if (c) {
        check_points(&r, c);
        check_head(&r, c);
    }
    buf_finish(&r.out);
    buf_finish(&r.prompt);
    buf_finish(&r.ends);
}

/* `largest` cut: 0 for none. Of size, the bytes themselves decide. */
static bool scan(const char *data, size_t len, size_t largest, struct prompt_chain *out)
{
    struct prompt_scan *s = prompt_scan_create(SEED);
    uint32_t random = (uint32_t)len + 1;
    for (size_t at = 0, n; at < len; at += n) {
        random = random * 1664525 + 1013904223 + (unsigned char)data[at];
        n = largest ? 1 + (random >> 16) % largest : len;
        if (n > len - at)
            n = len - at;
        /* A copy of exactly this size, so that a read past its end is noticed. */
        char *piece = malloc(n);
        memcpy(piece, data + at, n);
        prompt_scan_feed(s, piece, n);
        free(piece);
    }
    bool found = prompt_scan_end(s, out);
    prompt_scan_destroy(s);
    return found;
}

static void check_cuts(const char *data, size_t size, bool found, const struct prompt_chain *whole)
{
    static const size_t cuts[] = {1, 5, 200};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct prompt_chain cut;
        check(scan(data, size, cuts[i], &cut) == found);
        check(cut.n == whole->n && cut.coarse == whole->coarse);
        check(!found || prompt_chain_equal(&cut, whole));
        check(!cut.n || memcmp(cut.point, whole->point, cut.n * sizeof *cut.point) == 0);
        check(prompt_chain_common(&cut, whole) == whole->bytes);
        prompt_chain_finish(&cut);
    }
}

static void check_text(const struct prompt_chain *whole)
{
    struct prompt_chain read;
    json_t *json = prompt_chain_to_json(whole);
    check(prompt_chain_from_json(&read, json) == 0 && prompt_chain_equal(&read, whole));
    json_decref(json);
    prompt_chain_finish(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prompt_chain whole;
    const char *bytes = (const char *)data;
    size_t bom = size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    bool found = scan(bytes, size, 0, &whole);
    check_cuts(bytes, size, found, &whole);
    if (found)
        check_text(&whole);
    json_t *root = json_loadb(bytes + bom, size - bom, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    /* A zero byte behind a literal or a number gets lost in jansson, as if it were a blank. */
    if (root && !memchr(bytes, '\0', size)) {
        char *text = strndup(bytes, size);
        compare(text, found ? &whole : NULL);
        free(text);
    }
    json_decref(root);
    prompt_chain_finish(&whole);
    return 0;
}
