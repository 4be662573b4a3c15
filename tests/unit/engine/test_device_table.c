/* SPDX-License-Identifier: MIT */
/* Cards that come, go, come back and change places, as drivers may list them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "engine/device_table.h"

#define GIB ((uint64_t)1 << 30)

static struct device_table t;
static struct card_list found;

static int set_up(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    device_table_init(&t);
    found.n = 0;
    return 0;
}

static struct card *add(enum card_vendor vendor, const char *uuid, unsigned bus, uint64_t gib)
{
    struct card card = {.vendor = vendor, .number = (unsigned)found.n, .total = gib * GIB};
    snprintf(card.uuid, sizeof card.uuid, "%s", uuid);
    snprintf(card.pci, sizeof card.pci, "0000:%02x:00.0", bus);
    return card_list_add(&found, &card);
}

static struct card *nvidia(const char *uuid, unsigned bus)
{
    return add(CARD_NVIDIA, uuid, bus, 24);
}

static void instance(const char *uuid, unsigned bus, unsigned number)
{
    struct card *card = add(CARD_NVIDIA, uuid, bus, 10);
    card->instance = true;
    card->number = number;
}

static void partitioned(const char *uuid, unsigned bus, unsigned number)
{
    struct card *card = add(CARD_NVIDIA, uuid, bus, 0);
    card->partitioned = true;
    card->number = number;
}

/* The list is empty again then. */
static void update(bool complete)
{
    device_table_update(&t, &found, complete);
    found.n = 0;
}

/* `names`: of all devices, by spaces; one that has gone has a `-` behind it, a silent one a `?`. */
static void assert_devices(const char *names)
{
    static const char *const marks[] = {"", "?", "-"};
    char all[512] = "";
    for (size_t d = 1; d < t.n; d++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s%s", d > 1 ? " " : "",
                 t.device[d].name, marks[t.device[d].state]);
    assert_string_equal(all, names);
}

static size_t device_of(const char *uuid)
{
    for (size_t i = 0; i < t.cards.n; i++)
        if (strcmp(t.cards.card[i].uuid, uuid) == 0)
            return t.cards.card[i].device;
    return 0;
}

static void a_new_card_is_appended(void **state)
{
    (void)state;
    nvidia("GPU-b", 2);
    update(true);
    assert_devices("gpu0");
    uint64_t version = t.version;
    nvidia("GPU-b", 2);
    update(true);
    assert_true(t.version == version);
    nvidia("GPU-a", 1); /* NVML numbers by address */
    nvidia("GPU-b", 2);
    nvidia("GPU-c", 3);
    update(true);
    assert_devices("gpu0 gpu1 gpu2");
    assert_true(device_of("GPU-b") == 1 && device_of("GPU-a") == 2 && device_of("GPU-c") == 3);
    assert_true(t.version > version);
}

static void one_that_comes_back_is_the_same(void **state)
{
    (void)state;
    nvidia("GPU-a", 1);
    nvidia("GPU-b", 2);
    update(true);
    uint64_t version = t.version;
    nvidia("GPU-b", 2);
    update(true);
    assert_devices("gpu0- gpu1");
    assert_true(t.cards.n == 1 && t.version > version);
    nvidia("GPU-c", 3); /* in another slot, and before the one that has gone is back */
    nvidia("GPU-b", 2);
    update(true);
    assert_devices("gpu0- gpu1 gpu2");
    nvidia("GPU-b", 2);
    nvidia("GPU-c", 3);
    nvidia("GPU-a", 9);
    update(true);
    assert_devices("gpu0 gpu1 gpu2");
    assert_true(device_of("GPU-a") == 1);
}

static void the_order_of_a_driver_does_not_matter(void **state)
{
    (void)state;
    nvidia("GPU-a", 1);
    nvidia("GPU-b", 2);
    update(true);
    uint64_t version = t.version;
    nvidia("GPU-b", 2);
    nvidia("GPU-a", 1);
    update(true);
    assert_true(device_of("GPU-a") == 1 && device_of("GPU-b") == 2 && t.version == version);
}

/* Its card may be there: it stays in the list, and the cards are the same. */
static void one_that_does_not_answer(void **state)
{
    (void)state;
    nvidia("GPU-a", 1);
    nvidia("GPU-b", 2);
    update(true);
    uint64_t version = t.version;
    nvidia("GPU-b", 2);
    update(false);
    assert_devices("gpu0? gpu1");
    assert_true(device_of("GPU-a") == 1 && t.version == version);
    nvidia("GPU-a", 1)->total = 0;
    nvidia("GPU-b", 2);
    update(true);
    assert_devices("gpu0? gpu1");
    assert_true(t.cards.card[0].total == 24 * GIB && t.version == version);
    update(true);
    assert_devices("gpu0- gpu1-");
    update(false); /* it is no more there than before */
    assert_devices("gpu0- gpu1-");
}

static void without_a_uuid_the_address_counts(void **state)
{
    (void)state;
    add(CARD_AMD, "", 3, 16);
    add(CARD_AMD, "", 4, 16);
    update(true);
    add(CARD_AMD, "", 4, 16);
    update(true);
    assert_devices("gpu0- gpu1");
    add(CARD_AMD, "", 3, 16);
    add(CARD_AMD, "", 4, 16);
    update(true);
    assert_devices("gpu0 gpu1");
}

/* One that reports no memory has the number that its driver gives it all the same. */
static void numbers_of_cards_without_memory_stay_free(void **state)
{
    (void)state;
    nvidia("GPU-a", 1);
    nvidia("GPU-b", 2)->total = 0;
    add(CARD_AMD, "", 3, 16);
    update(true);
    assert_devices("gpu0 gpu2");
    nvidia("GPU-a", 1);
    nvidia("GPU-b", 2);
    add(CARD_AMD, "", 3, 16);
    update(true);
    assert_devices("gpu0 gpu2 gpu1");
}

static void drivers_that_come_late(void **state)
{
    (void)state;
    add(CARD_AMD, "", 3, 16);
    update(true);
    nvidia("GPU-a", 1);
    nvidia("GPU-b", 2);
    add(CARD_AMD, "", 3, 16);
    update(true);
    assert_devices("gpu0 gpu2 gpu1");
    assert_true(device_of("GPU-b") == 3 || device_of("GPU-b") == 2);
}

static void instances_that_are_made_anew(void **state)
{
    (void)state;
    partitioned("GPU-a", 1, 0);
    instance("MIG-1", 1, 0);
    instance("MIG-2", 1, 1);
    nvidia("GPU-b", 2)->number = 1;
    update(true);
    assert_devices("gpu0.0 gpu0.1 gpu1");
    assert_true(t.cards.card[0].device == 1);
    partitioned("GPU-a", 1, 0);
    instance("MIG-2", 1, 0); /* the first one was destroyed, and numbers moved */
    instance("MIG-3", 1, 1);
    nvidia("GPU-b", 2)->number = 1;
    update(true);
    assert_devices("gpu0.0 gpu0.1 gpu1");
    assert_true(device_of("MIG-2") == 2 && device_of("MIG-3") == 1);
    nvidia("GPU-a", 1); /* whole again */
    nvidia("GPU-b", 2);
    update(true);
    assert_devices("gpu0.0- gpu0.1- gpu1 gpu0");
    partitioned("GPU-a", 1, 0);
    instance("MIG-2", 1, 0);
    nvidia("GPU-b", 2)->number = 1;
    update(true);
    assert_devices("gpu0.0- gpu0.1 gpu1 gpu0-");
}

static void a_card_that_is_divided(void **state)
{
    (void)state;
    nvidia("GPU-a", 1);
    update(true);
    partitioned("GPU-a", 1, 0);
    update(true);
    assert_devices("gpu0-");
    partitioned("GPU-a", 1, 0);
    instance("MIG-1", 1, 0);
    instance("MIG-2", 1, 1);
    update(true);
    assert_devices("gpu0- gpu0.0 gpu0.1");
}

/* Not those of cards that are there. */
static void indices_are_used_again_when_all_are_given(void **state)
{
    char uuid[16];
    (void)state;
    for (unsigned i = 1; i < MEMORY_DEVICES_MAX; i++) {
        snprintf(uuid, sizeof uuid, "GPU-%u", i);
        nvidia(uuid, i);
    }
    update(true);
    assert_int_equal(t.n, MEMORY_DEVICES_MAX);
    nvidia("GPU-new", 99);
    update(true); /* all others have gone */
    assert_int_equal(device_of("GPU-new"), 1);
    for (unsigned i = 2; i < MEMORY_DEVICES_MAX; i++) {
        snprintf(uuid, sizeof uuid, "GPU-%u", i);
        nvidia(uuid, i);
    }
    nvidia("GPU-new", 99);
    nvidia("GPU-one-more", 98);
    update(true);
    assert_int_equal(device_of("GPU-new"), 1);
    assert_int_equal(device_of("GPU-2"), 2);
    assert_int_equal(device_of("GPU-one-more"), 0);
    assert_false(device_table_has(&t, DEVICE_GONE));
}

#define CASE(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_card_is_appended),
        CASE(one_that_comes_back_is_the_same),
        CASE(the_order_of_a_driver_does_not_matter),
        CASE(one_that_does_not_answer),
        CASE(without_a_uuid_the_address_counts),
        CASE(numbers_of_cards_without_memory_stay_free),
        CASE(drivers_that_come_late),
        CASE(instances_that_are_made_anew),
        CASE(a_card_that_is_divided),
        CASE(indices_are_used_again_when_all_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
