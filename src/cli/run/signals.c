/* SPDX-License-Identifier: MIT */
#include "cli/run/signals.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t came[NSIG];
static int caught[8]; /* 0: a free place */
#define N_CAUGHT (sizeof caught / sizeof *caught)

static void on_signal(int number)
{
    came[number] = 1;
}

static void replace(int from, int to)
{
    for (size_t i = 0; i < N_CAUGHT; i++)
        if (caught[i] == from) {
            caught[i] = to;
            return;
        }
}

void run_signals_catch(int number)
{
    /* Without SA_RESTART, so that it also ends a wait. */
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
    replace(number, 0);
    replace(0, number);
}

void run_signals_release(int number)
{
    signal(number, SIG_DFL);
    replace(number, 0);
}

bool run_signals_received(int number)
{
    return came[number];
}

void run_signals_forget(int number)
{
    came[number] = 0;
}

static int any_came(void)
{
    for (size_t i = 0; i < N_CAUGHT; i++)
        if (caught[i] && came[caught[i]])
            return caught[i];
    return 0;
}

int run_signals_wait_for_input(void)
{
    sigset_t ours, before;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    sigemptyset(&ours);
    for (size_t i = 0; i < N_CAUGHT; i++)
        if (caught[i])
            sigaddset(&ours, caught[i]);
    sigprocmask(SIG_BLOCK, &ours, &before);
    int number = any_came(), n = 0;
    /* A signal that is not ours, as SIGCONT, also wakes it. */
    while (!number && n <= 0) {
        n = ppoll(&input, 1, NULL, &before);
        number = any_came();
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return number;
}
