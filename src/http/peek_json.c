/* SPDX-License-Identifier: MIT */
/* The value of `model` is read in detail (json_tokens.h), so that where it counts (peek.h) does not depend on the sizes of reads. */
#include "http/peek_json.h"

static const char key_wanted[] = "model";
#define KEY_LEN (sizeof key_wanted - 1)
#define KEY_DIFFERS 255U

void peek_json_init(struct peek_json *j)
{
    json_tokens_init(&j->tokens);
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

static void on_key(struct peek_json *j, const struct json_piece *piece)
{
    if (j->tokens.depth != 1)
        return;
    if (piece->first)
        j->matched = 0;
    match_key(j, piece->text, piece->text_len);
    if (piece->last)
        j->tokens.in_detail = j->matched == KEY_LEN;
}

/* The name's next bytes. Returns how many bytes of the piece are right: fewer than all when it is not UTF-8. */
static size_t put_name(struct peek_name *name, const struct json_piece *piece)
{
    if (piece->first)
        peek_name_begin(name);
    size_t right = peek_name_append(name, piece->text, piece->text_len);
    bool escape = piece->text < piece->data || piece->text >= piece->data + piece->len;
    if (right < piece->text_len)
        return escape ? piece->len - 1 : (size_t)(piece->text - piece->data) + right;
    return piece->last && !peek_name_end(name) ? piece->len - 1 : piece->len;
}

static void on_other_value(struct peek_json *j, struct peek_name *name)
{
    if (j->tokens.in_detail)
        peek_name_not_string(name);
    j->tokens.in_detail = false;
}

/* Returns how many bytes of a piece are right. */
static size_t on_token(struct peek_json *j, struct peek_name *name, enum json_token token,
                       const struct json_piece *piece)
{
    switch (token) {
    case TOKEN_KEY:
        on_key(j, piece);
        break;
    case TOKEN_STRING:
        return j->tokens.in_detail ? put_name(name, piece) : piece->len;
    case TOKEN_OBJECT:
    case TOKEN_ARRAY:
    case TOKEN_NUMBER:
    case TOKEN_LITERAL:
    case TOKEN_NULL:
        on_other_value(j, name);
        break;
    case TOKEN_OBJECT_END:
    case TOKEN_ARRAY_END:
    case TOKEN_TOO_DEEP:
    case TOKEN_NONE:
    case TOKEN_BAD:
        break;
    }
    return piece->len;
}

/* At the first name after the window, or where an object that had none is over. */
static bool is_over(const struct peek_json *j, const struct peek_name *name)
{
    return name->first_wins && (name->chosen != PEEK_MORE || json_tokens_is_over(&j->tokens));
}

enum peek_scan peek_json_scan(struct peek_json *j, struct peek_name *name, const char *data,
                              size_t len, size_t *used)
{
    const char *at = data, *end = data + len;
    enum peek_scan state = PEEK_SCAN_MORE;
    while (at < end && state == PEEK_SCAN_MORE) {
        struct json_piece piece;
        enum json_token token = json_tokens_next(&j->tokens, &at, end, &piece);
        size_t right = on_token(j, name, token, &piece);
        if (token == TOKEN_BAD || right < piece.len)
            state = PEEK_SCAN_BAD;
        else if (is_over(j, name))
            state = PEEK_SCAN_OVER;
        at -= piece.len - right;
    }
    *used = (size_t)(at - data);
    return state;
}

bool peek_json_is_complete(const struct peek_json *j)
{
    return json_tokens_is_complete(&j->tokens);
}

bool peek_json_is_open(const struct peek_json *j)
{
    return json_tokens_is_open_object(&j->tokens);
}
