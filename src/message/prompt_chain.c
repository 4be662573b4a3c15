/* SPDX-License-Identifier: MIT */
#include "message/prompt_chain.h"

#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define RECORD 24      /* bytes of a point when written: at, low, high, little endian */
#define RECORD_TEXT 32 /* of them in base64: no padding */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void prompt_chain_finish(struct prompt_chain *c)
{
    free(c->point);
    *c = (struct prompt_chain){0};
}

int prompt_chain_copy(struct prompt_chain *out, const struct prompt_chain *c)
{
    *out = (struct prompt_chain){0};
    struct prompt_point *point = mem_try_realloc(NULL, (c->n ? c->n : 1) * sizeof *point);
    if (!point)
        return -ENOMEM;
    if (c->n)
        memcpy(point, c->point, c->n * sizeof *point);
    *out = *c;
    out->point = point;
    return 0;
}

/* --- comparing ----------------------------------------------------------------------------------
 */
static bool same_hash(struct prompt_hash a, struct prompt_hash b)
{
    return a.low == b.low && a.high == b.high;
}

static bool same_point(const struct prompt_point *a, const struct prompt_point *b)
{
    return a->at == b->at && same_hash(a->hash, b->hash);
}

bool prompt_chain_equal(const struct prompt_chain *a, const struct prompt_chain *b)
{
    if (!same_hash(a->head, b->head) || a->bytes != b->bytes || !a->n != !b->n)
        return false;
    return !a->n || same_point(&a->point[a->n - 1], &b->point[b->n - 1]);
}

static bool has_point(const struct prompt_chain *c, const struct prompt_point *point)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->point[mid].at < point->at)
            low = mid + 1;
        else
            high = mid;
    }
    return low < c->n && same_point(&c->point[low], point);
}

uint64_t prompt_chain_common(const struct prompt_chain *a, const struct prompt_chain *b)
{
    if (!same_hash(a->head, b->head))
        return 0;
    const struct prompt_chain *coarse = a->coarse > b->coarse ? a : b, *fine = coarse == a ? b : a;
    size_t low = 0, high = coarse->n; /* of its points, `low` are common, and none from `high` on */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (has_point(fine, &coarse->point[mid]))
            low = mid + 1;
        else
            high = mid;
    }
    return low ? coarse->point[low - 1].at : 0;
}

/* --- building -----------------------------------------------------------------------------------
 */
static bool remains(const struct prompt_chain *c, const struct prompt_point *point)
{
    return !(point->hash.low & ((UINT64_C(1) << c->coarse) - 1));
}

static void coarsen(struct prompt_chain *c)
{
    size_t n = 0;
    c->coarse++;
    for (size_t i = 0; i < c->n; i++)
        if (remains(c, &c->point[i]))
            c->point[n++] = c->point[i];
    c->n = n;
}

static int append(struct prompt_chain *c, size_t *cap, struct prompt_point point)
{
    if (c->n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct prompt_point *grown = mem_try_realloc(c->point, more * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        c->point = grown;
        *cap = more;
    }
    c->point[c->n++] = point;
    return 0;
}

int prompt_chain_add(struct prompt_chain *c, size_t *cap, struct prompt_point point)
{
    bool known = c->n && c->point[c->n - 1].at == point.at;
    if (known || !remains(c, &point))
        return 0;
    while (c->n == PROMPT_POINTS_MAX)
        coarsen(c);
    return remains(c, &point) ? append(c, cap, point) : 0;
}

int prompt_chain_end(struct prompt_chain *c, size_t *cap, struct prompt_point point)
{
    c->bytes = point.at;
    if (c->n && c->point[c->n - 1].at == point.at)
        return 0;
    while (c->n == PROMPT_POINTS_MAX)
        coarsen(c);
    return append(c, cap, point);
}

/* --- as text ------------------------------------------------------------------------------------
 * Base64 of records. The first one holds `coarse` and the head, the others the points.
 */
static void write_record(unsigned char *out, uint64_t at, struct prompt_hash hash)
{
    uint64_t numbers[] = {htole64(at), htole64(hash.low), htole64(hash.high)};
    memcpy(out, numbers, RECORD);
}

static struct prompt_point read_record(const unsigned char *in)
{
    uint64_t numbers[3];
    memcpy(numbers, in, RECORD);
    struct prompt_hash hash = {.low = le64toh(numbers[1]), .high = le64toh(numbers[2])};
    return (struct prompt_point){.at = le64toh(numbers[0]), .hash = hash};
}

json_t *prompt_chain_to_json(const struct prompt_chain *c)
{
    size_t records = c->n + 1;
    unsigned char *bytes = mem_try_zalloc(records * RECORD);
    char *text = mem_try_zalloc(records * RECORD_TEXT + 1);
    json_t *json = NULL;
    if (bytes && text) {
        write_record(bytes, c->coarse, c->head);
        for (size_t i = 0; i < c->n; i++)
            write_record(bytes + (i + 1) * RECORD, c->point[i].at, c->point[i].hash);
        EVP_EncodeBlock((unsigned char *)text, bytes, (int)(records * RECORD));
        json = json_stringn_nocheck(text, records * RECORD_TEXT);
    }
    free(bytes);
    free(text);
    return json;
}

static bool read_records(struct prompt_chain *out, const unsigned char *bytes, size_t records)
{
    struct prompt_point first = read_record(bytes);
    uint64_t before = 0;
    for (size_t i = 0; i + 1 < records; i++) {
        out->point[i] = read_record(bytes + (i + 1) * RECORD);
        if (out->point[i].at <= before)
            return false;
        before = out->point[i].at;
    }
    out->head = first.hash;
    out->coarse = (unsigned)first.at;
    out->bytes = before;
    out->n = records - 1;
    return first.at < 64;
}

int prompt_chain_from_json(struct prompt_chain *out, const json_t *json)
{
    *out = (struct prompt_chain){0};
    size_t len = json_string_length(json), records = len / RECORD_TEXT;
    if (len % RECORD_TEXT || records < 2 || records > PROMPT_POINTS_MAX + 1)
        return -EINVAL;
    int err = -ENOMEM;
    unsigned char *bytes = mem_try_zalloc(records * RECORD);
    out->point = mem_try_zalloc((records - 1) * sizeof *out->point);
    if (!bytes || !out->point)
        goto fail;
    err = -EINVAL;
    /* A record's text has no padding, and white space is no part of it. */
    const char *text = json_string_value(json);
    int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
    if (decoded != (int)(records * RECORD) || strspn(text, base64) != len ||
        !read_records(out, bytes, records))
        goto fail;
    free(bytes);
    return 0;
fail:
    free(bytes);
    prompt_chain_finish(out);
    return err;
}
