/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/terminal/table.h"

static const struct table_column columns[] = {
    {"MODEL", TABLE_LEFT, TABLE_LAST},
    {"SIZE", TABLE_RIGHT, TABLE_WHOLE},
    {"ALIASES", TABLE_LEFT, TABLE_FIRST},
};

static struct table *filled(const char *name, const char *size, const char *aliases)
{
    struct table *t = table_create(columns, 3);
    table_row(t);
    table_cell(t, "a");
    table_cellf(t, "%d", 7);
    table_row(t);
    table_cell(t, name);
    table_styled(t, TABLE_GOOD, size);
    table_cell(t, aliases);
    return t;
}

/* Prints, compares, destroys. */
static void assert_table(struct table *t, unsigned width, bool colour, const char *wanted)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    table_print(t, out, width, colour);
    fclose(out);
    table_destroy(t);
    assert_string_equal(text, wanted);
    free(text);
}

static void columns_are_as_wide_as_their_content(void **state)
{
    (void)state;
    assert_table(filled("long name", "12345", "x,y"), 0, false,
                 "MODEL       SIZE  ALIASES\n"
                 "a              7  -\n"
                 "long name  12345  x,y\n");
}

static void what_is_missing_is_a_dash(void **state)
{
    (void)state;
    assert_table(filled(NULL, "", NULL), 0, false,
                 "MODEL  SIZE  ALIASES\n"
                 "a         7  -\n"
                 "-         -  -\n");
}

static void wide_letters_are_counted(void **state)
{
    (void)state;
    assert_table(filled("日本🚀", "1", "é"), 0, false,
                 "MODEL   SIZE  ALIASES\n"
                 "a          7  -\n"
                 "日本🚀     1  é\n");
}

static void a_line_is_a_row(void **state)
{
    (void)state;
    assert_table(filled("a\nb\033[2J", "1", "x"), 0, false,
                 "MODEL    SIZE  ALIASES\n"
                 "a           7  -\n"
                 "a?b?[2J     1  x\n");
}

static void the_nice_to_know_is_cut_first(void **state)
{
    (void)state;
    assert_table(filled("a-model-name", "1", "one,two,three,four"), 32, false,
                 "MODEL         SIZE  ALIASES\n"
                 "a                7  -\n"
                 "a-model-name     1  one,two,thr…\n");
}

static void it_is_left_out_before_a_name_is_cut(void **state)
{
    (void)state;
    assert_table(filled("a-model-name", "1", "one,two,three,four"), 25, false,
                 "MODEL         SIZE\n"
                 "a                7\n"
                 "a-model-name     1\n");
}

static void names_are_cut_last(void **state)
{
    (void)state;
    assert_table(filled("a-model-name", "1", "one,two,three,four"), 16, false,
                 "MODEL       SIZE\n"
                 "a              7\n"
                 "a-model-n…     1\n");
    /* Narrower than can be: it overflows rather than say nothing. */
    assert_table(filled("a-model-name", "1", "one,two,three,four"), 5, false,
                 "MODEL     SIZE\n"
                 "a            7\n"
                 "a-model…     1\n");
}

static void a_wide_letter_at_the_cut_keeps_the_columns(void **state)
{
    (void)state;
    assert_table(filled("日本日本日本", "1", "x"), 14, false,
                 "MODEL     SIZE\n"
                 "a            7\n"
                 "日本日…      1\n");
}

static void nothing_is_cut_in_a_pipe(void **state)
{
    (void)state;
    assert_table(
        filled("a-model-name-that-is-rather-long-indeed-and-longer-than-a-terminal-is-wide", "1",
               "x"),
        0, false,
        "MODEL                                                                       SIZE  "
        "ALIASES\n"
        "a                                                                              7  "
        "-\n"
        "a-model-name-that-is-rather-long-indeed-and-longer-than-a-terminal-is-wide     1  "
        "x\n");
}

static void colour_changes_no_column(void **state)
{
    (void)state;
    assert_table(filled("b", "12345", "x"), 0, true,
                 "\033[2mMODEL\033[0m   \033[2mSIZE\033[0m  \033[2mALIASES\033[0m\n"
                 "a          7  -\n"
                 "b      \033[32m12345\033[0m  x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_content),
        cmocka_unit_test(what_is_missing_is_a_dash),
        cmocka_unit_test(wide_letters_are_counted),
        cmocka_unit_test(a_line_is_a_row),
        cmocka_unit_test(the_nice_to_know_is_cut_first),
        cmocka_unit_test(it_is_left_out_before_a_name_is_cut),
        cmocka_unit_test(names_are_cut_last),
        cmocka_unit_test(a_wide_letter_at_the_cut_keeps_the_columns),
        cmocka_unit_test(nothing_is_cut_in_a_pipe),
        cmocka_unit_test(colour_changes_no_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
