/* SPDX-License-Identifier: MIT */
#include "cli/terminal/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/memory.h"

char *format_bytes(uint64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t u = 0;
    /* 1023.5 would round to 1024: use the next unit. */
    for (; value >= 1023.5 && u + 1 < sizeof units / sizeof *units; u++)
        value /= 1024;
    snprintf(out, size, u == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[u]);
    return out;
}

char *format_elapsed(uint64_t ms, char *out, size_t size)
{
    if (ms < 100)
        snprintf(out, size, "%llu ms", (unsigned long long)ms);
    else if (ms < 9950)
        snprintf(out, size, "%.1f s", (double)ms / 1000);
    else if (ms < 59500)
        snprintf(out, size, "%llu s", (unsigned long long)(ms + 500) / 1000);
    else
        duration_format(ms + 500, out, size);
    return out;
}

char *format_sanitize(char *text, enum format_sanitize how)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (how == FORMAT_KEEP_NEWLINES && (*p == '\n' || *p == '\t'))
            continue;
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?'; /* U+0080 to U+009F, among them the CSI that some terminals obey */
    }
    return text;
}

/* --- failures ------------------------------------------------------------------------------------
 */

/* Of a log: the cause may stand first, and what came of it last. */
#define FIRST_LINES 2
#define LAST_LINES 4
#define LINE "\n           "

/* The line at `p` without its end; `*next` is NULL after the last. */
static size_t line_at(const char *p, const char **next)
{
    size_t len = strcspn(p, "\n");
    *next = p[len] && p[len + 1] ? p + len + 1 : NULL;
    return len;
}

static bool is_error_line(const char *line, size_t len)
{
    return memmem(line, len, " E ", 3) || (len > 2 && memcmp(line, "E ", 2) == 0);
}

/* `n`: how many lines there are. */
static void add_log(struct buf *b, const char *log, bool errors, size_t n)
{
    const char *next;
    size_t i = 0;
    for (const char *p = log; p; p = next) {
        size_t len = line_at(p, &next);
        if ((errors && !is_error_line(p, len)) || !len)
            continue;
        if (i < FIRST_LINES || i + LAST_LINES >= n)
            buf_printf(b, LINE "%.*s", (int)len, p);
        else if (i == FIRST_LINES)
            buf_puts(b, LINE "…");
        i++;
    }
}

static size_t count_log(const char *log, bool errors)
{
    const char *next;
    size_t n = 0;
    for (const char *p = log; p; p = next) {
        size_t len = line_at(p, &next);
        n += len && (!errors || is_error_line(p, len));
    }
    return n;
}

char *format_failure(const char *model, const char *message)
{
    struct buf b;
    const char *log;
    char *own = mem_printf("the engine of model '%s' ", model);
    buf_init(&b, BUF_UNBOUNDED);
    if (strncmp(message, own, strlen(own)) == 0) {
        message += strlen(own);
        buf_puts(&b, "its engine ");
    }
    free(own);
    size_t len = line_at(message, &log);
    buf_printf(&b, "%.*s", (int)len, message);
    bool errors = count_log(log, true) > 0;
    add_log(&b, log, errors, count_log(log, errors));
    char *text = buf_take(&b);
    return text ? text : mem_strdup("");
}

bool format_is_sentence(const char *message)
{
    return strncmp(message, "model '", strlen("model '")) == 0;
}

/* --- width ---------------------------------------------------------------------------------------
 */

/* Decodes one character; an invalid byte counts as one. Returns its length in bytes. */
static size_t letter(const char *text, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 1;
    *code = len == 1 ? p[0] : p[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *code = 0xfffd;
            return 1;
        }
        *code = *code << 6 | (p[i] & 0x3f);
    }
    return len;
}

static const struct range {
    uint32_t from, to;
    unsigned char width;
} unusual[] = {
    {0x0300, 0x036f, 0},   {0x0483, 0x0489, 0},   {0x0591, 0x05bd, 0},   {0x0610, 0x061a, 0},
    {0x064b, 0x065f, 0},   {0x1100, 0x115f, 2},   {0x1ab0, 0x1aff, 0},   {0x1dc0, 0x1dff, 0},
    {0x200b, 0x200f, 0},   {0x202a, 0x202e, 0},   {0x2060, 0x2064, 0},   {0x20d0, 0x20ff, 0},
    {0x2e80, 0x303e, 2},   {0x3041, 0x33ff, 2},   {0x3400, 0x4dbf, 2},   {0x4e00, 0x9fff, 2},
    {0xa000, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},
    {0xfe20, 0xfe2f, 0},   {0xfe30, 0xfe4f, 2},   {0xfeff, 0xfeff, 0},   {0xff00, 0xff60, 2},
    {0xffe0, 0xffe6, 2},   {0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2},
    {0x20000, 0x3fffd, 2},
};

/*
 * Not wcwidth(): it needs a UTF-8 locale, which services, containers and cron do not have. From Unicode's East Asian
 * Width, for the blocks that names commonly contain.
 */
static size_t letter_width(uint32_t code)
{
    for (size_t i = 0; code >= 0x300 && i < sizeof unusual / sizeof *unusual; i++)
        if (code >= unusual[i].from && code <= unusual[i].to)
            return unusual[i].width;
    return 1;
}

size_t format_fit(const char *text, size_t columns)
{
    size_t at = 0, used = 0;
    while (text[at]) {
        uint32_t code;
        size_t len = letter(text + at, &code);
        used += letter_width(code);
        if (used > columns)
            break;
        at += len;
    }
    return at;
}

size_t format_width(const char *text)
{
    size_t width = 0;
    while (*text) {
        uint32_t code;
        text += letter(text, &code);
        width += letter_width(code);
    }
    return width;
}

/* --- the shell ----------------------------------------------------------------------------------
 */

/* As format_sanitize() knows them. */
static size_t control_length(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    if (*p < 0x20 || *p == 0x7f)
        return *p != 0;
    return *p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0 ? 2 : 0;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (control_length(text))
            return true;
    return false;
}

static int add_escaped(struct buf *b, const char *text)
{
    int rc = buf_puts(b, "$'");
    while (!rc && *text) {
        size_t n = control_length(text);
        if (*text == '\'' || *text == '\\')
            rc = buf_puts(b, "\\");
        for (size_t i = 0; !rc && i < n; i++)
            rc = buf_printf(b, "\\%03o", (unsigned char)text[i]);
        if (!rc && !n)
            rc = buf_append(b, text, 1);
        text += n ? n : 1;
    }
    return rc ? rc : buf_puts(b, "'");
}

static int add_quoted(struct buf *b, const char *text)
{
    int rc = buf_puts(b, "'");
    for (; !rc && *text; text++)
        rc = *text == '\'' ? buf_puts(b, "'\\''") : buf_append(b, text, 1);
    return rc ? rc : buf_puts(b, "'");
}

char *format_shell(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";
    struct buf b;
    if (*text && strspn(text, plain) == strlen(text))
        return mem_strdup(text);
    buf_init(&b, BUF_UNBOUNDED);
    int rc = has_control(text) ? add_escaped(&b, text) : add_quoted(&b, text);
    char *quoted = rc ? NULL : buf_take(&b);
    if (!quoted)
        mem_out();
    return quoted;
}
