/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/environment.h"
#include "engine/llama/llama.h"

#define CHILD_MODE "LLAMA_SERVER_ROUTER_PORT=0"

static void test_child_mode_is_not_the_users(void **state)
{
    struct strv env = {0};
    (void)state;
    strv_add(&env, "LLAMA_SERVER_ROUTER_PORT=9");
    strv_add(&env, "A=1");
    llama_kind.environment(&env);
    assert_int_equal(env.n, 2);
    assert_string_equal(env.v[0], CHILD_MODE);
    strv_finish(&env);
}

static void test_hub(void **state)
{
    char *parent[] = {
        (char[]){"HF_TOKEN=hf_secret"},
        (char[]){"HF_ENDPOINT=http://h"},
        (char[]){"MODEL_ENDPOINT=m"},
        (char[]){"LLAMA_CACHE=/l"},
        (char[]){"HF_HUB_CACHE=/h"},
        (char[]){"HUGGINGFACE_HUB_CACHE=/g"},
        (char[]){"HF_HOME=/f"},
        (char[]){"SSL_CERT_FILE=/c"},
        (char[]){"SSL_CERT_DIR=/d"},
        (char[]){"HF_TOKEN_PATH=/t"},
        (char[]){"LLAMA_API_KEY=k"},
        (char[]){"LLAMA_ARG_HF_REPO=x"},
        (char[]){"HF_TOKEN"},
        (char[]){"PATH=/bin"},
        NULL,
    };
    struct strv extra = {0}, out = {0};
    (void)state;
    environment_compose(&out, parent, NULL);
    assert_int_equal(out.n, 1); /* not for every engine */
    strv_finish(&out);
    llama_kind.hub_environment(&extra, parent);
    assert_int_equal(extra.n, 9);
    strv_add(&extra, "HF_TOKEN=hf_of_the_preset");
    environment_compose(&out, parent, &extra);
    assert_int_equal(out.n, 10);
    assert_true(strv_has(&out, "HF_TOKEN=hf_of_the_preset"));
    assert_true(strv_has(&out, "SSL_CERT_DIR=/d"));
    assert_false(strv_has(&out, "HF_TOKEN=hf_secret"));
    strv_finish(&out);
    strv_finish(&extra);
    llama_kind.hub_environment(&extra, NULL);
    assert_int_equal(extra.n, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    assert_true(llama_kind.is_out_of_memory("ggml: CUDA error: Out Of Memory"));
    assert_true(llama_kind.is_out_of_memory("terminate: std::bad_alloc"));
    assert_false(llama_kind.is_out_of_memory("error: failed to load model"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_child_mode_is_not_the_users),
        cmocka_unit_test(test_hub),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
