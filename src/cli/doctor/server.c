/* SPDX-License-Identifier: MIT */
/* Doctor's check of the server: one answers, it is a router, it accepts the key. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/memory.h"
#include "cli/doctor/doctor.h"
#include "cli/json.h"
#include "cli/peer/peer.h"
#include "cli/terminal/format.h"

#define LISTENERS_MAX 128
#define PROBES_MAX 24 /* strangers' ports that are asked */
#define PROBE_MS 400
#define PORT_MIN 1024 /* below are services of other kinds, which log what they do not understand */

/* --- what listens in its place ------------------------------------------------------------------
 */

/* The kind of router that answers at `url`; NULL where none does. The key is not sent: any user's program may listen there. */
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

/* Engines and servers of one model answer like a router to whoever has no key. */
static bool is_one_model(const struct procfs_process *p)
{
    return strcmp(p->name, "llama-server") == 0 && (doctor_is_engine(p) || doctor_has_model(p));
}

/* Ports of processes that are known to be no router are not probed. */
static bool may_be_router(const struct procfs_listener *l)
{
    struct procfs_process p;
    bool known = l->pid && procfs_read(l->pid, &p);
    bool may = known ? procfs_is_server_name(p.name) && !is_one_model(&p) : l->port >= PORT_MIN;
    if (known)
        procfs_process_finish(&p);
    return may;
}

/* A router that listens elsewhere on this machine. */
struct neighbour {
    const char *kind; /* NULL: none was found */
    unsigned port;
    pid_t pid; /* 0: not to be seen */
    uid_t uid;
};

static bool is_ours(const struct neighbour *n)
{
    return n->kind && n->uid == geteuid();
}

/* The first that this user runs; else the first of another user. */
static struct neighbour find_router(const struct doctor *d)
{
    struct procfs_listener *all = mem_zalloc(LISTENERS_MAX * sizeof *all);
    size_t n = procfs_listeners(all, LISTENERS_MAX), probes = 0;
    struct neighbour found = {0};
    for (size_t i = 0; i < n && !is_ours(&found) && probes < PROBES_MAX; i++) {
        bool ours = all[i].uid == geteuid();
        if ((found.kind && !ours) || !may_be_router(&all[i]))
            continue;
        probes++;
        char *url = mem_printf("http://localhost:%u", all[i].port);
        const char *kind = probe(d, url);
        if (kind)
            found = (struct neighbour){kind, all[i].port, all[i].pid, all[i].uid};
        free(url);
    }
    free(all);
    return found;
}

static const char *source_of_address(const struct cli *cli)
{
    if (cli->url == getenv("HOSTLER_URL"))
        return "HOSTLER_URL";
    if (cli->url == getenv("LLAMA_SERVER_URL"))
        return "LLAMA_SERVER_URL";
    return cli->url == cli_default_url ? "the default" : "--url";
}

/* ` (pid 4711)`, or nothing. The caller frees it. */
static char *pid_in_parentheses(pid_t pid)
{
    return pid ? mem_printf(" (pid %d)", (int)pid) : mem_strdup("");
}

/* The command that names the router `n` in place of the wrong address. An address that came from --url is in no
 * variable and goes before any: then there is no command, and *advice says what to write. */
static struct doctor_remedy name_router(const struct doctor *d, const struct neighbour *n,
                                        char **advice)
{
    const char *source = source_of_address(d->cli);
    const char *name = strcmp(source, "LLAMA_SERVER_URL") == 0 ? "LLAMA_SERVER_URL" : "HOSTLER_URL";
    struct doctor_remedy remedy = {0};
    if (strcmp(source, "--url") == 0) {
        *advice = mem_printf("use --url http://localhost:%u (%s answers)", n->port, n->kind);
    } else {
        char *pid = pid_in_parentheses(n->pid),
             *remark = mem_printf("%s%s answers there", n->kind, pid);
        remedy = doctor_remedy(mem_printf("export %s=http://localhost:%u", name, n->port), remark);
        free(remark);
        free(pid);
    }
    return remedy;
}

/* Another user's router: only a note, since it may not be meant for this user. */
static void add_neighbour(struct doctor *d, const struct neighbour *n)
{
    const struct passwd *user = getpwuid(n->uid);
    char *name = user ? mem_strdup(user->pw_name) : mem_printf("%u", (unsigned)n->uid);
    char *pid = pid_in_parentheses(n->pid);
    doctor_add(
        d, DOCTOR_NOTE, "server",
        mem_printf("%s of user %s%s answers at http://localhost:%u", n->kind, name, pid, n->port),
        mem_strdup("it is not yours: ask that user before you use it"));
    free(pid);
    free(name);
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
    pid_t listener = listener_of(d), own = (pid_t)json_integer_value(told);
    pid_t pid = listener ? listener : own;
    bool certain = listener && listener == own; /* also where its program has another name */
    if (pid && procfs_read(pid, &d->process) && (certain || procfs_is_server_name(d->process.name)))
        return;
    procfs_process_finish(&d->process);
    d->process = (struct procfs_process){0};
}

/* --- the server ---------------------------------------------------------------------------------
 */

/* A llama-server with one model is no router, but its memory is what people want back. */
static struct doctor_remedy end_single_model(const struct doctor *d)
{
    bool single = d->router.single_model && strcmp(d->process.name, "llama-server") == 0;
    return doctor_remedy(single ? doctor_kill_command(&d->process) : NULL,
                         "ends this server and frees its memory");
}

static char *evidence_of(const struct doctor *d, const struct neighbour *found)
{
    const char *none = !d->local || is_ours(found) ? ""
                       : found->kind ? "; no router of yours was found on another port"
                                     : "; no router was found on another port of this machine";
    if (d->process.pid)
        return mem_printf("it is pid %d", (int)d->process.pid);
    return mem_printf("%s comes from %s%s", d->router.url.shown, source_of_address(d->cli), none);
}

/* A llama-server answers every request so while it loads its model. */
static bool is_loading(const struct doctor *d)
{
    return d->reached == CLI_SOME_FAILED && d->captured.error &&
           strcmp(d->captured.error, "Loading model") == 0;
}

static void add_loading(struct doctor *d)
{
    doctor_add(d, DOCTOR_NOTE, "server",
               mem_printf("the llama-server at %s is loading its model", d->router.url.shown),
               d->process.pid ? mem_printf("it is pid %d", (int)d->process.pid) : NULL);
    doctor_set_advice(d, mem_strdup("ask again: until then it answers nothing else"));
}

/* Of a server of one model, whose pid the usual hint sends here for. */
static char *advice_on_hidden_process(const struct doctor *d)
{
    return mem_printf(
        "its process is not to be seen %s: `hostler doctor` %s tells its pid; or name "
        "a router with --url or HOSTLER_URL",
        d->local ? "by this user" : "from here",
        d->local ? "of the user who started it" : "on its own machine");
}

static void not_reached(struct doctor *d)
{
    struct neighbour found = {0};
    if (d->local)
        found = find_router(d);
    char *advice = NULL;
    struct doctor_remedy other = {0}, end = end_single_model(d);
    if (is_ours(&found))
        other = name_router(d, &found, &advice);
    bool has_other = other.command;
    doctor_add_captured(d, "server", evidence_of(d, &found), has_other ? other : end);
    if (has_other)
        doctor_add_remedy(d, end);
    if (!advice && !has_other && d->router.single_model && !d->process.pid)
        advice = advice_on_hidden_process(d);
    if (advice)
        doctor_set_advice(d, advice);
    if (found.kind && !is_ours(&found))
        add_neighbour(d, &found);
}

/* Where the daemon's keys are, when they are in a file that its command line names. */
static void refused(struct doctor *d)
{
    const char *file = doctor_setting(d, "--api-key-file", "LLAMA_ARG_API_KEY_FILE");
    char *path = d->process.pid && file ? doctor_path(d, file) : NULL;
    char *word = path ? format_shell(path) : NULL;
    char *evidence =
        !d->cli->key ? mem_strdup("none was given: HOSTLER_API_KEY and LLAMA_API_KEY are not set")
                     : mem_printf("one of %zu characters was given", strlen(d->cli->key));
    /* The first key, as the daemon reads such a file. */
    struct doctor_remedy remedy =
        word ? doctor_remedy(
                   mem_printf("export HOSTLER_API_KEY=\"$(sed -n '/^#/d;s/\\r$//;/./{p;q}' %s)\"",
                              word),
                   NULL)
             : doctor_remedy(mem_strdup("export HOSTLER_API_KEY=..."), "the server's key");
    doctor_add_captured(d, "key", evidence, remedy);
    free(word);
    free(path);
}

static void reached(struct doctor *d)
{
    const char *version = cli_json_text_or(d->router.status, "version", NULL);
    char *name = version ? mem_printf("hostler %s", version) : mem_strdup(d->router.peer->name);
    doctor_add(d, DOCTOR_OK, "server",
               mem_printf("%s answers at %s, with %zu model%s", name, d->router.url.shown,
                          d->models.n, d->models.n == 1 ? "" : "s"),
               NULL);
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
    else if (is_loading(d))
        add_loading(d);
    else
        not_reached(d);
}
