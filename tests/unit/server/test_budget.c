/* SPDX-License-Identifier: MIT */
/* A host of 64 GiB with a card of 24 GiB beside it; nothing is read from the machine. */
#include "footprint_test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "server/host_core.h"

#define GIB ((uint64_t)1 << 30)
#define MARGIN (64 * GIB / 20) /* of the host */
#define CARD_MARGIN (24 * GIB / 50)

static struct host host;
static struct budget *b = &host.budget;
static struct engine_launch launch;
static struct model h, other;
static struct instance instance;
static struct snapshot snapshot;

static void set_devices(size_t n)
{
    *b = (struct budget){.devices = n, .snapshot = &snapshot};
    memset(&snapshot, 0, sizeof snapshot);
    snapshot.figures.n = n;
    snapshot.figures.device[0] =
        (struct memory_device){.name = "host", .total = 64 * GIB, .available = 40 * GIB};
    snapshot.figures.device[1] =
        (struct memory_device){.name = "gpu0", .total = 24 * GIB, .available = 20 * GIB};
    for (size_t i = 1; i < n; i++)
        card_list_add(&snapshot.figures.cards,
                      &(struct card){.total = 24 * GIB, .device = (uint8_t)i});
}

static int set_up(void **state)
{
    (void)state;
    smol_set_up();
    model.stamp = 1;
    host = (struct host){.config = &c};
    TAILQ_INIT(&host.sched.instances);
    set_devices(2);
    launch = (struct engine_launch){.program = &c.engine};
    h = (struct model){.host = &host, .entry = &model, .launch = &launch};
    instance = (struct instance){.model = &h};
    other = (struct model){.host = &host, .entry = &model, .launch = &launch};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    budget_finish(b);
    smol_finish();
    return 0;
}

static void set_footprint(uint64_t on_host, uint64_t on_card, uint64_t mapped)
{
    h.learned.footprint = (struct footprint){
        .source = FOOTPRINT_FITTED, .bytes = {on_host, on_card}, .mapped = mapped};
}

static void assert_asks(uint64_t on_host, uint64_t on_card, uint64_t weights)
{
    budget_set_next(b, &h);
    assert_int_equal(h.sched.next.bytes[0], on_host);
    assert_int_equal(h.sched.next.bytes[1], on_card);
    assert_int_equal(h.sched.next.weights ? h.sched.next.weights->bytes : 0, weights);
}

static void run_beside(struct model *one)
{
    instance.sched.model = &one->sched;
    instance.sched.state = SCHED_READY;
    instance.sched.footprint = one->sched.next;
    TAILQ_INSERT_TAIL(&host.sched.instances, &instance.sched, link);
}

/* --- what there is ------------------------------------------------------------------------------
 */

static void what_engines_may_have(void **state)
{
    (void)state;
    assert_int_equal(budget_ceiling(b, 0), 64 * GIB - MARGIN);
    assert_int_equal(budget_capacity(b, 0), 40 * GIB - MARGIN);
    assert_int_equal(budget_ceiling(b, 1), 24 * GIB - CARD_MARGIN);
    snapshot.held[0] = 10 * GIB; /* it would come back */
    assert_int_equal(budget_capacity(b, 0), 50 * GIB - MARGIN);
    b->limit[0] = 8 * GIB;
    assert_int_equal(budget_ceiling(b, 0), 8 * GIB);
    assert_int_equal(budget_capacity(b, 0), 8 * GIB);
    snapshot.figures.device[0].available = GIB;
    snapshot.held[0] = 5 * GIB;                       /* others use what the limit would allow */
    assert_int_equal(budget_capacity(b, 0), 6 * GIB); /* a limit is in place of the margin */
}

static void a_device_that_does_not_answer(void **state)
{
    (void)state;
    snapshot.figures.device[1].total = snapshot.figures.device[1].available = 0;
    assert_int_equal(budget_ceiling(b, 1), SCHED_UNLIMITED);
    assert_int_equal(budget_capacity(b, 1), SCHED_UNLIMITED);
    b->limit[1] = GIB;
    assert_int_equal(budget_ceiling(b, 1), GIB);
    assert_int_equal(budget_capacity(b, 1), GIB);
}

/* Neither on one that has gone: no figure says what the model may find there. */
static void nothing_is_placed_on_a_card_that_is_silent(void **state)
{
    struct memory_device *card = &snapshot.figures.device[1];
    (void)state;
    set_footprint(GIB, 2 * GIB, 0);
    card->available = GIB;
    assert_asks(GIB, GIB - CARD_MARGIN, 0); /* all there is */
    card->available = 0;
    card->silent = true;
    assert_asks(GIB, 2 * GIB, 0);
    assert_true(budget_capacity(b, 1) == 0 && budget_ceiling(b, 1) > 2 * GIB); /* so it waits, */
    card->silent = false;
    card->gone = true;
    assert_asks(GIB, 2 * GIB, 0);
    assert_true(budget_ceiling(b, 1) == 0); /* or is refused */
    set_footprint(GIB, 0, 0);
    assert_asks(GIB, 0, 0);
}

static void limits_of_devices(void **state)
{
    struct error err;
    (void)state;
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    memory_init_at("/nonexistent");
    memory_read(&snapshot.figures);
    assert_int_equal(memory_limits_parse("host=8G", &c.memory, &err), 0);
    assert_int_equal(budget_init(b, &c, &snapshot, &err), 0);
    assert_int_equal(b->devices, 1);
    assert_int_equal(b->limit[0], 8 * GIB);
    c.memory_off = true;
    assert_int_equal(budget_init(b, &c, &snapshot, &err), 0);
    assert_int_equal(b->devices, 0);
    c.memory_off = false;
    assert_int_equal(memory_limits_parse("gpu7=8G", &c.memory, &err), 0);
    assert_int_equal(budget_init(b, &c, &snapshot, &err), -ENODEV);
    assert_string_equal(err.text, "--memory: there is no device 'gpu7' here; there is host");
    c.memory = (struct memory_limits){0};
    memory_finish();
}

/* Names decide, and an index stays that of its device. */
static void cards_come_and_go(void **state)
{
    struct error err;
    (void)state;
    assert_int_equal(memory_limits_parse("gpu0=8G", &c.memory, &err), 0);
    assert_int_equal(budget_init(b, &c, &snapshot, &err), 0);
    struct snapshot next = snapshot;
    assert_false(budget_take_snapshot(b, &c, &next));
    assert_ptr_equal(b->snapshot, &next);
    next.figures.version++;
    next.figures.n = 3;
    next.figures.device[2] =
        (struct memory_device){.name = "gpu1", .total = 24 * GIB, .available = 20 * GIB};
    next.figures.device[1].gone = true;
    next.figures.device[1].available = 0;
    assert_true(budget_take_snapshot(b, &c, &next));
    assert_false(budget_take_snapshot(b, &c, &next));
    assert_true(b->devices == 3 && b->limit[1] == 8 * GIB && !b->limit[2]);
    assert_true(!budget_ceiling(b, 1) && !budget_capacity(b, 1));
    assert_int_equal(budget_ceiling(b, 2), 24 * GIB - CARD_MARGIN);
    snprintf(next.figures.device[2].name, sizeof next.figures.device[2].name, "gpu0");
    snprintf(next.figures.device[1].name, sizeof next.figures.device[1].name, "gpu2");
    next.figures.version++;
    assert_true(budget_take_snapshot(b, &c, &next));
    assert_true(!b->limit[1] && b->limit[2] == 8 * GIB);
    c.memory = (struct memory_limits){0};
}

/* It counts for what it holds; the next one may be spread otherwise. */
static void an_engine_that_is_older_than_a_card_teaches_nothing(void **state)
{
    const struct memory_use use = {.n = 2, .bytes = {GIB, 9 * GIB}};
    (void)state;
    set_footprint(2 * GIB, 3 * GIB, 0);
    budget_set_next(b, &h);
    instance.sched.footprint = h.sched.next;
    instance.cards = 0;
    b->version = 1;
    budget_correct(b, &instance, &use);
    assert_true(instance.sched.footprint.bytes[1] == 9 * GIB);
    assert_true(instance.sched.footprint.bytes[0] == 2 * GIB);
    instance.most = (struct memory_use){.n = 2, .bytes = {3 * GIB, 10 * GIB}};
    budget_learn(b, &instance, &instance.most);
    assert_true(instance.sched.footprint.bytes[1] == 10 * GIB);
    assert_true(instance.sched.footprint.bytes[0] == 3 * GIB);
    assert_true(h.learned.footprint.source == FOOTPRINT_FITTED && !h.learned.loads);
    assert_true(h.sched.next.bytes[1] == 3 * GIB);
}

/* --- what a model asks for ----------------------------------------------------------------------
 */

static void a_limit_is_kept_to_the_byte(void **state)
{
    (void)state;
    b->limit[0] = 8 * GIB;
    b->limit[1] = 4 * GIB;
    set_footprint(10 * GIB, 5 * GIB, 7 * GIB);
    assert_asks(10 * GIB, 5 * GIB, 7 * GIB);
}

/* A budget that was found hardly refuses: what is too much gets what there is. */
static void what_was_found_is_a_guess(void **state)
{
    const uint64_t found = 40 * GIB - MARGIN;
    (void)state;
    set_footprint(10 * GIB, 5 * GIB, 7 * GIB);
    assert_asks(10 * GIB, 5 * GIB, 7 * GIB);
    set_footprint(10 * GIB, 30 * GIB, 50 * GIB);
    assert_asks(10 * GIB, 20 * GIB - CARD_MARGIN, found - 10 * GIB);
    set_footprint(50 * GIB, 0, 7 * GIB);
    assert_asks(found, 0, 0);
    set_footprint(63 * GIB, 0, 0); /* the margin refuses nobody */
    assert_asks(found, 0, 0);
    set_footprint(65 * GIB, 0, 0); /* more than the machine could ever give */
    assert_asks(65 * GIB, 0, 0);
}

/* It was measured at more than there is, so it was loaded, and will be again. */
static void a_measured_peak_refuses_nobody(void **state)
{
    const uint64_t found = 40 * GIB - MARGIN;
    struct footprint estimate;
    (void)state;
    model_estimate(&h, &snapshot.figures, &estimate);
    b->limit[0] = 8 * GIB;
    set_footprint(100 * GIB, 0, GIB);
    h.learned.footprint.source = FOOTPRINT_MEASURED; /* by a daemon that kept the peak alone */
    assert_asks(7 * GIB, 0, GIB);
    h.learned.footprint.loaded[0] = 2 * GIB; /* and requests added 98 */
    assert_asks(7 * GIB, 0, GIB);
    h.learned.footprint.loaded[0] =
        90 * GIB; /* that reading came late: by the estimate it is small */
    assert_asks(7 * GIB, 0, GIB);
    b->limit[0] = GIB + estimate.bytes[0] - 1; /* its load alone takes more */
    assert_asks(estimate.bytes[0], 0, GIB);
    b->limit[0] = 0;
    assert_asks(found, 0, 0);
}

/* The estimate shares a model out evenly; it may be on one card alone. */
static void with_several_cards_the_load_itself_counts(void **state)
{
    (void)state;
    set_devices(2);
    b->devices = snapshot.figures.n = 3;
    snapshot.figures.device[2] = snapshot.figures.device[1];
    b->limit[1] = 20 * GIB;
    set_footprint(0, 34 * GIB, 0);
    h.learned.footprint.source = FOOTPRINT_MEASURED;
    h.learned.footprint.loaded[1] = 30 * GIB;
    assert_asks(0, 30 * GIB, 0);
}

static void the_file_counts_once(void **state)
{
    char another[] = "/other.gguf";
    struct catalog_model second = {.id = id, .path = another, .size = SIZE, .stamp = 2};
    (void)state;
    set_footprint(GIB, 0, 7 * GIB);
    budget_set_next(b, &h);
    other.learned.footprint = h.learned.footprint;
    budget_set_next(b, &other);
    assert_non_null(h.sched.next.weights);
    assert_ptr_equal(h.sched.next.weights, other.sched.next.weights);
    other.entry = &second;
    budget_set_next(b, &other);
    assert_ptr_not_equal(h.sched.next.weights, other.sched.next.weights);
    second =
        (struct catalog_model){.id = id, .path = another, .size = SIZE, .stamp = 1}; /* a link */
    budget_set_next(b, &other);
    assert_ptr_equal(h.sched.next.weights, other.sched.next.weights);
    model.stamp = 3; /* replaced; engines of `other` map the old one */
    budget_set_next(b, &h);
    assert_ptr_not_equal(h.sched.next.weights, other.sched.next.weights);
    model.path = NULL; /* the engine fetches it */
    model.stamp = 0;
    budget_set_next(b, &h);
    assert_null(h.sched.next.weights);
}

/* Another model of the same file asks for less of it; who maps it has what it has. */
static void the_file_is_in_use(void **state)
{
    const uint64_t found = 40 * GIB - MARGIN;
    (void)state;
    other.learned.footprint =
        (struct footprint){.source = FOOTPRINT_MEASURED, .bytes = {GIB}, .mapped = 20 * GIB};
    budget_set_next(b, &other);
    run_beside(&other);
    set_footprint(GIB, 0, 5 * GIB);
    assert_asks(GIB, 0, 20 * GIB);
    /* It cannot be beside the other, but alone: so it is not refused, but waits for the other's end. */
    set_footprint(30 * GIB, 0, 20 * GIB);
    assert_asks(found - 20 * GIB, 0, 20 * GIB);
    TAILQ_REMOVE(&host.sched.instances, &instance.sched, link);
    assert_asks(30 * GIB, 0, found - 30 * GIB);
}

static void after_a_failure_all_there_is(void **state)
{
    const uint64_t found = 40 * GIB - MARGIN;
    (void)state;
    set_footprint(GIB, GIB, 7 * GIB);
    h.learned.footprint.alone = true;
    assert_asks(found - 7 * GIB, 20 * GIB - CARD_MARGIN, 7 * GIB);
    /* Not more than a limit: it would be refused in place of being tried. */
    b->limit[0] = 8 * GIB;
    b->limit[1] = 4 * GIB;
    assert_asks(GIB, 4 * GIB, 7 * GIB);
    set_footprint(GIB, GIB, 0);
    h.learned.footprint.alone = true;
    assert_asks(8 * GIB, 4 * GIB, 0);
}

static void what_the_preset_gives(void **state)
{
    struct error err;
    struct memory_use use = {.n = 2, .bytes = {5 * GIB, 5 * GIB}};
    struct memory_limits given;
    (void)state;
    set_footprint(10 * GIB, 5 * GIB, 7 * GIB);
    h.settings.memory = &given;
    assert_int_equal(memory_limits_parse("host=2G,gpu0=3G", &given, &err), 0);
    budget_apply_preset(b, &h);
    assert_asks(2 * GIB, 3 * GIB, 0);
    assert_int_equal(h.learned.footprint.source, FOOTPRINT_GIVEN);
    /* It failed for want of memory: what was given was not enough. */
    h.learned.footprint.alone = true;
    assert_asks(40 * GIB - MARGIN, 20 * GIB - CARD_MARGIN, 0);
    budget_learn(b, &instance, &use); /* it runs: once is enough, and what is given stays */
    assert_asks(2 * GIB, 3 * GIB, 0);
    assert_int_equal(h.learned.footprint.source, FOOTPRINT_GIVEN);
    assert_int_equal(memory_limits_parse("gpu0=3G", &given, &err), 0);
    budget_apply_preset(b, &h);
    assert_asks(0, 3 * GIB, 0);
    h.settings.memory = NULL;
}

static void what_is_not_known_is_estimated(void **state)
{
    struct footprint wanted;
    (void)state;
    model_estimate(&h, &snapshot.figures, &wanted);
    assert_asks(wanted.bytes[0], wanted.bytes[1], 0);
    assert_int_equal(h.learned.footprint.source, FOOTPRINT_ESTIMATED);
}

/* Not at each pump of the scheduler, but when there are new figures. */
static void cards_that_share_it_are_read_anew(void **state)
{
    struct footprint wanted;
    (void)state;
    set_devices(3);
    snapshot.figures.device[2] = snapshot.figures.device[1];
    snapshot.version = 1;
    budget_set_next(b, &h);
    model_estimate(&h, &snapshot.figures, &wanted);
    snapshot.figures.device[1].available =
        5 * GIB; /* a reading is never changed: so nobody looks */
    assert_asks(wanted.bytes[0], wanted.bytes[1], 0);
    snapshot.version = 2;
    model_estimate(&h, &snapshot.figures, &wanted);
    assert_asks(wanted.bytes[0], wanted.bytes[1], 0);
    assert_true(h.sched.next.bytes[1] < h.sched.next.bytes[2]);
}

static void it_learns(void **state)
{
    struct memory_use use = {.n = 2, .bytes = {5 * GIB, 6 * GIB}};
    (void)state;
    budget_set_next(b, &h);
    h.learned.footprint.alone = true;
    budget_learn(b, &instance, &use);
    assert_int_equal(h.learned.footprint.source, FOOTPRINT_MEASURED);
    assert_true(h.learned.footprint.batches); /* no prompt has filled them yet */
    const uint64_t host_bytes = 5 * GIB + h.learned.footprint.batches;
    assert_int_equal(h.sched.next.bytes[0], host_bytes); /* it counts at once */
    assert_int_equal(h.sched.next.bytes[1], 6 * GIB);
    assert_asks(host_bytes, 6 * GIB, 0);
    b->devices = 0;
    learned_forget(&h.learned);
    budget_learn(b, &instance, &use);
    assert_int_equal(h.learned.footprint.source, FOOTPRINT_UNKNOWN);
}

/* It was more than most loads are; the engine holds it all the same. */
static void a_large_one_counts_for_itself(void **state)
{
    struct memory_use use = {.n = 2, .bytes = {GIB, GIB}};
    (void)state;
    budget_set_next(b, &h);
    for (instance.number = 1; instance.number <= 3; instance.number++)
        budget_learn(b, &instance, &use);
    use.bytes[1] = instance.most.bytes[1] = 9 * GIB;
    budget_learn(b, &instance, &use);
    assert_int_equal(h.sched.next.bytes[1], GIB);
    assert_int_equal(instance.sched.footprint.bytes[1], 9 * GIB);
    learned_forget(&h.learned);
}

/* --- while it loads */

static void assert_counted(uint64_t first, uint64_t second, uint64_t on_first, uint64_t on_second)
{
    const struct memory_use use = {.n = 3, .bytes = {GIB, first, second}};
    budget_correct(b, &instance, &use);
    assert_int_equal(instance.sched.footprint.bytes[1], on_first);
    assert_int_equal(instance.sched.footprint.bytes[2], on_second);
}

static void begin_load(void)
{
    set_devices(3);
    snapshot.figures.device[2] = snapshot.figures.device[1];
    set_footprint(GIB, 12 * GIB, 0);
    budget_set_next(b, &h);
    instance.sched.footprint = h.sched.next;
}

/* CUDA has a context on each card that it sees, with weights or without. */
static void a_context_is_no_part_of_the_model(void **state)
{
    (void)state;
    begin_load();
    assert_counted(400 * MIB, 400 * MIB, 12 * GIB, 400 * MIB);
    assert_counted(6 * GIB, 512 * MIB, 12 * GIB, 512 * MIB);
    assert_counted(12 * GIB + 300 * MIB, 300 * MIB, 12 * GIB + 300 * MIB, 300 * MIB);
}

static void what_goes_to_another_card_counts_there_while_it_comes(void **state)
{
    (void)state;
    begin_load();
    assert_counted(0, 2 * GIB, 12 * GIB, 12 * GIB);
    assert_counted(2 * GIB, 2 * GIB, 12 * GIB, 10 * GIB);
    assert_counted(10 * GIB, 2 * GIB, 12 * GIB, 2 * GIB); /* the rest went where it was expected */
    assert_counted(10 * GIB, 0, 12 * GIB, 0);
}

static void assert_explained(const char *pinned, const char *wanted)
{
    char *text = budget_explain(b, &h, pinned);
    if (!strstr(text, wanted))
        fail_msg("'%s' is not in: %s", wanted, text);
    free(text);
}

static void why_there_is_no_room(void **state)
{
    (void)state;
    set_footprint(GIB, 22 * GIB, 0);
    assert_explained(
        NULL, "model 'm' needs 22.00 GiB on gpu0 (fit-params), and engines may have 19.52 GiB "
              "there now, 23.52 GiB at most; unload or unpin other models");
    b->limit[0] = 8 * GIB;
    set_footprint(2 * GIB, 22 * GIB, 7 * GIB);
    assert_explained(
        NULL, "needs 9.00 GiB on host (fit-params), and engines may have 8.00 GiB there now, "
              "8.00 GiB at most (--memory); give it a smaller --ctx-size, or raise --memory to "
              "host=9216M");
    set_footprint(70 * GIB, 0, 7 * GIB);
    assert_explained(NULL,
                     "or write what it really needs into its preset, as 'memory = host=SIZE'");
    b->limit[0] = 50 * GIB; /* other programs have what it needs */
    set_footprint(45 * GIB, 0, 0);
    assert_explained(NULL,
                     "45.00 GiB on host (fit-params), and engines may have 40.00 GiB there now");
    assert_explained(NULL, "or free memory that other programs use");
    set_footprint(GIB, GIB, 7 * GIB);
    assert_explained("'a'", "finds no room beside what is pinned: 'a'; ");
    assert_explained(NULL, "finds no room beside what is pinned; ");
    set_footprint(45 * GIB, 0, 0);
    assert_explained("'a'", "50.00 GiB at most (--memory); pinned: 'a'; ");
}

#define BUDGET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUDGET_TEST(what_engines_may_have),
        BUDGET_TEST(a_device_that_does_not_answer),
        BUDGET_TEST(nothing_is_placed_on_a_card_that_is_silent),
        BUDGET_TEST(limits_of_devices),
        BUDGET_TEST(cards_come_and_go),
        BUDGET_TEST(an_engine_that_is_older_than_a_card_teaches_nothing),
        BUDGET_TEST(a_limit_is_kept_to_the_byte),
        BUDGET_TEST(what_was_found_is_a_guess),
        BUDGET_TEST(a_measured_peak_refuses_nobody),
        BUDGET_TEST(with_several_cards_the_load_itself_counts),
        BUDGET_TEST(the_file_counts_once),
        BUDGET_TEST(the_file_is_in_use),
        BUDGET_TEST(after_a_failure_all_there_is),
        BUDGET_TEST(what_the_preset_gives),
        BUDGET_TEST(what_is_not_known_is_estimated),
        BUDGET_TEST(cards_that_share_it_are_read_anew),
        BUDGET_TEST(it_learns),
        BUDGET_TEST(a_large_one_counts_for_itself),
        BUDGET_TEST(a_context_is_no_part_of_the_model),
        BUDGET_TEST(what_goes_to_another_card_counts_there_while_it_comes),
        BUDGET_TEST(why_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
