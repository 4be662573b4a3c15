/* SPDX-License-Identifier: MIT */
/*
 * Downloads by the real llama-server (LLAMA_SERVER) from tests/fake_hub.py, and by small scripts in
 * its place. To be run from the root of the repository.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/download.h"
#include "engine/spawn.h"

#define MODEL "tiny-Q4_K_M.gguf"
#define MMPROJ "mmproj-F16.gguf"

static char dir[] = "/tmp/hostler-test-download-XXXXXX";
static uv_loop_t loop;
static struct spawned hub;
static char *endpoint; /* HF_ENDPOINT=…; NULL without a real engine */

/* What is seen of one download. */
struct watch {
    struct download *d;
    int reports, done;
    uint64_t model_first, model_done, model_total,
        mmproj_done; /* bytes; `first`: of the first report */
    enum download_outcome outcome;
    bool cancel_at_progress, destroy_at_progress;
};

static void on_progress(struct download *d, const char *url, uint64_t done, uint64_t total,
                        void *ctx)
{
    struct watch *w = ctx;
    assert_int_equal(w->done, 0);
    assert_true(done <= total);
    w->reports++;
    if (strstr(url, MODEL)) {
        assert_true(done >= w->model_done);
        w->model_first = w->model_first ? w->model_first : done;
        w->model_done = done;
        w->model_total = total;
    } else if (strstr(url, MMPROJ)) {
        w->mmproj_done = done;
    }
    if (w->model_done && w->cancel_at_progress)
        download_cancel(d);
    if (w->model_done && w->destroy_at_progress)
        download_destroy(d);
}

static void on_done(struct download *d, enum download_outcome outcome, void *ctx)
{
    struct watch *w = ctx;
    assert_ptr_equal(d, w->d);
    w->done++;
    w->outcome = outcome;
}

static const struct download_events events = {on_progress, on_done};

/* --- the hub */

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

/* How repository u/m misbehaves from now on. Without a real engine the test ends here. */
static void order(const char *json)
{
    if (!endpoint)
        skip();
    char *path = mem_printf("%s/hub/u/m.fake", dir);
    write_file(path, json, 0600);
    free(path);
}

static void __attribute__((format(printf, 1, 2))) run_command(const char *format, ...)
{
    va_list ap;
    char *command = NULL;
    va_start(ap, format);
    assert_true(vasprintf(&command, format, ap) > 0);
    va_end(ap);
    assert_int_equal(system(command), 0);
    free(command);
}

static void start_hub(void)
{
    char root[128], port[16] = "";
    char *const argv[] = {"/usr/bin/env", "python3", "tests/fake_hub.py", root, NULL};
    snprintf(root, sizeof root, "%s/hub", dir);
    run_command("mkdir -p %s/u/m && cd %s/u/m && python3 $OLDPWD/tests/tiny_model.py " MODEL
                " && python3 $OLDPWD/tests/tiny_model.py --mmproj " MMPROJ,
                root, root);
    assert_int_equal(spawn(&hub, argv[0], argv, environ, NULL, -1), 0);
    assert_true(read(hub.out, port, sizeof port - 1) > 0);
    endpoint = mem_printf("HF_ENDPOINT=http://127.0.0.1:%d", atoi(port));
}

/* --- starting and waiting */

static int start_with(struct watch *w, const char *repo, const char *binary, const char *more)
{
    struct error err = {""};
    struct strv env = {0};
    struct download_spec spec = {
        .kind = engine_kind_default(), .repo = repo, .binary = binary, .env = &env};
    strv_addf(&env, "HF_HOME=%s/home", dir);
    if (endpoint)
        strv_add(&env, endpoint);
    if (more)
        strv_add(&env, more);
    int rc = download_start(&w->d, &loop, &spec, &events, w, &err);
    assert_int_equal(rc == 0, err.text[0] == '\0');
    strv_finish(&env);
    return rc;
}

static void start(struct watch *w, const char *repo, const char *more)
{
    if (!endpoint)
        skip();
    assert_int_equal(start_with(w, repo, getenv("LLAMA_SERVER"), more), 0);
}

static void start_script(struct watch *w, const char *text)
{
    char *path = mem_printf("%s/script", dir);
    write_file(path, text, 0700);
    assert_int_equal(start_with(w, "u/script:Q1", path, NULL), 0);
    free(path);
}

static void on_limit(uv_timer_t *t)
{
    (void)t;
    fail_msg("waited for 20 s");
}

static void run_until(const int *flag, int value)
{
    uv_timer_t limit;
    uv_timer_init(&loop, &limit);
    uv_timer_start(&limit, on_limit, 20000, 0);
    while (*flag < value)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void assert_log_has(struct watch *w, const char *text)
{
    char *log = download_log_tail(w->d, 1000);
    if (!strstr(log, text))
        fail_msg("no `%s` in: %s", text, log);
    free(log);
}

static void end(struct watch *w, enum download_outcome outcome)
{
    run_until(&w->done, 1);
    assert_string_equal(download_outcome_name(w->outcome), download_outcome_name(outcome));
    download_destroy(w->d);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(w->done, 1);
}

/* Whether a file of this name, or part of one, is in the cache; links are followed. */
static bool is_cached(const char *pattern)
{
    char *command =
        mem_printf("find -L %s/home/hub -type f -name '%s' 2>/dev/null | grep -q .", dir, pattern);
    bool found = system(command) == 0;
    free(command);
    return found;
}

static void empty_cache(void)
{
    run_command("rm -rf %s/home", dir);
}

/* --- the ordinary life */

static void test_fetches(void **state)
{
    struct watch w = {0}, again = {0};
    (void)state;
    order("{}");
    start(&w, "u/m:Q4_K_M", NULL);
    assert_string_equal(download_repo(w.d), "u/m:Q4_K_M");
    assert_int_equal(w.reports, 0); /* events come from the loop only */
    end(&w, DOWNLOAD_DONE);
    assert_true(w.model_total > 100000 && w.model_done == w.model_total);
    assert_true(w.mmproj_done > 0);
    assert_true(is_cached(MODEL) && is_cached(MMPROJ));
    start(&again, "u/m:Q4_K_M", NULL);
    end(&again, DOWNLOAD_NOTHING);
    assert_int_equal(again.reports, 0);
    empty_cache();
}

static void test_progress(void **state)
{
    struct watch w = {0};
    (void)state;
    order("{\"rate\":700000}");
    start(&w, "u/m:q4_k_m", NULL);
    run_until(&w.reports, 5);
    assert_true(w.model_done < w.model_total);
    end(&w, DOWNLOAD_DONE);
    assert_true(w.model_done == w.model_total);
    empty_cache();
}

static void test_token(void **state)
{
    struct watch without = {0}, with = {0};
    (void)state;
    order("{\"token\":\"hf_abcdefghijklmnopqrstuvwxyz0123456789\"}");
    start(&without, "u/m:Q4_K_M", NULL);
    run_until(&without.done, 1);
    assert_log_has(&without, "401");
    end(&without, DOWNLOAD_NOTHING);
    setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz0123456789", 1);
    start(&with, "u/m:Q4_K_M", NULL); /* the daemon's own reaches it */
    end(&with, DOWNLOAD_DONE);
    unsetenv("HF_TOKEN");
    empty_cache();
}

/* --- failures */

static void test_finds_nothing(void **state)
{
    struct watch repo = {0}, tag = {0}, hub_gone = {0};
    (void)state;
    order("{}");
    start(&repo, "u/none:Q4_K_M", NULL);
    run_until(&repo.done, 1);
    assert_log_has(&repo, "404");
    end(&repo, DOWNLOAD_NOTHING);
    start(&tag, "u/m:Q5_0", NULL);
    run_until(&tag.done, 1);
    assert_log_has(&tag, "no GGUF files found");
    end(&tag, DOWNLOAD_NOTHING);
    start(&hub_gone, "u/m:Q4_K_M", "MODEL_ENDPOINT=http://127.0.0.1:1/");
    end(&hub_gone, DOWNLOAD_NOTHING);
    empty_cache();
}

static void test_fails(void **state)
{
    struct watch w = {0};
    (void)state;
    order("{\"file_status\":404}");
    start(&w, "u/m:Q4_K_M", NULL);
    run_until(&w.done, 1);
    assert_log_has(&w, "failed with status code: 404");
    end(&w, DOWNLOAD_FAILED);
    assert_false(is_cached(MODEL));
    empty_cache();
}

static void test_no_repository(void **state)
{
    struct watch w = {0}, v = {0};
    (void)state;
    assert_int_equal(start_with(&v, "", "/bin/true", NULL), -EINVAL);
    assert_int_equal(start_with(&v, "nonsense", "/bin/true", NULL), -EINVAL);
    start(&w, "a/b/c:Q4_K_M", NULL); /* exits without a report */
    run_until(&w.done, 1);
    assert_log_has(&w, "invalid HF repo format");
    end(&w, DOWNLOAD_FAILED);
}

static void test_no_such_binary(void **state)
{
    struct watch w = {0};
    (void)state;
    assert_int_equal(start_with(&w, "u/m:Q1", "/nonexistent/llama-server", NULL), -ENOENT);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(w.done, 0);
}

static void test_no_download_mode(void **state)
{
    struct watch w = {0};
    (void)state;
    start_script(&w, "#!/bin/sh\n"
                     "echo 'cmd_child_to_router:state:{\"state\":\"loading\",\"payload\":{}}'\n"
                     "exec sleep 60\n");
    end(&w, DOWNLOAD_FAILED);
}

static void test_dies(void **state)
{
    struct watch w = {0};
    (void)state;
    start_script(&w, "#!/bin/sh\n"
                     "echo 'cmd_child_to_router:state:{\"state\":\"downloading\",\"payload\":"
                     "{\"url\":\"http://h/f\",\"downloaded\":-7,\"total\":\"x\"}}'\n"
                     "kill -9 $$\n");
    end(&w, DOWNLOAD_FAILED);
    assert_int_equal(w.reports, 1);
}

/* --- the end */

static bool is_alive(pid_t pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    char *got = fgets(line, sizeof line, f);
    fclose(f);
    const char *after = strrchr(line, ')');
    return got && after && after[2] != 'Z' && after[2] != 'X';
}

static void test_cancel(void **state)
{
    struct watch w = {.cancel_at_progress = true};
    (void)state;
    order("{\"rate\":100000}");
    start(&w, "u/m:Q4_K_M", NULL);
    end(&w, DOWNLOAD_CANCELLED);
    assert_true(w.model_done < w.model_total);
    assert_false(is_cached(MODEL) || is_cached("*.downloadInProgress"));
    empty_cache();
}

static void test_cancel_at_once(void **state)
{
    struct watch w = {0};
    (void)state;
    order("{\"hang\":\"refs\"}"); /* it does not listen then */
    start(&w, "u/m:Q4_K_M", NULL);
    download_cancel(w.d);
    download_cancel(w.d);
    end(&w, DOWNLOAD_CANCELLED);
    empty_cache();
}

/* The engine gives up after 300 s without a byte; until then it does not notice the line. */
static void test_cancel_while_the_hub_hangs(void **state)
{
    struct watch w = {0};
    (void)state;
    order("{\"hang\":\"get\"}");
    start(&w, "u/m:Q4_K_M", NULL);
    run_until(&w.reports, 1);
    download_cancel(w.d);
    end(&w, DOWNLOAD_CANCELLED);
    empty_cache();
}

static void test_cancel_of_a_deaf_one(void **state)
{
    struct watch w = {0};
    (void)state;
    start_script(&w, "#!/bin/sh\n"
                     "echo 'cmd_child_to_router:state:{\"state\":\"downloading\",\"payload\":"
                     "{\"url\":\"http://h/f\"}}'\n"
                     "exec sleep 60\n");
    run_until(&w.reports, 1);
    download_cancel(w.d);
    uint64_t before = uv_hrtime();
    end(&w, DOWNLOAD_CANCELLED);
    assert_true((uv_hrtime() - before) / 1000000 >= 1990); /* by the second step */
}

static void test_goes_on_where_it_was(void **state)
{
    struct watch w = {0}, again = {0};
    (void)state;
    order("{\"rate\":300000}");
    start(&w, "u/m:Q4_K_M", NULL);
    while (w.model_done < 50000)
        run_until(&w.reports, w.reports + 1);
    kill(download_pid(w.d), SIGKILL);
    end(&w, DOWNLOAD_FAILED);
    order("{\"cut_at\":480000}"); /* enough for the rest only, else it tries again after 2 s */
    start(&again, "u/m:Q4_K_M", NULL);
    end(&again, DOWNLOAD_DONE);
    assert_true(again.model_first >= 50000);
    assert_true(is_cached(MODEL));
    empty_cache();
}

static void test_destroy(void **state)
{
    struct watch w = {.destroy_at_progress = true}, v = {0};
    (void)state;
    order("{\"rate\":100000}");
    start(&w, "u/m:Q4_K_M", NULL);
    pid_t pid = download_pid(w.d);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(w.done, 0); /* not told any more */
    assert_false(is_alive(pid));
    start(&v, "u/m:Q4_K_M", NULL);
    pid = download_pid(v.d);
    download_destroy(v.d);
    assert_false(is_alive(pid));
    uv_run(&loop, UV_RUN_DEFAULT);
    download_destroy(NULL);
    empty_cache();
}

static void test_destroy_amid_reports(void **state)
{
    struct watch w = {.destroy_at_progress = true};
    (void)state;
    start_script(&w, "#!/bin/sh\n"
                     "l='cmd_child_to_router:state:{\"state\":\"downloading\",\"payload\":"
                     "{\"url\":\"http://h/" MODEL "\",\"downloaded\":7,\"total\":9}}'\n"
                     "printf '%s\\n%s\\n%s\\n' \"$l\" \"$l\" \"$l\"\nexec sleep 60\n");
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(w.reports, 1);
    assert_int_equal(w.done, 0);
}

static void on_doomed_progress(struct download *d, const char *url, uint64_t done, uint64_t total,
                               void *ctx)
{
    pid_t pid = download_pid(d);
    (void)url;
    (void)done;
    (void)total;
    if (write(*(int *)ctx, &pid, sizeof pid) != sizeof pid)
        _exit(2);
}

/* A daemon that says its download's pid with each progress; else it only runs. */
static void __attribute__((noreturn)) run_doomed(int fd)
{
    static const struct download_events doomed = {on_doomed_progress, on_done};
    struct download *d;
    struct error err;
    struct strv env = {0};
    uv_loop_t own;
    struct download_spec spec = {engine_kind_default(), "u/m:Q4_K_M", getenv("LLAMA_SERVER"), &env};
    strv_addf(&env, "HF_HOME=%s/home", dir);
    strv_add(&env, endpoint);
    if (uv_loop_init(&own) || download_start(&d, &own, &spec, &doomed, &fd, &err))
        _exit(1);
    uv_run(&own, UV_RUN_DEFAULT);
    _exit(3);
}

static void test_daemon_is_killed(void **state)
{
    int fds[2];
    pid_t pid = 0;
    (void)state;
    if (!endpoint)
        skip();
    order("{\"rate\":100000}");
    assert_int_equal(pipe(fds), 0);
    pid_t daemon = fork();
    if (daemon == 0)
        run_doomed(fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], &pid, sizeof pid), sizeof pid);
    assert_true(is_alive(pid));
    kill(daemon, SIGKILL);
    waitpid(daemon, NULL, 0);
    close(fds[0]);
    for (int i = 0; i < 5000 && is_alive(pid); i++)
        usleep(1000);
    assert_false(is_alive(pid));
    empty_cache();
}

/* --- what it is told */

static void test_environment(void **state)
{
    struct watch w = {0};
    (void)state;
    setenv("HF_TOKEN", "hf_of_the_daemon", 1);
    setenv("LLAMA_API_KEY", "key", 1);
    start_script(&w, "#!/bin/sh\nenv | sort\necho args $# \"$@\"\n");
    run_until(&w.done, 1);
    assert_log_has(&w, "HF_TOKEN=hf_of_the_daemon");
    assert_log_has(&w, "LLAMA_SERVER_CHILD_MODE=download");
    assert_log_has(&w, "LLAMA_SERVER_ROUTER_PORT=");
    assert_log_has(&w, "LLAMA_ARG_HF_REPO=u/script:Q1");
    assert_log_has(&w, "args 0");
    char *log = download_log_tail(w.d, 1000);
    assert_null(strstr(log, "LLAMA_API_KEY"));
    free(log);
    end(&w, DOWNLOAD_FAILED);
    unsetenv("HF_TOKEN");
    unsetenv("LLAMA_API_KEY");
}

static int setup(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    if (!mkdtemp(dir) || uv_loop_init(&loop))
        return -1;
    if (getenv("LLAMA_SERVER"))
        start_hub();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (endpoint) {
        close(hub.in); /* it ends then */
        close(hub.out);
        close(hub.err);
        waitpid(hub.pid, NULL, 0);
    }
    run_command("rm -r %s", dir);
    free(endpoint);
    return uv_loop_close(&loop); /* -EBUSY when a handle is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetches),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_finds_nothing),
        cmocka_unit_test(test_fails),
        cmocka_unit_test(test_no_repository),
        cmocka_unit_test(test_no_such_binary),
        cmocka_unit_test(test_no_download_mode),
        cmocka_unit_test(test_dies),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_at_once),
        cmocka_unit_test(test_cancel_while_the_hub_hangs),
        cmocka_unit_test(test_cancel_of_a_deaf_one),
        cmocka_unit_test(test_goes_on_where_it_was),
        cmocka_unit_test(test_destroy),
        cmocka_unit_test(test_destroy_amid_reports),
        cmocka_unit_test(test_daemon_is_killed),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
