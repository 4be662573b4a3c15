/* SPDX-License-Identifier: MIT */
/* Which cards an engine sees, under which numbers: a line a case, `gpu0 gpu1` in the order of the runtime,
 * the possible views separated by `|`. The host stands for a card whose memory is in no device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/device_view.h"

#define GIB ((uint64_t)1 << 30)

static struct card_list cards;

static struct card *add(enum card_vendor vendor, unsigned bus, const char *product, uint64_t total)
{
    struct card card = {
        .vendor = vendor, .total = total, .device = (uint8_t)(total ? cards.n + 1 : 0)};
    snprintf(card.pci, sizeof card.pci, "0000:%02x:00.0", bus);
    snprintf(card.uuid, sizeof card.uuid, "GPU-%08x-1234", bus);
    snprintf(card.product, sizeof card.product, "%s", product);
    return card_list_add(&cards, &card);
}

static void add_alike(size_t n)
{
    for (unsigned i = 0; i < n; i++)
        add(CARD_NVIDIA, i + 1, "NVIDIA A", 24 * GIB);
}

static const char *text_of(const struct device_views *views)
{
    static char text[512];
    size_t len = 0;
    text[0] = '\0';
    for (size_t v = 0; v < views->n; v++) {
        if (v)
            len += (size_t)snprintf(text + len, sizeof text - len, "|");
        for (size_t i = 0; i < views->view[v].n; i++) {
            unsigned d = views->view[v].device[i];
            len +=
                (size_t)(d ? snprintf(text + len, sizeof text - len, "%sgpu%u", i ? " " : "", d - 1)
                           : snprintf(text + len, sizeof text - len, "%shost", i ? " " : ""));
        }
    }
    return text;
}

/* Variables by blanks; NULL: none. */
static const char *view(enum view_runtime runtime, const char *own, const char *parent)
{
    static struct device_views views;
    struct strv env = {0}, daemon = {0};
    if (own)
        strv_split(&env, own, ' ');
    if (parent)
        strv_split(&daemon, parent, ' ');
    device_views_find(&views, &cards, runtime, own ? &env : NULL, daemon.v);
    assert_int_equal(views.n > 1, views.undecided != NULL);
    strv_finish(&env);
    strv_finish(&daemon);
    return text_of(&views);
}

static int set_up(void **state)
{
    (void)state;
    cards = (struct card_list){0};
    return 0;
}

static void without_cards(void **state)
{
    (void)state;
    assert_string_equal(view(VIEW_BY_CARDS, NULL, NULL), "");
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=1", NULL), "");
}

static void cudas_list(void **state)
{
    static const struct {
        const char *list, *view;
    } cases[] = {
        {"0", "gpu0"},
        {"1", "gpu1"},
        {"2,0", "gpu2 gpu0"},
        {" 3 , 1 ", "gpu3 gpu1"},
        {"", ""},
        {"-1", ""},
        {"none", ""},
        {"NoDevFiles", ""},
        {"1,-1,2", "gpu1"},
        {"1,9,2", "gpu1"},
        {"9,1", ""},
        {"1,,2", "gpu1"},
        {"1gpu,2x", "gpu1 gpu2"},
        {"1,1", ""},
        {"0,1,0", ""},
        {"GPU-00000002", "gpu1"},
        {"GPU-00000002-1234", "gpu1"},
        {"gpu-00000002", ""},
        {"GPU-00000003,GPU-00000001", "gpu2 gpu0"},
        {"GPU-0000000", ""}, /* several begin so */
        {"GPU-", ""},
        {"GPU-ffffffff,GPU-00000001", ""},
        {"GPU-00000001,GPU-00000001-1234", ""}, /* the same twice */
    };
    (void)state;
    add_alike(4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        snprintf(text, sizeof text, "CUDA_VISIBLE_DEVICES=%s", cases[i].list);
        struct strv env = {0};
        struct device_views views;
        strv_add(&env, text);
        device_views_find(&views, &cards, VIEW_BY_CARDS, &env, NULL);
        assert_string_equal(text_of(&views), cases[i].view);
        strv_finish(&env);
    }
}

static void the_presets_env_before_the_daemons(void **state)
{
    (void)state;
    add_alike(2);
    assert_string_equal(view(VIEW_BY_CARDS, NULL, NULL), "gpu0 gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, NULL, "CUDA_VISIBLE_DEVICES=1"), "gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, "CUDA_VISIBLE_DEVICES=0", "CUDA_VISIBLE_DEVICES=1"),
                        "gpu0");
    assert_string_equal(view(VIEW_BY_CARDS, "CUDA_VISIBLE_DEVICES=", "CUDA_VISIBLE_DEVICES=1"), "");
    assert_string_equal(view(VIEW_BY_CARDS, "CUDA_VISIBLE_DEVICES=0 CUDA_VISIBLE_DEVICES=1", NULL),
                        "gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, "XCUDA_VISIBLE_DEVICES=0", NULL), "gpu0 gpu1");
}

static void cudas_order(void **state)
{
    (void)state;
    add(CARD_NVIDIA, 0x41, "NVIDIA A",
        24 * GIB); /* gpu0 in an order that is not that of addresses */
    add(CARD_NVIDIA, 0x01, "NVIDIA B", 48 * GIB);
    assert_string_equal(view(VIEW_CUDA, "CUDA_DEVICE_ORDER=PCI_BUS_ID", NULL), "gpu1 gpu0");
    assert_string_equal(
        view(VIEW_CUDA, "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0", NULL), "gpu1");
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=0", "CUDA_DEVICE_ORDER=PCI_BUS_ID"),
                        "gpu1");
    /* The fastest first, and nobody knows which that is. */
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=0", NULL), "gpu1|gpu0");
    assert_string_equal(
        view(VIEW_CUDA, "CUDA_DEVICE_ORDER=FASTEST_FIRST CUDA_VISIBLE_DEVICES=1", NULL),
        "gpu0|gpu1");
    assert_string_equal(view(VIEW_CUDA, NULL, NULL), "gpu1 gpu0|gpu0 gpu1");
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=GPU-00000041", NULL), "gpu0");
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=", NULL), "");
    add(CARD_NVIDIA, 0x21, "NVIDIA A", 24 * GIB);
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=1", NULL), "gpu2|gpu0|gpu1");
}

static void eight_cards(void **state)
{
    (void)state;
    add_alike(8);
    assert_string_equal(view(VIEW_BY_CARDS, "CUDA_VISIBLE_DEVICES=7,5", NULL), "gpu7 gpu5");
    assert_string_equal(view(VIEW_BY_CARDS, NULL, NULL), "gpu0 gpu1 gpu2 gpu3 gpu4 gpu5 gpu6 gpu7");
}

/* gpu0 in MIG mode with two instances, devices 1 and 2, beside a whole card, device 3. */
static void add_partitioned(void)
{
    struct card *whole = add(CARD_NVIDIA, 1, "NVIDIA A", 0);
    whole->partitioned = true;
    whole->device = 1;
    for (unsigned i = 0; i < 2; i++) {
        struct card card = *whole;
        card.partitioned = false;
        card.instance = true;
        card.device = (uint8_t)(1 + i);
        snprintf(card.uuid, sizeof card.uuid, "MIG-%08x-abcd", i);
        card_list_add(&cards, &card);
    }
    add(CARD_NVIDIA, 2, "NVIDIA A", 24 * GIB)->device = 3;
}

static void instances(void **state)
{
    (void)state;
    add_partitioned();
    /* CUDA gives a process one instance, and no other card beside it. Devices 1, 2, 3 print as gpu0, gpu1, gpu2. */
    assert_string_equal(view(VIEW_CUDA, "CUDA_DEVICE_ORDER=PCI_BUS_ID", NULL), "gpu0");
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=MIG-00000001", NULL), "gpu1");
    assert_string_equal(
        view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=MIG-00000001-abcd,MIG-00000000-abcd", NULL), "gpu1");
    assert_string_equal(
        view(VIEW_CUDA, "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0", NULL), "gpu0");
    assert_string_equal(
        view(VIEW_CUDA, "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=1", NULL), "gpu2");
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=GPU-00000002", NULL), "gpu2");
    assert_string_equal(view(VIEW_CUDA, "CUDA_VISIBLE_DEVICES=MIG-9", NULL), "");
    assert_string_equal(view(VIEW_VULKAN, NULL, NULL), "gpu2");
}

static void rocm(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        add(CARD_AMD, i + 1, i == 2 ? "1002:7550" : "1002:744C", 24 * GIB);
    assert_string_equal(view(VIEW_BY_CARDS, NULL, NULL), "gpu0 gpu1 gpu2 gpu3");
    assert_string_equal(view(VIEW_BY_CARDS, "HIP_VISIBLE_DEVICES=1", NULL), "gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, "CUDA_VISIBLE_DEVICES=1", NULL), "gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, "CUDA_VISIBLE_DEVICES=1 HIP_VISIBLE_DEVICES=3", NULL),
                        "gpu3");
    assert_string_equal(view(VIEW_BY_CARDS, "ROCR_VISIBLE_DEVICES=2,3", NULL), "gpu2 gpu3");
    assert_string_equal(view(VIEW_BY_CARDS, "HIP_VISIBLE_DEVICES=1", "ROCR_VISIBLE_DEVICES=2,3"),
                        "gpu3");
    assert_string_equal(view(VIEW_BY_CARDS, "HIP_VISIBLE_DEVICES=2", "ROCR_VISIBLE_DEVICES=2,3"),
                        "");
    assert_string_equal(view(VIEW_BY_CARDS, "ROCR_VISIBLE_DEVICES=GPU-00000004-1234", NULL),
                        "gpu3");
}

static void vulkan(void **state)
{
    (void)state;
    add_alike(2);
    assert_string_equal(view(VIEW_VULKAN, NULL, NULL), "gpu0 gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, "GGML_VK_VISIBLE_DEVICES=1", NULL), "gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, "GGML_VK_VISIBLE_DEVICES=1", "CUDA_VISIBLE_DEVICES=0"),
                        "gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, "CUDA_VISIBLE_DEVICES=0", "GGML_VK_VISIBLE_DEVICES=1"),
                        "gpu0");
    add(CARD_AMD, 9, "1002:744C", 24 * GIB);
    assert_string_equal(view(VIEW_VULKAN, "GGML_VK_VISIBLE_DEVICES=0", NULL), "gpu0|gpu1|gpu2");
    assert_string_equal(view(VIEW_VULKAN, "GGML_VK_VISIBLE_DEVICES=0,1,2", NULL),
                        "gpu0 gpu1 gpu2|gpu1 gpu2 gpu0|gpu2 gpu0 gpu1");
}

/* Intel's cards report no memory: they are numbered, and count as the host. */
static void sycl(void **state)
{
    static const struct {
        const char *selector;
        size_t n;
    } cases[] = {
        {"level_zero:0,1", 2}, {"level_zero:1", 1},   {"*:gpu", 3},        {"level_zero:gpu", 3},
        {"level_zero:*", 3},   {"opencl:cpu", 0},     {"cuda:*", 0},       {"!level_zero:2", 2},
        {"*:*;!*:0", 2},       {"level_zero:0.1", 1}, {"level_zero:7", 0},
    };
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        add(CARD_INTEL, i + 1, "8086:56a0", 0);
    assert_string_equal(view(VIEW_BY_CARDS, NULL, NULL), ""); /* most are a part of the processor */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "ONEAPI_DEVICE_SELECTOR=%s", cases[i].selector);
        static const char *const expected[] = {"", "host", "host host", "host host host"};
        assert_string_equal(view(VIEW_BY_CARDS, text, NULL), expected[cases[i].n]);
        assert_string_equal(view(VIEW_SYCL, text, NULL), expected[cases[i].n]);
    }
}

static void cards_of_both_vendors(void **state)
{
    (void)state;
    add_alike(1);
    add(CARD_AMD, 9, "1002:744C", 24 * GIB);
    assert_string_equal(view(VIEW_BY_CARDS, NULL, NULL), "gpu0|gpu1|gpu0 gpu1");
    assert_string_equal(view(VIEW_BY_CARDS, "CUDA_VISIBLE_DEVICES=0", NULL), "gpu0");
    assert_string_equal(view(VIEW_BY_CARDS, "HIP_VISIBLE_DEVICES=0", NULL), "gpu1");
}

/* It is numbered, but it counts only when it is named: the caller decides that. */
static void a_part_of_the_processor(void **state)
{
    struct device_views views;
    (void)state;
    add_alike(1);
    add(CARD_AMD, 9, "1002:164E", GIB / 2);
    assert_string_equal(view(VIEW_BY_CARDS, NULL, NULL), "gpu0");
    device_views_find(&views, &cards, VIEW_ROCM, NULL, NULL);
    assert_true(views.view[0].n == 1 && views.view[0].integrated[0]);
    device_views_find(&views, &cards, VIEW_CUDA, NULL, NULL);
    assert_true(views.view[0].n == 1 && !views.view[0].integrated[0]);
}

static void names_of_devices(void **state)
{
    (void)state;
    assert_int_equal(device_view_runtime("CUDA0"), VIEW_CUDA);
    assert_int_equal(device_view_runtime("ROCm11"), VIEW_ROCM);
    assert_int_equal(device_view_runtime("Vulkan1"), VIEW_VULKAN);
    assert_int_equal(device_view_runtime("SYCL0"), VIEW_SYCL);
    assert_int_equal(device_view_runtime("CUDA"), VIEW_BY_CARDS);
    assert_int_equal(device_view_runtime("Host"), VIEW_BY_CARDS);
    assert_int_equal(device_view_runtime("0"), VIEW_BY_CARDS);
    assert_int_equal(device_view_runtime(""), VIEW_BY_CARDS);
}

static void note(const char *name, const char *value, void *ctx)
{
    snprintf((char *)ctx + strlen(ctx), 128 - strlen(ctx), "%s=%s;", name, value);
}

static void variables(void **state)
{
    char found[128] = "";
    struct strv env = {0}, daemon = {0};
    (void)state;
    strv_add(&env, "CUDA_VISIBLE_DEVICES=1");
    strv_add(&env, "OTHER=1");
    strv_add(&daemon, "CUDA_VISIBLE_DEVICES=0");
    strv_add(&daemon, "CUDA_DEVICE_ORDER=PCI_BUS_ID");
    device_view_variables(&env, daemon.v, note, found);
    assert_string_equal(found, "CUDA_DEVICE_ORDER=PCI_BUS_ID;CUDA_VISIBLE_DEVICES=1;");
    strv_finish(&env);
    strv_finish(&daemon);
}

#define VIEW_TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VIEW_TEST(without_cards),
        VIEW_TEST(cudas_list),
        VIEW_TEST(the_presets_env_before_the_daemons),
        VIEW_TEST(cudas_order),
        VIEW_TEST(eight_cards),
        VIEW_TEST(instances),
        VIEW_TEST(rocm),
        VIEW_TEST(vulkan),
        VIEW_TEST(sycl),
        VIEW_TEST(cards_of_both_vendors),
        VIEW_TEST(a_part_of_the_processor),
        VIEW_TEST(names_of_devices),
        VIEW_TEST(variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
