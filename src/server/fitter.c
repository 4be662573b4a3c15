/* SPDX-License-Identifier: MIT */
#include "server/fitter.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "base/memory.h"

#define CURIOUS_MAX 32

struct job {
    enum fitter_turn turn;
    struct engine_args args;
    struct strv env;
    fitter_told *told; /* NULL: nobody wants to know any more */
    void *ctx;
    struct fit fit;
    int rc;
    struct error err;
    TAILQ_ENTRY(job) link;
};

struct fitter {
    uv_loop_t *loop;
    char *engine;
    TAILQ_HEAD(, job) jobs; /* the first is being done */
    uv_work_t work;
    bool working, closing;
    unsigned n_curious;
    /* The worker's, of which there is one at a time: */
    bool looked;
    char *program;                  /* NULL: there is none */
    struct engine_options *options; /* NULL: it cannot be used */
    struct error err;
};

struct fitter *fitter_create(uv_loop_t *loop, const char *engine)
{
    struct fitter *f = mem_zalloc(sizeof *f);
    f->loop = loop;
    f->engine = mem_strdup(engine);
    f->work.data = f;
    TAILQ_INIT(&f->jobs);
    return f;
}

static void free_job(struct fitter *f, struct job *j)
{
    TAILQ_REMOVE(&f->jobs, j, link);
    f->n_curious -= j->turn == FITTER_LAST;
    engine_args_finish(&j->args);
    strv_finish(&j->env);
    free(j);
}

static void end(struct fitter *f)
{
    struct job *j;
    while ((j = TAILQ_FIRST(&f->jobs)))
        free_job(f, j); // NOLINT(clang-analyzer-unix.Malloc): free_job() takes it out
    engine_options_destroy(f->options);
    free(f->program);
    free(f->engine);
    free(f);
}

static void look(struct fitter *f)
{
    f->looked = true;
    f->program = fit_find(f->engine);
    if (!f->program)
        error_set(&f->err, -1, "there is no llama-fit-params beside %s or on PATH", f->engine);
    else if (fit_options(&f->options, f->program, &f->err))
        f->options = NULL;
}

static void do_job(uv_work_t *work)
{
    struct fitter *f = work->data;
    struct job *j = TAILQ_FIRST(&f->jobs);
    if (!f->looked)
        look(f);
    if (f->options)
        j->rc = fit_run(&j->fit, f->program, f->options, &j->args, &j->env, &j->err);
    else
        j->rc = error_set(&j->err, -1, "%s", f->err.text);
}

static void begin(struct fitter *f);

static void on_done(uv_work_t *work, int status)
{
    struct fitter *f = work->data;
    struct job *j = TAILQ_FIRST(&f->jobs);
    (void)status;
    if (!f->closing && j->told)
        j->told(j->rc ? NULL : &j->fit, j->rc ? j->err.text : NULL, j->ctx);
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
    while ((j = TAILQ_FIRST(&f->jobs)) && !j->told) // NOLINT(clang-analyzer-unix.Malloc): likewise
        free_job(f, j);
    if (j)
        f->working = uv_queue_work(f->loop, &f->work, do_job, on_done) == 0;
}

/* Before those of the curious, but not before the one that is being done. */
static void insert_first(struct fitter *f, struct job *new)
{
    struct job *j = TAILQ_FIRST(&f->jobs);
    while (j && (j->turn == FITTER_FIRST || (f->working && j == TAILQ_FIRST(&f->jobs))))
        j = TAILQ_NEXT(j, link);
    if (j)
        TAILQ_INSERT_BEFORE(j, new, link);
    else
        TAILQ_INSERT_TAIL(&f->jobs, new, link);
}

bool fitter_ask(struct fitter *f, const struct engine_args *args, const struct strv *env,
                enum fitter_turn turn, fitter_told *told, void *ctx)
{
    if (turn == FITTER_LAST && f->n_curious >= CURIOUS_MAX)
        return false;
    struct job *j = mem_zalloc(sizeof *j);
    j->turn = turn;
    f->n_curious += turn == FITTER_LAST;
    engine_args_merge(&j->args, args);
    strv_copy(&j->env, env);
    j->told = told;
    j->ctx = ctx;
    if (turn == FITTER_FIRST)
        insert_first(f, j);
    else
        TAILQ_INSERT_TAIL(&f->jobs, j, link);
    begin(f);
    return true;
}

void fitter_forget(struct fitter *f, const void *ctx)
{
    struct job *j;
    TAILQ_FOREACH (j, &f->jobs, link)
        if (j->ctx == ctx)
            j->told = NULL;
}

void fitter_close(struct fitter *f)
{
    f->closing = true;
    if (!f->working)
        end(f);
}
