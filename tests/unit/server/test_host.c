/* SPDX-License-Identifier: MIT */
/* Those who listen to a host. What it does with engines: tests/integration. */
#include <uv.h>

#include "base/container_of.h"
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

static void note_closed(void *ctx)
{
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

static void on_told(struct host_listener *l, enum host_event event, struct hosted *h)
{
    struct ear *e = container_of(l, struct ear, listener);
    assert_int_equal(event, HOST_EV_SHUTDOWN);
    assert_null(h);
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
        ears[i].listener.told = on_told;
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
    struct ear late = {.listener.told = on_told};
    struct ear first = {.listener.told = on_told, .leaves = true, .brings = &late};
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

static struct hosted *apply(const char *presets)
{
    struct sources s;
    if (sources_read(&s, &c, presets, &err))
        fail_msg("%s", err.text);
    host_apply(host, &s, false);
    return host_find(host, "m");
}

/* What a reload takes out of the presets does not go on counting. */
static void what_a_preset_gave_goes_with_it(void **state)
{
    (void)state;
    struct hosted *h = apply("[m]\nmodel = /m.gguf\nmemory = host=1G\n");
    assert_non_null(h);
    assert_int_equal(memory_limit_of(&h->settings.memory, "host"), 1u << 30);
    h->footprint.source = FOOTPRINT_GIVEN; /* as when it is asked for */
    apply("[m]\nmodel = /m.gguf\nmemory = host=2G\n");
    assert_int_equal(h->footprint.source, FOOTPRINT_GIVEN);
    apply("[m]\nmodel = /m.gguf\n");
    assert_ptr_equal(apply("[m]\nmodel = /m.gguf\n"), h);
    assert_int_equal(h->footprint.source, FOOTPRINT_UNKNOWN);
    h->footprint.source = FOOTPRINT_MEASURED; /* this stays as long as its arguments do */
    apply("[m]\nmodel = /m.gguf\n");
    assert_int_equal(h->footprint.source, FOOTPRINT_MEASURED);
    apply("[m]\nmodel = /m.gguf\nctx-size = 5\n");
    assert_int_equal(h->footprint.source, FOOTPRINT_UNKNOWN);
}

#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST_TEST(one_may_leave_while_it_is_told),
        HOST_TEST(one_may_come_meanwhile),
        HOST_TEST(the_end_waits_for_operations),
        HOST_TEST(what_a_preset_gave_goes_with_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
