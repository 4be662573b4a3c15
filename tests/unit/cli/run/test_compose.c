/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/run/compose.h"

static struct run_compose c;

static int setup(void **state)
{
    (void)state;
    run_compose_init(&c, 64);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run_compose_finish(&c);
    return 0;
}

#define MORE(line) assert_int_equal(run_compose_add(&c, line), RUN_COMPOSE_MORE)
#define DONE(line) assert_int_equal(run_compose_add(&c, line), RUN_COMPOSE_DONE)
#define IS(wanted) assert_string_equal(buf_cstr(&c.text), wanted)

static void a_line_is_a_message(void **state)
{
    (void)state;
    DONE("hello \\ \"\"\" there");
    IS("hello \\ \"\"\" there");
    run_compose_clear(&c);
    DONE("");
    IS("");
}

static void a_backslash_goes_on(void **state)
{
    (void)state;
    MORE("one\\");
    MORE("\\");
    MORE("\"\"\"two\\");
    DONE("three");
    IS("one\n\n\"\"\"two\nthree");
}

static void a_block_ends_where_it_says(void **state)
{
    (void)state;
    MORE("\"\"\"");
    MORE("/set");
    MORE("back\\");
    MORE("");
    DONE("end\"\"\"");
    IS("/set\nback\\\n\nend");
    assert_false(run_compose_is_command(&c));
    run_compose_clear(&c);
    DONE("\"\"\"/bye\"\"\"");
    IS("/bye");
    assert_false(run_compose_is_command(&c));
    run_compose_clear(&c);
    MORE("\"\"\"one");
    DONE("\"\"\"");
    IS("one\n");
}

static void what_is_pasted_keeps_its_newlines(void **state)
{
    (void)state;
    DONE("int a;\\\nint b;");
    IS("int a;\\\nint b;");
    run_compose_clear(&c);
    MORE("\"\"\"a\n\"\"\"b");
    DONE("c\"\"\"");
    IS("a\n\"\"\"b\nc");
}

static void commands_are_told_from_paths(void **state)
{
    static const struct {
        const char *text;
        bool command;
    } cases[] = {{"/bye", true},     {"/set top_k 3", true},    {"/image /a/b.png", true},
                 {"/", true},        {"/home/me/a.png", false}, {" /bye", false},
                 {"/set\na", false}, {"/usr/", false},          {"what is /bye", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_compose_clear(&c);
        DONE(cases[i].text);
        if (run_compose_is_command(&c) != cases[i].command)
            fail_msg("%s", cases[i].text);
    }
}

static void it_has_a_ceiling(void **state)
{
    (void)state;
    MORE("\"\"\"");
    for (int i = 0; i < 6; i++)
        MORE("123456789");
    assert_int_equal(run_compose_add(&c, "123456789"), RUN_COMPOSE_TOO_LONG);
    run_compose_clear(&c);
    DONE("again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_a_message, setup, teardown),
        cmocka_unit_test_setup_teardown(a_backslash_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_ends_where_it_says, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_pasted_keeps_its_newlines, setup, teardown),
        cmocka_unit_test_setup_teardown(commands_are_told_from_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(it_has_a_ceiling, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
