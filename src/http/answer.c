/* SPDX-License-Identifier: MIT */
#include "http/answer.h"

#include <llhttp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void put(struct stream *s, const char *text)
{
    stream_write(s, text, strlen(text));
}

/* llhttp's name of a status; it knows more than we ever send, but an engine may send others. */
static const char *status_name(int status)
{
    switch (status) {
#define NAME(code, name, text)                                                                     \
    case code:                                                                                     \
        return #text;
        HTTP_STATUS_MAP(NAME)
#undef NAME
    }
    return "UNKNOWN";
}

/* That name as a phrase: INTERNAL_SERVER_ERROR becomes Internal Server Error. */
static const char *reason_of(int status, char *out, size_t size)
{
    snprintf(out, size, "%s", status_name(status));
    for (char *p = out; *p; p++) {
        bool first = p == out || p[-1] == ' ';
        if (*p == '_')
            *p = ' ';
        else if (!first && *p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    return out;
}

#define OK "HTTP/1.1 200 OK\r\n"
#define OK_LEN (sizeof OK - 1)

/* The first line of a 200 and after it Date, written once a second: nearly every answer begins so. */
static struct {
    char text[OK_LEN + 64];
    size_t len;
    uint64_t until; /* loop's time at which the second ends */
} ok_and_date;

/* RFC 9110, 5.6.7; strftime() would use the names of the process's locale. */
static void write_date(uint64_t now)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct timespec t;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    int n = snprintf(ok_and_date.text, sizeof ok_and_date.text,
                     OK "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", &days[3L * tm.tm_wday],
                     tm.tm_mday, &months[3L * tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                     tm.tm_sec);
    ok_and_date.len = (size_t)n;
    ok_and_date.until = now + 1000 - (uint64_t)t.tv_nsec / 1000000;
}

static void put_first_lines(struct stream *s, int status, uint64_t now)
{
    char line[80], reason[48];
    if (now >= ok_and_date.until)
        write_date(now);
    if (status == 200) {
        stream_write(s, ok_and_date.text, ok_and_date.len);
        return;
    }
    int n = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status,
                     reason_of(status, reason, sizeof reason));
    stream_write(s, line, (size_t)n);
    stream_write(s, ok_and_date.text + OK_LEN, ok_and_date.len - OK_LEN);
}

/* An answer without a body that was not asked for by HEAD has none to announce either. */
static bool is_empty(int status)
{
    return status == 204 || status == 304;
}

bool answer_needs_close(const struct answer_head *head)
{
    return head->length < 0 && head->to_old && !is_empty(head->status);
}

static enum answer_framing framing_of(const struct answer_head *head)
{
    if (is_empty(head->status) || head->to_head)
        return FRAMING_EMPTY;
    if (head->length >= 0)
        return FRAMING_LENGTH;
    return head->to_old ? FRAMING_CLOSE : FRAMING_CHUNKED;
}

void answer_begin(struct answer *a, struct stream *s, const struct answer_head *head)
{
    bool empty = is_empty(head->status);
    a->state = ANSWER_HEAD;
    a->status = head->status;
    a->body_bytes = 0;
    a->framing = framing_of(head);
    put_first_lines(s, head->status, head->now);
    if (head->length < 0 && !head->to_old && !empty) {
        put(s, "Transfer-Encoding: chunked\r\n");
    } else if (head->length >= 0 && !empty) {
        put(s, "Content-Length: ");
        stream_write_number(s, (uint64_t)head->length, 10);
        put(s, "\r\n");
    }
    if (!head->keep_alive)
        put(s, "Connection: close\r\n");
    else if (head->to_old)
        put(s, "Connection: keep-alive\r\n");
}

void answer_head_end(struct answer *a, struct stream *s)
{
    put(s, "\r\n");
    a->state = ANSWER_BODY;
}

void answer_end(struct answer *a, struct stream *s)
{
    if (a->framing == FRAMING_CHUNKED)
        put(s, "0\r\n\r\n");
    a->state = ANSWER_DONE;
}
