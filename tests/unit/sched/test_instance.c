/* SPDX-License-Identifier: MIT */
/*
 * Every event in every state of an instance: what state follows, and which actions. A is the model,
 * 0 a request that it serves, 1 one that comes, 8 one that waits for B, for which A is to yield.
 * There is one place.
 */
#include "sched_test.h"

#include "sched/instance.h"

enum start { NONE, LOADING, READY, BUSY, YIELDING, DRAINING, SAVING, STOPPING, STARTS };
static const char *const start_names[] = {"none",     "loading",  "ready",  "busy",
                                          "yielding", "draining", "saving", "stopping"};

enum cause {
    ADD,
    REMOVE,
    REQUEST,
    CANCEL,
    DONE,
    LOAD,
    UNLOAD,
    FORCE,
    REPLACE,
    REPLACE_KNOWN,
    KEEP,
    IS_READY,
    GONE,
    GONE_OOM,
    GONE_OURS,
    BROKEN,
    SAVED,
    HOLD,
    RELEASE,
    SHUTDOWN,
    TICK,
    CAUSES
};

static const struct {
    const char *name;
    const char *then[STARTS]; /* the state, and the actions */
} table[CAUSES] = {
    [ADD] = {"add",
             {
                 [NONE] = "unloaded",
                 [LOADING] = "loading",
                 [READY] = "ready",
                 [BUSY] = "ready",
                 [YIELDING] = "yielding",
                 [DRAINING] = "draining",
                 [SAVING] = "saving",
                 [STOPPING] = "stopping",
             }},
    [REMOVE] = {"remove",
                {
                    [NONE] = "unloaded",
                    [LOADING] = "stopping: stop A removed",
                    [READY] = "stopping: stop A removed",
                    [BUSY] = "draining",
                    [YIELDING] = "draining",
                    [DRAINING] = "draining",
                    [SAVING] = "saving",
                    [STOPPING] = "stopping",
                }},
    [REQUEST] = {"request",
                 {
                     [NONE] = "unloaded: spawn A for 1",
                     [LOADING] = "loading",
                     [READY] = "ready: grant 1",
                     [BUSY] = "ready: grant 1",
                     [YIELDING] = "yielding",
                     [DRAINING] = "draining",
                     [SAVING] = "saving",
                     [STOPPING] = "stopping",
                 }},
    [CANCEL] = {"cancel of 0",
                {
                    [NONE] = "unloaded",
                    [LOADING] = "loading",
                    [READY] = "ready",
                    [BUSY] = "ready",
                    [YIELDING] = "stopping: stop A evicted",
                    [DRAINING] = "stopping: stop A unloaded",
                    [SAVING] = "saving",
                    [STOPPING] = "stopping",
                }},
    [DONE] = {"done 0",
              {
                  [NONE] = "unloaded",
                  [LOADING] = "loading",
                  [READY] = "ready",
                  [BUSY] = "ready",
                  [YIELDING] = "stopping: stop A evicted",
                  [DRAINING] = "stopping: stop A unloaded",
                  [SAVING] = "saving",
                  [STOPPING] = "stopping",
              }},
    [LOAD] = {"load",
              {
                  [NONE] = "unloaded: spawn A",
                  [LOADING] = "loading",
                  [READY] = "ready",
                  [BUSY] = "ready",
                  [YIELDING] = "yielding",
                  [DRAINING] = "draining",
                  [SAVING] = "saving",
                  [STOPPING] = "stopping",
              }},
    [UNLOAD] = {"unload",
                {
                    [NONE] = "unloaded",
                    [LOADING] = "stopping: stop A unloaded",
                    [READY] = "stopping: stop A unloaded",
                    [BUSY] = "draining",
                    [YIELDING] = "draining",
                    [DRAINING] = "draining",
                    [SAVING] = "saving",
                    [STOPPING] = "stopping",
                }},
    [FORCE] = {"unload by force",
               {
                   [NONE] = "unloaded",
                   [LOADING] = "stopping: stop A unloaded by force",
                   [READY] = "stopping: stop A unloaded by force",
                   [BUSY] = "stopping: stop A unloaded by force",
                   [YIELDING] = "stopping: stop A unloaded by force",
                   [DRAINING] = "stopping: stop A unloaded by force",
                   [SAVING] = "stopping: stop A unloaded by force",
                   [STOPPING] = "stopping: stop A unloaded by force",
               }},
    [REPLACE] = {"replace",
                 {
                     [NONE] = "unloaded",
                     [LOADING] = "stopping: stop A replaced",
                     [READY] = "stopping: stop A replaced",
                     [BUSY] = "draining",
                     [YIELDING] = "draining",
                     [DRAINING] = "draining",
                     [SAVING] = "saving",
                     [STOPPING] = "stopping",
                 }},
    [REPLACE_KNOWN] = {"replace, memory known",
                       {
                           [NONE] = "unloaded",
                           [LOADING] = "stopping: stop A replaced; spawn A",
                           [READY] = "stopping: stop A replaced",
                           [BUSY] = "ready: spawn A",
                           [YIELDING] = "draining",
                           [DRAINING] = "draining",
                           [SAVING] = "saving",
                           [STOPPING] = "stopping",
                       }},
    [KEEP] = {"keep",
              {
                  [NONE] = "unloaded",
                  [LOADING] = "loading",
                  [READY] = "ready",
                  [BUSY] = "ready",
                  [YIELDING] = "yielding",
                  [DRAINING] = "ready",
                  [SAVING] = "ready",
                  [STOPPING] = "stopping",
              }},
    [IS_READY] = {"ready",
                  {
                      [NONE] = "unloaded",
                      [LOADING] = "ready",
                      [READY] = "ready",
                      [BUSY] = "ready",
                      [YIELDING] = "yielding",
                      [DRAINING] = "draining",
                      [SAVING] = "saving",
                      [STOPPING] = "stopping",
                  }},
    [GONE] = {"gone",
              {
                  [NONE] = "unloaded",
                  [LOADING] = "unloaded",
                  [READY] = "unloaded",
                  [BUSY] = "unloaded",
                  [YIELDING] = "unloaded: spawn B for 8",
                  [DRAINING] = "unloaded",
                  [SAVING] = "unloaded",
                  [STOPPING] = "unloaded",
              }},
    [GONE_OOM] = {"gone, out of memory",
                  {
                      [NONE] = "unloaded",
                      [LOADING] = "unloaded: spawn A",
                      [READY] = "unloaded",
                      [BUSY] = "unloaded",
                      [YIELDING] = "unloaded: spawn B for 8",
                      [DRAINING] = "unloaded",
                      [SAVING] = "unloaded",
                      [STOPPING] = "unloaded",
                  }},
    [GONE_OURS] = {"gone, not started",
                   {
                       [NONE] = "unloaded",
                       [LOADING] = "unloaded",
                       [READY] = "unloaded",
                       [BUSY] = "unloaded",
                       [YIELDING] = "unloaded: spawn B for 8",
                       [DRAINING] = "unloaded",
                       [SAVING] = "unloaded",
                       [STOPPING] = "unloaded",
                   }},
    [BROKEN] = {"broken",
                {
                    [NONE] = "unloaded",
                    [LOADING] = "loading",
                    [READY] = "stopping: stop A broken by force",
                    [BUSY] = "stopping: stop A broken by force",
                    [YIELDING] = "stopping: stop A broken by force",
                    [DRAINING] = "stopping: stop A unloaded by force",
                    [SAVING] = "stopping: stop A unloaded by force",
                    [STOPPING] = "stopping",
                }},
    [SAVED] = {"saved",
               {
                   [NONE] = "unloaded",
                   [LOADING] = "loading",
                   [READY] = "ready",
                   [BUSY] = "ready",
                   [YIELDING] = "yielding",
                   [DRAINING] = "draining",
                   [SAVING] = "stopping: stop A unloaded",
                   [STOPPING] = "stopping",
               }},
    [HOLD] = {"hold",
              {
                  [NONE] = "unloaded",
                  [LOADING] = "loading",
                  [READY] = "ready",
                  [BUSY] = "ready",
                  [YIELDING] = "yielding",
                  [DRAINING] = "draining",
                  [SAVING] = "saving",
                  [STOPPING] = "stopping",
              }},
    [RELEASE] = {"release",
                 {
                     [NONE] = "unloaded",
                     [LOADING] = "loading",
                     [READY] = "ready",
                     [BUSY] = "ready",
                     [YIELDING] = "yielding",
                     [DRAINING] = "draining",
                     [SAVING] = "saving",
                     [STOPPING] = "stopping",
                 }},
    [SHUTDOWN] = {"shutdown",
                  {
                      [NONE] = "unloaded",
                      [LOADING] = "stopping: stop A shutdown",
                      [READY] = "stopping: stop A shutdown",
                      [BUSY] = "draining",
                      [YIELDING] = "draining: reject 8 shutdown",
                      [DRAINING] = "draining",
                      [SAVING] = "saving",
                      [STOPPING] = "stopping",
                  }},
    [TICK] = {"tick after 1 s",
              {
                  [NONE] = "unloaded",
                  [LOADING] = "loading",
                  [READY] = "stopping: stop A idle",
                  [BUSY] = "ready",
                  [YIELDING] = "yielding",
                  [DRAINING] = "draining",
                  [SAVING] = "saving",
                  [STOPPING] = "stopping",
              }},
};

static const char *name_of(enum sched_state state)
{
    static const char *const names[] = {
        [SCHED_UNLOADED] = "unloaded", [SCHED_LOADING] = "loading",   [SCHED_READY] = "ready",
        [SCHED_YIELDING] = "yielding", [SCHED_DRAINING] = "draining", [SCHED_SAVING] = "saving",
        [SCHED_STOPPING] = "stopping",
    };
    return names[state];
}

static struct world *begin_in(enum start start, bool known)
{
    struct world *w = begin_with(&(struct sched_config){.models_max = 1,
                                                        .max_wait_ms = 100,
                                                        .save_ms = 5000,
                                                        .devices = known,
                                                        .overlap = known,
                                                        .ceiling = {100}});
    w->m[A].ttl_ms = 1000;
    if (start == LOADING)
        tell(w, SCHED_EV_LOAD, A);
    else if (start == READY || start == SAVING || start == STOPPING)
        have_ready(w, A);
    else if (start != NONE)
        have_busy(w, A, 0);
    actions(w);
    if (start == YIELDING) {
        ask(w, 8, B);
        tick(w);
    } else if (start == DRAINING || start == SAVING || start == STOPPING) {
        w->newest[A]->save_gain_ms = start == SAVING ? 9000 : 0;
        unload(w, A, SCHED_NEVER);
    }
    actions(w);
    return w;
}

static void gone(struct world *w, bool oom, bool ours)
{
    sched_event(&w->s,
                &(struct sched_event){
                    .type = SCHED_EV_GONE, .instance = w->newest[A], .oom = oom, .ours = ours},
                w->now);
}

static void cause(struct world *w, enum cause c)
{
    switch (c) {
    case ADD:
        tell(w, SCHED_EV_ADD, A);
        break;
    case REMOVE:
        tell(w, SCHED_EV_REMOVE, A);
        break;
    case REQUEST:
        ask(w, 1, A);
        break;
    case CANCEL:
        cancel(w, 0);
        break;
    case DONE:
        done(w, 0);
        break;
    case LOAD:
        tell(w, SCHED_EV_LOAD, A);
        break;
    case UNLOAD:
        unload(w, A, SCHED_NEVER);
        break;
    case FORCE:
        unload(w, A, 0);
        break;
    case REPLACE:
    case REPLACE_KNOWN:
        tell(w, SCHED_EV_REPLACE, A);
        break;
    case KEEP:
        tell(w, SCHED_EV_KEEP, A);
        break;
    case IS_READY:
        tell(w, SCHED_EV_READY, A);
        break;
    case GONE:
        gone(w, false, false);
        break;
    case GONE_OOM:
        gone(w, true, false);
        break;
    case GONE_OURS:
        gone(w, false, true);
        break;
    case BROKEN:
        tell(w, SCHED_EV_BROKEN, A);
        break;
    case SAVED:
        tell(w, SCHED_EV_SAVED, A);
        break;
    case HOLD:
        hold(w, A, SCHED_NEVER);
        break;
    case RELEASE:
        tell(w, SCHED_EV_RELEASE, A);
        break;
    case SHUTDOWN:
        shut_down(w, SCHED_NEVER);
        break;
    case TICK:
        pass(w, 1000);
        sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_TICK}, w->now);
        break;
    case CAUSES:
        break;
    }
}

TEST(every_event_has_its_result_in_every_state)
{
    for (enum cause c = 0; c < CAUSES; c++)
        for (enum start start = 0; start < STARTS; start++) {
            char text[600];
            struct world *w = begin_in(start, c == REPLACE_KNOWN);
            struct sched_instance *i = w->newest[A];
            cause(w, c);
            const char *what = actions(w);
            snprintf(text, sizeof text, "%s%s%s", name_of(i->state), *what ? ": " : "", what);
            if (strcmp(text, table[c].then[start]) != 0)
                fail_msg("%s while %s: %s, not %s", table[c].name, start_names[start], text,
                         table[c].then[start]);
        }
}

/* Whatever came before, it can be stopped, and its record is free then. */
TEST(every_state_ends)
{
    for (enum cause c = 0; c < CAUSES; c++)
        for (enum start start = 0; start < STARTS; start++) {
            struct world *w = begin_in(start, c == REPLACE_KNOWN);
            cause(w, c);
            actions(w);
            shut_down(w, 0);
            actions(w);
            for (unsigned i = 0; i < w->used; i++)
                sched_event(&w->s,
                            &(struct sched_event){.type = SCHED_EV_GONE, .instance = &w->i[i]},
                            w->now);
            for (int r = 0; r < REQUESTS; r++)
                cancel(w, r);
            did(w, "");
            assert_int_equal(w->s.running + w->s.waiting + w->s.queued, 0);
            assert_true(w->m[A].leases == 0 && LIST_EMPTY(&w->m[A].instances));
        }
}

TEST(what_does_not_run_cannot_be_drained)
{
    struct world *w = begin(1);
    sched_instance_drain(&w->s, w->newest[A], SCHED_STOP_UNLOADED, 0);
    did(w, "");
    assert_int_equal(w->newest[A]->state, SCHED_UNLOADED);
}

TEST(of_several_instances_the_one_that_serves_counts_then_the_one_that_is_next)
{
    struct world *w = begin_with(&(struct sched_config){
        .devices = 1, .overlap = true, .ceiling = {100}, .max_wait_ms = SCHED_NEVER});
    assert_null(sched_model_instance(&w->m[A]));
    assert_int_equal(sched_model_state(&w->m[A]), SCHED_UNLOADED);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn A");
    assert_ptr_equal(sched_model_instance(&w->m[A]), w->older[A]); /* ready, the other loads */
    tell(w, SCHED_EV_READY, A);
    assert_ptr_equal(sched_model_instance(&w->m[A]), w->newest[A]);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    assert_ptr_equal(sched_model_instance(&w->m[A]), w->older[A]); /* drains, the other stops */
    assert_null(sched_model_serving(&w->m[A]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_has_its_result_in_every_state),
        cmocka_unit_test(every_state_ends),
        cmocka_unit_test(what_does_not_run_cannot_be_drained),
        cmocka_unit_test(of_several_instances_the_one_that_serves_counts_then_the_one_that_is_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
