/* SPDX-License-Identifier: MIT */
/* Those who listen to a host. What it does with engines: tests/integration. */
#include <uv.h>

#include "base/container_of.h"
#include "base/log.h"
#include "server/host.h"
#include "server/sources.h"

#include "config_test.h" /* last: it has a macro DIR */

static uv_loop_t loop;
static struct host *host;

struct ear {
    struct host_listener listener;
    unsigned told;
    bool leaves;
    struct ear *brings; /* who listens from then on */
};

static void note_closed(bool stuck, void *ctx)
{
    assert_false(stuck);
    *(bool *)ctx = true;
}

static int create(void **state)
{
    (void)state;
    setenv("XDG_RUNTIME_DIR", folder, 1);
    parse(ARGV("--models-dir", folder, "--models-preset", "/p.ini"),
          ENV("LLAMA_CACHE=/nonexistent"));
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(host_create(&host, &loop, &c, &err), 0);
    return 0;
}

static int destroy(void **state)
{
    bool closed = false;
    (void)state;
    host_close(host, note_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    config_finish(&c);
    return 0;
}

static void on_told(struct host_listener *l, enum host_event event, struct model *m,
                    struct instance *i)
{
    struct ear *e = container_of(l, struct ear, listener);
    assert_int_equal(event, HOST_EV_SHUTDOWN);
    assert_null(m);
    assert_null(i);
    e->told++;
    if (e->leaves)
        host_unlisten(host, l);
    if (e->brings)
        host_listen(host, &e->brings->listener);
    if (e->leaves) /* as one that is freed when it has left */
        memset(l, 0xff, sizeof *l);
}

static void note_idle(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void one_may_leave_while_it_is_told(void **state)
{
    struct ear ears[4] = {{.leaves = true}, {.leaves = false}, {.leaves = true}, {.leaves = true}};
    unsigned idle = 0;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        ears[i].listener.on_event = on_told;
        host_listen(host, &ears[i].listener);
    }
    host_shutdown(host, 0, note_idle, &idle);
    assert_int_equal(idle, 1); /* there is no engine to wait for */
    host_shutdown(host, 0, note_idle, &idle);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ears[i].told, i == 1 ? 2 : 1);
    host_unlisten(host, &ears[1].listener);
}

static void one_may_come_meanwhile(void **state)
{
    struct ear late = {.listener.on_event = on_told};
    struct ear first = {.listener.on_event = on_told, .leaves = true, .brings = &late};
    unsigned idle = 0;
    (void)state;
    host_listen(host, &first.listener);
    host_shutdown(host, 0, note_idle, &idle);
    host_shutdown(host, 0, note_idle, &idle);
    assert_int_equal(first.told, 1);
    assert_in_range(late.told, 1, 2);
    host_unlisten(host, &late.listener);
}

static void the_end_waits_for_operations(void **state)
{
    unsigned idle = 0;
    (void)state;
    host_operation_begin(host);
    host_operation_begin(host);
    host_shutdown(host, 0, note_idle, &idle);
    host_operation_end(host);
    assert_int_equal(idle, 0);
    host_operation_end(host);
    assert_int_equal(idle, 1);
}

static struct model *apply(const char *presets)
{
    struct sources s;
    if (sources_read(&s, &c, presets, &err))
        fail_msg("%s", err.text);
    host_apply(host, &s, 0);
    sources_finish(&s);
    return host_find(host, "m");
}

/* What a reload takes out of the presets does not go on counting. */
static void what_a_preset_gave_goes_with_it(void **state)
{
    (void)state;
    struct model *h = apply("[m]\nmodel = /m.gguf\nmemory = host=1G\n");
    assert_non_null(h);
    assert_int_equal(memory_limit_of(h->settings.memory, "host"), 1u << 30);
    h->learned.footprint.source = FOOTPRINT_GIVEN; /* as when it is asked for */
    apply("[m]\nmodel = /m.gguf\nmemory = host=2G\n");
    assert_int_equal(h->learned.footprint.source, FOOTPRINT_GIVEN);
    apply("[m]\nmodel = /m.gguf\n");
    assert_ptr_equal(apply("[m]\nmodel = /m.gguf\n"), h);
    assert_int_equal(h->learned.footprint.source, FOOTPRINT_UNKNOWN);
    h->learned.footprint.source = FOOTPRINT_MEASURED; /* this stays as long as its arguments do */
    apply("[m]\nmodel = /m.gguf\n");
    assert_int_equal(h->learned.footprint.source, FOOTPRINT_MEASURED);
    apply("[m]\nmodel = /m.gguf\nctx-size = 5\n");
    assert_int_equal(h->learned.footprint.source, FOOTPRINT_UNKNOWN);
}

/* --- what operators wished ----------------------------------------------------------------------
 */

#define THREE "[m]\nmodel = /m.gguf\n[n]\nmodel = /n.gguf\n[p]\nmodel = /p.gguf\npin = on\n"

static char state_folder[100];

/* The same daemon again: its hosts share a folder for what they keep. */
static int begin_again(void **state)
{
    (void)state;
    snprintf(state_folder, sizeof state_folder, "%s/state", folder);
    log_setup(LOG_ERROR, LOG_TEXT);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    parse(ARGV("--models-dir", folder, "--models-preset", "/p.ini", "--state-dir", state_folder,
               "--prompt-cache", "off"),
          ENV("LLAMA_CACHE=/nonexistent"));
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(host_create(&host, &loop, &c, &err), 0);
    apply(THREE);
    return 0;
}

static void restart(void **state)
{
    destroy(state);
    begin_again(state);
}

static int remove_state(void **state)
{
    static const char *const files[] = {"state.json", "lock"};
    int rc = destroy(state);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[120];
        snprintf(path, sizeof path, "%s/%s", state_folder, files[i]);
        unlink(path);
    }
    return rc || rmdir(state_folder);
}

static size_t changes(void)
{
    size_t n = 0;
    while (history_at(host_history(host), n))
        n++;
    return n;
}

static void holds_outlast_a_restart(void **state)
{
    intent_hold(host_find(host, "m"), SCHED_NEVER, "a backup", "alice");
    intent_hold(host_find(host, "n"), uv_now(&loop) + 3600000, NULL, NULL);
    intent_hold(host_find(host, "p"), uv_now(&loop), NULL, NULL); /* over by then */
    restart(state);
    struct model *m = host_find(host, "m"), *n = host_find(host, "n");
    assert_true(intent_is_held(m) && m->sched.held_until == SCHED_NEVER);
    assert_string_equal(intent_hold_reason(m), "a backup");
    assert_string_equal(intent_hold_by(m), "alice");
    assert_in_range(n->sched.held_until, uv_now(&loop) + 3590000, uv_now(&loop) + 3600001);
    assert_null(intent_hold_reason(n));
    assert_false(intent_is_held(host_find(host, "p")));
    assert_int_equal(changes(), 0); /* nothing happened now */
    intent_release(m, "bob");
    intent_release(n, "bob");
    restart(state);
    assert_false(intent_is_held(host_find(host, "m")));
    assert_false(intent_is_held(host_find(host, "n")));
}

/* A hold of many models is in force at once and recorded later: a file that changes in between does not undo it. */
static void a_hold_outlasts_a_change_before_it_is_recorded(void **state)
{
    (void)state;
    struct model *before = host_find(host, "m");
    struct hold_order *order = hold_order_create(SCHED_NEVER, "a backup", "alice");
    intent_begin_hold(before, order);
    intent_perform_holds(host);
    apply("[m]\nmodel = /other.gguf\n");
    struct model *m = host_find(host, "m");
    assert_string_equal(m->entry->path, "/other.gguf");
    assert_true(intent_is_held(m));
    assert_string_equal(intent_hold_reason(m), "a backup");
    intent_record_hold(m, order);
    hold_order_release(order);
    intent_release(m, "bob");
    apply("[m]\nmodel = /m.gguf\n");
    assert_false(intent_is_held(host_find(host, "m")));
}

static void pins_outlast_a_restart(void **state)
{
    intent_pin(host_find(host, "m"), true, "alice");
    intent_pin(host_find(host, "p"), false, "alice");
    assert_int_equal(changes(), 2);
    intent_pin(host_find(host, "m"), true, "bob"); /* nothing new */
    intent_pin(host_find(host, "n"), false, "bob");
    assert_int_equal(changes(), 2);
    restart(state);
    assert_true(host_find(host, "m")->sched.pinned);
    assert_false(host_find(host, "n")->sched.pinned);
    assert_false(host_find(host, "p")->sched.pinned);
    intent_pin(host_find(host, "m"), false, "alice");
    intent_pin(host_find(host, "p"), true, "alice");
    restart(state);
    assert_false(host_find(host, "m")->sched.pinned);
    assert_true(host_find(host, "p")->sched.pinned);
}

#define WISH_TEST(name) cmocka_unit_test_setup_teardown(name, begin_again, remove_state)
#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST_TEST(one_may_leave_while_it_is_told),
        HOST_TEST(one_may_come_meanwhile),
        HOST_TEST(the_end_waits_for_operations),
        HOST_TEST(what_a_preset_gave_goes_with_it),
        WISH_TEST(a_hold_outlasts_a_change_before_it_is_recorded),
        WISH_TEST(holds_outlast_a_restart),
        WISH_TEST(pins_outlast_a_restart),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
