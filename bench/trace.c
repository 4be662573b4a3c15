/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Of a load whose time depends on the model's size. */
enum { LOAD_FIXED_MS = 1000, LOAD_MS_A_GB = 1000, STOP_MS = 500 };

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("traces: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t draw(struct trace *t)
{
    uint64_t z = (t->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t between(struct trace *t, uint64_t low, uint64_t high)
{
    return low + draw(t) % (high - low + 1);
}

/* Gaps of arrivals that know nothing of each other. */
static uint64_t exponential(struct trace *t, double mean)
{
    double u = ((double)(draw(t) >> 11) + 1) / 9007199254740993.0;
    return (uint64_t)(-mean * log(u));
}

/* Whose load and stop take as long as they are told to. */
static void add_model_of(struct trace *t, unsigned gb, uint64_t load_ms, uint64_t stop_ms)
{
    t->gb[t->n_models] = gb;
    t->load_ms[t->n_models] = load_ms;
    t->stop_ms[t->n_models++] = stop_ms;
}

static void add_model(struct trace *t, unsigned gb, int priority)
{
    t->priority[t->n_models] = priority;
    add_model_of(t, gb, LOAD_FIXED_MS + LOAD_MS_A_GB * (uint64_t)gb, STOP_MS);
}

static void begin_session(struct trace *t, bool open)
{
    if (t->n_sessions == SESSIONS_MAX)
        die("more than %d sessions", SESSIONS_MAX);
    t->sessions[t->n_sessions++] = (struct session){.open = open, .first = t->n_tasks};
}

static void add_task(struct trace *t, unsigned model, uint64_t gap_ms, uint64_t run_ms)
{
    if (t->n_tasks == TASKS_MAX)
        die("more than %d requests", TASKS_MAX);
    t->sessions[t->n_sessions - 1].n++;
    t->tasks[t->n_tasks++] = (struct task){
        .model = model, .session = t->n_sessions - 1, .gap_ms = gap_ms, .run_ms = run_ms};
}

/* Whoever uses one model all the time, and is not in a hurry. */
static void add_user(struct trace *t, unsigned model, unsigned n, uint64_t gap_ms)
{
    begin_session(t, false);
    for (unsigned i = 0; i < n; i++)
        add_task(t, model, exponential(t, (double)gap_ms), between(t, 2000, 8000));
}

static void add_stream(struct trace *t, unsigned model, unsigned n, uint64_t gap_ms)
{
    begin_session(t, true);
    for (unsigned i = 0; i < n; i++)
        add_task(t, model, exponential(t, (double)gap_ms), between(t, 2000, 8000));
}

/* Two people, each with a model of their own, in bursts of requests; only one model fits. */
static void add_ping_pong(struct trace *t, uint64_t pause_least, uint64_t pause_most)
{
    t->budget_gb = 24;
    for (unsigned model = 0; model < 2; model++) {
        add_model(t, 14, 0);
        begin_session(t, false);
        for (unsigned burst = 0; burst < 40; burst++) {
            unsigned n = (unsigned)between(t, 4, 12);
            for (unsigned i = 0; i < n; i++)
                add_task(t, model,
                         i ? between(t, pause_least, pause_most) : between(t, 20000, 120000),
                         between(t, 2000, 6000));
        }
    }
}

static void make_ping_pong(struct trace *t)
{
    add_ping_pong(t, 500, 3000);
}

/* The same with pauses for thought: whoever waits for the end of a pause often does so in vain. */
static void make_slow_ping_pong(struct trace *t)
{
    add_ping_pong(t, 4000, 20000);
}

/* A large model that four people use, and four others that are asked for now and then. */
static void make_hot(struct trace *t)
{
    static const unsigned visitors[] = {5, 7, 9, 11};
    t->budget_gb = 24;
    add_model(t, 12, 0);
    for (unsigned i = 0; i < 4; i++)
        add_user(t, 0, 300, 8000);
    for (unsigned i = 0; i < 4; i++) {
        add_model(t, visitors[i], 0);
        add_stream(t, i + 1, 40, 90000);
    }
}

/* Models of different sizes, all of which are used, and which together do not quite fit. */
static void make_over(struct trace *t)
{
    static const unsigned sizes[] = {12, 6, 4, 3, 2};
    t->budget_gb = 24;
    for (unsigned i = 0; i < 5; i++) {
        add_model(t, sizes[i], 0);
        add_stream(t, i, 120, between(t, 20000, 60000));
    }
}

/* The same with models of one size: there a budget of memory is as good as a number of engines. */
static void make_equal(struct trace *t)
{
    t->budget_gb = 24;
    for (unsigned i = 0; i < 5; i++) {
        add_model(t, 8, 0);
        add_stream(t, i, 480 >> i, 15000u << i);
    }
}

/* Agents that go from model to model every few seconds; two of three fit. */
static void make_agents(struct trace *t)
{
    static const unsigned sizes[] = {10, 8, 7};
    t->budget_gb = 20;
    for (unsigned i = 0; i < 3; i++)
        add_model(t, sizes[i], 0);
    for (unsigned agent = 0; agent < 4; agent++) {
        unsigned model = agent % 3;
        begin_session(t, false);
        for (unsigned i = 0; i < 200; i++) {
            add_task(t, model, between(t, 200, 3000), between(t, 1000, 5000));
            model = (model + (unsigned)between(t, 0, 2)) % 3;
        }
    }
}

/* People who chat, and two batches of low priority that never rest. All three do not fit. */
static void make_priorities(struct trace *t)
{
    static const unsigned batches[] = {9, 12};
    t->budget_gb = 24;
    add_model(t, 10, 10);
    for (unsigned i = 0; i < 2; i++)
        add_user(t, 0, 120, 25000);
    for (unsigned i = 0; i < 2; i++) {
        add_model(t, batches[i], 0);
        begin_session(t, false);
        for (unsigned k = 0; k < 250; k++)
            add_task(t, i + 1, between(t, 100, 1000), between(t, 3000, 12000));
    }
}

/* --- Clients that leave no pauses ----------------------------------------------------------- */

/* What a program does between an answer and its next request. */
static uint64_t no_pause(struct trace *t)
{
    return between(t, 0, 3);
}

/* A program that works for `jobs` jobs of `least` to `most` requests, one after the other, and rests between jobs. */
static void add_program(struct trace *t, unsigned model, unsigned jobs, unsigned least,
                        unsigned most, uint64_t run_ms, uint64_t rest_ms)
{
    begin_session(t, false);
    for (unsigned job = 0; job < jobs; job++) {
        unsigned n = (unsigned)between(t, least, most);
        for (unsigned i = 0; i < n; i++)
            add_task(t, model, i ? no_pause(t) : exponential(t, (double)rest_ms),
                     between(t, run_ms / 3, run_ms * 5 / 3));
    }
}

/* One place. Two programs on the first model have a long job, and those on the others short ones, now and then. */
static void add_programs(struct trace *t, unsigned models, uint64_t load_ms, uint64_t run_ms)
{
    t->budget_gb = 10;
    for (unsigned model = 0; model < models; model++)
        add_model_of(t, 10, load_ms, load_ms / 8);
    for (unsigned i = 0; i < 2; i++)
        add_program(t, 0, 1, 300, 400, run_ms, run_ms);
    for (unsigned model = 1; model < models; model++)
        add_program(t, model, 8, 3, 12, run_ms, 40 * run_ms);
}

static void make_quick_loops(struct trace *t)
{
    add_programs(t, 2, 70, 150);
}

static void make_loops(struct trace *t)
{
    add_programs(t, 2, 1000, 1000);
}

static void make_slow_loops(struct trace *t)
{
    add_programs(t, 2, 20000, 10000);
}

static void make_four_models(struct trace *t)
{
    add_programs(t, 4, 1500, 1500);
}

/* Two programs that never rest, and visitors to two other models. */
static void add_busy_resident(struct trace *t, unsigned n, uint64_t load_ms, uint64_t run_ms,
                              unsigned visits, uint64_t gap_ms)
{
    t->budget_gb = 10;
    add_model_of(t, 10, load_ms, load_ms / 8);
    for (unsigned i = 0; i < 2; i++) {
        begin_session(t, false);
        for (unsigned k = 0; k < n; k++)
            add_task(t, 0, no_pause(t), between(t, run_ms / 3, run_ms * 5 / 3));
    }
    for (unsigned model = 1; model < 3; model++) {
        add_model_of(t, 10, load_ms, load_ms / 8);
        begin_session(t, true);
        for (unsigned k = 0; k < visits; k++)
            add_task(t, model, exponential(t, (double)gap_ms),
                     between(t, run_ms / 3, run_ms * 5 / 3));
    }
}

static void make_busy_resident(struct trace *t)
{
    add_busy_resident(t, 300, 4000, 4000, 12, 90000);
}

static void make_quick_resident(struct trace *t)
{
    add_busy_resident(t, 2000, 70, 150, 40, 5000);
}

/* One agent: it looks something up (an embedding model), then has a chat model write; one of them fits. Whoever
 * waits for the chat model's next request waits for nothing: it comes after the embedding. */
static void make_embed_and_chat(struct trace *t)
{
    t->budget_gb = 10;
    add_model_of(t, 8, 6000, 500);
    add_model_of(t, 4, 400, 100);
    begin_session(t, false);
    for (unsigned round = 0; round < 150; round++) {
        unsigned lookups = (unsigned)between(t, 1, 4), writes = (unsigned)between(t, 1, 3);
        for (unsigned i = 0; i < lookups; i++)
            add_task(t, 1, between(t, 5, 100), between(t, 50, 150));
        for (unsigned i = 0; i < writes; i++)
            add_task(t, 0, between(t, 5, 500), between(t, 2000, 8000));
    }
}

/* --- All models have work all the time ------------------------------------------------------ */

static void add_full_load(struct trace *t, uint64_t load_ms, uint64_t run_ms)
{
    unsigned model = t->n_models;
    add_model_of(t, 10, load_ms, load_ms / 8);
    for (unsigned i = 0; i < 2; i++) {
        begin_session(t, false);
        for (uint64_t ms = 0; ms < t->horizon_ms;) {
            uint64_t run = between(t, run_ms / 3, run_ms * 5 / 3);
            add_task(t, model, no_pause(t), run);
            ms += run;
        }
    }
}

static void make_full_load(struct trace *t, unsigned models, uint64_t load_ms, uint64_t run_ms)
{
    t->budget_gb = 10;
    t->horizon_ms = 200 * (load_ms + run_ms);
    for (unsigned i = 0; i < models; i++)
        add_full_load(t, load_ms, run_ms);
}

static void make_full_70_ms(struct trace *t)
{
    make_full_load(t, 2, 70, 100);
}

static void make_full_1_s(struct trace *t)
{
    make_full_load(t, 2, 1000, 500);
}

static void make_full_4_s(struct trace *t)
{
    make_full_load(t, 2, 4000, 2000);
}

static void make_full_20_s(struct trace *t)
{
    make_full_load(t, 2, 20000, 4000);
}

static void make_full_four(struct trace *t)
{
    make_full_load(t, 4, 1000, 500);
}

static void make_full_mixed(struct trace *t)
{
    t->budget_gb = 10;
    t->horizon_ms = 600000;
    add_full_load(t, 4000, 1000);
    add_full_load(t, 70, 1000);
}

const struct trace_kind trace_kinds[TRACE_KINDS] = {
    {"ping-pong", make_ping_pong},
    {"ping-pong, slow", make_slow_ping_pong},
    {"hot and visitors", make_hot},
    {"just over the budget", make_over},
    {"equal sizes", make_equal},
    {"agents that alternate", make_agents},
    {"priorities", make_priorities},
    {"loops, load 70 ms", make_quick_loops},
    {"loops, load 1 s", make_loops},
    {"loops, load 20 s", make_slow_loops},
    {"loops, four models", make_four_models},
    {"busy resident, visitors", make_busy_resident},
    {"the same, load 70 ms", make_quick_resident},
    {"embedding and chat", make_embed_and_chat},
};
const struct trace_kind trace_full_loads[TRACE_FULL_LOADS] = {
    {"2 models, load 70 ms", make_full_70_ms}, {"2 models, load 1 s", make_full_1_s},
    {"2 models, load 4 s", make_full_4_s},     {"2 models, load 20 s", make_full_20_s},
    {"4 models, load 1 s", make_full_four},    {"load 4 s and 70 ms", make_full_mixed},
};

void trace_make(struct trace *t, const struct trace_kind *kind, uint64_t seed)
{
    *t = (struct trace){.random = seed};
    kind->make(t);
}
