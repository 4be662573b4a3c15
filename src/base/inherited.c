/* SPDX-License-Identifier: MIT */
#include "base/inherited.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOR_OTHERS 077 /* the mask's bits for group and others */

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* open() takes the lowest number that is free. */
static void open_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return; /* there is no /dev/null: nothing better can be done */
}

void inherited_reset(void)
{
    umask(umask(FOR_OTHERS) & FOR_OTHERS);
    reset_signals();
    open_standard_streams();
}
