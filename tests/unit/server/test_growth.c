/* SPDX-License-Identifier: MIT */
/* What requests may add to engines, in the budget of a host of 64 GiB. */
#include "footprint_test.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "server/host_core.h"
#include "server/placement.h"

#define GIB ((uint64_t)1 << 30)
#define MARGIN (64 * GIB / 20)
#define FOUND (40 * GIB - MARGIN) /* what engines may have now */

static struct host host;
static struct budget *b = &host.budget;
static struct engine_launch launch;
static struct model m;
static struct snapshot snapshot;

static int set_up(void **state)
{
    (void)state;
    smol_set_up();
    host = (struct host){.config = &c};
    TAILQ_INIT(&host.sched.instances);
    *b = (struct budget){.devices = 1, .snapshot = &snapshot};
    snapshot = (struct snapshot){.figures.n = 1};
    snapshot.figures.device[0] =
        (struct memory_device){.name = "host", .total = 64 * GIB, .available = 40 * GIB};
    launch = (struct engine_launch){.program = &c.engine};
    m = (struct model){.host = &host, .entry = &model, .launch = &launch};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    learned_forget(&m.learned);
    budget_finish(b);
    smol_finish();
    return 0;
}

static void assert_asks(uint64_t bytes)
{
    budget_set_next(b, &m);
    assert_int_equal(m.sched.next.bytes[0], bytes);
}

static void it_counts_beside_others(void **state)
{
    (void)state;
    m.learned.footprint =
        (struct footprint){.source = FOOTPRINT_FITTED, .bytes = {2 * GIB}, .growth = 3 * GIB};
    assert_asks(5 * GIB);
    m.learned.footprint.source = FOOTPRINT_MEASURED; /* of which requests have added one already */
    m.learned.footprint.loaded[0] = GIB;
    assert_asks(4 * GIB);
    m.learned.footprint.bytes[0] = 6 * GIB; /* it came to more than was thought */
    assert_asks(6 * GIB);
}

static void a_running_engine_may_grow(void **state)
{
    struct memory_use use = {.n = 1, .bytes = {2 * GIB}};
    struct instance i = {.model = &m, .number = 1};
    (void)state;
    m.learned.footprint =
        (struct footprint){.source = FOOTPRINT_ESTIMATED, .bytes = {GIB}, .growth = 3 * GIB};
    budget_learn(b, &i, &use);
    assert_int_equal(i.sched.footprint.bytes[0], 5 * GIB);
    i.measured = true;
    use.bytes[0] = 4 * GIB; /* within what it may add */
    budget_learn(b, &i, &use);
    assert_int_equal(i.sched.footprint.bytes[0], 5 * GIB);
}

static void it_refuses_nobody(void **state)
{
    (void)state;
    m.learned.footprint =
        (struct footprint){.source = FOOTPRINT_ESTIMATED, .bytes = {2 * GIB}, .growth = 100 * GIB};
    assert_asks(FOUND);
    b->limit[0] = 8 * GIB;
    assert_asks(8 * GIB);
    m.learned.footprint.bytes[0] = 9 * GIB; /* which the load itself passes */
    assert_asks(9 * GIB);
}

static void what_is_given_is_all(void **state)
{
    struct memory_limits given;
    struct error err;
    (void)state;
    m.learned.footprint.growth = GIB;
    m.settings.memory = &given;
    assert_int_equal(memory_limits_parse("2G", &given, &err), 0);
    budget_apply_preset(b, &m);
    assert_asks(2 * GIB);
    /* One that runs counts for what it holds, if that is more. */
    struct memory_use use = {.n = 1, .bytes = {3 * GIB}};
    struct instance i = {.model = &m, .number = 1, .most = use};
    budget_learn(b, &i, &use);
    assert_int_equal(i.sched.footprint.bytes[0], 3 * GIB);
    assert_asks(2 * GIB);
    m.settings.memory = NULL;
}

/* --- what each engine may have */

static void share(const char *limit, unsigned engines, uint64_t total, uint64_t wanted)
{
    struct error err;
    snapshot.figures.device[0].total = total;
    c.models_max = engines;
    c.memory.n = 0;
    if (limit && memory_limits_parse(limit, &c.memory, &err))
        fail_msg("%s", err.text);
    assert_int_equal(budget_init(b, &c, &snapshot, &err), 0);
    assert_non_null(budget_growth(b));
    assert_int_equal(*budget_growth(b), wanted);
}

static void a_share_for_each_engine(void **state)
{
    (void)state;
    share(NULL, 4, 64 * GIB, 3840 * MIB);
    share("16G", 4, 64 * GIB, GIB);
    share("16G", 1, 64 * GIB, 4 * GIB);
    share("16G", 0, 64 * GIB, GIB);
    share(NULL, 1, 64 * GIB, 8 * GIB); /* as much as llama-server takes by itself */
    share(NULL, 4, 600 * MIB, 32 * MIB);
    share("140M", 4, 64 * GIB, 0);
    c.memory.n = 0;
    c.models_max = 4;
}

static void where_memory_does_not_count(void **state)
{
    struct error err;
    (void)state;
    c.memory_off = true;
    assert_int_equal(budget_init(b, &c, &snapshot, &err), 0);
    assert_null(budget_growth(b));
    c.memory_off = false;
    c.classic = true;
    assert_int_equal(budget_init(b, &c, &snapshot, &err), 0);
    assert_null(budget_growth(b));
    c.classic = false;
}

/* Neither what a model takes nor how far it grows is known before its header
 * was read: it is not placed. */
static void a_header_that_was_not_read_yet(void **state)
{
    (void)state;
    model.header = MODEL_HEADER_PENDING;
    placement_update_unsure(&m);
    assert_true(m.sched.unsure);
    model.header = MODEL_HEADER_BROKEN; /* the engine will say what is wrong with it */
    placement_update_unsure(&m);
    assert_false(m.sched.unsure);
    model.header = MODEL_HEADER_PENDING;
    b->devices = 0; /* memory does not count */
    placement_update_unsure(&m);
    assert_false(m.sched.unsure);
}

#define GROWTH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GROWTH_TEST(it_counts_beside_others),
        GROWTH_TEST(a_running_engine_may_grow),
        GROWTH_TEST(it_refuses_nobody),
        GROWTH_TEST(what_is_given_is_all),
        GROWTH_TEST(a_share_for_each_engine),
        GROWTH_TEST(where_memory_does_not_count),
        GROWTH_TEST(a_header_that_was_not_read_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
