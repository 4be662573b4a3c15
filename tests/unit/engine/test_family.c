/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/children.h"
#include "engine/family.h"
#include "tree.h"

#define DAEMON 10

static void process(int pid, const char *name, char state, int parent, int group)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    tree_write(path, "%d (%s) %c %d %d %d 0 -1 4194560\n", pid, name, state, parent, group, group);
}

static void environment(int pid, const char *variables)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    tree_write(path, "PATH=/bin%c%s%cTZ=UTC%c", 0, variables, 0, 0);
}

static int by_pid(const void *a, const void *b)
{
    return *(const pid_t *)a - *(const pid_t *)b;
}

/* `20 21 23` */
static const char *members_of(pid_t leader, bool group_ended)
{
    static char text[256];
    struct family_table table;
    pid_t pids[FAMILY_MAX];
    family_read(&table, tree, DAEMON);
    size_t n = family_members(&table, leader, group_ended, 0, pids), len = 0;
    qsort(pids, n, sizeof *pids, by_pid);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, i ? " %d" : "%d", (int)pids[i]);
    family_finish(&table);
    return text;
}

static const char *members(pid_t leader)
{
    return members_of(leader, false);
}

static bool group_runs(pid_t leader)
{
    struct family_table table;
    assert_true(family_read(&table, tree, DAEMON));
    bool runs = family_group_runs(&table, leader);
    family_finish(&table);
    return runs;
}

static void one_alone(void **state)
{
    (void)state;
    process(1, "init", 'S', 0, 1);
    process(DAEMON, "hostler", 'S', 1, DAEMON);
    process(20, "llama-server", 'R', DAEMON, 20);
    process(30, "llama-server", 'R', DAEMON, 30);
    assert_string_equal(members(20), "20");
    assert_string_equal(members(99), "");
}

static void group_and_descendants(void **state)
{
    (void)state;
    process(DAEMON, "hostler", 'S', 1, DAEMON);
    process(20, "engine.sh", 'S', DAEMON, 20);
    process(25, "timeout", 'S', 20, 25);       /* in a group of its own */
    process(24, "llama-server", 'R', 25, 25);  /* whose pid is lower: numbers begin anew */
    process(26, "a) S 1 (b", 'S', DAEMON, 20); /* adopted, of the group; a name like fields */
    process(27, "sleep", 'Z', 20, 20);         /* a zombie */
    process(30, "llama-server", 'R', DAEMON, 30);
    assert_string_equal(members(20), "20 24 25 26");
    assert_string_equal(members(30), "30");
}

static void adopted_ones_are_known_by_their_mark(void **state)
{
    (void)state;
    process(DAEMON, "hostler", 'S', 1, DAEMON);
    process(30, "llama-server", 'R', DAEMON, 30);
    environment(30, FAMILY_MARK "=30");
    process(40, "llama-server", 'R', DAEMON, 40); /* its leader 20 has ended */
    environment(40, FAMILY_MARK "=20");
    process(41, "helper", 'S', 40, 41);
    process(50, "other", 'S', DAEMON, 50); /* no mark */
    environment(50, "X" FAMILY_MARK "=20");
    process(60, "other", 'S', 1, 60); /* another daemon's */
    environment(60, FAMILY_MARK "=20");
    assert_string_equal(members(20), "40 41");
    assert_string_equal(members(30), "30");
}

/* It has ended, and its number was given to a program that is not ours. */
static void a_pid_that_is_used_again(void **state)
{
    (void)state;
    process(DAEMON, "hostler", 'S', 1, DAEMON);
    process(20, "editor", 'S', 1, 19);
    process(21, "shell", 'S', 20, 21);
    assert_string_equal(members(20), "");
}

/* The same, and it was given to the leader of another engine. */
static void a_number_that_is_another_leaders(void **state)
{
    (void)state;
    struct child other = {0};
    process(DAEMON, "hostler", 'S', 1, DAEMON);
    process(20, "llama-server", 'R', DAEMON, 20);
    environment(20, FAMILY_MARK "=20");
    process(21, "helper", 'S', 20, 20);
    process(40, "sleep", 'S', DAEMON, 40); /* the first engine's, outside its group */
    environment(40, FAMILY_MARK "=20");
    children_add(&other, 20);
    assert_string_equal(members_of(20, true), "40");
    children_remove(&other);
}

/* An environment names a leader, but the daemon itself started the process: it is another engine's leader. */
static void leaders_belong_to_no_other_family(void **state)
{
    (void)state;
    struct child other = {0};
    process(DAEMON, "hostler", 'S', 1, DAEMON);
    process(20, "llama-server", 'R', DAEMON, 20);
    process(30, "llama-server", 'R', DAEMON, 30);
    environment(30, FAMILY_MARK "=20");
    children_add(&other, 30);
    assert_string_equal(members(20), "20");
    assert_string_equal(members(30), "30");
    children_remove(&other);
}

/* A zombie keeps the leader's group, and whoever does not reap it has left the group. */
static void a_group_of_zombies(void **state)
{
    (void)state;
    process(DAEMON, "hostler", 'S', 1, DAEMON);
    process(21, "sleep", 'S', DAEMON, 21);
    environment(21, FAMILY_MARK "=20");
    process(22, "true", 'Z', 21, 20);
    assert_string_equal(members(20), "21");
    assert_false(group_runs(20));
    assert_true(group_runs(21));
}

static void nothing_to_read(void **state)
{
    (void)state;
    struct family_table table;
    assert_false(family_read(&table, tree, DAEMON));
    family_finish(&table);
    assert_string_equal(members(20), "");
}

#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(one_alone),
        TREE_TEST(group_and_descendants),
        TREE_TEST(adopted_ones_are_known_by_their_mark),
        TREE_TEST(a_pid_that_is_used_again),
        TREE_TEST(a_number_that_is_another_leaders),
        TREE_TEST(leaders_belong_to_no_other_family),
        TREE_TEST(a_group_of_zombies),
        TREE_TEST(nothing_to_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
