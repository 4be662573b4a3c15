/* SPDX-License-Identifier: MIT */
/* What is read is written down again, a line each: `2 [section]`, `3 section.key=value`. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "catalog/ini.h"

static char seen[4096];
static struct error err;
static unsigned stop_at; /* the line at which the handler has had enough; 0: none */

static int note(const struct ini_line *line, void *ctx, struct error *why)
{
    size_t n = strlen(seen);
    assert_ptr_equal(ctx, &stop_at);
    if (line->number == stop_at)
        return error_set(why, -ENOSPC, "enough");
    if (line->key)
        snprintf(seen + n, sizeof seen - n, "%u %s.%s=%s\n", line->number,
                 line->section ? line->section : "", line->key, line->value);
    else
        snprintf(seen + n, sizeof seen - n, "%u [%s]\n", line->number, line->section);
    return 0;
}

/* A copy of the exact size, so that a read behind its end is seen. */
static int parse_bytes(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    seen[0] = '\0';
    err = (struct error){0};
    int rc = ini_parse(copy, len, note, &stop_at, &err);
    free(copy);
    return rc;
}

static void reads(const char *text, const char *expected)
{
    if (parse_bytes(text, strlen(text)))
        fail_msg("%s", err.text);
    assert_string_equal(seen, expected);
}

/* `why` is part of the text, which begins with the line. */
static void refuses(const char *text, const char *line, const char *why)
{
    assert_int_equal(parse_bytes(text, strlen(text)), -EINVAL);
    if (strncmp(err.text, line, strlen(line)) != 0 || !strstr(err.text, why))
        fail_msg("'%s … %s' is not: %s", line, why, err.text);
}

static void note_problem(unsigned line, const char *section, const char *text, void *ctx)
{
    size_t n = strlen(seen);
    (void)ctx;
    snprintf(seen + n, sizeof seen - n, "%u %s! %.8s\n", line, section ? section : "", text);
}

/* What is right is read all the same; the handler's own mistakes are among them. */
static void all_mistakes(void **state)
{
    (void)state;
    static const char text[] = "x\n[a]\nk = 1\n[b\n--k = 1\nstop = 1\n[c]\nk = 2\n";
    seen[0] = '\0';
    stop_at = 6;
    ini_parse_all(text, strlen(text), note, note_problem, &stop_at);
    stop_at = 0;
    assert_string_equal(seen, "1 ! line 1: \n2 [a]\n3 a.k=1\n4 a! line 4: \n5 a! line 5: \n"
                              "6 a! enough\n7 [c]\n8 c.k=2\n");
}

static void sections_and_pairs(void **state)
{
    (void)state;
    reads("[a]\nctx-size = 512\nm=x.gguf\n[b]\nc = 1\n",
          "1 [a]\n2 a.ctx-size=512\n3 a.m=x.gguf\n4 [b]\n5 b.c=1\n");
    reads("version = 1\n[*]\nc = 2", "1 .version=1\n2 [*]\n3 *.c=2\n");
    reads("[user/repo:Q4_K_M]\n", "1 [user/repo:Q4_K_M]\n");
}

static void blanks_do_not_count(void **state)
{
    (void)state;
    reads("  [ \t two words\t ]  \n\n \t\n\t key \t=\t a  b \t \n",
          "1 [two words]\n4 two words.key=a  b\n");
    reads("[a]\nk=\nk =   \n", "1 [a]\n2 a.k=\n3 a.k=\n");
}

static void comments(void **state)
{
    (void)state;
    reads("; one\n# two\n  ; three\n[a] ; four\n[b]# five\nk = v ; six\nk = v# seven\nk = ;\n",
          "4 [a]\n5 [b]\n6 b.k=v\n7 b.k=v\n8 b.k=\n");
    reads("# [a]\n# k = v = w\n", "");
    reads("[a;b#c]\nk = v\n", "1 [a;b#c]\n2 a;b#c.k=v\n"); /* up to the bracket it is a name */
}

static void values_may_hold_anything_else(void **state)
{
    (void)state;
    reads("[a]\nk = a=b==c\nk = [x]\nk = \"q\" 'r' \\\nk = \xC3\xA4\xE2\x82\xAC\n",
          "1 [a]\n2 a.k=a=b==c\n3 a.k=[x]\n4 a.k=\"q\" 'r' \\\n5 a.k=\xC3\xA4\xE2\x82\xAC\n");
}

static void ends_of_lines(void **state)
{
    (void)state;
    reads("[a]\r\nk = 1\r\nk = 2\r[b]\n\rk = 3\r\n\r\nk = 4\r",
          "1 [a]\n2 a.k=1\n3 a.k=2\n4 [b]\n6 b.k=3\n8 b.k=4\n");
    reads("", "");
    reads("\n\n\n", "");
    reads("[a]", "1 [a]\n");
}

static void a_byte_order_mark(void **state)
{
    (void)state;
    reads("\xEF\xBB\xBF[a]\n", "1 [a]\n");
    reads("\xEF\xBB\xBF", "");
    refuses("[a]\n\xEF\xBB\xBFk = 1\n", "line 2: ", "cannot be a key");
}

static void keys(void **state)
{
    (void)state;
    reads("[a]\nLLAMA_ARG_CTX_SIZE = 1\n_k.9-x = 2\n",
          "1 [a]\n2 a.LLAMA_ARG_CTX_SIZE=1\n3 a._k.9-x=2\n");
    refuses("[a]\n--ctx-size = 1\n", "line 2: ", "write '--ctx-size' without its dashes");
    refuses("[a]\n-c = 1\n", "line 2: ", "without its dashes");
    refuses("9k = 1\n", "line 1: ", "cannot be a key");
    refuses("a b = 1\n", "line 1: ", "'a b' cannot be a key");
    refuses("k\xC3\xA4 = 1\n", "line 1: ", "cannot be a key");
    refuses(" = 1\n", "line 1: ", "cannot be a key");
}

static void what_is_neither(void **state)
{
    (void)state;
    refuses("[a]\n\nmmap\n", "line 3: ", "'mmap' is neither [SECTION] nor KEY = VALUE");
    refuses("k # = v\n", "line 1: ", "neither"); /* the sign is in the comment */
    refuses("k ; = v\n", "line 1: ", "neither");
    refuses("[a\nk = v\n", "line 1: ", "'[' without ']'");
    refuses("[]\n", "line 1: ", "needs a name");
    refuses("[  ]\n", "line 1: ", "needs a name");
    refuses("[a] k = v\n", "line 1: ", "nothing may follow [a]");
    refuses("[a]]\n", "line 1: ", "nothing may follow [a]");
}

static void bytes_that_are_no_text(void **state)
{
    (void)state;
    static const char *const lines[] = {"k = a\x01", "k = \x7F",  "[\x1B]",
                                        "# \xFF",    "k = \xC3(", "k = \xED\xA0\x80"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        refuses(lines[i], "line 1: ", "not UTF-8");
    assert_int_equal(parse_bytes("[a]\nk = a\0b\n", 12), -EINVAL);
    assert_non_null(strstr(err.text, "line 2: "));
    assert_string_equal(seen, "1 [a]\n");
}

/* What an error quotes is cut, and never in the middle of a character. */
static void long_lines_in_errors(void **state)
{
    (void)state;
    char text[400] = "x";
    for (int i = 0; i < 90; i++)
        strcat(text, "\xC3\xA4");
    assert_int_equal(parse_bytes(text, strlen(text)), -EINVAL);
    assert_true(strlen(err.text) < 200);
    assert_true(text_clean(err.text));
    strcat(text, " = 1");
    assert_int_equal(parse_bytes(text, strlen(text)), -EINVAL);
    assert_true(strlen(err.text) < 200);
    assert_true(text_clean(err.text));
}

static void the_handler_can_end_it(void **state)
{
    (void)state;
    const char text[] = "[a]\nk = 1\n[b]\nnonsense\n";
    stop_at = 3;
    assert_int_equal(parse_bytes(text, sizeof text - 1), -ENOSPC);
    assert_string_equal(err.text, "enough");
    stop_at = 2;
    assert_int_equal(parse_bytes(text, sizeof text - 1), -ENOSPC);
    assert_string_equal(seen, "1 [a]\n");
    stop_at = 0;
}

static int count_value(const struct ini_line *line, void *ctx, struct error *why)
{
    (void)why;
    *(size_t *)ctx = strlen(line->value);
    return 0;
}

static void long_values_are_whole(void **state)
{
    (void)state;
    size_t len = 100000;
    char *text = malloc(len);
    memset(text, 'v', len);
    memcpy(text, "k = ", 4);
    struct error why = {""};
    size_t got = 0;
    assert_int_equal(ini_parse(text, len, count_value, &got, &why), 0);
    assert_int_equal(got, len - 4);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_and_pairs),
        cmocka_unit_test(blanks_do_not_count),
        cmocka_unit_test(comments),
        cmocka_unit_test(values_may_hold_anything_else),
        cmocka_unit_test(ends_of_lines),
        cmocka_unit_test(a_byte_order_mark),
        cmocka_unit_test(keys),
        cmocka_unit_test(what_is_neither),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(long_lines_in_errors),
        cmocka_unit_test(the_handler_can_end_it),
        cmocka_unit_test(all_mistakes),
        cmocka_unit_test(long_values_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
