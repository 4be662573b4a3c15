/* SPDX-License-Identifier: MIT */
/* Errors of a server: what is printed when it does not answer, refuses the key or is no router. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"

#define FIRST_JOINED 100 /* lower numbers are the system's own groups, which are not for users */

static bool lists_me(const struct group *g)
{
    const struct passwd *me = getpwuid(geteuid());
    for (char **name = g->gr_mem; me && *name; name++)
        if (strcmp(*name, me->pw_name) == 0)
            return true;
    return false;
}

/* The group whose members may open the socket, if joining it is sensible; packaging/systemd makes one. */
static const struct group *group_to_join(const struct stat *st)
{
    bool in_it = st->st_gid == getegid() || group_member(st->st_gid);
    bool would_do = st->st_mode & S_IWGRP && st->st_gid >= FIRST_JOINED && !in_it;
    return would_do ? getgrgid(st->st_gid) : NULL;
}

static void hint_denied(const struct router *r)
{
    struct stat st;
    const char *path = r->url.socket;
    bool found = stat(path, &st) == 0; /* else a folder on its path may not be searched */
    const struct group *g = found ? group_to_join(&st) : NULL;
    char *word = format_shell(path);
    if (!found)
        cli_hint(r->cli, "`namei -l %s` shows who may, and which folder is closed", word);
    else if (!g)
        cli_hint(r->cli, "`ls -l %s` shows who may", word);
    else if (lists_me(g))
        cli_hint(r->cli, "its group %s may, and you are in it: log in again", g->gr_name);
    else
        cli_hint(r->cli, "its group may: `sudo usermod -aG %s $USER`, then log in again",
                 g->gr_name);
    free(word);
}

int router_report_unreachable(const struct router *r, int code, const struct error *err)
{
    cli_error(r->cli, "%s", err->text);
    if (code == -ECONNREFUSED)
        cli_hint(r->cli,
                 "start a server with `hostler serve`, or name another with --url or HOSTLER_URL%s",
                 r->cli->capture ? "" : "; `hostler doctor` looks for one");
    else if (code == -EACCES && r->url.socket)
        hint_denied(r);
    else if (code == -EPROTO)
        cli_hint(r->cli, "is it another service's port? Name the router with --url or HOSTLER_URL");
    return CLI_NO_SERVER;
}

int router_report_refused(const struct router *r)
{
    cli_error(r->cli, r->cli->key ? "%s refused the key" : "%s wants a key", r->url.shown);
    const char *what = !r->cli->key               ? "it"
                       : strchr(r->cli->key, ',') ? "a single one (this holds a comma)"
                                                  : "the right one";
    cli_hint(r->cli, "give %s with HOSTLER_API_KEY or --api-key", what);
    return CLI_REFUSED;
}

int router_report_no_router(const struct router *r, const char *why, const char *hint)
{
    cli_error(r->cli, "%s is not a llama.cpp router: %s", r->url.shown, why);
    cli_hint(r->cli, "%s",
             hint ? hint
                  : "name the router with --url or HOSTLER_URL, or start one with `hostler serve`");
    return CLI_NO_SERVER;
}

/* Whether the answer is llama.cpp's error object. Not a 404 or 405: any server answers these to unknown routes. */
static bool says_why(const struct router_answer *a)
{
    json_t *message = json_object_get(json_object_get(a->body, "error"), "message");
    return a->status >= 400 && a->status != 404 && a->status != 405 && json_is_string(message);
}

static char *describe(const struct router_answer *a, const char *what)
{
    if (a->redirect)
        return mem_printf("it redirects %s to %s", what, a->redirect);
    if (a->status == 200 && a->page)
        return mem_printf("it answers %s with %s", what, router_message(a));
    if (a->status == 200 && a->body)
        return mem_printf("its answer to %s is no list", what);
    if (a->status == 200)
        return mem_strdup("it answers with something else than JSON");
    return mem_printf("it answers %s with status %d: %s", what, a->status, router_message(a));
}

/* The hint for this kind of answer; NULL: the default one. */
static const char *remedy(const struct router *r, const struct router_answer *a)
{
    bool gateway = a->status >= 502 && a->status <= 504;
    if (a->redirect && !r->url.tls && strncmp(a->redirect, "https://", 8) == 0)
        return "name it with https:// in --url or HOSTLER_URL";
    if (gateway && !a->body)
        return "that is a proxy whose server does not run or cannot be reached: look there, or "
               "name the router's own address with --url or HOSTLER_URL";
    if (a->redirect || a->page)
        return "that is a web interface or a proxy before it: name the router's own address with "
               "--url or HOSTLER_URL";
    return NULL;
}

int router_report_foreign(const struct router *r, const struct router_answer *a, const char *what)
{
    if (says_why(a)) {
        cli_error(r->cli, "%s", router_message(a));
        return CLI_SOME_FAILED;
    }
    char *why = describe(a, what);
    int status = router_report_no_router(r, why, remedy(r, a));
    free(why);
    return status;
}
