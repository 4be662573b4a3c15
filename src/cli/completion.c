/* SPDX-License-Identifier: MIT */
/*
 * hostler completion: scripts for bash, zsh and fish, made from the tables of commands and options.
 * Models' names come from `hostler list --names` at the time of completion; serve's options, which
 * are partly the engine's, from `hostler serve --help`.
 *
 * A name may hold anything that a file name may: quotes, blanks, `$(…)`. So each script takes names
 * line by line as data and lets the shell quote them; nothing is ever evaluated.
 */
#include <string.h>

#include "cli/options.h"

static bool takes_models(const struct cli_command *c)
{
    return strstr(c->operands, "MODEL") != NULL;
}

/* What its first operand may be besides; NULL. */
static const char *actions_of(const struct cli_command *c)
{
    return strcmp(c->name, "cache") == 0       ? "list clear"
           : strcmp(c->name, "log-level") == 0 ? "error warn info debug"
                                               : NULL;
}

static bool takes_value(const struct cli_option *o)
{
    return o->value == CLI_VALUE || o->value == CLI_REPEATED;
}

static bool names_model(const struct cli_option *o)
{
    return o->arg && strcmp(o->arg, "MODEL") == 0;
}

static bool names_file(const struct cli_option *o)
{
    return o->arg && strcmp(o->arg, "PATH") == 0;
}

static bool names_else(const struct cli_option *o)
{
    return !names_model(o) && !names_file(o);
}

/* Each option of the command's and of the global table that is not hidden. */
static void for_options(const struct cli_command *c, void (*visit)(const struct cli_option *o))
{
    for (const struct cli_option *o = c->options; o && o->name; o++)
        if (!o->hidden)
            visit(o);
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        if (cli_global_applies(c, o))
            visit(o);
}

/* --- bash ---------------------------------------------------------------------------------------
 */

static void bash_option(const struct cli_option *o)
{
    printf("%s%s ", o->name, o->value == CLI_OPTIONAL ? "=" : "");
}

static void bash_options(const struct cli_command *c)
{
    const char *actions = actions_of(c);
    printf("    %s) words='", c->name);
    for_options(c, bash_option);
    printf("%s'; ", actions ? actions : "");
    if (actions && takes_models(c))
        printf("[[ $action ]] && models=1 ;;\n");
    else
        printf("models=%d ;;\n", takes_models(c));
}

/* The options whose value is of that kind, each once a table. */
static void print_values(bool (*wanted)(const struct cli_option *o), const char *separator)
{
    const char *before = "";
    for (const struct cli_command *c = cli_commands; c->name; c++)
        for (const struct cli_option *o = c->options; o && o->name; o++)
            if (takes_value(o) && wanted(o)) {
                printf("%s%s", before, o->name);
                before = separator;
            }
}

static void print_global_values(const char *separator)
{
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        if (takes_value(o))
            printf("%s%s", separator, o->name);
}

static void print_command_names(void)
{
    const char *before = "";
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        printf("%s%s", before, c->name);
        before = " ";
    }
}

/* Readline splits at `:` and `=`, both of which models' names hold: the words are joined again, and
 * of each reply, what stands before the last such sign is taken off. */
static const char bash_head[] =
    "# bash completion for hostler\n"
    "_hostler() {\n"
    "  local cur='' prev='' command='' action='' words='' models=0 url=() i w options=1 name "
    "quoted prefix\n"
    "  local joined=()\n"
    "  for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "    w=${COMP_WORDS[i]}\n"
    "    if ((i > 0)) && [[ $w == [:=]* || ${joined[-1]} == *[:=] ]] && ((${#joined[@]} > 1)); "
    "then\n"
    "      joined[-1]+=$w\n"
    "    else\n"
    "      joined+=(\"$w\")\n"
    "    fi\n"
    "  done\n"
    "  cur=${joined[-1]}\n"
    "  for ((i = 1; i < ${#joined[@]} - 1; i++)); do\n"
    "    w=${joined[i]}\n"
    "    case $w in\n"
    "    --) options=0 ;;\n"
    "    --url | --api-key) url+=(\"$w\" \"${joined[i + 1]}\"); ((i++)) ;;\n"
    "    --url=* | --api-key=*) url+=(\"$w\") ;;\n"
    "    -*) ;;\n"
    "    *) if [[ $command ]]; then action=$w; else command=$w; fi ;;\n"
    "    esac\n"
    "  done\n"
    "  ((${#joined[@]} > 2)) && prev=${joined[-2]}\n"
    "  COMPREPLY=()\n";

static const char bash_tail[] =
    "  [[ $options == 1 && $cur == -*=* ]] && return\n"
    "  if [[ $options == 1 && $cur == -* ]]; then\n"
    "    [[ $command == serve ]] &&\n"
    "      words=$(hostler serve --help 2>/dev/null | command grep -oE -- '--[a-z][a-z0-9-]*')\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
    "    return\n"
    "  fi\n"
    "  if [[ $models == 0 ]]; then\n"
    "    [[ $command == serve ]] && compopt -o default\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    return\n"
    "  fi\n"
    "  prefix=\n"
    "  [[ $cur == *[:=]* && $COMP_WORDBREAKS == *:* ]] && prefix=${cur%\"${cur##*[:=]}\"}\n"
    "  while IFS= read -r name; do\n"
    "    printf -v quoted %q \"$name\"\n"
    "    if [[ $name == \"$cur\"* ]]; then\n"
    "      COMPREPLY+=(\"${quoted#\"$prefix\"}\")\n"
    "    elif [[ $quoted == \"$cur\"* ]]; then\n"
    "      COMPREPLY+=(\"${quoted#\"$prefix\"}\")\n"
    "    fi\n"
    "  done < <(hostler \"${url[@]}\" list --names 2>/dev/null)\n"
    "}\n"
    "complete -F _hostler hostler\n";

static void bash_script(void)
{
    fputs(bash_head, stdout);
    printf("  case $prev in\n  ");
    print_values(names_else, " | ");
    print_global_values(" | ");
    printf(") return ;;\n  ");
    print_values(names_file, " | ");
    printf(") compopt -o default; return ;;\n  ");
    print_values(names_model, " | ");
    printf(") cur=${cur#\"$prev\"}; models=1 options=0 ;;\n  esac\n");
    printf("  if [[ $models == 0 ]]; then\n    case $command in\n    '') words='");
    print_command_names();
    printf(" ");
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        printf("%s ", o->name);
    printf("--version' ;;\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (strcmp(c->name, "completion") == 0) {
            printf("    completion) words='bash zsh fish' ;;\n");
        } else if (strcmp(c->name, "help") == 0) {
            printf("    help) words='");
            print_command_names();
            printf("' ;;\n");
        } else {
            bash_options(c);
        }
    printf("    esac\n  fi\n");
    fputs(bash_tail, stdout);
}

/* --- zsh ----------------------------------------------------------------------------------------
 */

/* A text within single quotes, where _describe and _arguments also want `:`, `[` and `]` escaped.
 */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (strchr(":[]\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_option(const struct cli_option *o)
{
    printf(" \\\n        '%s%s%s[", o->value == CLI_REPEATED ? "*" : "", o->name,
           o->value == CLI_OPTIONAL ? "=-"
           : o->arg                 ? "="
                                    : "");
    zsh_text(o->help);
    printf("]%s%s%s%s'", o->arg ? (o->value == CLI_OPTIONAL ? "::" : ":") : "",
           o->arg ? o->arg : "", o->arg ? ":" : "",
           names_model(o)  ? "_hostler_models"
           : names_file(o) ? "_files"
                           : "");
}

static void zsh_command(const struct cli_command *c)
{
    printf("      %s)\n        _arguments -S", c->name);
    for_options(c, zsh_option);
    if (actions_of(c))
        printf(" \\\n        '1:action:(%s)'", actions_of(c));
    if (takes_models(c))
        printf(" \\\n        '*:model:_hostler_models'");
    else if (strcmp(c->name, "completion") == 0)
        printf(" \\\n        ':shell:(bash zsh fish)'");
    else if (strcmp(c->name, "help") == 0)
        printf(" \\\n        ':command:_hostler_commands'");
    printf(" ;;\n");
}

static const char zsh_serve[] =
    "      serve)\n"
    "        local -a options\n"
    "        options=(${(f)\"$(hostler serve --help 2>/dev/null | command grep -oE -- "
    "'--[a-z][a-z0-9-]*')\"})\n"
    "        if [[ $PREFIX == -* ]]; then compadd -a options; else _files; fi ;;\n";

static void zsh_script(void)
{
    printf("#compdef hostler\n\n"
           "_hostler_models() {\n"
           "  local -a names\n"
           "  names=(\"${(@f)$(hostler \"${hostler_url[@]}\" list --names 2>/dev/null)}\")\n"
           "  compadd -a names\n"
           "}\n\n"
           "_hostler_commands() {\n"
           "  local -a commands=(\n");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        printf("    '%s:", c->name);
        zsh_text(c->summary);
        printf("'\n");
    }
    printf("  )\n  _describe command commands\n}\n\n"
           "_hostler() {\n"
           "  local curcontext=$curcontext state line i\n"
           "  local -a hostler_url\n"
           "  for ((i = 2; i < CURRENT; i++)); do\n"
           "    case $words[i] in\n"
           "      --url|--api-key) hostler_url+=(\"${(Q)words[i]}\" \"${(Q)words[i+1]}\") ;;\n"
           "      --url=*|--api-key=*) hostler_url+=(\"${(Q)words[i]}\") ;;\n"
           "    esac\n"
           "  done\n"
           "  _arguments -C");
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        zsh_option(o);
    printf(" \\\n        '--version[the version of this program]' \\\n"
           "        '1:command:_hostler_commands' '*::argument:->argument'\n"
           "  if [[ $state == argument ]]; then\n    case $words[1] in\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (c->options)
            zsh_command(c);
        else
            fputs(zsh_serve, stdout);
    printf(
        "    esac\n  fi\n}\n\n"
        "if [[ $funcstack[1] == _hostler ]]; then _hostler \"$@\"; else compdef _hostler hostler; "
        "fi\n");
}

/* --- fish ---------------------------------------------------------------------------------------
 */

static void fish_text(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_option(const struct cli_option *o, const char *condition)
{
    printf("complete -c hostler%s -l %s%s%s -d ", condition, o->name + 2,
           names_file(o)    ? " -r -F"
           : takes_value(o) ? " -x"
                            : "",
           names_model(o) ? " -a '(__hostler_models)'" : "");
    fish_text(o->help);
    putchar('\n');
}

static void fish_command(const struct cli_command *c)
{
    char condition[96];
    printf("complete -c hostler -n __fish_use_subcommand -a %s -d ", c->name);
    fish_text(c->summary);
    putchar('\n');
    snprintf(condition, sizeof condition, " -n '__fish_seen_subcommand_from %s'", c->name);
    for (const struct cli_option *o = c->options; o && o->name; o++)
        if (!o->hidden)
            fish_option(o, condition);
    if (actions_of(c))
        printf("complete -c hostler%s -a '%s'\n", condition, actions_of(c));
    if (takes_models(c))
        printf("complete -c hostler%s -a '(__hostler_models)'\n", condition);
    else if (strcmp(c->name, "completion") == 0)
        printf("complete -c hostler%s -a 'bash zsh fish'\n", condition);
    else if (strcmp(c->name, "help") == 0)
        printf("complete -c hostler%s -a '(__hostler_commands)'\n", condition);
    else if (!c->options)
        printf("complete -c hostler%s -F -a '(__hostler_serve_options)'\n", condition);
}

static void fish_script(void)
{
    printf("# fish completion for hostler\n"
           "function __hostler_models\n"
           "    set -l words (commandline -opc)\n"
           "    set -l url\n"
           "    for i in (seq 2 (count $words))\n"
           "        switch $words[$i]\n"
           "            case --url --api-key\n"
           "                set -a url $words[$i] $words[(math $i + 1)]\n"
           "            case '--url=*' '--api-key=*'\n"
           "                set -a url $words[$i]\n"
           "        end\n"
           "    end\n"
           "    hostler $url list --names 2>/dev/null\n"
           "end\n"
           "function __hostler_commands\n    string split ' ' -- '");
    print_command_names();
    printf("'\nend\n"
           "function __hostler_serve_options\n"
           "    hostler serve --help 2>/dev/null | string match -ra -- '--[a-z][a-z0-9-]*'\n"
           "end\n"
           "complete -c hostler -f\n");
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        fish_option(o, "");
    printf("complete -c hostler -n __fish_use_subcommand -l version -d 'the version of this "
           "program'\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        fish_command(c);
}

/* --- the command --------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    void (*print)(void);
} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

static int completion(const struct cli *cli, const char *shell)
{
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].print();
            return CLI_OK;
        }
    cli_error(cli, "there is no completion for '%s'", shell);
    cli_hint(cli, "there is one for bash, zsh or fish");
    return CLI_USAGE;
}

int cli_completion(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    int status;
    if (cli_parse(&a, cli, "completion", argc, argv, &status))
        status = completion(cli, a.operands[0]);
    cli_args_finish(&a);
    return status;
}
