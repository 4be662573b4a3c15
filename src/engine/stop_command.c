/* SPDX-License-Identifier: MIT */
#include "engine/stop_command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/environment.h"
#include "engine/process.h"

struct stop_command {
    struct process process;
    char *name;
};

static void on_closed(struct process *p)
{
    struct stop_command *c = container_of(p, struct stop_command, process);
    free(c->name);
    free(c);
}

static void on_timeout(struct process *p)
{
    log_warn("stop command of %s (pid %d): not over in time, killed", p->name, (int)p->pid);
}

static void on_gone(struct process *p)
{
    if (p->how.code)
        log_warn("stop command of %s (pid %d): exit code %d, signal %d", p->name, (int)p->pid,
                 p->how.code, p->how.signal);
    process_close(p, on_closed);
}

static const struct process_events events = {.timeout = on_timeout, .gone = on_gone};

static void add_word(struct strv *argv, const char *word, pid_t pid)
{
    static const char macro[] = "${PID}";
    const char *at = strstr(word, macro);
    if (at)
        strv_addf(argv, "%.*s%d%s", (int)(at - word), word, (int)pid, at + sizeof macro - 1);
    else
        strv_add(argv, word);
}

void stop_command_run(uv_loop_t *loop, const char *name, const struct strv *words,
                      const struct strv *env, pid_t pid, uint64_t timeout_ms)
{
    struct stop_command *c = mem_zalloc(sizeof *c);
    struct strv argv = {0}, all = {0};
    assert(words->n);
    for (size_t i = 0; i < words->n; i++)
        add_word(&argv, words->v[i], pid);
    environment_compose(&all, environ, env);
    c->name = mem_strdup(name);
    process_init(&c->process, "stop command of", c->name, NULL, &events);
    int rc = process_start(&c->process, loop, argv.v, all.v, NULL);
    if (rc) {
        log_error("stop command of %s: cannot start %s: %s", name, words->v[0], strerror(-rc));
        process_close(&c->process, on_closed);
    } else {
        process_limit(&c->process, timeout_ms);
    }
    strv_finish(&argv);
    strv_finish(&all);
}
