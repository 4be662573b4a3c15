/* SPDX-License-Identifier: MIT */
/* OpenTelemetry's variables, by the tables of its specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/otlp_settings.h"

static struct otlp_settings s;

static bool read(char **env)
{
    otlp_settings_finish(&s);
    return otlp_settings_read(&s, env);
}
#define READ(...) read((char *[]){__VA_ARGS__, NULL})

static int finish(void **state)
{
    (void)state;
    otlp_settings_finish(&s);
    return 0;
}

static void test_nothing_is_sent_without_an_endpoint(void **state)
{
    (void)state;
    assert_false(READ("PATH=/bin"));
    assert_false(READ("OTEL_EXPORTER_OTLP_ENDPOINT="));
    assert_false(READ("OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318"));
    assert_false(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_SDK_DISABLED=true"));
    assert_false(
        READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"));
    assert_false(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_TRACES_EXPORTER=none",
                      "OTEL_METRICS_EXPORTER=none"));
}

static void test_the_endpoint_is_a_base_and_a_signals_own_is_whole(void **state)
{
    (void)state;
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318/"));
    assert_string_equal(s.url[OTLP_TRACES], "http://c:4318/v1/traces");
    assert_string_equal(s.url[OTLP_METRICS], "http://c:4318/v1/metrics");
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=https://c/base",
                     "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://m/here"));
    assert_string_equal(s.url[OTLP_TRACES], "https://c/base/v1/traces");
    assert_string_equal(s.url[OTLP_METRICS], "http://m/here");
    assert_true(READ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://t/x"));
    assert_null(s.url[OTLP_METRICS]);
}

static void test_what_is_shown_has_no_secrets(void **state)
{
    (void)state;
    assert_true(
        READ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://me:secret@c:1/v1/traces?token=t#f"));
    assert_string_equal(s.shown[OTLP_TRACES], "https://c:1/v1/traces");
    assert_non_null(strstr(s.url[OTLP_TRACES], "secret"));
}

static void test_headers_are_decoded_and_cannot_break_a_line(void **state)
{
    (void)state;
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c",
                     "OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20b , x = y,,bad,n=a%0d%0aEvil: 1,=v"));
    assert_int_equal(s.headers[OTLP_TRACES].n, 2);
    assert_string_equal(s.headers[OTLP_TRACES].v[0], "api-key: a b");
    assert_string_equal(s.headers[OTLP_TRACES].v[1], "x: y");
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c",
                     "OTEL_EXPORTER_OTLP_HEADERS=two words=1,a:b=2,gr\xc3\xb6\xc3\x9f"
                     "e=3,ok=4"));
    assert_int_equal(s.headers[OTLP_TRACES].n, 1);
    assert_string_equal(s.headers[OTLP_TRACES].v[0], "ok: 4");
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_HEADERS=a=1",
                     "OTEL_EXPORTER_OTLP_METRICS_HEADERS=b=2"));
    assert_string_equal(s.headers[OTLP_TRACES].v[0], "a: 1");
    assert_string_equal(s.headers[OTLP_METRICS].v[0], "b: 2");
}

static void test_numbers_that_are_none_are_the_default(void **state)
{
    (void)state;
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_TIMEOUT=500",
                     "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=-1", "OTEL_BSP_SCHEDULE_DELAY=soon",
                     "OTEL_BSP_MAX_QUEUE_SIZE=0", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=7"));
    assert_int_equal(s.timeout_ms[OTLP_TRACES], 10000);
    assert_int_equal(s.timeout_ms[OTLP_METRICS], 500);
    assert_int_equal(s.span_delay_ms, 5000);
    assert_int_equal(s.spans_max, 2048);
    assert_int_equal(s.batch_max, 7);
    assert_int_equal(s.metrics_interval_ms, 60000);
}

static void test_the_service_has_a_name(void **state)
{
    (void)state;
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c"));
    assert_non_null(
        strstr(s.resource, "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"hostler\"}}"));
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_SERVICE_NAME=mine",
                     "OTEL_RESOURCE_ATTRIBUTES=deployment.environment=test%2C1,host.name=h"));
    assert_non_null(strstr(s.resource, "\"stringValue\":\"mine\""));
    assert_non_null(strstr(s.resource, "\"stringValue\":\"test,1\""));
    assert_non_null(strstr(s.resource, "\"stringValue\":\"h\""));
    assert_null(strstr(s.resource, "\"stringValue\":\"hostler\""));
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_SERVICE_NAME=mine",
                     "OTEL_RESOURCE_ATTRIBUTES=service.name=theirs,a=1,a=2"));
    assert_non_null(strstr(s.resource, "\"stringValue\":\"mine\""));
    assert_null(strstr(s.resource, "theirs"));
    assert_non_null(strstr(s.resource, "{\"key\":\"a\",\"value\":{\"stringValue\":\"1\"}}"));
    assert_null(strstr(s.resource, "\"stringValue\":\"2\""));
}

static void test_samplers(void **state)
{
    (void)state;
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c"));
    assert_true(s.follows_parent && s.ratio == 1);
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_TRACES_SAMPLER=always_off"));
    assert_true(!s.follows_parent && s.ratio == 0);
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c",
                     "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
                     "OTEL_TRACES_SAMPLER_ARG=0.25"));
    assert_true(s.follows_parent && s.ratio == 0.25);
    assert_true(READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_TRACES_SAMPLER=traceidratio",
                     "OTEL_TRACES_SAMPLER_ARG=2"));
    assert_true(!s.follows_parent && s.ratio == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_sent_without_an_endpoint),
        cmocka_unit_test(test_the_endpoint_is_a_base_and_a_signals_own_is_whole),
        cmocka_unit_test(test_what_is_shown_has_no_secrets),
        cmocka_unit_test(test_headers_are_decoded_and_cannot_break_a_line),
        cmocka_unit_test(test_numbers_that_are_none_are_the_default),
        cmocka_unit_test(test_the_service_has_a_name),
        cmocka_unit_test(test_samplers),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
