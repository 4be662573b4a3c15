/* SPDX-License-Identifier: MIT */
/* hostler doctor */
#include "cli/doctor/doctor.h"

#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/peer.h"
#include "cli/terminal/format.h"

/* --- findings -----------------------------------------------------------------------------------
 */

void doctor_add(struct doctor *d, enum doctor_level level, const char *check, char *what,
                char *evidence)
{
    d->findings = mem_realloc(d->findings, (d->n + 1) * sizeof *d->findings);
    d->findings[d->n++] =
        (struct doctor_finding){.level = level, .check = check, .what = what, .evidence = evidence};
}

struct doctor_remedy doctor_remedy(char *command, const char *remark)
{
    return (struct doctor_remedy){command, command && remark ? mem_strdup(remark) : NULL};
}

void doctor_add_remedy(struct doctor *d, struct doctor_remedy remedy)
{
    struct doctor_finding *last = &d->findings[d->n - 1];
    if (!remedy.command)
        return;
    last->remedies = mem_realloc(last->remedies, (last->n_remedies + 1) * sizeof *last->remedies);
    last->remedies[last->n_remedies++] = remedy;
}

void doctor_set_advice(struct doctor *d, char *advice)
{
    struct doctor_finding *last = &d->findings[d->n - 1];
    free(last->advice);
    last->advice = advice;
}

void doctor_set_model(struct doctor *d, char *model)
{
    d->findings[d->n - 1].model = model;
}

static void finding_finish(struct doctor_finding *f)
{
    free(f->what);
    free(f->evidence);
    for (size_t i = 0; i < f->n_remedies; i++) {
        free(f->remedies[i].command);
        free(f->remedies[i].remark);
    }
    free(f->remedies);
    free(f->advice);
    free(f->model);
}

static bool explains(const struct doctor_finding *f, const struct doctor_finding *failed)
{
    return f->level == DOCTOR_WRONG && f->model && strcmp(f->check, "file") == 0 &&
           strcmp(f->model, failed->model) == 0;
}

/* A failed load is not reported besides the finding about the file that caused it. */
static void drop_failures_of_files(struct doctor *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct doctor_finding *f = &d->findings[i];
        bool told = false;
        for (size_t j = 0; j < d->n && f->model && !told; j++)
            told = strcmp(f->check, "model") == 0 && explains(&d->findings[j], f);
        if (!told)
            continue;
        finding_finish(f);
        memmove(f, f + 1, (d->n - i - 1) * sizeof *f);
        d->n--;
        i--;
    }
}

static void clear_captured(struct doctor *d)
{
    free(d->captured.error);
    free(d->captured.hint);
    d->captured = (struct cli_capture){0};
}

void doctor_add_captured(struct doctor *d, const char *check, char *evidence,
                         struct doctor_remedy remedy)
{
    const char *what = d->captured.error ? d->captured.error : "the server gives no reason";
    doctor_add(d, DOCTOR_WRONG, check, mem_strdup(what), evidence);
    doctor_add_remedy(d, remedy);
    if (!remedy.command && d->captured.hint)
        doctor_set_advice(d, mem_strdup(d->captured.hint));
    clear_captured(d);
}

const char *doctor_setting(const struct doctor *d, const char *option, const char *env)
{
    return d->process.pid ? procfs_setting(&d->process, option, env) : env_get(environ, env);
}

char *doctor_path(const struct doctor *d, const char *path)
{
    char link[64], cwd[PATH_MAX];
    if (*path == '/' || !d->process.pid)
        return mem_strdup(path);
    snprintf(link, sizeof link, "/proc/%d/cwd", (int)d->process.pid);
    ssize_t n = readlink(link, cwd, sizeof cwd - 1);
    return n > 0 ? mem_printf("%.*s/%s", (int)n, cwd, path) : mem_strdup(path);
}

char *doctor_kill_command(const struct procfs_process *p)
{
    bool ours = geteuid() == 0 || p->uid == geteuid();
    return mem_printf("%skill %d", ours ? "" : "sudo ", (int)p->pid);
}

/* --- telling ------------------------------------------------------------------------------------
 */

#define WIDTH 80 /* in a pipe too: such reports are pasted into mails; scripts take --json */

/* By the C library's order of variables, without loading a locale. */
static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = env_get(environ, names[i]);
        if (value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

static const char *mark(const struct cli *cli, enum doctor_level level)
{
    static const char *const words[] = {"ok   ", "note ", "wrong"};
    static const char *const signs[] = {"✓", "·", "✗"};
    return cli->out_is_tty && speaks_utf8() ? signs[level] : words[level];
}

/* Indented lines are a log's. */
static void print_evidence(const char *text, unsigned width, size_t column)
{
    char *lines = mem_strdup(text), *line;
    for (char *rest = lines; (line = strsep(&rest, "\n"));) {
        size_t indent = strspn(line, " ");
        if (line[indent])
            cli_print_titled(stdout, width, "", column + (indent ? 2 : 0), line + indent);
    }
    free(lines);
}

/* `COMMAND   # REMARK`, which a shell takes as it is. The caller frees it. */
static char *one_line(const struct doctor_remedy *r)
{
    return mem_printf("%s%s%s", r->command, r->remark ? "   # " : "", r->remark ? r->remark : "");
}

/* A command is never wrapped, so that it can be copied; its remark goes to a line of its own where both do
 * not fit into `width`. */
static void print_remedy(const struct doctor_remedy *r, unsigned width, size_t column)
{
    char *line = one_line(r);
    if (!r->remark || column + format_width(line) <= width) {
        cli_print_wrapped(stdout, 0, column, column, line);
    } else {
        char *remark = mem_printf("# %s", r->remark);
        cli_print_wrapped(stdout, 0, column, column, r->command);
        cli_print_titled(stdout, 0, "", column, remark);
        free(remark);
    }
    free(line);
}

static void print_remedies(const struct doctor_finding *f, unsigned width, size_t column)
{
    const char *title = "fix: ";
    for (size_t i = 0; i < f->n_remedies; i++) {
        printf("%*s%-*s", (int)column, "", (int)strlen(title), i ? "" : title);
        print_remedy(&f->remedies[i], width, column + strlen(title));
    }
}

static void print_advice(const char *advice, unsigned width, size_t column)
{
    char *title = mem_printf("%*sadvice:", (int)column, "");
    cli_print_titled(stdout, width, title, strlen(title) + 1, advice);
    free(title);
}

static void print_finding(const struct cli *cli, const struct doctor_finding *f)
{
    static const char *const colours[] = {"\033[32m", "\033[2m", "\033[31m"};
    const char *sign = mark(cli, f->level);
    size_t column = format_width(sign) + 13;
    unsigned width = cli->out_is_tty ? cli->width : WIDTH;
    printf("%s%s%s %-11s ", cli->out_colour ? colours[f->level] : "", sign,
           cli->out_colour ? "\033[0m" : "", f->check);
    cli_print_wrapped(stdout, width, column, column, f->what);
    if (f->evidence)
        print_evidence(f->evidence, width, column);
    print_remedies(f, width, column);
    if (f->advice)
        print_advice(f->advice, width, column);
}

static size_t count_wrong(const struct doctor *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        n += d->findings[i].level == DOCTOR_WRONG;
    return n;
}

static void print_text_report(const struct doctor *d)
{
    size_t wrong = count_wrong(d);
    for (size_t i = 0; i < d->n; i++)
        print_finding(d->cli, &d->findings[i]);
    if (wrong)
        printf("%zu thing%s wrong\n", wrong, wrong == 1 ? " is" : "s are");
    else
        puts("nothing is wrong");
}

static json_t *text_or_null(const char *text)
{
    return text ? cli_json_string(text) : json_null();
}

/* All remedies in one text, a line each: what `fix` was before there was `remedies`. NULL without any. */
static char *fix_text(const struct doctor_finding *f)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    for (size_t i = 0; i < f->n_remedies; i++) {
        char *line = one_line(&f->remedies[i]);
        buf_printf(&b, "%s%s", i ? "\n" : "", line);
        free(line);
    }
    char *text = buf_take(&b);
    if (f->n_remedies)
        return text;
    free(text);
    return NULL;
}

static json_t *remedies_json(const struct doctor_finding *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n_remedies; i++)
        json_array_append_new(list, json_pack("{s:o, s:o}", "command",
                                              text_or_null(f->remedies[i].command), "remark",
                                              text_or_null(f->remedies[i].remark)));
    return list;
}

static json_t *finding_json(const struct doctor_finding *f)
{
    static const char *const levels[] = {"ok", "note", "wrong"};
    char *fix = fix_text(f);
    json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "check", f->check, "level",
                          levels[f->level], "what", cli_json_string(f->what), "evidence",
                          text_or_null(f->evidence), "remedies", remedies_json(f), "fix",
                          text_or_null(fix), "advice", text_or_null(f->advice));
    free(fix);
    return o;
}

static void print_json_report(const struct doctor *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->n; i++)
        json_array_append_new(list, finding_json(&d->findings[i]));
    cli_print_json(json_pack("{s:b, s:s, s:o}", "ok", count_wrong(d) == 0, "url",
                             d->router.url.shown, "findings", list));
}

/* --- the command --------------------------------------------------------------------------------
 */

/* Whether this user sees files, programs and environment as the server does. Where none was reached: as the one that this
 * user would start. */
static bool has_access_of_server(const struct doctor *d)
{
    if (d->process.pid)
        return d->process.uid == geteuid() && d->process.env.n;
    return d->reached == CLI_NO_SERVER;
}

static char *ask_as(const struct doctor *d, const char *user)
{
    char *url = format_shell(d->cli->url), *model = format_shell(d->model ? d->model : "");
    char *command = mem_printf("sudo -u %s hostler doctor --url %s%s%s", user, url,
                               !d->model          ? ""
                               : *d->model == '-' ? " -- "
                                                  : " ",
                               d->model ? model : "");
    free(model);
    free(url);
    return command;
}

static void note_other_user(struct doctor *d)
{
    bool other = d->process.pid && d->process.uid != geteuid();
    const struct passwd *user = other ? getpwuid(d->process.uid) : NULL;
    doctor_add(d, DOCTOR_NOTE, "files",
               mem_strdup("its engine and files were not checked: this user does not see them as "
                          "the server does"),
               NULL);
    if (user)
        doctor_add_remedy(d, doctor_remedy(ask_as(d, user->pw_name), NULL));
}

static void check_all(struct doctor *d)
{
    doctor_server(d);
    if (d->reached == CLI_OK) {
        doctor_troubles(d);
        doctor_failed(d);
        doctor_reloads(d);
    }
    if (d->model)
        doctor_model(d);
    if (!d->local) {
        doctor_add(d, DOCTOR_NOTE, "machine",
                   mem_printf("%s is another machine: its engine, files, limits and processes were "
                              "not looked at",
                              d->router.url.shown),
                   NULL);
        doctor_set_advice(d, mem_strdup("run `hostler doctor` there"));
        return;
    }
    if (has_access_of_server(d)) {
        doctor_engine(d);
        doctor_files(d);
    } else {
        note_other_user(d);
    }
    doctor_open_files(d);
    doctor_leftovers(d);
    doctor_memory(d);
}

static int run(struct doctor *d, const struct cli *cli)
{
    d->cli = cli;
    d->asking = *cli;
    int status = router_open(&d->router, &d->asking);
    if (status)
        return status;
    d->asking.capture = &d->captured;
    d->local = d->router.url.loopback;
    log_setup(LOG_ERROR, LOG_TEXT); /* what is wrong with a file comes as a finding */
    check_all(d);
    drop_failures_of_files(d);
    if (cli->json)
        print_json_report(d);
    else
        print_text_report(d);
    return d->reached == CLI_NO_SERVER || d->reached == CLI_REFUSED ? d->reached
           : count_wrong(d)                                         ? CLI_SOME_FAILED
                                                                    : CLI_OK;
}

static void finish(struct doctor *d)
{
    for (size_t i = 0; i < d->n; i++)
        finding_finish(&d->findings[i]);
    free(d->findings);
    strv_finish(&d->checked_files);
    clear_captured(d);
    procfs_process_finish(&d->process);
    router_models_finish(&d->models);
    router_close(&d->router);
}

int cli_doctor(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct doctor d = {0};
    int status;
    if (cli_parse(&a, cli, "doctor", argc, argv, &status)) {
        d.model = a.n_operands ? a.operands[0] : NULL;
        status = run(&d, cli);
    }
    finish(&d);
    cli_args_finish(&a);
    return status;
}
