/* SPDX-License-Identifier: MIT */
#include "server/fitter.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/memory.h"

#define LATER_MAX 32

struct job {
    enum fitter_turn turn;
    const struct engine_program *program;
    struct engine_question question; /* of these: */
    struct engine_args args;
    struct strv env;
    struct memory_figures machine;
    fitter_done *done; /* NULL: cancelled */
    void *ctx;
    struct engine_estimate result;
    int rc;
    struct error err;
    TAILQ_ENTRY(job) link;
};

/* What a program's dry run needs, once it was opened. */
struct tool {
    const struct engine_program *program;
    void *handle;     /* NULL: it cannot be used, */
    struct error err; /* which says why */
    SLIST_ENTRY(tool) link;
};

struct fitter {
    uv_loop_t *loop;
    TAILQ_HEAD(, job) jobs; /* the first one runs */
    uv_work_t work;
    bool working, closing;
    unsigned n_later;
    SLIST_HEAD(, tool) tools; /* used by the job that runs alone */
};

struct fitter *fitter_create(uv_loop_t *loop)
{
    struct fitter *f = mem_zalloc(sizeof *f);
    f->loop = loop;
    SLIST_INIT(&f->tools);
    f->work.data = f;
    TAILQ_INIT(&f->jobs);
    return f;
}

static void free_job(struct fitter *f, struct job *j)
{
    TAILQ_REMOVE(&f->jobs, j, link);
    f->n_later -= j->turn == FITTER_LATER;
    engine_args_finish(&j->args);
    strv_finish(&j->env);
    free(j);
}

static void end(struct fitter *f)
{
    struct job *j;
    struct tool *tool;
    while ((j = TAILQ_FIRST(&f->jobs)))
        free_job(f, j); // NOLINT(clang-analyzer-unix.Malloc): free_job() takes it out
    while ((tool = SLIST_FIRST(&f->tools))) {
        SLIST_REMOVE_HEAD(&f->tools, link);
        if (tool->handle)
            tool->program->kind->dry_run->close(tool->handle);
        free(tool); // NOLINT(clang-analyzer-unix.Malloc): it is out of the list
    }
    free(f);
}

static struct tool *tool_of(struct fitter *f, const struct engine_program *program)
{
    struct tool *tool;
    SLIST_FOREACH(tool, &f->tools, link)
    if (tool->program == program)
        return tool;
    tool = mem_zalloc(sizeof *tool);
    tool->program = program;
    if (program->kind->dry_run->open(&tool->handle, program->path, &tool->err))
        tool->handle = NULL;
    SLIST_INSERT_HEAD(&f->tools, tool, link);
    return tool;
}

static void do_job(uv_work_t *work)
{
    struct fitter *f = work->data;
    struct job *j = TAILQ_FIRST(&f->jobs);
    struct tool *tool = tool_of(f, j->program);
    if (tool->handle)
        j->rc = j->program->kind->dry_run->run(tool->handle, &j->result, &j->question, &j->err);
    else
        j->rc = error_set(&j->err, -ENOENT, "%s", tool->err.text);
}

static void begin(struct fitter *f);

static void on_done(uv_work_t *work, int status)
{
    struct fitter *f = work->data;
    struct job *j = TAILQ_FIRST(&f->jobs);
    (void)status;
    if (!f->closing && j->done)
        j->done(j->rc ? NULL : &j->result, j->rc ? j->err.text : NULL, j->ctx);
    free_job(f, j);
    f->working = false;
    if (f->closing)
        end(f);
    else
        begin(f);
}

static void begin(struct fitter *f)
{
    struct job *j;
    if (f->working)
        return;
    while ((j = TAILQ_FIRST(&f->jobs)) && !j->done) // NOLINT(clang-analyzer-unix.Malloc): likewise
        free_job(f, j);
    if (j)
        f->working = uv_queue_work(f->loop, &f->work, do_job, on_done) == 0;
}

/* Before those that may come later, but not before the job that runs. */
static void insert_urgent(struct fitter *f, struct job *new)
{
    struct job *j = TAILQ_FIRST(&f->jobs);
    while (j && (j->turn == FITTER_URGENT || (f->working && j == TAILQ_FIRST(&f->jobs))))
        j = TAILQ_NEXT(j, link);
    if (j)
        TAILQ_INSERT_BEFORE(j, new, link);
    else
        TAILQ_INSERT_TAIL(&f->jobs, new, link);
}

bool fitter_ask(struct fitter *f, const struct engine_program *program,
                const struct engine_question *q, enum fitter_turn turn, fitter_done *done,
                void *ctx)
{
    if (turn == FITTER_LATER && f->n_later >= LATER_MAX)
        return false;
    struct job *j = mem_zalloc(sizeof *j);
    *j = (struct job){.turn = turn, .program = program, .question = *q, .done = done, .ctx = ctx};
    engine_args_merge(&j->args, q->args);
    strv_copy(&j->env, q->env);
    j->question.args = &j->args;
    j->question.env = &j->env;
    if (q->machine) {
        j->machine = *q->machine;
        j->question.machine = &j->machine;
    }
    f->n_later += turn == FITTER_LATER;
    if (turn == FITTER_URGENT)
        insert_urgent(f, j);
    else
        TAILQ_INSERT_TAIL(&f->jobs, j, link);
    begin(f);
    return true;
}

void fitter_cancel(struct fitter *f, const void *ctx)
{
    struct job *j;
    TAILQ_FOREACH (j, &f->jobs, link)
        if (j->ctx == ctx)
            j->done = NULL;
}

void fitter_close(struct fitter *f)
{
    f->closing = true;
    if (!f->working)
        end(f);
}
