/* SPDX-License-Identifier: MIT */
/*
 * Doctor's check of memory that is not held by the server's engines: llama-server processes without a router, and other
 * processes with memory on a GPU.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/doctor/doctor.h"
#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_model.h"
#include "engine/memory.h"

#define GPU_PROCESSES_MAX 256
#define ENGINE_NAME "llama-server"
#define CHILD_MODE "LLAMA_SERVER_ROUTER_PORT" /* in an engine's environment: it has a router */

struct scan {
    struct doctor *doctor;
    struct memory_figures figures;
};

static char *memory_held_by(const struct scan *l, pid_t pid)
{
    struct memory_use use;
    json_t *memory = json_object();
    memory_of_process(pid, &use);
    for (size_t i = 0; i < l->figures.n; i++)
        if (use.bytes[i])
            json_object_set_new(memory, l->figures.device[i].name,
                                json_integer((json_int_t)use.bytes[i]));
    char *text = format_model_memory(memory);
    json_decref(memory);
    return text;
}

static void add_word(struct buf *b, const char *text)
{
    char *word = format_shell(text);
    buf_printf(b, " %s", word);
    free(word);
}

/* What tells one process from another: its program, the words before any option, its model and its
 * port. Keys, tokens and passwords may stand in the rest, and doctor's output is pasted in public. */
static char *command_line(const struct procfs_process *p)
{
    static const char *const shown[] = {"-m", "--model", "-hf", "--hf-repo", "--port"};
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    buf_printf(&b, "%s", p->name);
    for (size_t i = 1; i < p->argv.n && *p->argv.v[i] != '-' && !strchr(p->argv.v[i], '='); i++)
        add_word(&b, p->argv.v[i]);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const char *value = procfs_setting(p, shown[i], NULL);
        if (value) {
            buf_printf(&b, " %s", shown[i]);
            add_word(&b, value);
        }
    }
    return buf_take(&b);
}

/* Only a finding that is wrong gets a command to end the process: others may be in use. */
static void add_memory_holder(const struct scan *l, const struct procfs_process *p,
                              enum doctor_level level, const char *what)
{
    char *held = memory_held_by(l, p->pid), *line = command_line(p);
    if (*held)
        doctor_add(l->doctor, level, "memory",
                   mem_printf("pid %d, %s, holds %s", (int)p->pid, p->name, held),
                   mem_printf("%s\n%s", what, line));
    if (*held && level == DOCTOR_WRONG)
        doctor_add_remedy(l->doctor, doctor_remedy(doctor_kill_command(p), NULL));
    free(line);
    free(held);
}

static bool is_engine_of(json_t *status, pid_t pid)
{
    size_t i;
    json_t *engine;
    json_array_foreach (json_object_get(status, "engines"), i, engine)
        if (cli_json_integer(engine, "pid") == pid)
            return true;
    return false;
}

/* The server that is asked about and whatever it has started, whatever its program is called now: an
 * upgrade replaces the file below a daemon that runs. */
static bool belongs_to_server(const struct doctor *d, const struct procfs_process *p)
{
    pid_t server =
        d->process.pid; /* what the status tells may be a container's or another machine's */
    return server && (p->pid == server || is_engine_of(d->router.status, p->pid) ||
                      procfs_has_ancestor(p, server));
}

static bool is_foreign(const struct doctor *d, const struct procfs_process *p)
{
    return !belongs_to_server(d, p) && !procfs_has_server_ancestor(p);
}

bool doctor_is_engine(const struct procfs_process *p)
{
    return procfs_setting(p, CHILD_MODE, CHILD_MODE) != NULL;
}

bool doctor_has_model(const struct procfs_process *p)
{
    static const struct {
        const char *option, *variable;
    } names[] = {{"-m", "LLAMA_ARG_MODEL"},    {"--model", NULL},
                 {"-hf", "LLAMA_ARG_HF_REPO"}, {"-hfr", NULL},
                 {"--hf-repo", NULL},          {"-mu", "LLAMA_ARG_MODEL_URL"},
                 {"--model-url", NULL},        {"-dr", "LLAMA_ARG_DOCKER_REPO"},
                 {"--docker-repo", NULL}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (procfs_setting(p, names[i].option, names[i].variable))
            return true;
    return false;
}

/* Reports an engine that outlived its router, and a server of its own. An engine whose parent lives has a router,
 * whatever that program is called. */
static void check_process(const struct procfs_process *p, void *ctx)
{
    const struct scan *l = ctx;
    bool is_child = doctor_is_engine(p);
    if (strcmp(p->name, ENGINE_NAME) != 0 || !is_foreign(l->doctor, p))
        return;
    if (is_child && procfs_is_orphan(p))
        add_memory_holder(l, p, DOCTOR_WRONG, "an engine whose router is gone");
    else if (!is_child)
        add_memory_holder(l, p, DOCTOR_NOTE,
                          doctor_has_model(p) || !p->env.n
                              ? "a server of its own, which no router unloads"
                              : "another router, whose engines are its own");
}

static void check_gpu_processes(struct scan *l)
{
    pid_t pids[GPU_PROCESSES_MAX];
    size_t n = memory_gpu_processes(pids, GPU_PROCESSES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct procfs_process p;
        if (procfs_read(pids[i], &p) && !procfs_is_server_name(p.name) && is_foreign(l->doctor, &p))
            add_memory_holder(l, &p, DOCTOR_NOTE, "none of the server's engines");
        procfs_process_finish(&p);
    }
}

void doctor_memory(struct doctor *d)
{
    struct scan l = {.doctor = d};
    size_t before = d->n;
    memory_init();
    memory_read(&l.figures);
    procfs_each(check_process, &l);
    check_gpu_processes(&l);
    memory_finish();
    if (d->n == before)
        doctor_add(d, DOCTOR_OK, "memory",
                   mem_strdup("no engine without a router, no other program on a GPU"), NULL);
}
