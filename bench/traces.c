/* SPDX-License-Identifier: MIT */
/*
 * How long requests wait: the scheduler on traces, in virtual time, beside what else one could do.
 *
 *  - hostler: src/sched as it is, with a budget of memory. It begins without knowing any load time.
 *  - LRU: what llama.cpp's router does. At most `models_max` engines; models queue in the order in
 *    which they were asked for; the idle engine whose last request began the longest ago goes, and
 *    if nobody is idle, they wait until somebody is. `models_max` is the largest that is safe: so
 *    many of the trace's largest models fit into the budget.
 *  - offline: knows the future. hostler's queue, but whoever must go is chosen by what loading it
 *    takes over the time until it is needed next (Belady, weighted); and of the settings in
 *    replay_offline() the one that does best on that very trace and seed.
 *
 * Where a trace does not say otherwise, loads take 1 s and 1 s a gigabyte. They share the disk: n at once take n
 * times as long (--parallel: files are in the page cache, and they do not disturb each other). A ready model
 * serves all its requests side by side.
 *
 * What is compared is how long all requests of a trace wait. Where all models have work all the time that says
 * nothing: somebody waits at any time, and least where nothing is ever loaded, that is where one model has the place
 * for ever. Such traces end after a while, and have a table of their own: what share of the time goes into loads, and
 * who is served.
 *
 * A ratio is of sums over the seeds. Prints Markdown; the same seeds give the same figures.
 *
 *     traces [--seeds N] [--turn N] [--max-wait MS] [--loads N] [--parallel] [--sweep]
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

enum { SEEDS_MAX = 200 };

/* --- Report ------------------------------------------------------------------------------ */

enum { LRU, HOSTLER, OFFLINE, POLICIES };
static const char *const policy_names[] = {"LRU by count", "hostler", "offline"};

static struct options {
    unsigned seeds;
    bool parallel, sweep;
    struct setting set;
} options = {.seeds = 21, .set = {30000, 2, 0, 0}};

struct summary {
    double median, least, most, sum;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct summary summarize(const double *values)
{
    unsigned n = options.seeds;
    double sorted[SEEDS_MAX];
    struct summary s = {0};
    memcpy(sorted, values, n * sizeof *values);
    qsort(sorted, n, sizeof *sorted, by_value);
    for (unsigned i = 0; i < n; i++)
        s.sum += sorted[i];
    s.median = sorted[n / 2];
    s.least = sorted[0];
    s.most = sorted[n - 1];
    return s;
}

/* The figures of all seeds of a trace under a policy. */
struct figures {
    double waited[SEEDS_MAX], waited_first[SEEDS_MAX], worst[SEEDS_MAX], loads[SEEDS_MAX],
        visitor[SEEDS_MAX], switching[SEEDS_MAX], balance[SEEDS_MAX], answers[SEEDS_MAX];
};

static void keep(struct figures *f, unsigned seed, const struct result *r)
{
    f->waited[seed] = r->waited;
    f->waited_first[seed] = r->waited_first;
    f->worst[seed] = r->worst;
    f->loads[seed] = r->loads;
    f->visitor[seed] = r->visitor;
    f->switching[seed] = r->switching;
    f->balance[seed] = r->balance;
    f->answers[seed] = r->answers;
}

static void print_figures(const double *values, int digits)
{
    struct summary s = summarize(values);
    printf(" %.*f (%.*f–%.*f) |", digits, s.median, digits, s.least, digits, s.most);
}

static void print_summary(const double *values)
{
    print_figures(values, 0);
}

static double sum_of(const struct figures *f)
{
    return summarize(f->waited).sum;
}

static double worst_ratio(const struct figures *f, const struct figures *base)
{
    double worst = 0;
    for (unsigned i = 0; i < options.seeds; i++)
        worst = fmax(worst, f->waited[i] / base->waited[i]);
    return worst;
}

static void print_row(const char *name, const char *policy, const struct figures *f,
                      const struct figures *base)
{
    printf("| %s | %s |", name, policy);
    print_summary(f->waited);
    print_summary(f->loads);
    print_summary(f->worst);
    printf(" %.2f | %.2f |\n", sum_of(f) / sum_of(base), worst_ratio(f, base));
}

static struct trace trace;

static void measure(const struct trace_kind *kind, unsigned policy, const struct setting *set,
                    struct figures *out)
{
    for (unsigned i = 0; i < options.seeds; i++) {
        struct result r;
        trace_make(&trace, kind, i + 1);
        if (policy == LRU)
            r = replay_lru(&trace, options.parallel);
        else if (policy == HOSTLER)
            r = replay_sched(&trace, set, options.parallel);
        else
            r = replay_offline(&trace, options.parallel);
        keep(out, i, &r);
    }
}

/* Of the traces from `first` on: every one counts the same (geometric mean), and every second does (sums). */
static void print_set(struct figures f[TRACE_KINDS][POLICIES], const char *name, unsigned first,
                      unsigned end)
{
    for (unsigned i = 0; i < POLICIES; i++) {
        double sum = 0, base = 0, logs = 0;
        for (unsigned k = first; k < end; k++) {
            sum += sum_of(&f[k][i]);
            base += sum_of(&f[k][LRU]);
            logs += log(sum_of(&f[k][i]) / sum_of(&f[k][LRU]));
        }
        printf("| %s | %s | sum %.0f | | | %.2f | geometric mean %.2f |\n", i ? "" : name,
               policy_names[i], sum / options.seeds, sum / base, exp(logs / (end - first)));
    }
}

static void print_table(void)
{
    static struct figures f[TRACE_KINDS][POLICIES];
    printf("Waiting in seconds, median over %u seeds (least–most).\n\n", options.seeds);
    puts("| trace | policy | waited in all | loads | worst wait | to LRU | worst seed |\n"
         "| --- | --- | --- | --- | --- | --- | --- |");
    for (unsigned k = 0; k < TRACE_KINDS; k++)
        for (unsigned i = 0; i < POLICIES; i++) {
            measure(&trace_kinds[k], i, &options.set, &f[k][i]);
            print_row(i ? "" : trace_kinds[k].name, policy_names[i], &f[k][i], &f[k][LRU]);
        }
    print_set(f, "**with pauses**", 0, TRACE_FIRST_LOOP);
    print_set(f, "**without pauses**", TRACE_FIRST_LOOP, TRACE_KINDS);
    print_set(f, "**all**", 0, TRACE_KINDS);
    puts("\nOf *priorities*, those with a priority waited:\n");
    puts("| policy | seconds |\n| --- | --- |");
    for (unsigned i = 0; i < POLICIES; i++) {
        printf("| %s |", policy_names[i]);
        print_summary(f[TRACE_PRIORITIES][i].waited_first);
        puts("");
    }
}

/* Whoever comes now and then to a place that is never idle. */
static void print_visitors(void)
{
    static struct figures f;
    puts("\nVisitors' median wait, in times that a stop and a load take:\n");
    puts("| trace | policy | median seed (least–most) |\n| --- | --- | --- |");
    for (unsigned k = TRACE_VISITORS; k < TRACE_VISITORS + 2; k++)
        for (unsigned i = 0; i < POLICIES; i++) {
            measure(&trace_kinds[k], i, &options.set, &f);
            for (unsigned s = 0; s < options.seeds; s++)
                f.visitor[s] *= 1000.0 / (double)(trace.load_ms[1] + trace.stop_ms[1]);
            printf("| %s | %s |", i ? "" : trace_kinds[k].name, policy_names[i]);
            print_figures(f.visitor, 1);
            puts("");
        }
}

/* Two programs on each model, neither of which ever rests: somebody waits at any time, whatever one does, and least
 * is waited in all where nothing is ever loaded. So this is about who waits, and what the loads cost. */
static void print_full_loads(void)
{
    static struct figures f;
    puts("\nAll models have work all the time.\n");
    puts("| trace | policy | no engine serves, % of the time | answers | least to most by model | "
         "worst wait, s | loads |\n"
         "| --- | --- | --- | --- | --- | --- | --- |");
    for (unsigned k = 0; k < TRACE_FULL_LOADS; k++)
        for (unsigned i = 0; i <= HOSTLER; i++) {
            measure(&trace_full_loads[k], i, &options.set, &f);
            printf("| %s | %s |", i ? "" : trace_full_loads[k].name, policy_names[i]);
            for (unsigned s = 0; s < options.seeds; s++)
                f.switching[s] *= 100;
            print_summary(f.switching);
            print_summary(f.answers);
            print_figures(f.balance, 2);
            print_figures(f.worst, 1);
            print_summary(f.loads);
            puts("");
        }
}

/* hostler to LRU, by trace and in all, for one setting; then, for each that has work all the time, the share of the
 * time without an engine that serves, and the worst wait. */
static void print_setting(const struct setting *set, const double base[TRACE_KINDS])
{
    static struct figures f;
    double all = 0, all_base = 0;
    printf("| %u | %llu |", set->turn, (unsigned long long)set->max_wait_ms / 1000);
    for (unsigned k = 0; k < TRACE_KINDS; k++) {
        measure(&trace_kinds[k], HOSTLER, set, &f);
        all += sum_of(&f);
        all_base += base[k];
        printf(" %.2f |", sum_of(&f) / base[k]);
    }
    printf(" %.2f |", all / all_base);
    for (unsigned k = 0; k < TRACE_FULL_LOADS; k++) {
        measure(&trace_full_loads[k], HOSTLER, set, &f);
        printf(" %.0f %%, %.1f s |", 100 * summarize(f.switching).median,
               summarize(f.worst).median);
    }
    puts("");
}

static void print_sweep(void)
{
    static const unsigned turns[] = {0, 1, 2, 3, 4, 8};
    static const uint64_t waits[] = {10000, 30000, 120000};
    static struct figures f;
    double base[TRACE_KINDS];
    fputs("| turn | max-wait, s |", stdout);
    for (unsigned k = 0; k < TRACE_KINDS; k++) {
        measure(&trace_kinds[k], LRU, NULL, &f);
        base[k] = sum_of(&f);
        printf(" %s |", trace_kinds[k].name);
    }
    fputs(" all |", stdout);
    for (unsigned k = 0; k < TRACE_FULL_LOADS; k++)
        printf(" %s |", trace_full_loads[k].name);
    fputs("\n| --- | --- |", stdout);
    for (unsigned k = 0; k <= TRACE_KINDS + TRACE_FULL_LOADS; k++)
        fputs(" --- |", stdout);
    puts("");
    for (unsigned t = 0; t < sizeof turns / sizeof *turns; t++)
        for (unsigned w = 0; w < sizeof waits / sizeof *waits; w++)
            print_setting(&(struct setting){waits[w], turns[t], 0, 0}, base);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || *end)
        die("not a number: %s", text);
    return n;
}

int main(int argc, char **argv)
{
    static const struct option list[] = {{"seeds", required_argument, NULL, 's'},
                                         {"turn", required_argument, NULL, 't'},
                                         {"max-wait", required_argument, NULL, 'w'},
                                         {"loads", required_argument, NULL, 'l'},
                                         {"parallel", no_argument, NULL, 'p'},
                                         {"sweep", no_argument, NULL, 'x'},
                                         {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", list, NULL)) != -1;) {
        if (c == 's')
            options.seeds = (unsigned)number(optarg);
        else if (c == 't')
            options.set.turn = (unsigned)number(optarg);
        else if (c == 'w')
            options.set.max_wait_ms = number(optarg);
        else if (c == 'l')
            options.set.loads_max = (unsigned)number(optarg);
        else if (c == 'p')
            options.parallel = true;
        else if (c == 'x')
            options.sweep = true;
        else
            return 2;
    }
    if (options.seeds < 1 || options.seeds > SEEDS_MAX)
        die("--seeds takes 1 to %d", SEEDS_MAX);
    if (options.sweep) {
        print_sweep();
    } else {
        print_table();
        print_visitors();
        print_full_loads();
    }
    return 0;
}
