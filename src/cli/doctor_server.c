/* SPDX-License-Identifier: MIT */
/* Doctor's look at the server: does one answer, is it a router, does it take the key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/memory.h"
#include "cli/doctor.h"
#include "cli/format.h"
#include "cli/peer.h"

#define LISTENERS_MAX 128
#define PROBES_MAX 24 /* strangers' ports that are asked */
#define PROBE_MS 400
#define PORT_MIN 1024 /* below are services of other kinds, which log what they do not understand */

/* --- what listens in its place ------------------------------------------------------------------
 */

/* What answers on the port, `hostler`; NULL when it is no router. It gets no key: anybody may listen
 * there. */
static const char *probe(const struct doctor *d, const char *url)
{
    struct cli quiet = *d->cli;
    struct router r;
    struct router_models models = {0};
    const char *name = NULL;
    quiet.url = url;
    quiet.key = NULL;
    quiet.quiet = true;
    int status = router_open(&r, &quiet);
    r.timeout_ms = PROBE_MS;
    if (!status)
        status = router_detect(&r);
    if (!status && r.kind == ROUTER_STOCK)
        status = router_list(&r, &models, false);
    if (!status || status == CLI_REFUSED)
        name = status                     ? "a server that wants a key"
               : r.kind == ROUTER_HOSTLER ? "hostler"
                                          : r.peer->name;
    router_models_finish(&models);
    router_close(&r);
    return name;
}

/* What is known to be something else is not asked. */
static bool may_be_router(const struct procfs_listener *l)
{
    struct procfs_process p;
    bool known = l->pid && procfs_read(l->pid, &p);
    bool may = known ? procfs_is_server(p.name) : l->port >= PORT_MIN;
    if (known)
        procfs_process_finish(&p);
    return may;
}

char *doctor_find_router(const struct doctor *d)
{
    struct procfs_listener *all = mem_zalloc(LISTENERS_MAX * sizeof *all);
    size_t n = procfs_listeners(all, LISTENERS_MAX), probes = 0;
    char *found = NULL;
    for (size_t i = 0; i < n && !found && probes < PROBES_MAX; i++) {
        if (!may_be_router(&all[i]))
            continue;
        probes++;
        char *url = mem_printf("http://localhost:%u", all[i].port);
        const char *name = probe(d, url);
        if (name)
            found = mem_printf("export HOSTLER_URL=%s   # %s answers there", url, name);
        free(url);
    }
    free(all);
    return found;
}

/* --- whose process it is ------------------------------------------------------------------------
 */

static pid_t listener_of(const struct doctor *d)
{
    const struct url *url = &d->router.url;
    pid_t pid = 0;
    if (url->socket)
        return procfs_unix_listener(url->socket);
    struct procfs_listener *all = mem_zalloc(LISTENERS_MAX * sizeof *all);
    size_t n = procfs_listeners(all, LISTENERS_MAX);
    for (size_t i = 0; i < n; i++)
        if (all[i].port == url_port(url))
            pid = all[i].pid;
    free(all);
    return pid;
}

/* hostler tells its pid, also when its sockets are not ours to see; another machine's, seen through
 * a tunnel, is somebody else here. */
static void find_process(struct doctor *d)
{
    json_t *told = json_object_get(d->router.status, "pid");
    pid_t pid = listener_of(d);
    if (!pid && json_is_integer(told))
        pid = (pid_t)json_integer_value(told);
    if (pid && procfs_read(pid, &d->process) && procfs_is_server(d->process.name))
        return;
    procfs_process_finish(&d->process);
    d->process = (struct procfs_process){0};
}

/* --- the server ---------------------------------------------------------------------------------
 */

static const char *source_of_address(const struct cli *cli)
{
    if (cli->url == getenv("HOSTLER_URL"))
        return "HOSTLER_URL";
    if (cli->url == getenv("LLAMA_SERVER_URL"))
        return "LLAMA_SERVER_URL";
    return cli->url_given ? "--url" : "the default";
}

/* A server of one model is no router; it holds memory all the same, which is what people look for. */
static char *way_to_router(const struct doctor *d, char *found)
{
    if (!d->router.single_model || strcmp(d->process.name, "llama-server") != 0)
        return found;
    char *end = doctor_kill(&d->process);
    char *fix = mem_printf("%s%s%s   # ends this one, and gives its memory back",
                           found ? found : "", found ? "\n" : "", end);
    free(end);
    free(found);
    return fix;
}

static void not_reached(struct doctor *d)
{
    char *found = d->local ? doctor_find_router(d) : NULL;
    char *evidence =
        d->process.pid
            ? mem_printf("it is pid %d", (int)d->process.pid)
            : mem_printf("%s comes from %s%s", d->router.url.shown, source_of_address(d->cli),
                         found || !d->local
                             ? ""
                             : "; no router was found on another port of this machine");
    doctor_add_told(d, "server", evidence, way_to_router(d, found));
}

/* Where the daemon's keys are, when they are in a file that its command line names. */
static void refused(struct doctor *d)
{
    const char *file = doctor_setting(d, "--api-key-file", "LLAMA_ARG_API_KEY_FILE");
    char *word = d->process.pid && file ? format_shell(file) : NULL;
    char *evidence =
        !d->cli->key ? mem_strdup("none was given: HOSTLER_API_KEY and LLAMA_API_KEY are not set")
                     : mem_printf("one of %zu characters was given", strlen(d->cli->key));
    char *fix = word ? mem_printf("export HOSTLER_API_KEY=\"$(grep -v '^#' %s | head -n 1)\"", word)
                     : mem_strdup("export HOSTLER_API_KEY=...   # the server's key");
    doctor_add_told(d, "key", evidence, fix);
    free(word);
}

static void reached(struct doctor *d)
{
    const char *version = json_string_value(json_object_get(d->router.status, "version"));
    const char *problem = json_string_value(json_object_get(d->router.status, "problem"));
    char *name = version ? mem_printf("hostler %s", version) : mem_strdup(d->router.peer->name);
    doctor_add(d, DOCTOR_OK, "server",
               mem_printf("%s answers at %s, with %zu model%s", name, d->router.url.shown,
                          d->models.n, d->models.n == 1 ? "" : "s"),
               NULL, NULL);
    if (problem)
        doctor_add(d, DOCTOR_WRONG, "server",
                   mem_strdup("its models or presets could not be read again: it goes on with what "
                              "it had before"),
                   mem_strdup(problem),
                   mem_strdup("hostler list --reload   # when that is mended"));
    free(name);
}

void doctor_server(struct doctor *d)
{
    int status = router_detect(&d->router);
    if (!status)
        status = router_list(&d->router, &d->models, false);
    d->reached = status;
    if (d->local)
        find_process(d);
    if (status == CLI_OK)
        reached(d);
    else if (status == CLI_REFUSED)
        refused(d);
    else
        not_reached(d);
}
