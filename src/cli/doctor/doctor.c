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
                char *evidence, char *fix)
{
    d->findings = mem_realloc(d->findings, (d->n + 1) * sizeof *d->findings);
    d->findings[d->n++] = (struct doctor_finding){
        .level = level, .check = check, .what = what, .evidence = evidence, .fix = fix};
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
    free(f->fix);
    free(f->advice);
    free(f->model);
}

static bool is_why(const struct doctor_finding *f, const struct doctor_finding *failed)
{
    return f->level == DOCTOR_WRONG && f->model && strcmp(f->check, "file") == 0 &&
           strcmp(f->model, failed->model) == 0;
}

/* A load that failed is no thing of its own where the file is what is wrong. */
static void drop_failures_of_files(struct doctor *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct doctor_finding *f = &d->findings[i];
        bool told = false;
        for (size_t j = 0; j < d->n && f->model && !told; j++)
            told = strcmp(f->check, "model") == 0 && is_why(&d->findings[j], f);
        if (!told)
            continue;
        finding_finish(f);
        memmove(f, f + 1, (d->n - i - 1) * sizeof *f);
        d->n--;
        i--;
    }
}

static void forget_told(struct doctor *d)
{
    free(d->captured.error);
    free(d->captured.hint);
    d->captured = (struct cli_capture){0};
}

void doctor_add_captured(struct doctor *d, const char *check, char *evidence, char *fix)
{
    const char *what = d->captured.error ? d->captured.error : "it does not say why";
    doctor_add(d, DOCTOR_WRONG, check, mem_strdup(what), evidence, fix);
    if (!fix && d->captured.hint)
        doctor_set_advice(d, mem_strdup(d->captured.hint));
    forget_told(d);
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

/* As the C library would look it up, without loading a locale. */
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

/* Lines of a log are indented, for other places. */
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

/* As a shell takes it: remarks are comments. The caller frees it. */
static char *shown_fix(const char *fix)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    for (; *fix; fix++)
        if (*fix == '\t')
            buf_puts(&b, "   ");
        else
            buf_append(&b, fix, 1);
    return buf_take(&b);
}

/* What is copied stays one line; its remark may move below it. */
static void print_command(char *command, unsigned width, size_t column)
{
    char *remark = strchr(command, '\t');
    size_t own = remark ? (size_t)(remark - command) : strlen(command);
    char *whole = shown_fix(command);
    bool fits = column + format_width(whole) <= width;
    if (remark && !fits) {
        whole[own] = '\0';
        cli_print_wrapped(stdout, 0, column, column, whole);
        cli_print_titled(stdout, 0, "", column, remark + 1);
    } else {
        cli_print_wrapped(stdout, 0, column, column, whole);
    }
    free(whole);
}

static void print_fix(const char *fix, unsigned width, size_t column)
{
    const char *title = "fix: ";
    char *lines = mem_strdup(fix), *line;
    printf("%*s%s", (int)column, "", title);
    column += strlen(title);
    for (char *rest = lines; (line = strsep(&rest, "\n"));) {
        if (line != lines)
            printf("%*s", (int)column, "");
        print_command(line, width, column);
    }
    free(lines);
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
    if (f->fix)
        print_fix(f->fix, width, column);
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

static void print_json_report(const struct doctor *d)
{
    static const char *const levels[] = {"ok", "note", "wrong"};
    json_t *list = json_array();
    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_finding *f = &d->findings[i];
        char *fix = f->fix ? shown_fix(f->fix) : NULL;
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "check", f->check,
                                        "level", levels[f->level], "what", cli_json_string(f->what),
                                        "evidence", text_or_null(f->evidence), "fix",
                                        text_or_null(fix), "advice", text_or_null(f->advice)));
        free(fix);
    }
    cli_print_json(json_pack("{s:b, s:s, s:o}", "ok", count_wrong(d) == 0, "url",
                             d->router.url.shown, "findings", list));
}

/* --- the command --------------------------------------------------------------------------------
 */

/* Whether what we may read and run, and our environment, are the server's. Where none was reached,
 * they are those of the one that would be started. */
static bool sees_as_server(const struct doctor *d)
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

static void add_other_user(struct doctor *d)
{
    bool other = d->process.pid && d->process.uid != geteuid();
    const struct passwd *user = other ? getpwuid(d->process.uid) : NULL;
    doctor_add(d, DOCTOR_NOTE, "files",
               mem_strdup("its engine and files were not looked at: this user does not see them as "
                          "the server does"),
               NULL, user ? ask_as(d, user->pw_name) : NULL);
}

static void check_all(struct doctor *d)
{
    doctor_server(d);
    if (d->reached == CLI_OK) {
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
                   NULL, NULL);
        doctor_set_advice(d, mem_strdup("run `hostler doctor` there"));
        return;
    }
    if (sees_as_server(d)) {
        doctor_engine(d);
        doctor_files(d);
    } else {
        add_other_user(d);
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
    strv_finish(&d->judged);
    forget_told(d);
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
