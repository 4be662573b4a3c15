/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/environment.h"

static void test_what_passes(void **state)
{
    static const char *const passing[] = {
        "PATH=/bin",
        "HOME=/h",
        "USER=u",
        "LANG=C",
        "LC_ALL=C",
        "TMPDIR=/t",
        "TZ=UTC",
        "LD_LIBRARY_PATH=/l",
        "XDG_CACHE_HOME=",
        "CUDA_VISIBLE_DEVICES=0",
        "GGML_CUDA_X=1",
        "OMP_NUM_THREADS=2",
        "VK_ICD_FILENAMES=",
        "HIP_VISIBLE_DEVICES=1",
        "ZE_FLAT=1",
        /* a laptop's second card, Mesa's options, vendors beside NVIDIA, allocators */
        "__NV_PRIME_RENDER_OFFLOAD=1",
        "__VK_LAYER_NV_optimus=NVIDIA_only",
        "DRI_PRIME=1",
        "RADV_PERFTEST=nogttspill",
        "AMD_VULKAN_ICD=RADV",
        "AMD_LOG_LEVEL=1",
        "NCCL_P2P_DISABLE=1",
        "UR_L0_ENABLE_RELAXED_ALLOCATION_LIMITS=1",
        "ZES_ENABLE_SYSMAN=1",
        "MUSA_VISIBLE_DEVICES=0",
        "ASCEND_RT_VISIBLE_DEVICES=0",
        "BLIS_NUM_THREADS=2",
        "MALLOC_ARENA_MAX=2",
        "GLIBC_TUNABLES=glibc.malloc.trim_threshold=1",
        "XDG_RUNTIME_DIR=/run/user/1",
    };
    static const char *const kept[] = {
        "LLAMA_API_KEY=k",
        "LLAMA_ARG_CTX_SIZE=1",
        "HF_TOKEN=t",
        "HOSTLER_X=1",
        "PATHS=/bin",
        "HOMER=1",
        "AWS_SECRET=1",
        "LLAMA_CACHE=/c",
        "LD_PRELOAD=x.so",
        "XCUDA_A=1",
        "",
        "=",
        "LLAMA_SERVER_ROUTER_PORT=1",
        "SSH_AUTH_SOCK=/s",
        "NOTIFY_SOCKET=/n",
        "LISTEN_FDS=3",
    };
    (void)state;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        assert_true(environment_passes(passing[i]));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_false(environment_passes(kept[i]));
}

static void test_composes(void **state)
{
    char *parent[] = {(char[]){"PATH=/bin"}, (char[]){"LLAMA_API_KEY=k"}, (char[]){"HOME=/h"},
                      (char[]){"PATH"},      (char[]){"TZ=a=b"},          NULL};
    struct strv extra = {0}, out = {0};
    (void)state;
    strv_add(&extra, "HOME=/other");
    strv_add(&extra, "LLAMA_ARG_THREADS=2");
    strv_add(&extra, "no equals sign");
    environment_compose(&out, parent, &extra);
    assert_int_equal(out.n, 4);
    assert_string_equal(out.v[0], "PATH=/bin");
    assert_string_equal(out.v[1], "HOME=/other");
    assert_string_equal(out.v[2], "TZ=a=b");
    assert_string_equal(out.v[3], "LLAMA_ARG_THREADS=2");
    assert_null(out.v[4]);
    strv_finish(&out);
    strv_finish(&extra);
}

static void test_copies_by_name(void **state)
{
    static const char *const names[] = {"A", "B"};
    char *parent[] = {(char[]){"A=1"}, (char[]){"AB=2"}, (char[]){"B"}, (char[]){"B=3"}, NULL};
    struct strv out = {0};
    (void)state;
    strv_add(&out, "A=0");
    environment_copy(&out, parent, names, 2);
    assert_int_equal(out.n, 2);
    assert_string_equal(out.v[0], "A=1");
    assert_string_equal(out.v[1], "B=3");
    environment_copy(&out, NULL, names, 2);
    assert_int_equal(out.n, 2);
    strv_finish(&out);
}

static void test_nothing(void **state)
{
    char *parent[] = {NULL};
    struct strv out = {0};
    (void)state;
    environment_compose(&out, parent, NULL);
    assert_int_equal(out.n, 0);
    environment_compose(&out, NULL, NULL);
    assert_int_equal(out.n, 0);
    strv_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_passes),
        cmocka_unit_test(test_composes),
        cmocka_unit_test(test_copies_by_name),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
