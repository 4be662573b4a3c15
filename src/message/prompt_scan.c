/* SPDX-License-Identifier: MIT */
/*
 * Tokens (message/json_tokens.h) go to one of two hashes: the prompt's, whose state lives as long as the scan, since members of the
 * head may come before it and after it, and that of the head's member that is being read.
 */
#include "message/prompt_scan.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "message/json_tokens.h"

_Static_assert(PROMPT_DEPTH_MAX == JSON_DEPTH, "deeper values are passed over");

struct name {
    const char *text;
    size_t len;
};
#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* Those of which llama-server's prompt was seen to depend (docs/engine.md), and `lora`: computed with another adapter, the same tokens
 * have another cache. Their order is that of the digests in the head's hash. */
static const struct name head_members[] = {
    NAME("system"),           NAME("instructions"), NAME("tools"), NAME("chat_template_kwargs"),
    NAME("reasoning_effort"), NAME("reasoning"),    NAME("lora")};
#define HEAD_MEMBERS (sizeof head_members / sizeof head_members[0])
#define HEAD_SYSTEM 0
#define HEAD_LORA 6

/* In the order of precedence. */
static const struct name prompt_members[] = {NAME("messages"), NAME("input"), NAME("prompt")};
#define PROMPT_MEMBERS (sizeof prompt_members / sizeof prompt_members[0])
#define NO_PROMPT PROMPT_MEMBERS

/* By which a request keeps apart from what others left in the engine's slots: `"cache_prompt":false`, and `id_slot` of a slot. */
static const struct name choice_members[] = {NAME("cache_prompt"), NAME("id_slot")};
enum choice { CHOICE_CACHE, CHOICE_SLOT };
#define CHOICE_MEMBERS (sizeof choice_members / sizeof choice_members[0])

/* What the tokens of the current member of the body are for. */
enum role {
    ROLE_IGNORED,
    ROLE_CHOICE,
    ROLE_HEAD,
    ROLE_PROMPT,
};

/* Bytes on their way to a hash: short ones are collected, since a call of the library costs as much as some hundred bytes. */
struct feed {
    XXH3_state_t *state;
    size_t held;
    char hold[256];
};

/* The search for what is masked in a text of `system`. */
enum billing {
    BILLING_NONE,   /* nothing is masked in the rest of this text */
    BILLING_PREFIX, /* so far the text is the beginning of billing_prefix */
    BILLING_SEARCH, /* behind it, before `cch=` */
    BILLING_MASK,
};
static const char billing_prefix[] = "x-anthropic-billing-header:", billing_name[] = "cch=";
#define BILLING_VALUE 5 /* characters */

#define KEY_MAX                                                                                    \
    128 /* bytes of a key that are collected, escapes included: those that matter are shorter */
#define NAME_ROOM 24

struct prompt_scan {
    uint64_t seed;
    bool failed;

    enum role role;
    size_t head_member; /* of ROLE_HEAD */
    bool is_null;       /* its value */
    enum choice choice; /* of ROLE_CHOICE */
    bool is_apart[CHOICE_MEMBERS];
    size_t kind; /* which member the chain is of; NO_PROMPT */
    struct prompt_chain chain;
    size_t cap;
    uint64_t bytes; /* of the prompt, hashed */
    /* The prompt's last value is a string or a token: the next turn's may go on within it. */
    bool ends_in_text;
    struct prompt_hash head[HEAD_MEMBERS];

    /* How many brackets from the outermost on are: the body, the array that is the member's value, an object in it, the array that is
     * its `content`, an object in that, … They are objects and arrays by turns. */
    size_t marked_depth;
    size_t skip_depth; /* of the object whose `cache_control` is being passed over; 0: none */
    bool is_content;   /* the value to come is that of `content` */
    bool is_part;      /* the string being read is hashed as a part */

    size_t key_len, name_len; /* more than the room: too long */
    enum billing billing;
    unsigned billing_at; /* characters of what is looked for or masked */

    /* From here on nothing is cleared for the next request. */
    struct feed prompt, member;
    char key[KEY_MAX];    /* as it stands in the body */
    char name[NAME_ROOM]; /* what it means */
    struct json_tokens tokens;
};

/* --- hashing ------------------------------------------------------------------------------------
 */
static void flush(struct feed *f)
{
    XXH3_128bits_update(f->state, f->hold, f->held);
    f->held = 0;
}

static void begin(struct feed *f, uint64_t seed)
{
    XXH3_128bits_reset_withSeed(f->state, seed);
    f->held = 0;
}

static void absorb(struct feed *f, const char *data, size_t len)
{
    if (len > sizeof f->hold - f->held)
        flush(f);
    if (len >= sizeof f->hold) {
        XXH3_128bits_update(f->state, data, len);
        return;
    }
    memcpy(f->hold + f->held, data, len);
    f->held += len;
}

static struct prompt_hash digest(struct feed *f)
{
    flush(f);
    XXH128_hash_t hash = XXH3_128bits_digest(f->state);
    return (struct prompt_hash){.low = hash.low64, .high = hash.high64};
}

static struct prompt_point here(struct prompt_scan *s)
{
    return (struct prompt_point){.at = s->bytes, .hash = digest(&s->prompt)};
}

static void add_point(struct prompt_scan *s)
{
    if (prompt_chain_add(&s->chain, &s->cap, here(s)))
        s->failed = true;
}

static void put_prompt(struct prompt_scan *s, const char *data, size_t len)
{
    while (len) {
        size_t room = PROMPT_STEP - s->bytes % PROMPT_STEP, n = len < room ? len : room;
        absorb(&s->prompt, data, n);
        s->bytes += n;
        data += n;
        len -= n;
        if (n == room)
            add_point(s);
    }
}

static void put(struct prompt_scan *s, const char *data, size_t len)
{
    if (s->role == ROLE_PROMPT)
        put_prompt(s, data, len);
    else
        absorb(&s->member, data, len);
}

static void put_char(struct prompt_scan *s, char c)
{
    struct feed *to = s->role == ROLE_PROMPT ? &s->prompt : &s->member;
    if (to->held == sizeof to->hold)
        flush(to);
    to->hold[to->held++] = c;
    if (s->role == ROLE_PROMPT && ++s->bytes % PROMPT_STEP == 0)
        add_point(s);
}

/* --- members of the body ------------------------------------------------------------------------
 */
static void no_prompt(struct prompt_scan *s)
{
    s->kind = NO_PROMPT;
    s->role = ROLE_IGNORED;
}

static void begin_prompt(struct prompt_scan *s, size_t kind)
{
    if (kind > s->kind)
        return;
    s->kind = kind;
    s->role = ROLE_PROMPT;
    s->chain.n = s->chain.coarse = 0;
    s->bytes = 0;
    s->ends_in_text = false;
    begin(&s->prompt, s->seed);
}

static void begin_head(struct prompt_scan *s, size_t member)
{
    s->role = ROLE_HEAD;
    s->head_member = member;
    s->is_null = false;
    begin(&s->member, s->seed);
}

static void begin_choice(struct prompt_scan *s, enum choice choice)
{
    s->role = ROLE_CHOICE;
    s->choice = choice;
    s->is_apart[choice] = false;
}

static bool name_is(const struct prompt_scan *s, const struct name *name)
{
    return s->name_len == name->len && memcmp(s->name, name->text, name->len) == 0;
}

static void begin_member(struct prompt_scan *s)
{
    for (size_t i = 0; i < PROMPT_MEMBERS; i++)
        if (name_is(s, &prompt_members[i]))
            begin_prompt(s, i);
    for (size_t i = 0; i < HEAD_MEMBERS; i++)
        if (name_is(s, &head_members[i]))
            begin_head(s, i);
    for (size_t i = 0; i < CHOICE_MEMBERS; i++)
        if (name_is(s, &choice_members[i]))
            begin_choice(s, (enum choice)i);
}

static void member_over(struct prompt_scan *s)
{
    if (s->role == ROLE_HEAD)
        s->head[s->head_member] = s->is_null ? (struct prompt_hash){0} : digest(&s->member);
    s->role = ROLE_IGNORED;
}

/* A value is complete, within the container that is the innermost now. */
static void value_over(struct prompt_scan *s, bool is_scalar)
{
    size_t depth = s->tokens.depth;
    if (s->role == ROLE_PROMPT && depth <= 2)
        s->ends_in_text = is_scalar;
    if (depth > 1)
        put_char(s, ',');
    else
        member_over(s);
    if (depth == 2 && s->role == ROLE_PROMPT && !is_scalar)
        add_point(s);
}

/* --- keys ---------------------------------------------------------------------------------------
 */
static void collect_name(struct prompt_scan *s, const struct json_piece *piece)
{
    if (piece->first)
        s->name_len = 0;
    if (s->name_len > sizeof s->name || piece->text_len > sizeof s->name - s->name_len) {
        s->name_len = sizeof s->name + 1;
        return;
    }
    memcpy(s->name + s->name_len, piece->text ? piece->text : "", piece->text_len);
    s->name_len += piece->text_len;
}

/* A key may turn out to be `cache_control`: it is hashed once that is known. */
static void collect_key(struct prompt_scan *s, const struct json_piece *piece)
{
    if (piece->first)
        s->key_len = 0;
    if (s->key_len <= sizeof s->key && piece->len > sizeof s->key - s->key_len) {
        put(s, s->key, s->key_len);
        s->key_len = sizeof s->key + 1;
    }
    if (s->key_len > sizeof s->key) {
        put(s, piece->data, piece->len);
        return;
    }
    memcpy(s->key + s->key_len, piece->data, piece->len);
    s->key_len += piece->len;
}

static void marked_key_over(struct prompt_scan *s)
{
    static const struct name mark = NAME("cache_control"), content = NAME("content");
    if (name_is(s, &mark)) {
        s->skip_depth = s->tokens.depth;
        return;
    }
    if (s->key_len <= sizeof s->key)
        put(s, s->key, s->key_len);
    put_char(s, ':');
    s->is_content = name_is(s, &content);
}

static void on_inner_key(struct prompt_scan *s, const struct json_piece *piece)
{
    if (s->marked_depth != s->tokens.depth) {
        put(s, piece->data, piece->len);
        if (piece->last)
            put_char(s, ':');
        return;
    }
    collect_name(s, piece);
    collect_key(s, piece);
    if (piece->last)
        marked_key_over(s);
}

static void on_key(struct prompt_scan *s, const struct json_piece *piece)
{
    if (s->tokens.depth == 1) {
        collect_name(s, piece);
        if (piece->last)
            begin_member(s);
    } else if (s->role != ROLE_IGNORED && !s->skip_depth) {
        on_inner_key(s, piece);
    }
}

/* --- values -------------------------------------------------------------------------------------
 */
static void on_open(struct prompt_scan *s, bool array)
{
    size_t depth = s->tokens.depth;
    if (depth == 1)
        s->failed = array;
    if (s->role == ROLE_CHOICE) /* the engine passes over what is no such value */
        s->role = ROLE_IGNORED;
    if (s->role == ROLE_IGNORED || s->skip_depth)
        return;
    bool wanted = depth % 2 ? !array : array && (depth == 2 || s->is_content);
    if (wanted && s->marked_depth == depth - 1)
        s->marked_depth = depth;
    s->is_content = false;
    put_char(s, array ? '[' : '{');
}

static void skipped_value_over(struct prompt_scan *s)
{
    if (s->tokens.depth == s->skip_depth)
        s->skip_depth = 0;
}

static void on_close(struct prompt_scan *s, bool array)
{
    size_t depth = s->tokens.depth;
    if (s->role == ROLE_IGNORED)
        return;
    if (s->skip_depth) {
        skipped_value_over(s);
        return;
    }
    if (s->marked_depth > depth)
        s->marked_depth = depth;
    if (depth == 1 && s->role == ROLE_PROMPT) {
        /* The last bracket is left out: where this array ends, that of the next turn goes on. */
        member_over(s);
        return;
    }
    put_char(s, array ? ']' : '}');
    value_over(s, false);
}

static unsigned search_billing(const struct prompt_scan *s, char c)
{
    if (c == billing_name[s->billing_at])
        return s->billing_at + 1;
    return c != 'c' ? 0 : s->billing_at == 2 ? 2 : 1;
}

/* The byte that is hashed in place of `c`. */
static char mask_billing(struct prompt_scan *s, char c)
{
    if (s->billing == BILLING_MASK) {
        if (c == '"' || s->billing_at++ == BILLING_VALUE)
            s->billing = BILLING_NONE;
        return s->billing == BILLING_NONE ? c : 'f';
    }
    bool prefix = s->billing == BILLING_PREFIX;
    s->billing_at = !prefix                              ? search_billing(s, c)
                    : c == billing_prefix[s->billing_at] ? s->billing_at + 1
                                                         : 0;
    if (prefix && !s->billing_at)
        s->billing = BILLING_NONE;
    else if (s->billing_at == (prefix ? sizeof billing_prefix : sizeof billing_name) - 1) {
        s->billing = prefix ? BILLING_SEARCH : BILLING_MASK;
        s->billing_at = 0;
    }
    return c;
}

static void put_system_text(struct prompt_scan *s, const struct json_piece *piece)
{
    size_t at = 0;
    if (piece->first) {
        s->billing = BILLING_PREFIX;
        s->billing_at = 0;
        put_char(s, piece->data[at++]);
    }
    while (at < piece->len && s->billing != BILLING_NONE)
        put_char(s, mask_billing(s, piece->data[at++]));
    put(s, piece->data + at, piece->len - at);
}

static void on_string(struct prompt_scan *s, const struct json_piece *piece)
{
    static const char before[] = "[{\"type\":\"text\",\"text\":", after[] = ",},]";
    if (piece->first) {
        s->is_part = s->is_content;
        s->is_content = false;
        if (s->is_part)
            put(s, before, sizeof before - 1);
    }
    if (s->role == ROLE_HEAD && s->head_member == HEAD_SYSTEM)
        put_system_text(s, piece);
    else
        put(s, piece->data, piece->len);
    if (!piece->last)
        return;
    if (s->is_part)
        put(s, after, sizeof after - 1);
    value_over(s, true);
}

static void on_scalar(struct prompt_scan *s, enum json_token token, const struct json_piece *piece)
{
    s->is_content = false;
    if (s->tokens.depth <= 1 && s->role == ROLE_PROMPT) {
        no_prompt(s);
        return;
    }
    s->is_null = token == TOKEN_NULL && s->tokens.depth == 1;
    put(s, piece->data, piece->len);
    if (piece->last)
        value_over(s, true);
}

static void on_choice(struct prompt_scan *s, enum json_token token, const struct json_piece *piece)
{
    const char first = piece->first && piece->len ? piece->data[0] : '-';
    if (s->choice == CHOICE_CACHE)
        s->is_apart[s->choice] |= token == TOKEN_LITERAL && first == 'f';
    else
        s->is_apart[s->choice] |= token == TOKEN_NUMBER && first != '-';
    if (piece->last)
        s->role = ROLE_IGNORED;
}

static void on_simple_value(struct prompt_scan *s, enum json_token token,
                            const struct json_piece *piece)
{
    if (s->role == ROLE_IGNORED)
        return;
    if (s->role == ROLE_CHOICE) {
        on_choice(s, token, piece);
        return;
    }
    if (s->skip_depth) {
        if (piece->last)
            skipped_value_over(s);
        return;
    }
    if (token == TOKEN_STRING)
        on_string(s, piece);
    else
        on_scalar(s, token, piece);
}

static void on_token(struct prompt_scan *s, enum json_token token, const struct json_piece *piece)
{
    switch (token) {
    case TOKEN_KEY:
        on_key(s, piece);
        break;
    case TOKEN_STRING:
    case TOKEN_NUMBER:
    case TOKEN_LITERAL:
    case TOKEN_NULL:
        on_simple_value(s, token, piece);
        break;
    case TOKEN_OBJECT:
    case TOKEN_ARRAY:
        on_open(s, token == TOKEN_ARRAY);
        break;
    case TOKEN_OBJECT_END:
    case TOKEN_ARRAY_END:
        on_close(s, token == TOKEN_ARRAY_END);
        break;
    case TOKEN_TOO_DEEP:
    case TOKEN_BAD:
        s->failed = true;
        break;
    case TOKEN_NONE:
        break;
    }
}

/* --- the scan -----------------------------------------------------------------------------------
 */
/* A freed one, for the next request: most requests need it for one turn of the loop. */
static struct prompt_scan *spare;

static void release(struct prompt_scan *s)
{
    XXH3_freeState(s->prompt.state);
    XXH3_freeState(s->member.state);
    free(s);
}

static struct prompt_scan *allocate(void)
{
    struct prompt_scan *s = mem_try_zalloc(sizeof *s);
    if (!s)
        return NULL;
    s->prompt.state = XXH3_createState();
    s->member.state = XXH3_createState();
    if (s->prompt.state && s->member.state)
        return s;
    release(s);
    return NULL;
}

struct prompt_scan *prompt_scan_create(uint64_t seed)
{
    struct prompt_scan *s = spare ? spare : allocate();
    spare = NULL;
    if (!s)
        return NULL;
    memset(s, 0, offsetof(struct prompt_scan, prompt));
    json_tokens_init(&s->tokens);
    s->seed = seed;
    s->kind = NO_PROMPT;
    s->marked_depth = 1;
    return s;
}

void prompt_scan_destroy(struct prompt_scan *s)
{
    if (!s)
        return;
    prompt_chain_finish(&s->chain);
    if (spare)
        release(s);
    else
        spare = s;
}

void prompt_scan_feed(struct prompt_scan *s, const char *data, size_t len)
{
    const char *end = data + len;
    while (s && data < end && !s->failed) {
        struct json_piece piece;
        enum json_token token = json_tokens_next(&s->tokens, &data, end, &piece);
        on_token(s, token, &piece);
    }
}

static struct prompt_hash head_digest(const struct prompt_scan *s)
{
    struct prompt_hash parts[HEAD_MEMBERS + 1];
    memcpy(parts, s->head, sizeof s->head);
    parts[HEAD_MEMBERS] = (struct prompt_hash){.low = s->kind};
    XXH128_hash_t hash = XXH3_128bits_withSeed(parts, sizeof parts, s->seed);
    return (struct prompt_hash){.low = hash.low64, .high = hash.high64};
}

/* Text that the next turn goes on with has no end that this one would find again: its chain ends at the last point. */
static int end_chain(struct prompt_scan *s)
{
    if (!s->ends_in_text || !s->chain.n)
        return prompt_chain_end(&s->chain, &s->cap, here(s));
    s->chain.bytes = s->chain.point[s->chain.n - 1].at;
    return 0;
}

bool prompt_scan_is_apart(const struct prompt_scan *s)
{
    return s && (s->head[HEAD_LORA].low || s->head[HEAD_LORA].high || s->is_apart[CHOICE_CACHE] ||
                 s->is_apart[CHOICE_SLOT]);
}

bool prompt_scan_end(struct prompt_scan *s, struct prompt_chain *out)
{
    *out = (struct prompt_chain){0};
    if (!s || s->failed || !json_tokens_is_complete(&s->tokens))
        return false;
    /* One byte is the bracket of an empty array. */
    if (s->kind == NO_PROMPT || s->bytes <= 1 || end_chain(s))
        return false;
    *out = s->chain;
    out->head = head_digest(s);
    s->chain = (struct prompt_chain){0};
    s->failed = true; /* to be called once */
    struct prompt_point *fit = mem_try_realloc(out->point, out->n * sizeof *fit);
    if (fit)
        out->point = fit;
    return true;
}
