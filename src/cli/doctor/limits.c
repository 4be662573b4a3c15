/* SPDX-License-Identifier: MIT */
/* Doctor's check of a daemon's environment: its limit of open files, and leftovers of daemons that have ended. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strv.h"
#include "cli/doctor/doctor.h"
#include "cli/terminal/format.h"
#include "engine/rundir.h"

/* Each request takes two descriptors, one to the client and one to the engine. */
#define OPEN_FILES_LEAST 1024
#define OPEN_FILES_GOOD 65536UL
#define OPEN_FILES_FAIR 4096 /* as far as the hard limit allows is good enough from here on */

struct open_files {
    unsigned long soft, hard; /* ULONG_MAX: unlimited */
    unsigned long used;       /* 0: not to be seen */
};

static unsigned long count_open(pid_t pid)
{
    char path[64];
    unsigned long n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

/* `Max open files  1024  524288  files`; a word is no limit. */
static bool read_open_files(pid_t pid, struct open_files *out)
{
    char path[64], line[256];
    bool found = false;
    *out = (struct open_files){.soft = (unsigned long)-1, .hard = (unsigned long)-1};
    snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        found = strncmp(line, "Max open files", 14) == 0;
        if (found)
            sscanf(line + 14, " %lu %lu", &out->soft, &out->hard);
    }
    if (f)
        fclose(f);
    out->used = count_open(pid);
    return found;
}

struct doctor_remedy doctor_raise_limit(int pid, unsigned long soft, unsigned long hard)
{
    static const char remark[] = "for its next start: ulimit -n, or LimitNOFILE=";
    unsigned long wanted = soft < OPEN_FILES_GOOD / 2 ? OPEN_FILES_GOOD : soft * 2;
    char *command =
        hard >= OPEN_FILES_FAIR && hard > soft
            ? mem_printf("prlimit --pid %d --nofile=%lu:", pid, wanted < hard ? wanted : hard)
            : mem_printf("%sprlimit --pid %d --nofile=%lu:%lu", geteuid() ? "sudo " : "", pid,
                         wanted, wanted);
    return doctor_remedy(command, remark);
}

void doctor_open_files(struct doctor *d)
{
    struct open_files f;
    int pid = (int)d->process.pid;
    if (!pid || !read_open_files(pid, &f))
        return;
    bool low = f.soft < OPEN_FILES_LEAST;
    bool full = f.used > f.soft / 4 * 3;
    if (!low && !full) {
        doctor_add(d, DOCTOR_OK, "open files",
                   f.soft == (unsigned long)-1
                       ? mem_printf("%s (pid %d) may open any number", d->process.name, pid)
                       : mem_printf("%s (pid %d) may open %lu", d->process.name, pid, f.soft),
                   NULL);
        return;
    }
    doctor_add(d, DOCTOR_WRONG, "open files",
               mem_printf("%s (pid %d) may open %lu files only, two a request", d->process.name,
                          pid, f.soft),
               f.used ? mem_printf("%lu are open now", f.used) : NULL);
    doctor_add_remedy(d, doctor_raise_limit(pid, f.soft, f.hard));
}

void doctor_leftovers(struct doctor *d)
{
    struct strv paths = {0};
    rundir_leftovers(&paths);
    for (size_t i = 0; i < paths.n; i++) {
        char *word = format_shell(paths.v[i]);
        doctor_add(d, DOCTOR_WRONG, "leftovers",
                   mem_printf("%s is left of a daemon that is gone", paths.v[i]),
                   mem_strdup("nobody holds its lock any more"));
        doctor_add_remedy(d, doctor_remedy(mem_printf("rm -r -- %s", word),
                                           "the next `hostler serve` does it, too"));
        free(word);
    }
    strv_finish(&paths);
}
