/* SPDX-License-Identifier: MIT */
/*
 * What the chain of hashes of a request's prompt costs (message/prompt_scan), beside the search for `model` in the same body
 * (http/peek), which every request pays.
 *
 *     make build/bench/prompt_scan && build/bench/prompt_scan [ROUNDS]
 *
 * A row a kind of body and size: nanoseconds of processor time a byte, the least and the median of ROUNDS (200), fed in the 64 KiB
 * chunks in which a connection reads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "http/peek.h"
#include "message/prompt_scan.h"

#define CHUNK ((size_t)64 * 1024)

static const char prose[] =
    "The quick brown fox jumps over the lazy dog, and the dog does not mind it at all. ";
static const char code[] = "    if (n > 0) {\\n        puts(\\\"more\\\");\\n    }\\n";
static const char call[] = "{\\\"path\\\":\\\"src/a.c\\\",\\\"line\\\":12,\\\"all\\\":true}";

struct kind {
    const char *name, *text;
    size_t message; /* bytes of text a message has */
    bool blanks;    /* between tokens, as Python's json.dumps() writes them */
};

static const struct kind kinds[] = {
    {"chat, prose of 2,000 bytes a message", prose, 2000, false},
    {"the same, blanks between tokens", prose, 2000, true},
    {"chat, 100 bytes a message", prose, 100, false},
    {"chat, source code", code, 4000, false},
    {"chat, JSON in strings", call, 500, false},
};

static void add_message(struct buf *b, const struct kind *k, bool user)
{
    const char *colon = k->blanks ? ": " : ":", *comma = k->blanks ? ", " : ",";
    buf_printf(b, "{\"role\"%s\"%s\"%s\"content\"%s\"", colon, user ? "user" : "assistant", comma,
               colon);
    for (size_t n = 0; n < k->message; n += strlen(k->text))
        buf_puts(b, k->text);
    buf_printf(b, "\"}");
}

static void make_chat(struct buf *b, const struct kind *k, size_t size)
{
    buf_puts(b, "{\"model\":\"m\",\"temperature\":0.7,\"stream\":true,\"messages\":[");
    for (unsigned i = 0; !i || b->len + k->message < size; i++) {
        buf_puts(b, i ? k->blanks ? ", " : "," : "");
        add_message(b, k, i % 2 == 0);
    }
    buf_puts(b, "]}");
}

static void make_tokens(struct buf *b, size_t size)
{
    buf_puts(b, "{\"model\":\"m\",\"prompt\":[1");
    for (unsigned i = 0; b->len < size; i++)
        buf_printf(b, ",%u", i * 7919 % 150000);
    buf_puts(b, "]}");
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double scan_ns(const struct buf *b)
{
    struct prompt_chain chain;
    double begin = now_ns();
    struct prompt_scan *s = prompt_scan_create(1);
    for (size_t at = 0; at < b->len; at += CHUNK)
        prompt_scan_feed(s, b->data + at, b->len - at < CHUNK ? b->len - at : CHUNK);
    if (!prompt_scan_end(s, &chain))
        abort();
    prompt_scan_destroy(s);
    prompt_chain_finish(&chain);
    return now_ns() - begin;
}

static double peek_ns(const struct buf *b)
{
    double begin = now_ns();
    struct peek *p = peek_create(NULL);
    for (size_t at = 0; at < b->len; at += CHUNK)
        peek_feed(p, b->data + at, b->len - at < CHUNK ? b->len - at : CHUNK);
    if (peek_end(p) != PEEK_FOUND)
        abort();
    peek_destroy(p);
    return now_ns() - begin;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct buf *b, unsigned rounds, double (*take)(const struct buf *))
{
    double *times = calloc(rounds, sizeof *times);
    for (unsigned i = 0; times && i < rounds; i++)
        times[i] = take(b) / (double)b->len;
    if (!times)
        abort();
    qsort(times, rounds, sizeof *times, by_size);
    printf("  %6.2f %6.2f", times[0], times[rounds / 2]);
    free(times);
}

static void row(const char *name, struct buf *b, unsigned rounds)
{
    printf("%-38s %8zu", name, b->len);
    measure(b, rounds, scan_ns);
    measure(b, rounds, peek_ns);
    printf("\n");
    buf_finish(b);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {1024, 32 * 1024, 250 * 1000};
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200;
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    printf("%-38s %8s  %13s  %13s\n", "ns a byte: least, median", "bytes", "chain", "peek");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t j = 0; j < sizeof kinds / sizeof kinds[0]; j++) {
            make_chat(&b, &kinds[j], sizes[i]);
            row(kinds[j].name, &b, rounds);
        }
        make_tokens(&b, sizes[i]);
        row("completion, tokens", &b, rounds);
    }
    return 0;
}
