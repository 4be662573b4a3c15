/* SPDX-License-Identifier: MIT */
/*
 * Who goes to make room, against a search of all sets. The worlds are random, from seeds; their
 * memory is recounted here from scratch, for the scheduler's own sums are what is tested.
 */
#include "sched_test.h"

#include "sched/victims.h"

enum { MOST = 10, FILES = 2, DEVICES = 3, WORLDS = 20000, CROWD = 90 };

struct town {
    struct sched s;
    struct sched_model m[CROWD + 1];    /* the last one wants room */
    struct sched_instance i[CROWD + 1]; /* of the models, in their order; the last one is spare */
    struct sched_request r[CROWD];
    struct sched_weights files[FILES];
    unsigned n;
    uint64_t now;
    unsigned short seed[3];
};

static struct town town;

static unsigned below(struct town *t, unsigned n)
{
    return (unsigned)nrand48(t->seed) % n;
}

static void feed(struct town *t, const struct sched_event *event)
{
    struct sched_action a;
    sched_event(&t->s, event, t->now);
    while (sched_next(&t->s, t->now, &a))
        if (a.type == SCHED_ACT_SPAWN)
            t->s.spare = &t->i[a.model - t->m + 1];
}

static void set_size(struct town *t, struct sched_model *m)
{
    for (unsigned d = 0; d < t->s.config.devices; d++)
        m->next.bytes[d] = below(t, 3) ? below(t, 20) : 0;
    m->next.weights = below(t, 2) ? NULL : &t->files[below(t, FILES)];
}

/* Up to ten engines that were loaded and used at several times; some pinned, some busy. */
static struct town *create(unsigned seed)
{
    struct town *t = &town;
    memset(t, 0, sizeof *t);
    t->seed[0] = (unsigned short)seed;
    t->now = 1000;
    struct sched_config config = {.max_wait_ms = SCHED_NEVER, .hopeless_ms = SCHED_NEVER};
    config.devices = 1 + below(t, DEVICES);
    config.turn = below(t, 3);
    for (unsigned d = 0; d < DEVICES; d++)
        config.ceiling[d] = SCHED_UNLIMITED;
    sched_init(&t->s, &config);
    t->s.spare = t->i;
    t->n = 1 + below(t, MOST);
    for (unsigned i = 0; i < FILES; i++)
        t->files[i].bytes = below(t, 30);
    for (unsigned i = 0; i <= t->n; i++) {
        struct sched_model *m = &t->m[i < t->n ? i : CROWD];
        feed(t, &(struct sched_event){.type = SCHED_EV_ADD, .model = m});
        set_size(t, m);
        m->load_ms = below(t, 4) ? below(t, 9000) : 0;
        m->priority = (int)below(t, 3) - 1;
        m->pinned = below(t, 8) == 0;
    }
    t->m[CROWD].next.bytes[0]++; /* as every engine needs some of the host */
    for (unsigned i = 0; i < t->n; i++) {
        struct sched_request *r = &t->r[i];
        feed(t, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &t->m[i]});
        feed(t, &(struct sched_event){.type = SCHED_EV_READY, .instance = &t->i[i]});
        *r = (struct sched_request){.model = &t->m[i]};
        feed(t, &(struct sched_event){.type = SCHED_EV_REQUEST, .request = r});
        t->now += below(t, 1500);
        if (below(t, 6))
            feed(t, &(struct sched_event){.type = SCHED_EV_DONE, .request = r});
    }
    t->now += below(t, 1500);
    feed(t, &(struct sched_event){.type = SCHED_EV_TICK});
    return t;
}

/* --- The same from scratch ------------------------------------------------------------------ */

/* Whether the one who wants room fits when the engines in `gone` (by number) are. */
static bool is_enough(const struct town *t, unsigned gone)
{
    int64_t left[DEVICES];
    bool mapped[FILES] = {false};
    const struct sched_model *wants = &t->m[CROWD];
    for (unsigned d = 0; d < DEVICES; d++)
        left[d] = (int64_t)t->s.capacity[d];
    for (unsigned i = 0; i <= t->n; i++) {
        const struct sched_model *m = i < t->n ? &t->m[i] : wants;
        if (i < t->n && (gone >> i & 1))
            continue;
        for (unsigned d = 0; d < DEVICES; d++)
            left[d] -= (int64_t)m->next.bytes[d];
        if (m->next.weights && !mapped[m->next.weights - t->files]) {
            mapped[m->next.weights - t->files] = true;
            left[0] -= (int64_t)m->next.weights->bytes;
        }
    }
    for (unsigned d = 0; d < t->s.config.devices; d++) {
        bool brings = d == 0 && wants->next.weights && wants->next.weights->bytes;
        for (unsigned i = 0; i < t->n && brings; i++)
            brings = (gone >> i & 1) || t->m[i].next.weights != wants->next.weights;
        if (left[d] < 0 && (wants->next.bytes[d] || brings))
            return false;
    }
    return true;
}

typedef bool able(const struct town *t, const struct sched_instance *i);

static bool has_stayed(const struct town *t, const struct sched_instance *e)
{
    const struct sched_model *m = e->model;
    uint64_t turn = t->s.config.turn * (m->load_ms + m->stop_ms);
    uint64_t pause = m->load_ms / 4 > SCHED_PAUSE_MIN_MS ? m->load_ms / 4 : SCHED_PAUSE_MIN_MS;
    bool short_pauses = m->pauses[0] <= pause || m->pauses[1] <= pause;
    turn = turn > SCHED_TURN_MIN_MS ? turn : SCHED_TURN_MIN_MS;
    return !t->s.config.turn || !short_pauses || e->loaded_at + turn <= t->now ||
           e->last_used + pause <= t->now;
}

static bool may_be_evicted(const struct town *t, const struct sched_instance *e)
{
    bool better = false;
    for (unsigned i = 0; i < t->n; i++) {
        const struct sched_instance *o = &t->i[i];
        better |= o->model->priority > e->model->priority && !o->model->pinned && !o->leases &&
                  has_stayed(t, o);
    }
    return !e->model->pinned && !e->leases && (better || has_stayed(t, e));
}

static bool anybody(const struct town *t, const struct sched_instance *e)
{
    (void)t;
    (void)e;
    return true;
}

static double harm_of(const struct town *t, unsigned set)
{
    double sum = 0;
    for (unsigned i = 0; i < t->n; i++)
        if (set >> i & 1)
            sum += victims_harm(&t->s, &t->i[i]);
    return sum;
}

/* Those of at most this priority. */
static unsigned all_up_to(const struct town *t, able *who, int priority)
{
    unsigned set = 0;
    for (unsigned i = 0; i < t->n; i++)
        if (who(t, &t->i[i]) && t->m[i].priority <= priority)
            set |= 1u << i;
    return set;
}

/* The least harm that makes room; negative when nothing does. `*allowed`: who may go for it. */
static double least_harm(const struct town *t, able *who, unsigned *allowed)
{
    double least = -1;
    for (int priority = -1; priority <= 1 && least < 0; priority++) {
        *allowed = all_up_to(t, who, priority);
        if (!is_enough(t, *allowed))
            continue;
        for (unsigned set = 0; set <= *allowed; set++)
            if (!(set & ~*allowed) && is_enough(t, set) && (least < 0 || harm_of(t, set) < least))
                least = harm_of(t, set);
    }
    return least;
}

static unsigned set_of(const struct town *t, struct sched_instance *const *v, unsigned n)
{
    unsigned set = 0;
    for (unsigned i = 0; i < n; i++)
        set |= 1u << (v[i] - t->i);
    return set;
}

static void check(const struct town *t, unsigned set, able *who)
{
    unsigned allowed = 0;
    double least = least_harm(t, who, &allowed);
    assert_true(least >= 0);
    assert_int_equal(set & ~allowed, 0);
    assert_true(is_enough(t, set));
    assert_true(harm_of(t, set) <= least * (1 + 1e-9));
    for (unsigned i = 0; i < t->n; i++)
        assert_false((set >> i & 1) && is_enough(t, set & ~(1u << i)));
}

/* --- Tests ---------------------------------------------------------------------------------- */

/* By the question that operators ask, so that those who may not go are tested as well. */
TEST(evicts_the_set_that_does_the_least_harm)
{
    unsigned fitting = 0, chosen = 0, hopeless = 0;
    for (unsigned seed = 0; seed < WORLDS; seed++) {
        struct town *t = create(seed);
        struct sched_instance *v[MOST];
        unsigned n, allowed;
        for (unsigned d = 0; d < DEVICES; d++)
            t->s.capacity[d] = below(t, 120);
        bool fits = sched_would_fit(&t->s, &t->m[CROWD].next, NULL, v, MOST, &n);
        assert_int_equal(fits, least_harm(t, may_be_evicted, &allowed) >= 0);
        hopeless += !fits;
        if (!fits)
            continue;
        check(t, set_of(t, v, n), may_be_evicted);
        fitting += n == 0;
        chosen += n > 1;
    }
    /* That there was something to choose. */
    assert_true(fitting > WORLDS / 20 && chosen > WORLDS / 20 && hopeless > WORLDS / 20);
}

static bool filter_all(const struct sched *s, const struct sched_instance *i)
{
    (void)s;
    (void)i;
    return true;
}

static bool choose(struct town *t, struct victims *out)
{
    struct room r;
    struct sched_instance *i;
    room_init(&r, ROOM_LATER, &t->s, ++t->s.probes);
    TAILQ_FOREACH (i, &t->s.instances, link)
        room_take(&r, i);
    struct room before = r;
    bool found = victims_choose(&t->s, &r, &t->m[CROWD].next, filter_all, NULL, out);
    assert_memory_equal(&before, &r, sizeof r);
    return found;
}

/* Also when some do no harm at all: those who drain, or yield and are not done. */
TEST(nobody_goes_who_need_not)
{
    unsigned chosen = 0;
    for (unsigned seed = 0; seed < WORLDS; seed++) {
        struct town *t = create(seed);
        struct victims v;
        for (unsigned d = 0; d < DEVICES; d++)
            t->s.capacity[d] = below(t, 120);
        for (unsigned i = 0; i < t->n; i++) {
            bool draining = below(t, 5) == 0, yielding = below(t, 2);
            t->i[i].state = draining ? SCHED_DRAINING : yielding ? SCHED_YIELDING : SCHED_READY;
        }
        if (is_enough(t, 0) || !choose(t, &v))
            continue;
        check(t, set_of(t, v.v, v.n), anybody);
        chosen++;
    }
    assert_true(chosen > WORLDS / 10);
}

/* A world of equals, each of `bytes` on the host, and load times that rise. */
static struct town *crowd(unsigned n, uint64_t bytes)
{
    struct town *t = &town;
    memset(t, 0, sizeof *t);
    t->now = 1000;
    t->n = n;
    sched_init(&t->s, &(struct sched_config){.devices = 1, .ceiling = {n * bytes}});
    t->s.spare = t->i;
    for (unsigned i = 0; i <= n; i++) {
        struct sched_model *m = &t->m[i < n ? i : CROWD];
        m->load_ms = 10000 + i;
        m->next.bytes[0] = bytes;
        feed(t, &(struct sched_event){.type = SCHED_EV_ADD, .model = m});
        if (i == n)
            break;
        feed(t, &(struct sched_event){.type = SCHED_EV_LOAD, .model = m});
        feed(t, &(struct sched_event){.type = SCHED_EV_READY, .instance = &t->i[i]});
    }
    return t;
}

TEST(of_a_crowd_the_least_harmful_are_looked_at)
{
    struct town *t = crowd(CROWD, 1);
    struct victims v;
    t->m[CROWD].next.bytes[0] = 1;
    assert_true(choose(t, &v));
    assert_int_equal(v.n, 1);
    assert_ptr_equal(v.v[0], &t->i[0]);
    for (unsigned i = 0; i < CROWD / 2; i++) { /* the last ones loaded are the best to go */
        uint64_t load = t->m[i].load_ms;
        t->m[i].load_ms = t->m[CROWD - 1 - i].load_ms;
        t->m[CROWD - 1 - i].load_ms = load;
    }
    t->m[CROWD].next.bytes[0] = 2;
    assert_true(choose(t, &v));
    assert_int_equal(v.n, 2);
    assert_ptr_equal(v.v[0], &t->i[CROWD - 1]);
    assert_ptr_equal(v.v[1], &t->i[CROWD - 2]);
    t->m[CROWD].next.bytes[0] = VICTIMS_MAX;
    assert_true(choose(t, &v));
    assert_int_equal(v.n, VICTIMS_MAX);
    for (unsigned i = 0; i < VICTIMS_MAX; i++)
        assert_ptr_equal(v.v[i], &t->i[CROWD - 1 - i]);
}

/* The search is cut short, and what it has found by then still has nobody in it without need. */
TEST(a_search_without_end_is_cut_short)
{
    struct town *t = crowd(VICTIMS_MAX, 2);
    struct victims v;
    for (unsigned i = 0; i < VICTIMS_MAX; i++)
        t->i[i].footprint.bytes[0] = 20 + 7 * i % 11;
    t->s.capacity[0] = 0;
    for (unsigned i = 0; i < VICTIMS_MAX; i++)
        t->s.capacity[0] += t->i[i].footprint.bytes[0];
    t->m[CROWD].next.bytes[0] = t->s.capacity[0] / 2;
    assert_true(choose(t, &v));
    uint64_t freed = 0, least = SCHED_NEVER;
    for (unsigned i = 0; i < v.n; i++) {
        freed += v.v[i]->footprint.bytes[0];
        least = v.v[i]->footprint.bytes[0] < least ? v.v[i]->footprint.bytes[0] : least;
    }
    assert_true(freed >= t->m[CROWD].next.bytes[0]);
    assert_true(freed - least < t->m[CROWD].next.bytes[0]);
}

TEST(all_together_may_not_be_enough)
{
    struct town *t = crowd(3, 1);
    struct victims v;
    t->m[CROWD].next.bytes[0] = 4;
    assert_false(choose(t, &v));
    assert_int_equal(v.n, 0);
}

TEST(harm_is_load_time_by_time_unused)
{
    struct town *t = crowd(2, 1);
    struct sched_instance *a = &t->i[0], *b = &t->i[1];
    a->model->load_ms = b->model->load_ms = 1000;
    a->last_used = t->s.now;
    b->last_used = 0;
    assert_true(victims_harm(&t->s, a) > victims_harm(&t->s, b));
    b->model->load_ms = 10000;
    assert_true(victims_harm(&t->s, a) < victims_harm(&t->s, b));
    a->model->load_ms = b->model->load_ms = 0; /* not known: the least recently used goes */
    assert_true(victims_harm(&t->s, a) > victims_harm(&t->s, b));
    double quiet = victims_harm(&t->s, b);
    b->model->waiting = 1; /* it is wanted now */
    assert_true(victims_harm(&t->s, b) > quiet);
    b->leases = 1;
    b->state = SCHED_YIELDING; /* on its way out already */
    assert_true(victims_harm(&t->s, b) == 0);
    a->state = SCHED_DRAINING;
    assert_true(victims_harm(&t->s, a) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evicts_the_set_that_does_the_least_harm),
        cmocka_unit_test(nobody_goes_who_need_not),
        cmocka_unit_test(of_a_crowd_the_least_harmful_are_looked_at),
        cmocka_unit_test(a_search_without_end_is_cut_short),
        cmocka_unit_test(all_together_may_not_be_enough),
        cmocka_unit_test(harm_is_load_time_by_time_unused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
