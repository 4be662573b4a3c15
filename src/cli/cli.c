/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strv.h"
#include "cli/terminal/format.h"

const char cli_default_url[] = "http://localhost:8080";
const char cli_stock_url[] = "http://localhost:9931";

/* An empty variable counts as unset: `HOSTLER_URL= hostler list` overrides it for one command. */
static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* LLAMA_API_KEY may list several keys, any of which llama-server accepts; a client sends one. */
static char *first_of(const char *list)
{
    struct strv keys = {0};
    strv_split(&keys, list ? list : "", ',');
    char *first = keys.n ? mem_strdup(keys.v[0]) : NULL;
    strv_finish(&keys);
    return first;
}

static unsigned terminal_width(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

void cli_init(struct cli *cli)
{
    const char *no_color = getenv("NO_COLOR"); /* no-color.org: set and not empty */
    const char *term = getenv("TERM");
    const char *url = env("HOSTLER_URL");
    if (!url)
        url = env("LLAMA_SERVER_URL");
    bool supports_colour = !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
    *cli = (struct cli){.url = url ? url : cli_default_url};
    cli->first_key = first_of(env("LLAMA_API_KEY"));
    cli->key = env("HOSTLER_API_KEY");
    if (!cli->key)
        cli->key = cli->first_key;
    cli->url_given = url || cli->key;
    cli->out_is_tty = isatty(STDOUT_FILENO);
    cli->err_is_tty = isatty(STDERR_FILENO);
    cli->out_colour = cli->out_is_tty && supports_colour;
    cli->err_colour = cli->err_is_tty && supports_colour;
    cli->width = cli->out_is_tty ? terminal_width(STDOUT_FILENO) : 0;
    cli->err_width = cli->err_is_tty ? terminal_width(STDERR_FILENO) : 0;
}

#define HINT_COLUMN 9 /* columns of `hostler: ` */

static void print_error(const char *before, const char *after, const char *fmt, va_list ap)
{
    char *text = mem_vprintf(fmt, ap);
    format_sanitize(text, FORMAT_KEEP_NEWLINES);
    fflush(stdout); /* keeps the order where stdout and stderr are the same file */
    fprintf(stderr, "%s%s%s\n", before, text, after);
    free(text);
}

/* Newlines are replaced: a hint may quote a server's name, which could otherwise forge a line of output. */
static void print_hint(const struct cli *cli, const char *fmt, va_list ap)
{
    char *text = mem_vprintf(fmt, ap);
    fflush(stdout);
    fputs(cli->err_colour ? "\033[2m" : "", stderr);
    cli_print_titled(stderr, cli->err_width, "", HINT_COLUMN, text);
    fputs(cli->err_colour ? "\033[0m" : "", stderr);
    free(text);
}

static void capture(char **to, const char *fmt, va_list ap)
{
    if (!*to && vasprintf(to, fmt, ap) < 0)
        *to = NULL;
}

void cli_error(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    if (cli->quiet)
        return;
    va_start(ap, fmt);
    if (cli->capture)
        capture(&cli->capture->error, fmt, ap);
    else
        print_error(cli->err_colour ? "\033[31mhostler:\033[0m " : "hostler: ", "", fmt, ap);
    va_end(ap);
}

void cli_hint(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    if (cli->quiet)
        return;
    va_start(ap, fmt);
    if (cli->capture)
        capture(&cli->capture->hint, fmt, ap);
    else
        print_hint(cli, fmt, ap);
    va_end(ap);
}

void cli_print(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    puts(format_sanitize(text, FORMAT_ONE_LINE));
    free(text);
}

void cli_print_wrapped(FILE *out, unsigned width, size_t at, size_t column, const char *text)
{
    char *clean = format_sanitize(mem_strdup(text), FORMAT_ONE_LINE), *rest = clean;
    for (;;) {
        size_t n = format_fit(rest, width > at ? width - at : SIZE_MAX), end = n;
        while (rest[n] && end && rest[end] != ' ')
            end--;
        if (!end) /* a word longer than the line is not broken */
            end = n + strcspn(rest + n, " ");
        fprintf(out, "%.*s\n", (int)end, rest);
        rest += end;
        rest += strspn(rest, " ");
        if (!*rest)
            break;
        fprintf(out, "%*s", (int)column, "");
        at = column;
    }
    free(clean);
}

void cli_print_titled(FILE *out, unsigned width, const char *title, size_t column, const char *text)
{
    size_t own = format_width(title), at = own < column ? column : own + (own > 0);
    fprintf(out, "%s%*s", title, (int)(at - own), "");
    cli_print_wrapped(out, width, at, column, text);
}

/* Of an earlier failure only the mark is left, and errno is of some later call: one more byte meets it again. */
int cli_write_error(FILE *file)
{
    if (fflush(file))
        return errno;
    if (!ferror(file))
        return 0;
    return write(fileno(file), "\n", 1) < 0 ? errno : EIO;
}

int cli_finish(struct cli *cli, int status)
{
    free(cli->first_key);
    int error = cli_write_error(stdout);
    if (!error)
        return status;
    if (error != EPIPE) /* the reader of a pipe may close it early */
        cli_error(cli, "the output could not be written: %s", strerror(error));
    return status ? status : CLI_SOME_FAILED;
}

uint64_t cli_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void cli_sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}
