/* SPDX-License-Identifier: MIT */
/* Doctor's check of what the server says about its own troubles (/hostler/v1/status). */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/doctor/doctor.h"
#include "cli/json.h"
#include "cli/terminal/format.h"

#define MAKE_ROOM "make room on its disk, or let the server's user write there"

static void reading(struct doctor *d)
{
    const char *problem = cli_json_text_or(d->router.status, "problem", NULL);
    if (!problem)
        return;
    doctor_add(d, DOCTOR_WRONG, "server",
               mem_strdup("its models or presets could not be read again: it goes on with what it "
                          "had before"),
               mem_strdup(problem));
    doctor_add_remedy(d, doctor_remedy(mem_strdup("hostler list --reload"), "after fixing that"));
}

/* Wrong while it goes on; a note afterwards. */
static void connections(struct doctor *d)
{
    json_t *c = json_object_get(d->router.status, "connections");
    const long long refused = cli_json_integer(c, "refused"), max = cli_json_integer(c, "max");
    if (!refused)
        return;
    doctor_add(d, cli_json_integer(c, "open") > max ? DOCTOR_WRONG : DOCTOR_NOTE, "connections",
               mem_printf("%lld connection%s or request%s refused since the server's start",
                          refused, refused == 1 ? "" : "s", refused == 1 ? " was" : "s were"),
               mem_printf("all %lld were in use then, %lld are open now", max,
                          (long long)cli_json_integer(c, "open")));
    doctor_set_advice(d, mem_strdup("start it with a larger --max-connections, and with more open "
                                    "files if it says so (ulimit -n, LimitNOFILE=)"));
}

static struct doctor_remedy show_disk(const char *path)
{
    char *word = format_shell(path);
    char *command = mem_printf("df -h -- %s", word);
    free(word);
    return doctor_remedy(command, "shows how full its disk is");
}

/* `what` is taken. */
static void add_unwritable(struct doctor *d, const char *check, char *what, char *evidence,
                           const char *path)
{
    doctor_add(d, DOCTOR_WRONG, check, what, evidence);
    if (d->local && path)
        doctor_add_remedy(d, show_disk(path));
    doctor_set_advice(d, mem_strdup(MAKE_ROOM));
}

static void log_output(struct doctor *d, const char *place)
{
    json_t *l = json_object_get(json_object_get(d->router.status, "log"), place);
    const char *error = cli_json_text_or(l, "error", NULL),
               *path = cli_json_text_or(l, "path", NULL);
    const long long dropped = cli_json_integer(l, "dropped");
    char *lines = mem_printf("%lld line%s dropped since the server's start", dropped,
                             dropped == 1 ? " was" : "s were");
    const char *name = path ? path : place;
    if (error) {
        add_unwritable(d, "log", mem_printf("the log cannot be written to %s: %s", name, error),
                       lines, path);
    } else if (dropped) {
        doctor_add(d, DOCTOR_NOTE, "log", mem_printf("the log in %s is not complete", name), lines);
    } else {
        free(lines);
    }
}

static void state(struct doctor *d)
{
    json_t *s = json_object_get(d->router.status, "state");
    const char *error = cli_json_text_or(s, "error", NULL), *path = cli_json_text(s, "path");
    const long long failed = cli_json_integer(s, "failed");
    if (!error)
        return;
    char *evidence = failed ? mem_printf("%lld write%s failed since the server's start; a restart "
                                         "would lose what changed",
                                         failed, failed == 1 ? "" : "s")
                            : mem_strdup("a restart will lose them");
    add_unwritable(d, "state",
                   mem_printf("holds, pins and footprints cannot be saved in %s: %s", path, error),
                   evidence, path);
}

static char *sizes(json_t *cache)
{
    char used[FORMAT_SIZE], max[FORMAT_SIZE];
    return mem_printf(
        "%s of %s are in use",
        format_bytes((uint64_t)cli_json_integer(cache, "bytes"), used, sizeof used),
        format_bytes((uint64_t)cli_json_integer(cache, "max_bytes"), max, sizeof max));
}

/* Nearly: a twentieth is left. */
static bool is_nearly_full(json_t *cache)
{
    json_int_t bytes = cli_json_integer(cache, "bytes"), max = cli_json_integer(cache, "max_bytes");
    return bytes > 0 && bytes > max - max / 20;
}

static void prompts(struct doctor *d)
{
    json_t *c = json_object_get(d->router.status, "prompt_cache");
    const char *error = cli_json_text_or(c, "error", NULL), *dir = cli_json_text(c, "dir");
    const long long failed = cli_json_integer(c, "failed");
    if (strcmp(cli_json_text(c, "state"), "failed") == 0) {
        doctor_add(d, DOCTOR_WRONG, "prompts",
                   mem_strdup("no prompts are saved: models compute them anew after each load"),
                   mem_strdup(cli_json_text(c, "why")));
        doctor_set_advice(
            d, mem_strdup("mend that, or start it with another folder: --prompt-cache DIR; "
                          "`--prompt-cache off` if none is wanted"));
    } else if (error) {
        add_unwritable(d, "prompts", mem_printf("prompts cannot be saved in %s: %s", dir, error),
                       mem_printf("%lld use%s of the disk failed since the server's start", failed,
                                  failed == 1 ? "" : "s"),
                       dir);
    } else if (is_nearly_full(c)) {
        doctor_add(d, DOCTOR_NOTE, "prompts",
                   mem_strdup("there is little room for more saved prompts: those that save the "
                              "least time go first"),
                   sizes(c));
        doctor_set_advice(d, mem_strdup("start it with a larger --prompt-cache-size"));
    }
}

void doctor_troubles(struct doctor *d)
{
    reading(d);
    connections(d);
    log_output(d, "stderr");
    log_output(d, "file");
    state(d);
    prompts(d);
}
