/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

/* Length of the character at `s`, of which `n` (at least 1) bytes may be read; 0 when it is none. */
static size_t character(const uint8_t *s, size_t n)
{
    struct utf8 u = {0};
    for (size_t i = 0; i < n && utf8_next(&u, s[i]); i++)
        if (!u.due)
            return i + 1;
    return 0;
}

static bool is_control(uint8_t c)
{
    return c < 0x20 || c == 0x7F;
}

bool text_clean(const char *text)
{
    const uint8_t *s = (const uint8_t *)text;
    for (size_t n = strlen(text), len; n; s += len, n -= len) {
        len = character(s, n);
        if (len == 0 || is_control(*s))
            return false;
    }
    return true;
}

#define EACH(byte) (0x0101010101010101 * (uint64_t)(byte))

/* Whether one of these eight bytes is not printable ASCII. Such a byte has its high bit set itself, or gets it by
 * the subtraction (below 0x20) or the addition (0x7F); the lowest one is met by no carry or borrow of another. */
static bool has_other(uint64_t bytes)
{
    return (bytes | (bytes - EACH(0x20)) | (bytes + EACH(0x01))) & EACH(0x80);
}

/* How much of it is printable ASCII, which nearly all text is: it stands for itself. */
static size_t plain_run(const uint8_t *s, size_t n)
{
    size_t run = 0;
    for (uint64_t word; n - run >= sizeof word; run += sizeof word) {
        memcpy(&word, s + run, sizeof word);
        if (has_other(word))
            break;
    }
    while (run < n && s[run] >= 0x20 && s[run] < 0x7F)
        run++;
    return run;
}

void text_copy(char *out, size_t size, const void *data, size_t len)
{
    const uint8_t *s = data;
    size_t used = plain_run(s, len < size ? len : size - 1);
    memcpy(out, s, used);
    s += used;
    len -= used;
    while (len && *s) {
        size_t n = character(s, len);
        if (used + (n ? n : 1) >= size)
            break;
        if (n == 0 || is_control(*s)) {
            out[used++] = n == 0 ? '?' : ' ';
            n = 1;
        } else {
            memcpy(out + used, s, n);
            used += n;
        }
        s += n;
        len -= n;
    }
    out[used] = '\0';
}

void text_mend(char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = character((const uint8_t *)text + i, len - i);
        bool kept = n && (!is_control((uint8_t)text[i]) || text[i] == '\t' || text[i] == '\n');
        if (!kept)
            text[i] = '?';
        i += n ? n : 1;
    }
}
