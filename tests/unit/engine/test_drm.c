/* SPDX-License-Identifier: MIT */
/* On trees made after the kernel's documents (gpu/drm-usage-stats, gpu/amdgpu), not recorded from a
 * machine with such a card. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/drm.h"
#include "tree.h"

#define MIB ((uint64_t)1 << 20)

static void card(unsigned node, const char *pci, const char *total, const char *used)
{
    char file[256];
    snprintf(file, sizeof file, "/sys/class/drm/renderD%u/device/uevent", node);
    tree_write(file, "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME=%s\n", pci);
    snprintf(file, sizeof file, "/sys/class/drm/renderD%u/device/mem_info_vram_total", node);
    tree_write(file, "%s\n", total);
    snprintf(file, sizeof file, "/sys/class/drm/renderD%u/device/mem_info_vram_used", node);
    tree_write(file, "%s\n", used);
}

static void fdinfo(int fd, const char *pci, int client, const char *rest)
{
    char file[64];
    snprintf(file, sizeof file, "/proc/77/fdinfo/%d", fd);
    tree_write(file,
               "pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t1\ndrm-driver:\tamdgpu\n"
               "drm-client-id:\t%d\ndrm-pdev:\t%s\n%s",
               client, pci, rest);
}

static uint64_t held(unsigned gpu)
{
    struct drm_gpu gpus[4];
    uint64_t bytes[4] = {1, 1, 1, 1};
    size_t n = drm_find(tree, gpus, 4);
    drm_of_process(tree, 77, gpus, n, bytes);
    assert_true(gpu < n);
    return bytes[gpu];
}

static void no_cards(void **state)
{
    struct drm_gpu gpus[4];
    (void)state;
    assert_int_equal(drm_find(tree, gpus, 4), 0);
    assert_int_equal(drm_find("/nonexistent", gpus, 4), 0);
}

static void cards_in_order(void **state)
{
    struct drm_gpu gpus[4];
    uint64_t total, used;
    (void)state;
    card(128, "0000:43:00.0", "25753026560", "1000");
    card(129, "0000:03:00.0", "17163091968", "16777216");
    card(130, "10000:01:00.0", "1", "0");
    tree_write("/sys/class/drm/renderD130-twice/device/uevent", "DRIVER=amdgpu\n");
    assert_int_equal(drm_find(tree, gpus, 4), 3);
    assert_string_equal(gpus[0].pci, "0000:03:00.0");
    assert_string_equal(gpus[1].pci, "0000:43:00.0");
    assert_string_equal(gpus[2].pci, "10000:01:00.0");
    assert_true(drm_memory(tree, &gpus[0], &total, &used));
    assert_true(total == 17163091968 && used == 16777216);
    assert_int_equal(drm_find(tree, gpus, 2), 2);
    assert_int_equal(drm_find(tree, gpus, 0), 0);
}

/* Without figures (NVIDIA's and Intel's drivers), the card's other node, without an address (no PCI
 * device), without a number; figures that are words. */
static void what_is_no_card(void **state)
{
    struct drm_gpu gpus[4];
    (void)state;
    tree_write("/sys/class/drm/renderD128/device/uevent", "PCI_SLOT_NAME=0000:01:00.0\n");
    tree_write("/sys/class/drm/card0/device/mem_info_vram_total", "1000\n");
    tree_write("/sys/class/drm/card0/device/mem_info_vram_used", "0\n");
    tree_write("/sys/class/drm/renderD129/device/mem_info_vram_total", "1000\n");
    tree_write("/sys/class/drm/renderD129/device/mem_info_vram_used", "0\n");
    tree_write("/sys/class/drm/renderDx/device/mem_info_vram_total", "1000\n");
    card(130, "0000:04:00.0", "unknown", "0");
    assert_int_equal(drm_find(tree, gpus, 4), 0);
}

static void card_that_went_away(void **state)
{
    const struct drm_gpu gone = {"0000:03:00.0", 200};
    uint64_t total = 1, used = 1;
    (void)state;
    assert_false(drm_memory(tree, &gone, &total, &used));
    assert_true(total == 0 && used == 0);
}

static void a_client_counts_once(void **state)
{
    (void)state;
    card(128, "0000:03:00.0", "1000", "0");
    card(129, "0000:43:00.0", "1000", "0");
    fdinfo(3, "0000:03:00.0", 9, "drm-memory-vram:\t2048 KiB\ndrm-memory-gtt: \t4096 KiB\n");
    fdinfo(4, "0000:03:00.0", 9, "drm-memory-vram:\t2048 KiB\ndrm-memory-gtt: \t4096 KiB\n");
    fdinfo(5, "0000:03:00.0", 10, "drm-memory-vram:\t1 MiB\n");
    fdinfo(6, "0000:43:00.0", 9, "drm-memory-vram:\t5 MiB\n"); /* ids are a card's */
    fdinfo(7, "0000:99:00.0", 11, "drm-memory-vram:\t7 MiB\n");
    tree_write("/proc/77/fdinfo/0", "pos:\t0\nflags:\t0100002\n");
    tree_write("/proc/77/fdinfo/8", "drm-pdev:\t0000:03:00.0\ndrm-memory-vram:\t9 MiB\n");
    assert_true(held(0) == 3 * MIB);
    assert_true(held(1) == 5 * MIB);
}

static void resident_before_the_older_names(void **state)
{
    (void)state;
    card(128, "0000:03:00.0", "1000", "0");
    fdinfo(3, "0000:03:00.0", 1,
           "drm-total-vram:\t30 MiB\ndrm-shared-vram:\t0\ndrm-resident-vram:\t10 MiB\n"
           "drm-resident-gtt:\t2 MiB\ndrm-memory-vram:\t20480 KiB\n");
    assert_true(held(0) == 10 * MIB);
    fdinfo(3, "0000:03:00.0", 1, "drm-total-vram:\t30 MiB\ndrm-memory-vram:\t20480 KiB\n");
    assert_true(held(0) == 20 * MIB);
    fdinfo(3, "0000:03:00.0", 1, "drm-total-vram0:\t30 MiB\ndrm-total-vram1:\t1048576\n");
    assert_true(held(0) == 31 * MIB);
    fdinfo(3, "0000:03:00.0", 1,
           "drm-total-vram0:\t30 MiB\ndrm-resident-vram0:\t0\ndrm-resident-vram1:\t3 MiB\n");
    assert_true(held(0) == 3 * MIB);
    fdinfo(3, "0000:03:00.0", 1, "drm-total-vram:\t30 MiB\ndrm-resident-vram:\t0\n");
    assert_true(held(0) == 0);
}

static void process_that_is_gone(void **state)
{
    (void)state;
    card(128, "0000:03:00.0", "1000", "0");
    assert_true(held(0) == 0);
}

static void too_many_clients(void **state)
{
    (void)state;
    card(128, "0000:03:00.0", "1000", "0");
    for (int i = 0; i < 100; i++)
        fdinfo(i, "0000:03:00.0", i, "drm-memory-vram:\t1 MiB\n");
    assert_true(held(0) == 64 * MIB);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

static void tells_all(void **state)
{
    (void)state;
    assert_true(drm_is_complete(tree, false));
    assert_true(drm_is_complete("/nonexistent", false));
    card(128, "0000:43:00.0", "1000", "0");
    assert_true(drm_is_complete(tree, false));
}

static void cards_that_tell_nothing(void **state)
{
    (void)state;
    tree_write("/sys/class/drm/renderD128/device/uevent",
               "DRIVER=nvidia\nPCI_SLOT_NAME=0000:01:00.0\n");
    assert_false(drm_is_complete(tree, false));
    assert_true(drm_is_complete(tree, true));
    tree_write("/sys/class/drm/renderD129/device/uevent",
               "DRIVER=xe\nPCI_SLOT_NAME=0000:03:00.0\n");
    assert_false(drm_is_complete(tree, true));
}

/* What a processor's own holds is the host's, and no process has it in its figures. */
static void a_card_without_an_address(void **state)
{
    (void)state;
    tree_write("/sys/class/drm/renderD128/device/uevent", "DRIVER=tegra\n");
    assert_false(drm_is_complete(tree, true));
}

/* As in a container without its render nodes. */
static void nvidias_driver_without_its_library(void **state)
{
    (void)state;
    tree_write("/proc/driver/nvidia/version", "NVRM version\n");
    assert_false(drm_is_complete(tree, false));
    assert_true(drm_is_complete(tree, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(no_cards),
        CASE(cards_in_order),
        CASE(what_is_no_card),
        CASE(card_that_went_away),
        CASE(a_client_counts_once),
        CASE(resident_before_the_older_names),
        CASE(process_that_is_gone),
        CASE(too_many_clients),
        CASE(tells_all),
        CASE(cards_that_tell_nothing),
        CASE(a_card_without_an_address),
        CASE(nvidias_driver_without_its_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
