/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/run/parameters.h"

static struct run_parameters p;
static struct error err;

static int teardown(void **state)
{
    (void)state;
    run_parameters_finish(&p);
    return 0;
}

static int set(const char *name, const char *value)
{
    const struct run_parameter *what = run_parameter_find(name, &err);
    assert_non_null(what);
    return run_parameter_set(&p, what, value, &err);
}

static void is(const char *name, const char *wanted)
{
    char *value = run_parameter_get(&p, run_parameter_find(name, &err));
    if (wanted)
        assert_string_equal(value, wanted);
    else
        assert_null(value);
    free(value);
}

static void sends(const char *wanted)
{
    char *text = json_dumps(p.request, JSON_COMPACT);
    assert_string_equal(text, wanted);
    free(text);
}

static void they_become_members_of_the_request(void **state)
{
    (void)state;
    is("temperature", NULL);
    assert_int_equal(set("temperature", "0.5"), 0);
    assert_int_equal(set("top_k", "20"), 0);
    assert_int_equal(set("seed", "-1"), 0);
    assert_int_equal(set("reasoning", "off"), 0);
    assert_int_equal(set("system", "be brief"), 0);
    sends("{\"temperature\":0.5,\"top_k\":20,\"seed\":-1,"
          "\"chat_template_kwargs\":{\"enable_thinking\":false}}");
    assert_string_equal(p.system, "be brief");
    is("temperature", "0.5");
    is("think", "off");
    is("system", "be brief");
}

static void default_takes_them_back(void **state)
{
    (void)state;
    assert_int_equal(set("top_k", "default"), 0); /* which was not set */
    static const char *const names[][2] = {{"think", "on"}, {"top_k", "1"}, {"system", "x"}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(set(names[i][0], names[i][1]), 0);
        assert_int_equal(set(names[i][0], "default"), 0);
        is(names[i][0], NULL);
    }
    sends("{}");
    assert_null(p.system);
}

static void what_is_wrong_is_told(void **state)
{
    static const char *const cases[][3] = {
        {"temperature", "hot", "'hot' is no number from 0 to 100"},
        {"temperature", "", "'' is no number from 0 to 100"},
        {"temperature", "nan", "'nan' is no number from 0 to 100"},
        {"temperature", "-1", "'-1' is no number from 0 to 100"},
        {"top_p", "1.1", "'1.1' is no number from 0 to 1"},
        {"max_tokens", "1.5", "'1.5' is no whole number"},
        {"max_tokens", "0", "'0' is no number from 1 to 1000000000"},
        {"think", "maybe", "'maybe' is neither on nor off"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(set(cases[i][0], cases[i][1]) < 0);
        assert_string_equal(err.text, cases[i][2]);
        is(cases[i][0], NULL);
    }
}

static void the_nearest_is_named(void **state)
{
    (void)state;
    assert_null(run_parameter_find("temprature", &err));
    assert_non_null(strstr(err.text, "did you mean temperature?"));
    assert_null(run_parameter_find("zzzzzzzz", &err));
    assert_non_null(strstr(err.text, "; there are temperature, top_p, "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(they_become_members_of_the_request, teardown),
        cmocka_unit_test_teardown(default_takes_them_back, teardown),
        cmocka_unit_test_teardown(what_is_wrong_is_told, teardown),
        cmocka_unit_test_teardown(the_nearest_is_named, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
