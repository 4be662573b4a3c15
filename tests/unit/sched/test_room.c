/* SPDX-License-Identifier: MIT */
/* What is left, and that weights which several engines map are counted once. */
#include "sched_test.h"

#include "sched/room.h"

/* Ten models; two places, or as many as are asked for; 100 bytes on the host, 50 on a card. */
struct stock {
    struct sched s;
    struct sched_model m;
    struct sched_instance i[10];
    struct sched_weights file, other;
};

static struct stock *stock(unsigned models_max)
{
    static struct stock k;
    memset(&k, 0, sizeof k);
    struct sched_config config = {.models_max = models_max, .devices = 2, .ceiling = {100, 50, 10}};
    sched_init(&k.s, &config);
    k.file.bytes = 40;
    k.other.bytes = 30;
    k.s.probes = 1;
    for (int i = 0; i < 10; i++)
        k.i[i].model = &k.m;
    return &k;
}

static struct room all_of(struct stock *k, enum room_when when)
{
    struct room r;
    room_init(&r, when, &k->s, k->s.probes);
    return r;
}

TEST(there_are_as_many_places_as_models_max)
{
    struct stock *k = stock(2);
    struct room r = all_of(k, ROOM_NOW);
    room_take(&r, &k->i[0]);
    assert_true(room_fits(&r, &k->i[1].footprint));
    room_take(&r, &k->i[1]);
    assert_false(room_fits(&r, &k->i[2].footprint));
    room_give(&r, &k->i[0]);
    assert_true(room_fits(&r, &k->i[2].footprint));
}

TEST(without_models_max_there_are_always_places)
{
    struct stock *k = stock(0);
    struct room r = all_of(k, ROOM_NOW);
    for (int i = 0; i < 10; i++)
        room_take(&r, &k->i[i]);
    assert_true(room_fits(&r, &k->i[0].footprint));
}

TEST(each_device_must_have_enough)
{
    struct stock *k = stock(0);
    struct room r = all_of(k, ROOM_NOW);
    k->i[0].footprint.bytes[0] = 100;
    k->i[0].footprint.bytes[1] = 50;
    assert_true(room_fits(&r, &k->i[0].footprint));
    k->i[0].footprint.bytes[1] = 51;
    assert_false(room_fits(&r, &k->i[0].footprint));
    k->i[0].footprint.bytes[0] = 101;
    k->i[0].footprint.bytes[1] = 0;
    assert_false(room_fits(&r, &k->i[0].footprint));
}

TEST(devices_that_are_not_configured_are_not_looked_at)
{
    struct stock *k = stock(0);
    struct room r = all_of(k, ROOM_NOW);
    k->i[0].footprint.bytes[2] = 11;
    assert_true(room_fits(&r, &k->i[0].footprint));
    assert_true(room_could_ever_fit(&k->s, &k->i[0].footprint));
}

TEST(room_is_of_what_there_is_now_and_not_of_what_there_ever_could_be)
{
    struct stock *k = stock(0);
    k->s.capacity[0] = 60;
    struct room r = all_of(k, ROOM_NOW);
    k->i[0].footprint.bytes[0] = 61;
    assert_false(room_fits(&r, &k->i[0].footprint));
    assert_true(room_could_ever_fit(&k->s, &k->i[0].footprint));
    k->i[0].footprint.bytes[0] = 101;
    assert_false(room_could_ever_fit(&k->s, &k->i[0].footprint));
}

TEST(who_needs_nothing_of_a_device_fits_where_less_than_nothing_is_left)
{
    struct stock *k = stock(0);
    k->i[0].footprint.bytes[1] = 50;
    k->s.capacity[1] = 20; /* others took it since */
    struct room r = all_of(k, ROOM_NOW);
    room_take(&r, &k->i[0]);
    assert_int_equal(r.bytes[1], -30);
    k->i[1].footprint.bytes[0] = 1;
    assert_true(room_fits(&r, &k->i[1].footprint));
    k->i[1].footprint.bytes[1] = 1;
    assert_false(room_fits(&r, &k->i[1].footprint));
}

TEST(weights_that_several_map_count_once_until_the_last_is_gone)
{
    struct stock *k = stock(0);
    struct room r = all_of(k, ROOM_NOW);
    for (int i = 0; i < 3; i++) {
        k->i[i].footprint.bytes[0] = 20;
        k->i[i].footprint.weights = &k->file;
    }
    room_take(&r, &k->i[0]);
    assert_int_equal(r.bytes[0], 40);
    room_take(&r, &k->i[1]);
    assert_int_equal(r.bytes[0], 20);
    assert_true(room_fits(&r, &k->i[2].footprint));
    k->i[3].footprint.weights = &k->other;
    assert_false(room_fits(&r, &k->i[3].footprint));
    room_give(&r, &k->i[0]);
    assert_int_equal(r.bytes[0], 40);
    room_give(&r, &k->i[1]);
    assert_int_equal(r.bytes[0], 100);
}

TEST(weights_are_of_the_host_alone)
{
    struct stock *k = stock(0);
    struct room r = all_of(k, ROOM_NOW);
    k->i[0].footprint.weights = &k->file;
    room_take(&r, &k->i[0]);
    assert_int_equal(r.bytes[0], 60);
    assert_int_equal(r.bytes[1], 50);
}

TEST(each_room_counts_weights_for_itself)
{
    struct stock *k = stock(0);
    struct room now = all_of(k, ROOM_NOW), later = all_of(k, ROOM_LATER);
    k->i[0].footprint.weights = k->i[1].footprint.weights = &k->file;
    k->i[1].footprint.bytes[0] = 70;
    room_take(&now, &k->i[0]); /* it leaves, and is not there later */
    assert_false(room_fits(&now, &k->i[1].footprint));
    k->i[1].footprint.bytes[0] = 60;
    assert_true(room_fits(&now, &k->i[1].footprint));
    assert_true(room_fits(&later, &k->i[1].footprint));
    k->i[1].footprint.bytes[0] = 61; /* with the weights, which nobody has there any more */
    assert_false(room_fits(&later, &k->i[1].footprint));
}

TEST(each_look_counts_weights_anew)
{
    struct stock *k = stock(0);
    struct room r = all_of(k, ROOM_LATER);
    k->i[0].footprint.weights = k->i[1].footprint.weights = &k->file;
    room_take(&r, &k->i[0]);
    k->s.probes++;
    r = all_of(k, ROOM_LATER);
    room_take(&r, &k->i[1]);
    assert_int_equal(r.bytes[0], 60);
}

TEST(weights_count_for_what_could_ever_fit)
{
    struct stock *k = stock(0);
    k->i[0].footprint.bytes[0] = 60;
    k->i[0].footprint.weights = &k->file;
    assert_true(room_could_ever_fit(&k->s, &k->i[0].footprint));
    k->i[0].footprint.bytes[0] = 61;
    assert_false(room_could_ever_fit(&k->s, &k->i[0].footprint));
}

TEST(sizes_without_end_are_cut_where_sums_of_them_are_still_right)
{
    struct stock *k = stock(0);
    k->s.capacity[0] = k->s.config.ceiling[0] = SCHED_NEVER;
    k->i[0].footprint.bytes[0] = SCHED_NEVER;
    struct room r = all_of(k, ROOM_NOW);
    assert_true(room_fits(&r, &k->i[0].footprint));
    assert_true(room_could_ever_fit(&k->s, &k->i[0].footprint));
    room_take(&r, &k->i[0]);
    assert_int_equal(r.bytes[0], 0);
    k->i[1].footprint.bytes[0] = 1;
    assert_false(room_fits(&r, &k->i[1].footprint));
}

/* Against a recount of those who are there, after each of many steps. */
TEST(taking_and_giving_in_any_order_adds_up)
{
    struct stock *k = stock(0);
    unsigned short seed[3] = {1, 2, 3};
    bool in[10] = {false};
    for (int i = 0; i < 10; i++) {
        k->i[i].footprint.bytes[0] = (uint64_t)(nrand48(seed) % 20);
        k->i[i].footprint.bytes[1] = (uint64_t)(nrand48(seed) % 20);
        k->i[i].footprint.weights = i % 3 == 0 ? NULL : i % 3 == 1 ? &k->file : &k->other;
    }
    struct room r = all_of(k, ROOM_YIELD);
    for (int step = 0; step < 10000; step++) {
        int i = (int)(nrand48(seed) % 10);
        in[i] ? room_give(&r, &k->i[i]) : room_take(&r, &k->i[i]);
        in[i] = !in[i];
        int64_t host = 100, card = 50;
        bool file = false, other = false;
        for (int o = 0; o < 10; o++) {
            host -= in[o] ? (int64_t)k->i[o].footprint.bytes[0] : 0;
            card -= in[o] ? (int64_t)k->i[o].footprint.bytes[1] : 0;
            file |= in[o] && k->i[o].footprint.weights == &k->file;
            other |= in[o] && k->i[o].footprint.weights == &k->other;
        }
        assert_int_equal(r.bytes[0], host - 40 * file - 30 * other);
        assert_int_equal(r.bytes[1], card);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_as_many_places_as_models_max),
        cmocka_unit_test(without_models_max_there_are_always_places),
        cmocka_unit_test(each_device_must_have_enough),
        cmocka_unit_test(devices_that_are_not_configured_are_not_looked_at),
        cmocka_unit_test(room_is_of_what_there_is_now_and_not_of_what_there_ever_could_be),
        cmocka_unit_test(who_needs_nothing_of_a_device_fits_where_less_than_nothing_is_left),
        cmocka_unit_test(weights_that_several_map_count_once_until_the_last_is_gone),
        cmocka_unit_test(weights_are_of_the_host_alone),
        cmocka_unit_test(each_room_counts_weights_for_itself),
        cmocka_unit_test(each_look_counts_weights_anew),
        cmocka_unit_test(weights_count_for_what_could_ever_fit),
        cmocka_unit_test(sizes_without_end_are_cut_where_sums_of_them_are_still_right),
        cmocka_unit_test(taking_and_giving_in_any_order_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
