/* SPDX-License-Identifier: MIT */
/*
 * Simulation of turns: models on one place, or on one card each of two, clients that ask again and again, loads and stops that
 * take as long for a model each time. Random worlds from a seed, in virtual time. What is checked,
 * with k for `turn`, c for the stop and the load of a model, W for `max_wait_ms`:
 *
 *  - the turn: whoever has work keeps the place until its turn is over, which is k times the c of
 *    both models after its load, at least SCHED_TURN_MIN_MS, at most W (check_turn);
 *  - the share: where all have work all the time, and W is not shorter than a turn, at most
 *    1 / (1 + 2k) of the time no engine serves (check_share);
 *  - the wait: of N models, none waits longer than N - 1 turns of the longest kind and N changes of
 *    the place, which take the leases that are finished, a stop and a load (check_wait);
 *  - what is said of the wait (sched_eta()): where all have work all the time it comes true but for the leases that are finished
 *    after each turn, which may be N times the longest, with a ms or two for each change; never earlier by more than a pause a model (check_eta).
 *
 * Of two cards each is a place of its own: only what its models take counts for its bounds.
 *
 * A proof of the share: in a row of turns, that of model i, which j follows, lasts k (c_i + c_j) or
 * longer, and each c stands in two of these sums. So all turns last 2k times as long as all changes.
 * A cost that is not known yet counts as 0: the first turns of a world are left out.
 *
 *     sim_turns [--seed N] [--worlds N | --events N]
 */
#include "sched/sched.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLACES = 2, MODELS = 8, CLIENTS = 12, CHANGES = 120, EVENTS_A_WORLD = 1500 /* some */ };
enum { NO_PAUSE_MS = SCHED_PAUSE_MIN_MS / 2, GAIN_MS = 60000 /* more than any save takes */ };

enum place_state { PLACE_EMPTY, PLACE_LOADING, PLACE_SERVES, PLACE_SAVING, PLACE_STOPPING };

struct model;

struct place {
    enum place_state state;
    unsigned n_models;
    struct model *model;
    struct sched_instance *instance;
    uint64_t at;        /* when it changes its state; SCHED_NEVER: SERVES */
    uint64_t served_at; /* when the engine became ready */
    /* Since the costs of all its models are known: */
    bool counts;
    uint64_t since, switching_ms, idle_since;
};

struct model {
    struct sched_model m; /* first: it is found by its address */
    struct place *place;
    uint64_t load_ms, save_ms, stop_ms; /* save_ms 0: there is nothing to save */
    bool was_stopped;                   /* its costs are known */
};

struct client {
    struct sched_request r; /* first: it is found by its address */
    struct model *model;
    bool waits;
    uint64_t asked_at;
    uint64_t eta; /* what sched_eta() said then; SCHED_NEVER: nothing that is to be checked */
    uint64_t at;  /* when it asks next, or is done; SCHED_NEVER: it waits */
    uint64_t pause_ms, run_ms; /* at most */
};

static struct world {
    uint64_t seed, random, now;
    struct sched s;
    struct sched_config config;
    struct sched_instance instances[PLACES + 1]; /* one on each place, and the spare one */
    struct place places[PLACES];
    struct model models[MODELS];
    struct client clients[CLIENTS];
    unsigned n_models, n_clients, n_places;
    bool full; /* all have work all the time */
    uint64_t changes;
} w;

static double worst_share, worst_wait;
static uint64_t etas;

#define CHECK(condition, what)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("FAILED (line %d): %s\nsim_turns --seed %llu --worlds 1, at %llu ms\n",         \
                   __LINE__, what, (unsigned long long)w.seed, (unsigned long long)w.now);         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t draw(void)
{
    uint64_t z = (w.random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t between(uint64_t low, uint64_t high)
{
    return low + draw() % (high - low + 1);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- Bounds ------------------------------------------------------------------------------ */

static uint64_t turn_of(const struct model *a, const struct model *b)
{
    uint64_t change = a->load_ms + a->save_ms + a->stop_ms + b->load_ms + b->save_ms + b->stop_ms;
    return smaller(greater(w.config.turn * change, SCHED_TURN_MIN_MS), w.config.max_wait_ms);
}

static bool share_place(const struct model *a, const struct model *b)
{
    return a != b && a->place == b->place;
}

static uint64_t longest_turn(const struct place *p)
{
    uint64_t ms = 0;
    for (unsigned i = 0; i < w.n_models; i++)
        for (unsigned k = 0; k < w.n_models; k++)
            if (w.models[i].place == p && share_place(&w.models[i], &w.models[k]))
                ms = greater(ms, turn_of(&w.models[i], &w.models[k]));
    return ms;
}

static uint64_t longest_change(const struct place *p)
{
    uint64_t load = 0, stop = 0, run = 0;
    for (unsigned i = 0; i < w.n_models; i++) {
        if (w.models[i].place != p)
            continue;
        load = greater(load, w.models[i].load_ms);
        stop = greater(stop, w.models[i].save_ms + w.models[i].stop_ms);
    }
    for (unsigned i = 0; i < w.n_clients; i++)
        if (w.clients[i].model->place == p)
            run = greater(run, w.clients[i].run_ms);
    return load + stop + run;
}

/* Times are whole ms: each step may come one late. */
static void check_wait(const struct client *c)
{
    uint64_t waited = w.now - c->asked_at;
    const struct place *p = c->model->place;
    uint64_t bound = (p->n_models - 1) * longest_turn(p) + p->n_models * (longest_change(p) + 1);
    CHECK(waited <= bound, "somebody waits longer than all turns before it take");
    worst_wait =
        worst_wait > (double)waited / (double)bound ? worst_wait : (double)waited / (double)bound;
}

static uint64_t longest_run(const struct place *p)
{
    uint64_t run = 0;
    for (unsigned i = 0; i < w.n_clients; i++)
        if (w.clients[i].model->place == p)
            run = greater(run, w.clients[i].run_ms);
    return run;
}

/* Once all costs are known. */
static void ask_eta(struct client *c)
{
    bool known = w.full && c->model->place->counts && c->waits;
    c->eta = known ? sched_eta(&w.s, &c->model->m) : SCHED_NEVER;
}

static void check_eta(const struct client *c)
{
    const struct place *p = c->model->place;
    uint64_t waited = w.now - c->asked_at;
    if (c->eta == SCHED_NEVER)
        return;
    etas++;
    CHECK(waited + p->n_models * NO_PAUSE_MS >= c->eta, "it is ready earlier than was said");
    CHECK(waited <= c->eta + p->n_models * (longest_run(p) + NO_PAUSE_MS + 2),
          "it is ready later than was said");
}

/* At the stop of an engine that had work. */
static void check_turn(const struct model *m, const struct model *next)
{
    bool known = m->was_stopped && next->was_stopped;
    uint64_t lasted = w.now - m->place->served_at;
    CHECK(!known || !w.full || lasted >= turn_of(m, next), "a turn is shorter than it may be");
}

static bool is_cut_short(const struct place *p)
{
    for (unsigned i = 0; i < w.n_models; i++)
        for (unsigned k = 0; k < w.n_models; k++)
            if (w.models[i].place == p && w.models[k].place == p &&
                turn_of(&w.models[i], &w.models[k]) == w.config.max_wait_ms)
                return true;
    return false;
}

/* The first and the last change belong to turns that are not counted. */
static void check_share(const struct place *p)
{
    double total = (double)(w.now - p->since), switching = (double)p->switching_ms;
    double most = 1.0 / (1 + 2 * w.config.turn);
    if (!p->counts || !w.full || is_cut_short(p))
        return;
    switching -= 2.0 * (double)longest_change(p);
    CHECK(switching <= most * total, "stops and loads take more than their share of the time");
    worst_share = worst_share > switching / total / most ? worst_share : switching / total / most;
}

/* --- The world --------------------------------------------------------------------------- */

static void set_place(struct place *p, enum place_state state, uint64_t ms)
{
    if (p->state == PLACE_SERVES)
        p->idle_since = w.now;
    if (state == PLACE_SERVES && p->counts)
        p->switching_ms += w.now - p->idle_since;
    p->state = state;
    p->at = state == PLACE_SERVES || state == PLACE_EMPTY ? SCHED_NEVER : w.now + ms;
}

/* Once each model's costs are known. */
static void begin_to_count(struct place *p)
{
    for (unsigned i = 0; i < w.n_models; i++)
        if (w.models[i].place == p && !w.models[i].was_stopped)
            return;
    p->counts = true;
    p->since = w.now;
    p->switching_ms = 0;
}

static void grant(struct client *c)
{
    const struct place *p = c->model->place;
    CHECK(p->state == PLACE_SERVES && p->model == c->model, "a grant where nothing serves");
    check_wait(c);
    check_eta(c);
    c->waits = false;
    c->at = w.now + between(1, c->run_ms);
}

static void provide_spare(void)
{
    for (unsigned k = 0; k <= PLACES; k++) {
        bool used = false;
        for (unsigned i = 0; i < PLACES; i++)
            used |= w.places[i].state != PLACE_EMPTY && w.places[i].instance == &w.instances[k];
        if (!used)
            w.s.spare = &w.instances[k];
    }
}

static void spawn(struct model *m, struct sched_instance *i)
{
    struct place *p = m->place;
    CHECK(p->state == PLACE_EMPTY, "two engines on a place");
    p->model = m;
    p->instance = i;
    w.changes++;
    set_place(p, PLACE_LOADING, m->load_ms);
    provide_spare();
}

static void save(struct model *m, const struct sched_action *a)
{
    CHECK(m->place->state == PLACE_SERVES && m->place->model == m, "a save of what does not serve");
    check_turn(m, (const struct model *)a->cause);
    set_place(m->place, PLACE_SAVING, m->save_ms);
}

static void stop(struct model *m, const struct sched_action *a)
{
    enum place_state before = m->save_ms ? PLACE_SAVING : PLACE_SERVES;
    CHECK(m->place->state == before && m->place->model == m, "a stop of what does not serve");
    if (!m->save_ms)
        check_turn(m, (const struct model *)a->cause);
    set_place(m->place, PLACE_STOPPING, m->stop_ms);
}

static void pull(void)
{
    struct sched_action a;
    while (sched_next(&w.s, w.now, &a)) {
        struct model *m = (struct model *)a.model;
        switch (a.type) {
        case SCHED_ACT_GRANT:
            grant((struct client *)a.request);
            break;
        case SCHED_ACT_SPAWN:
            spawn(m, a.instance);
            break;
        case SCHED_ACT_SAVE:
            save(m, &a);
            break;
        case SCHED_ACT_STOP:
            stop(m, &a);
            break;
        case SCHED_ACT_REJECT:
        case SCHED_ACT_DROP:
            CHECK(false, "a rejection");
        }
    }
}

/* What is due by now; pulled after each event, so that each pause is seen. */
static void feed(struct sched_event event)
{
    sched_event(&w.s, &event, w.now);
    pull();
}

static void step_place(struct place *p)
{
    if (p->at > w.now)
        return;
    if (p->state == PLACE_LOADING) {
        set_place(p, PLACE_SERVES, 0);
        p->served_at = w.now;
        p->model->m.load_ms = p->model->load_ms;
        p->instance->save_gain_ms = p->model->save_ms ? GAIN_MS : 0;
        p->instance->save_cost_ms = p->model->save_ms;
        feed((struct sched_event){.type = SCHED_EV_READY, .instance = p->instance});
    } else if (p->state == PLACE_SAVING) {
        p->at = SCHED_NEVER;
        feed((struct sched_event){.type = SCHED_EV_SAVED, .instance = p->instance});
    } else {
        set_place(p, PLACE_EMPTY, 0);
        p->model->was_stopped = true;
        if (!p->counts)
            begin_to_count(p);
        feed((struct sched_event){.type = SCHED_EV_GONE, .instance = p->instance});
    }
}

static void step_client(struct client *c)
{
    if (c->at > w.now)
        return;
    if (c->r.state == SCHED_REQUEST_GRANTED) {
        feed((struct sched_event){.type = SCHED_EV_DONE, .request = &c->r});
        c->at = w.now + between(0, c->pause_ms);
        return;
    }
    c->r = (struct sched_request){.model = &c->model->m, .may_load = true};
    c->asked_at = w.now;
    c->waits = true;
    c->at = SCHED_NEVER;
    c->eta = SCHED_NEVER;
    feed((struct sched_event){.type = SCHED_EV_REQUEST, .request = &c->r});
    ask_eta(c);
}

static uint64_t next_time(void)
{
    uint64_t at = sched_deadline(&w.s);
    for (unsigned i = 0; i < w.n_places; i++)
        at = smaller(at, w.places[i].at);
    for (unsigned i = 0; i < w.n_clients; i++)
        at = smaller(at, w.clients[i].at);
    return at;
}

static void step(void)
{
    uint64_t at = next_time();
    CHECK(at != SCHED_NEVER, "somebody waits, and nothing will ever happen");
    w.now = greater(w.now, at);
    for (unsigned i = 0; i < w.n_places; i++)
        step_place(&w.places[i]);
    for (unsigned i = 0; i < w.n_clients; i++)
        step_client(&w.clients[i]);
    if (sched_deadline(&w.s) <= w.now)
        feed((struct sched_event){.type = SCHED_EV_TICK});
    for (unsigned i = 0; i < w.n_clients; i++)
        if (w.clients[i].waits)
            check_wait(&w.clients[i]);
}

static uint64_t random_load(void)
{
    static const uint64_t most[] = {5, 100, 2000, 30000};
    return between(1, most[draw() % 4]);
}

/* One place, or a card that holds one model each. Of each card's models there are two or more. */
static void create_places(void)
{
    w.n_places = draw() % 2 ? 1 : PLACES;
    w.n_models = (unsigned)between(2 * w.n_places, MODELS);
    for (unsigned i = 0; i < w.n_places; i++)
        w.places[i].at = SCHED_NEVER;
    for (unsigned i = 0; i < w.n_models; i++) {
        struct model *m = &w.models[i];
        m->place = &w.places[i % w.n_places];
        m->place->n_models++;
        m->m.next.bytes[0] = 1;
        m->m.next.bytes[1 + i % w.n_places] = between(6, 10);
    }
    w.config = (struct sched_config){.hopeless_ms = SCHED_NEVER};
    w.config.models_max = w.n_places == 1;
    w.config.devices = w.n_places == 1 ? 0 : 1 + PLACES;
    w.config.ceiling[0] = 100;
    w.config.ceiling[1] = w.config.ceiling[2] = 10;
}

/* A client of each model, and others. */
static void create(uint64_t seed)
{
    w = (struct world){.seed = seed, .random = seed, .now = 1000};
    create_places();
    w.n_clients = (unsigned)between(w.n_models, CLIENTS);
    w.full = draw() % 2;
    w.config.turn = (unsigned)between(1, 4);
    w.config.max_wait_ms = draw() % 2 ? SCHED_NEVER : between(0, 60000);
    bool saves = draw() % 2;
    w.config.save_ms = GAIN_MS;
    sched_init(&w.s, &w.config);
    w.s.spare = &w.instances[0];
    for (unsigned i = 0; i < w.n_models; i++) {
        struct model *m = &w.models[i];
        m->load_ms = random_load();
        m->stop_ms = between(1, 1 + m->load_ms / 4);
        m->save_ms = saves && draw() % 2 ? between(1, 1 + m->load_ms / 4) : 0;
        feed((struct sched_event){.type = SCHED_EV_ADD, .model = &m->m});
    }
    for (unsigned i = 0; i < w.n_clients; i++) {
        struct client *c = &w.clients[i];
        c->model = &w.models[i < w.n_models ? i : draw() % w.n_models];
        c->run_ms = between(1, 3000);
        c->pause_ms = w.full ? NO_PAUSE_MS : draw() % 2 ? NO_PAUSE_MS : between(0, 20000);
        c->at = w.now + between(0, 100);
    }
}

static void run(uint64_t seed)
{
    create(seed);
    for (unsigned steps = 0; w.changes < CHANGES && steps < 200000; steps++)
        step();
    for (unsigned i = 0; i < w.n_places; i++)
        check_share(&w.places[i]);
}

static unsigned long long number(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || *end) {
        fprintf(stderr, "sim_turns: not a number: %s\n", text);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"worlds", required_argument, NULL, 'w'},
                                            {"events", required_argument, NULL, 'e'},
                                            {NULL, 0, NULL, 0}};
    unsigned long long seed = 1, worlds = 200;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 's')
            seed = number(optarg);
        else if (c == 'w')
            worlds = number(optarg);
        else if (c == 'e')
            worlds = 1 + number(optarg) / EVENTS_A_WORLD;
        else
            return 2;
    }
    for (unsigned long long i = 0; i < worlds; i++)
        run(seed + i);
    printf("sim_turns: %llu worlds; of what is permitted, at most %.0f %% of the time without an "
           "engine "
           "that serves, and %.0f %% of the wait; %llu waits as they were said\n",
           worlds, 100 * worst_share, 100 * worst_wait, (unsigned long long)etas);
    return 0;
}
