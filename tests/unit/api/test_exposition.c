/* SPDX-License-Identifier: MIT */
/* Text for Prometheus and for OpenMetrics, which of the two, and what engines say put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/engine_figures.h"
#include "api/exposition.h"

static struct buf out;
static struct exposition e;

static void begin(bool open_metrics)
{
    buf_finish(&out);
    buf_init(&out, BUF_UNBOUNDED);
    e = (struct exposition){.out = &out, .open_metrics = open_metrics};
}

static void assert_out(const char *wanted)
{
    assert_int_equal(e.rc, 0);
    assert_string_equal(buf_cstr(&out), wanted);
}

static int tear_down(void **state)
{
    (void)state;
    buf_finish(&out);
    return 0;
}

/* --- which format -------------------------------------------------------------------------- */

static void who_asks_for_what(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool open;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"application/openmetrics-text", true},
        {"application/openmetrics-text; version=1.0.0; charset=utf-8", true},
        {"application/openmetrics-text;version=0.0.1", false},
        {"application/openmetrics-text;version=1.0.0;q=0", false},
        {"APPLICATION/OPENMETRICS-TEXT;VERSION=\"1.0.0\"", true},
        /* Prometheus 2 and 3 */
        {"application/openmetrics-text;version=1.0.0,application/"
         "openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         true},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "text/plain;version=1.0.0;q=0.4,*/*;q=0.2",
         true},
        {"text/plain;version=0.0.4;q=0.9, application/openmetrics-text;version=1.0.0;q=0.2", false},
        {"application/openmetrics-text;q=nonsense", false},
        {"application/openmetrics-text;q=0.5, */*", false},
        {"application/openmetrics-text;q=0.5, text/*;q=0.6", false},
        {"application/openmetrics-text;q=0.5, text/plain;q=0.4, */*", true},
        {"application/openmetrics-textual, text/plainer;q=0.1", false},
        {"application/openmetrics-text;version=1.0.0;q=0.5,text/plainer", true},
        {"application/openmetrics-text;version=1.0.0 ; q=0.5 , text/plain ; q=0.9", false},
        {"application/openmetrics-text;version=1.01", false},
        {",,;;==\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(exposition_wants_open_metrics(cases[i].accept), cases[i].open);
}

/* --- families ------------------------------------------------------------------------------ */

static const struct exposition_family counter = {"a", NULL, "Some.", EXPOSITION_COUNTER},
                                      gauge = {"b_seconds", "seconds", "Now.", EXPOSITION_GAUGE},
                                      histogram = {"c", NULL, "All.", EXPOSITION_HISTOGRAM};

static void write_two(void)
{
    const struct exposition_label labels[] = {{"x", "1"}, {"y", "2"}, {NULL, NULL}};
    exposition_begin_family(&e, &counter);
    exposition_count(&e, &counter, labels, 7);
    exposition_begin_family(&e, &gauge);
    exposition_value(&e, &gauge, NULL, 0.1);
    exposition_end(&e);
}

static void in_text(void **state)
{
    (void)state;
    begin(false);
    write_two();
    assert_out("# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"1\",y=\"2\"} 7\n"
               "# HELP b_seconds Now.\n# TYPE b_seconds gauge\nb_seconds 0.1\n");
}

static void in_open_metrics(void **state)
{
    (void)state;
    begin(true);
    write_two();
    assert_out("# HELP a Some.\n# TYPE a counter\na_total{x=\"1\",y=\"2\"} 7\n"
               "# HELP b_seconds Now.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\n"
               "b_seconds 0.1\n# EOF\n");
}

static void labels_are_escaped(void **state)
{
    (void)state;
    const struct exposition_label labels[] = {{"x", "a\"b\\c\nd\xff\xc3\xa9\xe2\x82"},
                                              {NULL, NULL}};
    begin(false);
    exposition_count(&e, &counter, labels, 1);
    assert_out("a_total{x=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\"} 1\n");
}

static void a_histogram_adds_up(void **state)
{
    (void)state;
    static const struct histogram_scale scale = {3, {0.5, 1, 10}};
    struct histogram h = {0};
    const double values[] = {0.1, 0.5, 0.7, 10, 11, -1, 0.0 / 0.0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        histogram_add(&h, &scale, values[i]);
    begin(false);
    exposition_histogram(&e, &histogram, NULL, &scale, &h);
    assert_out("c_bucket{le=\"0.5\"} 4\nc_bucket{le=\"1.0\"} 5\nc_bucket{le=\"10.0\"} 6\n"
               "c_bucket{le=\"+Inf\"} 7\nc_sum 22.3\nc_count 7\n");
}

/* --- of engines ---------------------------------------------------------------------------- */

static struct engine_figures_list *list;

static void add(const char *model, const char *text)
{
    char copy[1024];
    assert_true(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    engine_figures_add(list, model, copy);
}

static void write_all(bool open_metrics)
{
    begin(open_metrics);
    while (engine_figures_write(list, &e))
        ;
    engine_figures_destroy(list);
}

static void families_of_two_engines_are_one(void **state)
{
    (void)state;
    static const char text[] = "# HELP llamacpp:n_total Number.\n# TYPE llamacpp:n_total counter\n"
                               "llamacpp:n_total 3\n";
    list = engine_figures_create();
    add("a", text);
    add("b\"", text);
    write_all(false);
    assert_out("# HELP llamacpp_n_total Number.\n# TYPE llamacpp_n_total counter\n"
               "llamacpp_n_total{model=\"a\"} 3\nllamacpp_n_total{model=\"b\\\"\"} 3\n");
}

static void a_counter_in_open_metrics(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "# TYPE n_total counter\nn_total 3\n# TYPE m counter\nm 4 1700000000\n");
    write_all(true);
    assert_out("# HELP n As the engine says.\n# TYPE n counter\nn_total{model=\"a\"} 3\n"
               "# HELP m As the engine says.\n# TYPE m unknown\nm{model=\"a\"} 4\n");
}

static void labels_of_its_own(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "n{model=\"x\",le=\"}\\\"\", y=\"\",} 1e3\n");
    write_all(false);
    assert_out("# HELP n As the engine says.\n# TYPE n untyped\n"
               "n{model=\"a\",le=\"}\\\"\",exported_model=\"x\",y=\"\"} 1e3\n");
}

static void a_histogram_stays_together(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\nh_countess 1\n");
    add("b", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n");
    write_all(false);
    assert_out("# HELP h As the engine says.\n# TYPE h histogram\n"
               "h_bucket{model=\"a\",le=\"+Inf\"} 2\nh_sum{model=\"a\"} 1\nh_count{model=\"a\"} 2\n"
               "h_bucket{model=\"b\",le=\"+Inf\"} 0\nh_sum{model=\"b\"} 0\nh_count{model=\"b\"} 0\n"
               "# HELP h_countess As the engine says.\n# TYPE h_countess untyped\n"
               "h_countess{model=\"a\"} 1\n");
}

static void names_that_are_hostlers(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "process_open_fds 3\nhostler_leases 4\n");
    write_all(false);
    assert_out("# HELP engine_process_open_fds As the engine says.\n"
               "# TYPE engine_process_open_fds untyped\nengine_process_open_fds{model=\"a\"} 3\n"
               "# HELP engine_hostler_leases As the engine says.\n"
               "# TYPE engine_hostler_leases untyped\nengine_hostler_leases{model=\"a\"} 4\n");
}

static void what_is_no_line_is_left_out(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "<html>\n1a 3\nn{x} 1\nn{x=\"1} 1\nn{x=\"\\q\"} 1\nn{x=\"1\"y=\"2\"} 1\nn\nn \nn x\nn "
             "0x10\n"
             "n{x=\"1\"\nn{\nn 1 2 3\n# TYPE\n#\n# HELP n a \"quoted\\ text\n\xff 1\nn{\n");
    write_all(true);
    assert_out("# HELP n a 'quoted' text\n# TYPE n unknown\nn{model=\"a\"} 1\n");
}

/* One line of these would cost Prometheus the whole scrape. */
static void what_readers_refuse_is_left_out(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "n{x=\"1\",x=\"2\"} 1\nn{model=\"1\",exported_model=\"2\"} 1\nn{__name__=\"m\"} 1\n"
             "n 1e999\nn -nan\nn{x=\"1\"} -Inf\n");
    write_all(false);
    assert_out("# HELP n As the engine says.\n# TYPE n untyped\n"
               "n{model=\"a\"} NaN\nn{model=\"a\",x=\"1\"} -Inf\n");
}

static void a_series_is_there_once(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "n 1\nn 2\nn{x=\"1\",y=\"2\"} 3\nn{y=\"2\",x=\"1\"} 4\na:b 5\na_b 6\n");
    add("b", "n 7\n");
    write_all(false);
    assert_out("# HELP n As the engine says.\n# TYPE n untyped\n"
               "n{model=\"a\"} 1\nn{model=\"a\",x=\"1\",y=\"2\"} 3\nn{model=\"b\"} 7\n"
               "# HELP a_b As the engine says.\n# TYPE a_b untyped\na_b{model=\"a\"} 5\n");
}

static void parts_that_do_not_fit_their_family_are_left_out(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "# TYPE h histogram\nh 1\nh_bucket 1\nh_bucket{le=\"x\"} 1\nh_bucket{le=\"+Inf\"} 2\n"
             "# TYPE s summary\ns 1\ns{quantile=\"\"} 1\ns{quantile=\"0.5\"} 3\ns_count 1\n");
    write_all(false);
    assert_out("# HELP h As the engine says.\n# TYPE h histogram\n"
               "h_bucket{model=\"a\",le=\"+Inf\"} 2\n"
               "# HELP s As the engine says.\n# TYPE s summary\n"
               "s{model=\"a\",quantile=\"0.5\"} 3\ns_count{model=\"a\"} 1\n");
}

static void a_counter_and_a_gauge_of_one_name(void **state)
{
    (void)state;
    list = engine_figures_create();
    add("a", "# TYPE n_total counter\nn_total 3\n# TYPE n gauge\nn 1\n");
    write_all(true);
    assert_out(
        "# HELP n_total As the engine says.\n# TYPE n_total unknown\nn_total{model=\"a\"} 3\n"
        "# HELP n As the engine says.\n# TYPE n gauge\nn{model=\"a\"} 1\n");
}

static void more_labels_than_there_may_be(void **state)
{
    (void)state;
    char text[1024] = "n{";
    for (int i = 0; i < 65; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "l%d=\"\",", i);
    strcat(text, "} 1\nm 1\n");
    list = engine_figures_create();
    add("a", text);
    write_all(false);
    assert_out("# HELP m As the engine says.\n# TYPE m untyped\nm{model=\"a\"} 1\n");
}

static void no_more_families_than_there_may_be(void **state)
{
    (void)state;
    char line[64];
    unsigned n = 0;
    list = engine_figures_create();
    for (unsigned i = 0; i < ENGINE_FIGURES_FAMILIES + 100; i++) {
        snprintf(line, sizeof line, "n%u 1\n", i);
        add("a", line);
    }
    begin(false);
    while (engine_figures_write(list, &e))
        n++;
    engine_figures_destroy(list);
    assert_int_equal(n, ENGINE_FIGURES_FAMILIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_for_what),
        cmocka_unit_test(in_text),
        cmocka_unit_test(in_open_metrics),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(a_histogram_adds_up),
        cmocka_unit_test(families_of_two_engines_are_one),
        cmocka_unit_test(a_counter_in_open_metrics),
        cmocka_unit_test(labels_of_its_own),
        cmocka_unit_test(a_histogram_stays_together),
        cmocka_unit_test(names_that_are_hostlers),
        cmocka_unit_test(what_is_no_line_is_left_out),
        cmocka_unit_test(what_readers_refuse_is_left_out),
        cmocka_unit_test(a_series_is_there_once),
        cmocka_unit_test(parts_that_do_not_fit_their_family_are_left_out),
        cmocka_unit_test(a_counter_and_a_gauge_of_one_name),
        cmocka_unit_test(more_labels_than_there_may_be),
        cmocka_unit_test(no_more_families_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
