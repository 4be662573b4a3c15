/* SPDX-License-Identifier: MIT */
/*
 * Engines of another kind than llama-server: a small Python server on a TCP port (or a socket), which
 * speaks no protocol on its standard streams. What a kind of such engines needs is in this file alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "engine/process.h"

/* Its arguments: how it answers, and where. `busy N`: N times with 503 before 200. */
static const char program[] =
    "#!/usr/bin/env python3\n"
    "import os, signal, socket, sys\n"
    "how, n, place = sys.argv[1], int(sys.argv[2]), sys.argv[3]\n"
    "signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n"
    "s = socket.socket(socket.AF_UNIX if '/' in place else socket.AF_INET)\n"
    "s.bind(place if '/' in place else ('127.0.0.1', int(place)))\n"
    "print('port', place, os.environ.get('KIND'), flush=True)\n"
    "if how == 'line': print('serving now', flush=True)\n"
    "s.listen()\n"
    "asked = 0\n"
    "while True:\n"
    "    c, _ = s.accept()\n"
    "    c.settimeout(5)\n"
    "    head = c.recv(1000) if how == 'busy' else b''\n"
    "    asked += 1\n"
    "    status = 200 if asked > n else 503\n"
    "    print('asked', head.split(b'\\r')[0], status, flush=True)\n"
    "    if how == 'busy': c.sendall(b'HTTP/1.1 %d X\\r\\n\\r\\n' % status)\n"
    "    c.close()\n";

/* --- the kind */

static bool uses_tcp(const struct strv *args)
{
    return !strv_has(args, "socket");
}

static void add_place(struct strv *argv, struct strv *env, const struct engine_place *place)
{
    if (place->socket)
        strv_add(argv, place->socket);
    else
        strv_addf(argv, "%u", place->port);
    strv_add(env, "KIND=small");
}

static int parse(const char *line, size_t len, struct engine_report *out)
{
    static const char ready[] = "serving now";
    if (len != sizeof ready - 1 || memcmp(line, ready, len) != 0)
        return -ENOMSG;
    *out = (struct engine_report){.type = ENGINE_REPORT_READY};
    return 0;
}

static const struct engine_stop_step stop_steps[] = {{.signal = SIGTERM}};

static struct engine_kind kind = {
    .name = "small",
    .uses_tcp = uses_tcp,
    .add_place = add_place,
    .stop = stop_steps,
    .n_stop = 1,
};

/* --- driving it */

static char dir[] = "/tmp/hostler-test-kind-XXXXXX";
static uv_loop_t loop;

struct watch {
    struct engine *e;
    int ready, gone, stuck;
    struct engine_exit how;
};

static void on_state(struct engine *e, enum engine_state state, void *ctx)
{
    struct watch *w = ctx;
    (void)e;
    w->ready += state == ENGINE_READY;
}

static void on_stuck(struct engine *e, void *ctx)
{
    struct watch *w = ctx;
    assert_true(engine_is_stuck(e));
    w->stuck++;
}

static void on_gone(struct engine *e, const struct engine_exit *how, void *ctx)
{
    struct watch *w = ctx;
    (void)e;
    w->gone++;
    w->how = *how;
}

static const struct engine_events events = {.state = on_state, .stuck = on_stuck, .gone = on_gone};

static void start(struct watch *w, const char *how, const char *n, uint64_t load_ms)
{
    struct error err = {""};
    struct strv args = {0};
    char *binary = mem_printf("%s/program", dir);
    struct engine_spec spec = {.kind = &kind,
                               .name = "test",
                               .binary = binary,
                               .args = &args,
                               .socket_dir = dir,
                               .load_timeout_ms = load_ms,
                               .stop_timeout_ms = 20000};
    strv_add(&args, how);
    strv_add(&args, n);
    if (engine_start(&w->e, &loop, &spec, &events, w, &err))
        fail_msg("%s", err.text);
    strv_finish(&args);
    free(binary);
}

static void on_limit(uv_timer_t *t)
{
    (void)t;
    fail_msg("waited for 30 s");
}

static void run_until(const int *flag)
{
    uv_timer_t limit;
    uv_timer_init(&loop, &limit);
    uv_timer_start(&limit, on_limit, 30000, 0);
    while (!*flag)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void destroy(struct watch *w)
{
    engine_destroy(w->e);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void assert_log_has(const struct watch *w, const char *text, bool has)
{
    char *log = engine_log_tail(w->e, 100);
    if ((strstr(log, text) != NULL) != has)
        fail_msg("`%s` in: %s", text, log);
    free(log);
}

static void end_by_sigterm(struct watch *w)
{
    engine_stop(w->e, false);
    run_until(&w->gone);
    assert_true(w->how.was_ready && w->how.was_stopped);
    assert_int_equal(w->how.code, 7);
    destroy(w);
}

static void test_ready_when_it_accepts(void **state)
{
    struct watch w = {0};
    (void)state;
    kind.readiness = ENGINE_READY_CONNECTED;
    kind.parse = NULL;
    start(&w, "plain", "0", 20000);
    assert_null(engine_socket(w.e));
    assert_true(engine_port(w.e) > 0);
    run_until(&w.ready);
    assert_log_has(&w, "small", true);
    end_by_sigterm(&w);
    assert_int_equal(w.ready, 1);
}

static void test_ready_when_it_answers(void **state)
{
    struct watch w = {0};
    (void)state;
    kind.readiness = ENGINE_READY_ANSWERS;
    kind.ready_path = "/up?x=1";
    start(&w, "busy", "3", 20000);
    run_until(&w.ready);
    while (engine_state(w.e) != ENGINE_READY)
        uv_run(&loop, UV_RUN_ONCE);
    end_by_sigterm(&w);
    assert_int_equal(w.ready, 1);
}

static void test_never_answers_well(void **state)
{
    struct watch w = {0};
    (void)state;
    kind.readiness = ENGINE_READY_ANSWERS;
    start(&w, "busy", "1000000", 5000); /* enough to be asked on a busy machine */
    run_until(&w.gone);
    assert_int_equal(w.ready, 0);
    assert_true(w.how.timed_out);
    assert_log_has(&w, "GET /up?x=1 HTTP/1.1", true);
    assert_log_has(&w, "503", true);
    destroy(&w);
}

static void test_ready_by_a_line(void **state)
{
    struct watch w = {0};
    (void)state;
    kind.readiness = ENGINE_READY_REPORTED;
    kind.parse = parse;
    start(&w, "line", "0", 20000);
    run_until(&w.ready);
    assert_log_has(&w, "serving now", false); /* it is a report */
    end_by_sigterm(&w);
    kind.parse = NULL;
}

/* Stopped, destroyed, or gone by itself while it is being asked. */
static void test_ends_while_it_is_asked(void **state)
{
    struct watch w = {0}, v = {0}, u = {0};
    (void)state;
    kind.readiness = ENGINE_READY_ANSWERS;
    start(&w, "busy", "1000000", 0);
    start(&v, "busy", "1000000", 0);
    start(&u, "plain", "no number", 0);
    run_until(&u.gone);
    assert_int_equal(u.how.code, 1);
    engine_destroy(v.e);
    engine_destroy(u.e);
    assert_int_equal(v.gone, 0);
    engine_stop(w.e, true);
    run_until(&w.gone);
    destroy(&w);
    assert_int_equal(w.ready + u.ready + v.ready, 0);
}

/* --- one that survives SIGKILL
 *
 * As far as its parent can see: while another process traces it, its end is that one's to collect. So
 * it is for a process that waits in a driver, which cannot be made here.
 */

static pid_t trace(pid_t pid)
{
    int fds[2];
    char ok = 'n';
    assert_int_equal(pipe(fds), 0);
    pid_t tracer = fork();
    if (tracer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ok = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 ? 'y' : 'n';
        if (write(fds[1], &ok, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(fds[0], &ok, 1), 1);
    close(fds[0]);
    close(fds[1]);
    if (ok == 'y')
        return tracer;
    kill(tracer, SIGKILL);
    waitpid(tracer, NULL, 0);
    return 0;
}

static void release(pid_t tracer)
{
    kill(tracer, SIGKILL);
    waitpid(tracer, NULL, 0);
}

static void test_survives_sigkill(void **state)
{
    struct watch w = {0};
    (void)state;
    kind.readiness = ENGINE_READY_CONNECTED;
    start(&w, "plain", "0", 20000);
    run_until(&w.ready);
    pid_t tracer = trace(engine_pid(w.e));
    if (tracer) {
        engine_stop(w.e, true);
        run_until(&w.stuck);
        assert_int_equal(w.gone, 0);
        release(tracer);
        run_until(&w.gone); /* when it ends after all */
        assert_false(engine_is_stuck(w.e));
        assert_int_equal(w.how.signal, SIGKILL);
    }
    destroy(&w);
    if (!tracer)
        skip();
}

/* engine_destroy() comes back. */
static void test_destroyed_although_it_survives(void **state)
{
    struct watch w = {0};
    int status = 0;
    (void)state;
    start(&w, "plain", "0", 20000);
    run_until(&w.ready);
    pid_t pid = engine_pid(w.e), tracer = trace(pid);
    destroy(&w);
    assert_int_equal(w.gone, 0);
    if (!tracer)
        skip();
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* it is not reaped */
    release(tracer);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    char *path = mem_printf("%s/program", dir);
    FILE *f = fopen(path, "w");
    if (!f)
        return -1;
    fputs(program, f);
    fclose(f);
    int rc = chmod(path, 0700);
    free(path);
    return rc ? rc : uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    char *path = mem_printf("%s/program", dir);
    unlink(path);
    free(path);
    return uv_loop_close(&loop) || rmdir(dir) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_when_it_accepts),
        cmocka_unit_test(test_ready_when_it_answers),
        cmocka_unit_test(test_never_answers_well),
        cmocka_unit_test(test_ready_by_a_line),
        cmocka_unit_test(test_ends_while_it_is_asked),
        cmocka_unit_test(test_survives_sigkill),
        cmocka_unit_test(test_destroyed_although_it_survives),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
