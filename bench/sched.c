/* SPDX-License-Identifier: MIT */
/*
 * How long the scheduler takes to decide: sched_event() and all of sched_next() after it, in a world
 * of many models of which nearly all are waited for, with memory short on two devices.
 *
 *     make build/bench/sched && build/bench/sched [MODELS [REQUESTS [STEPS [MAX_WAIT_MS]]]]
 *
 * A table row for each kind of event: how often it came, and the median, the 99th percentile and
 * the worst of its times, in µs of processor time, so that what else the machine does is left out.
 */
#include "sched/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GIB (1ull << 30)

enum { PLACES = 64, INSTANCES = 2 * PLACES };
enum kind { COLD, WARM, DONE, READY, GONE, TICK, KINDS };
static const char *const kind_names[] = {"request, cold", "request, warm", "done",
                                         "ready",         "gone",          "tick"};

struct client {
    struct sched_request r; /* first: an action's request is its client */
    bool served;
};

static struct sched s;
static struct sched_model *models;
static struct sched_instance instances[INSTANCES]; /* one for each that runs, and the spare one */
static struct client *clients;
static struct sched_weights *files;
static unsigned n_models = 1000, n_clients = 1000, n_steps = 200000, max_wait_ms = 60000;
static uint64_t now = 1000, seed = 1;
static double *times[KINDS];
static unsigned counts[KINDS];

/* splitmix64 (Steele, Lea, Flood 2014) */
static unsigned below(unsigned n)
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % n);
}

static double clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct sched_instance *unused_instance(void)
{
    unsigned i = 0;
    while (instances[i].state != SCHED_UNLOADED || instances[i].leases)
        i++;
    return &instances[i];
}

/* The event, and whatever follows from it. */
static void feed(enum kind kind, const struct sched_event *event)
{
    struct sched_action a;
    double start = clock_us();
    sched_event(&s, event, now);
    while (sched_next(&s, now, &a)) {
        if (a.request)
            ((struct client *)a.request)->served = a.type == SCHED_ACT_GRANT;
        if (a.type == SCHED_ACT_SPAWN)
            s.spare = unused_instance();
    }
    if (counts[kind] < n_steps)
        times[kind][counts[kind]++] = clock_us() - start;
}

static void ask(struct client *c)
{
    struct sched_model *m = &models[(unsigned)(c - clients) % n_models];
    enum kind kind = sched_model_serving(m) ? WARM : COLD;
    *c = (struct client){.r = {.model = m, .may_load = true}};
    feed(kind, &(struct sched_event){.type = SCHED_EV_REQUEST, .request = &c->r});
}

/* Sizes from 1 to 24 GiB, one in four split over both cards, one in four on shared weights. */
static void create(void)
{
    struct sched_config config = {
        .models_max = PLACES,
        .loads_max = 4,
        .devices = 3,
        .max_wait_ms = max_wait_ms,
        .turn = 2,
        .hopeless_ms = 10000,
        .max_failures = 5,
        .back_off_ms = 1000,
        .ceiling = {256 * GIB, 80 * GIB, 80 * GIB},
    };
    sched_init(&s, &config);
    s.spare = unused_instance();
    for (unsigned i = 0; i < n_models; i++) {
        struct sched_model *m = &models[i];
        uint64_t bytes = (1 + below(24)) * GIB;
        unsigned card = 1 + below(2);
        m->next.bytes[0] = GIB / 4 + below(1u << 30);
        m->next.bytes[card] = below(4) ? bytes : bytes / 2;
        m->next.bytes[3 - card] = bytes - m->next.bytes[card];
        m->next.weights = below(4) ? NULL : &files[below(100)];
        m->load_ms = 500 + below(20000);
        m->priority = (int)below(3);
        m->pinned = below(200) == 0;
        m->ttl_ms = 600000;
        sched_event(&s, &(struct sched_event){.type = SCHED_EV_ADD, .model = m}, now);
    }
}

/* Clients ask, and ask again when they are done; engines load, and end, as time goes on. */
static void step(void)
{
    struct client *c = &clients[below(n_clients)];
    struct sched_instance *i;
    now += 1 + below(20);
    if (c->r.state == SCHED_REQUEST_NEW) {
        ask(c);
    } else if (c->served && below(4) == 0) {
        c->served = false;
        feed(DONE, &(struct sched_event){.type = SCHED_EV_DONE, .request = &c->r});
        ask(c);
    }
    TAILQ_FOREACH (i, &s.instances, link)
        if (below(30) == 0 && (i->state == SCHED_STOPPING || i->state == SCHED_LOADING))
            break;
    if (i && i->state == SCHED_STOPPING)
        feed(GONE, &(struct sched_event){.type = SCHED_EV_GONE, .instance = i});
    else if (i && i->state == SCHED_LOADING)
        feed(READY, &(struct sched_event){.type = SCHED_EV_READY, .instance = i});
    if (sched_deadline(&s) <= now)
        feed(TICK, &(struct sched_event){.type = SCHED_EV_TICK});
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(enum kind kind)
{
    unsigned n = counts[kind];
    double *t = times[kind];
    if (!n)
        return;
    qsort(t, n, sizeof *t, by_size);
    printf("| %-13s | %7u | %8.1f | %8.1f | %8.1f |\n", kind_names[kind], n, t[n / 2],
           t[n - 1 - n / 100], t[n - 1]);
}

static void *array(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p) {
        fprintf(stderr, "sched: out of memory for %zu objects; ask for fewer\n", n);
        exit(1);
    }
    return p;
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end || n < 1 || n > 1000000000) {
        fprintf(stderr, "sched: %s is not a number from 1 to 1000000000\n", text);
        exit(2);
    }
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    unsigned *const settings[] = {&n_models, &n_clients, &n_steps, &max_wait_ms};
    for (int i = 1; i < argc && i <= 4; i++)
        *settings[i - 1] = number(argv[i]);
    models = array(n_models, sizeof *models);
    clients = array(n_clients, sizeof *clients);
    files = array(100, sizeof *files);
    for (unsigned i = 0; i < 100; i++)
        files[i].bytes = (1 + below(16)) * GIB;
    for (enum kind k = 0; k < KINDS; k++)
        times[k] = array(n_steps, sizeof *times[k]);
    create();
    for (unsigned i = 0; i < n_steps; i++)
        step();
    printf("%u models, %u clients, at the end %u wait for %u models, %u engines\n", n_models,
           n_clients, s.waiting, s.queued, s.running);
    puts("| event         |   times |   median |     99 % |    worst |");
    puts("|---------------|--------:|---------:|---------:|---------:|");
    for (enum kind k = 0; k < KINDS; k++)
        report(k);
    for (enum kind k = 0; k < KINDS; k++)
        free(times[k]);
    free(files);
    free(clients);
    free(models);
    return 0;
}
