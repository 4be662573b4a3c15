/* SPDX-License-Identifier: MIT */
/* Processes of this machine and their listening sockets, from /proc, as far as this user may read it. */
#ifndef HOSTLER_CLI_DOCTOR_PROCFS_H
#define HOSTLER_CLI_DOCTOR_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/strv.h"

struct procfs_process {
    pid_t pid, parent;
    uid_t uid;
    char name[32]; /* its program's, without a path */
    struct strv argv;
    struct strv env; /* empty when this user may not read it */
};

/* False when there is none of that pid. procfs_process_finish() in any case. */
bool procfs_read(pid_t pid, struct procfs_process *p);
void procfs_process_finish(struct procfs_process *p);
/* Calls `each` for every process; `p` is valid until it returns. */
void procfs_each(void (*each)(const struct procfs_process *p, void *ctx), void *ctx);

/* The value of one of its options (`--name V`, `--name=V`), else of the variable `env` (NULL: none);
 * NULL when it has neither. Borrowed. */
const char *procfs_setting(const struct procfs_process *p, const char *option, const char *env);
/* Whether an ancestor is, by its name, a server that starts engines. */
bool procfs_has_server_ancestor(const struct procfs_process *p);
bool procfs_has_ancestor(const struct procfs_process *p, pid_t pid);
/* Whether its parent has ended: it was adopted by init or a user's systemd. */
bool procfs_is_orphan(const struct procfs_process *p);
/* Such a server's program: hostler, llama-server, llama-swap, ollama. */
bool procfs_is_server_name(const char *name);

/* Whether a process, of those that this user sees, has the file open for writing. */
bool procfs_has_writer(const char *path);

struct procfs_listener {
    unsigned port;
    uid_t uid; /* whose it is */
    unsigned long inode;
    pid_t pid; /* 0: not to be seen by this user */
};

/* TCP ports that can be reached by the loopback, each once; how many were written. */
size_t procfs_listeners(struct procfs_listener *out, size_t max);
/* The pid that listens on the unix socket; 0 where this user cannot see it. */
pid_t procfs_unix_listener(const char *path);

#endif
