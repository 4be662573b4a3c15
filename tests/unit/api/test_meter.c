/* SPDX-License-Identifier: MIT */
/* What is counted, and that it stays bounded whatever is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/meter.h"

static struct meter *m;

static int set_up(void **state)
{
    (void)state;
    m = meter_create(NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    meter_destroy(m);
    return 0;
}

static struct request_record record(char *model, int status)
{
    return (struct request_record){.model = model,
                                   .status = status,
                                   .route = "/v1/chat/completions",
                                   .infers = true,
                                   .arrived = 1000,
                                   .granted = 1500,
                                   .first_byte = 2000,
                                   .ended = 3000,
                                   .end = REQUEST_ANSWERED};
}

static void end(const struct request_record *e)
{
    m->observer.ended(&m->observer, e);
}

static void a_request(void **state)
{
    (void)state;
    struct request_record e = record("a", 200);
    e.streams = true;
    e.restored = 10;
    e.usage = (struct usage){.known = true,
                             .said = {.prompt_tokens = 100, .cached_tokens = 30, .tokens = 5}};
    end(&e);
    assert_int_equal(m->n_models, 2);
    const struct meter_model *a = m->model[1];
    assert_string_equal(a->id, "a");
    assert_int_equal(a->answers[0].n, 1);
    assert_true(a->queue.sum == 0.5);
    assert_true(a->first_token[OPERATION_CHAT].sum == 1);
    assert_true(a->duration[OPERATION_CHAT].sum == 2);
    assert_true(a->token[OPERATION_CHAT].sum == 0.25);
    const uint64_t tokens[] = {100, 5, 30, 10, 70};
    assert_memory_equal(a->tokens, tokens, sizeof tokens);
}

/* By the words of OpenTelemetry's conventions. */
static void operations_of_routes(void **state)
{
    (void)state;
    assert_int_equal(operation_of("/v1/chat/completions"), OPERATION_CHAT);
    assert_int_equal(operation_of("/v1/messages"), OPERATION_CHAT);
    assert_int_equal(operation_of("/completion"), OPERATION_TEXT_COMPLETION);
    assert_int_equal(operation_of("/v1/embeddings"), OPERATION_EMBEDDINGS);
    assert_int_equal(operation_of("/v1/messages/count_tokens"), OPERATION_COUNT_TOKENS);
    assert_int_equal(operation_of("/v1/chat/completions/input_tokens"), OPERATION_COUNT_TOKENS);
    assert_int_equal(operation_of("/tokenize"), OPERATION_OTHER);
}

static void one_that_was_refused(void **state)
{
    (void)state;
    struct request_record e = record("a", 503);
    e.granted = 0;
    e.end = REQUEST_REFUSED;
    e.refusal = "held";
    end(&e);
    end(&e);
    assert_int_equal(m->n_refusals, 1);
    assert_int_equal(m->refusals[0].n, 2);
    assert_true(m->model[1]->queue.sum == 0 && m->model[1]->duration[OPERATION_CHAT].sum == 0);
}

static void a_name_that_no_model_has(void **state)
{
    (void)state;
    struct request_record e = record("made up", 400);
    e.end = REQUEST_REFUSED;
    e.refusal = "not_found";
    snprintf(e.error, sizeof e.error, "not_found");
    end(&e);
    e = record(NULL, 0); /* none was named before its client left */
    e.end = REQUEST_CLIENT_GONE;
    end(&e);
    assert_int_equal(m->n_models, 1);
    assert_int_equal(m->model[0]->n_answers, 2);
}

static void models_beyond_the_most_are_others(void **state)
{
    (void)state;
    char id[16];
    for (int i = 0; i < METER_MODELS_MAX + 50; i++) {
        snprintf(id, sizeof id, "m%d", i);
        struct request_record e = record(id, 200);
        end(&e);
    }
    assert_int_equal(m->n_models, METER_MODELS_MAX + 1);
    assert_int_equal(m->model[0]->answers[0].n, 50);
    struct request_record e = record("m0", 200); /* keeps its own */
    end(&e);
    assert_int_equal(m->model[1]->answers[0].n, 2);
}

static void answers_beyond_the_most_are_one(void **state)
{
    (void)state;
    for (int status = 100; status < 400; status++) {
        struct request_record e = record("a", status);
        end(&e);
    }
    const struct meter_model *a = m->model[1];
    uint64_t sum = 0;
    assert_int_equal(a->n_answers, METER_ANSWERS_MAX);
    for (unsigned i = 0; i < a->n_answers; i++)
        sum += a->answers[i].n;
    assert_int_equal(sum, 300);
    assert_string_equal(a->answers[METER_ANSWERS_MAX - 1].route, METER_OTHER);
}

static void the_buckets_of_the_conventions(void **state)
{
    (void)state;
    assert_int_equal(meter_duration_scale.bound[13] * 100, 8192); /* as OpenTelemetry has it */
    assert_int_equal(meter_first_token_scale.bound[15], 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_of_routes),
        TEST(a_request),
        TEST(one_that_was_refused),
        TEST(a_name_that_no_model_has),
        TEST(models_beyond_the_most_are_others),
        TEST(answers_beyond_the_most_are_one),
        TEST(the_buckets_of_the_conventions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
