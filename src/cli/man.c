/* SPDX-License-Identifier: MIT */
#include "cli/man.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* --- text ---------------------------------------------------------------------------------------
 */

/* A dash is a minus, so that what is copied from the page can be pasted; a pair of `…` is bold. */
static void put(char c, bool *bold)
{
    switch (c) {
    case '`':
        *bold = !*bold;
        fputs(*bold ? "\\fB" : "\\fR", stdout);
        break;
    case '\\':
        fputs("\\e", stdout);
        break;
    case '-':
        fputs("\\-", stdout);
        break;
    case '\'':
        fputs("\\(aq", stdout);
        break;
    case '^':
        fputs("\\(ha", stdout);
        break;
    case '~':
        fputs("\\(ti", stdout);
        break;
    default:
        putchar(c);
    }
}

/* Within a line: what begins one with a dot or an apostrophe would be a request. */
static void print_words(const char *text)
{
    bool bold = false;
    for (; *text; text++)
        put(*text, &bold);
}

static void print_line(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    print_words(text);
    putchar('\n');
}

/* A paragraph each. Lines that begin with a blank stay as they are; others are filled. */
static void print_lines(const char *text)
{
    bool verbatim = *text == ' ';
    puts(verbatim ? ".PP\n.EX" : ".PP");
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = mem_strndup(text, n);
        if ((*line == ' ') != verbatim) {
            verbatim = !verbatim;
            puts(verbatim ? ".PP\n.EX" : ".EE\n.PP");
        }
        print_line(line);
        free(line);
        text += n + (text[n] == '\n');
    }
    if (verbatim)
        puts(".EE");
}

/* --- sections -----------------------------------------------------------------------------------
 */

static void print_sentence(const char *before, const char *text)
{
    if (!text)
        return;
    printf("%s", before);
    print_words(text);
    puts(".");
}

static void print_option(const struct cli_option *o)
{
    if (o->hidden)
        return;
    printf(".TP\n\\fB");
    print_words(o->name);
    printf("\\fR");
    if (o->arg) {
        printf(o->value == CLI_OPTIONAL ? "[=\\fI" : " \\fI");
        print_words(o->arg);
        printf(o->value == CLI_OPTIONAL ? "\\fR]" : "\\fR");
    }
    putchar('\n');
    char *help = mem_strdup(o->help);
    *help = (char)toupper((unsigned char)*help);
    print_sentence("", help);
    free(help);
    if (o->value == CLI_REPEATED)
        puts("May be given more than once.");
    print_sentence("Default: ", o->fallback);
    print_sentence("Environment: ", o->env);
}

static void print_options(const struct cli_command *c)
{
    puts(".SH OPTIONS");
    if (c && !c->options)
        cli_serve_options(print_option);
    for (const struct cli_option *o = c ? c->options : NULL; o && o->name; o++)
        print_option(o);
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        if (cli_global_applies(c, o))
            print_option(o);
    if (!c)
        print_option(&cli_version_option);
}

static void print_name(const struct cli_command *c)
{
    char *summary = mem_strdup(c ? c->summary : CLI_SUMMARY);
    *summary = (char)tolower((unsigned char)*summary);
    printf(".SH NAME\nhostler%s%s \\- ", c ? "\\-" : "", c ? c->name : "");
    print_line(summary);
    free(summary);
}

static void print_synopsis(const struct cli_command *c)
{
    puts(".SH SYNOPSIS");
    if (c) {
        printf(".B hostler %s\n.RI [ OPTION ]...\\&\n", c->name);
        print_line(c->operands);
    } else {
        puts(".B hostler\n.RI [ OPTION ]...\\&\n.I COMMAND\n\\&...");
    }
}

static void print_description(const struct cli_command *c)
{
    puts(".SH DESCRIPTION");
    print_sentence("", c ? c->summary : CLI_SUMMARY);
    if (c && c->help)
        print_lines(c->help);
}

static void print_commands(void)
{
    puts(".SH COMMANDS");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        printf(".TP\n.BR hostler\\-%s (1)\n", c->name);
        print_sentence("", c->summary);
    }
}

static void print_exits(void)
{
    puts(".SH EXIT STATUS");
    for (int i = 0; cli_exit_texts[i]; i++) {
        printf(".TP\n.B %d\n", i);
        print_line(cli_exit_texts[i]);
    }
}

static void print_environment(const struct cli_command *c)
{
    puts(".SH ENVIRONMENT");
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        if (o->env && cli_global_applies(c, o)) {
            printf(".TP\n.B ");
            print_line(o->env);
            print_line(o->help);
        }
}

void man_print(const struct cli_command *c)
{
    bool serve = c && !c->options;
    char *title = mem_printf("HOSTLER%s%s", c ? "-" : "", c ? c->name : "");
    for (char *p = title; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    printf(".TH \"%s\" 1 \"\" \"hostler " HOSTLER_VERSION "\" \"hostler\"\n", title);
    free(title);
    puts(".nh\n.ad l"); /* options and paths are not to be broken, nor blanks stretched */
    print_name(c);
    print_synopsis(c);
    print_description(c);
    if (!c)
        print_commands();
    print_options(c);
    if (!serve) /* it is no client: its prose has its own */
        print_exits();
    if (!serve && !(c && (c->flags & CLI_LOCAL)))
        print_environment(c);
    if (c)
        puts(".SH SEE ALSO\n.BR hostler (1)");
}
