/* SPDX-License-Identifier: MIT */
/*
 * The layout of llama.cpp's help text: an option's line begins in column 0 with `-`; its names are
 * separated by a comma and blanks (the first one is padded); its value follows the last name after one
 * blank; its description follows after two or more blanks, or on the next line. Indented lines belong to
 * the option above.
 */
#include "engine/llama/help.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/llama/option_traits.h"
#include "engine/probe.h"

#define PROBE_TIMEOUT_MS 10000

/* --- names --------------------------------------------------------------------------------------
 */
static bool is_long(const char *name)
{
    return strncmp(name, "--", 2) == 0;
}

static bool is_name_start(const char *p)
{
    p += *p == '-';
    p += *p == '-';
    return (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
}

/* A section's title (`----- common params -----`) begins with a dash, too. */
static bool is_option_line(const char *line)
{
    return *line == '-' && is_name_start(line);
}

/* Reads the list of names; returns what follows it. */
static const char *take_names(const char *p, struct strv *names)
{
    for (;;) {
        size_t len = strcspn(p, ", \t\r\n");
        strv_add_take(names, mem_strndup(p, len));
        p += len;
        if (*p != ',')
            return p;
        const char *next = p + 1 + strspn(p + 1, " \t");
        if (!is_option_line(next))
            return p;
        p = next;
    }
}

/*
 * Index of the first negation; negations follow the names. The first one is a `--no-…` after a positive
 * long name, or its short form directly before it (`-nkvo`, `-no-ag`).
 */
static size_t first_negation(const struct strv *all)
{
    size_t positive = 0;
    while (positive < all->n &&
           (!is_long(all->v[positive]) || strncmp(all->v[positive], "--no-", 5) == 0))
        positive++;
    size_t i = positive;
    while (i < all->n && strncmp(all->v[i], "--no-", 5) != 0)
        i++;
    while (i < all->n && i > positive + 1 && !is_long(all->v[i - 1]) && all->v[i - 1][1] == 'n')
        i--;
    return i;
}

static void split_names(struct engine_option *o, struct strv *all)
{
    size_t from = o->takes_value ? all->n : first_negation(all);
    for (size_t i = 0; i < all->n; i++)
        strv_add(i < from ? &o->names : &o->negations, all->v[i]);
    assert(o->names.v); /* the first one is never a negation */
    o->canonical = o->names.v[o->names.n - 1];
    for (size_t i = 0; i < o->names.n; i++)
        if (is_long(o->names.v[i]))
            o->canonical = o->names.v[i];
}

/* --- values -------------------------------------------------------------------------------------
 */
/* How `c` changes the number of open brackets, within which a placeholder may have blanks (`<tensor name
 * pattern>=<buffer type>`). */
static int bracket(char c)
{
    if (c == '<' || c == '[' || c == '{')
        return 1;
    return c == '>' || c == ']' || c == '}' ? -1 : 0;
}

/* Length of the placeholder at `p`, which ends at two blanks or the line's end. `*words`: of its parts. */
static size_t placeholder_len(const char *p, unsigned *words)
{
    size_t n = 0;
    int open = 0;
    for (*words = 1; p[n] && !strchr("\r\n\t", p[n]); n++) {
        open += bracket(p[n]);
        if (p[n] != ' ')
            continue;
        if (!p[n + 1] || strchr(" \t\r\n", p[n + 1]))
            break;
        *words += open <= 0;
    }
    return n;
}

static void take_value(struct engine_option *o, const char *p)
{
    if (*p != ' ' || !p[1] || strchr(" \t\r\n", p[1]))
        return;
    unsigned words;
    size_t len = placeholder_len(p + 1, &words);
    o->takes_value = true;
    o->two_values = words == 2;
    o->value = mem_strndup(p + 1, len);
}

/* `(env: NAME)` somewhere in the description; the last one counts. */
static void take_env(struct engine_option *o, const char *text, size_t len)
{
    static const char mark[] = "(env: ";
    const char *at, *end = text + len;
    while ((at = memmem(text, (size_t)(end - text), mark, sizeof mark - 1))) {
        text = at + sizeof mark - 1;
        size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        if (!n || text[n] != ')')
            continue;
        free(o->env);
        o->env = mem_strndup(text, n);
    }
}

/* --- what --help does not say -------------------------------------------------------------------
 */

enum { ACCUMULATES = 1, FETCHES = 2, POWERFUL = 4 };

/*
 * ACCUMULATES: although llama-server warns that only the last value of a repeated option is used, these add
 * up. FETCHES: downloads the model or a file that belongs to it. The sets are models of llama.cpp's choice, which
 * its router does not serve: with one of them llama-server is a server of that model, on the port given here
 * (tried with b11669; --help does not tell it). --model-url does not make it one, although it names a model.
 */
#define MODEL_SET(name, port)                                                                      \
    {                                                                                              \
        name, ENGINE_OPTION_CHOOSES, ENGINE_OPTION_MODEL_SET, FETCHES, port                        \
    }
static const struct {
    const char *name;
    enum engine_option_class class; /* unless said, it tunes an engine */
    enum engine_option_role role;
    unsigned flags;
    int port;
} knowledge[] = {
    {"--help", .class = ENGINE_OPTION_ENDS},
    {"--version", .class = ENGINE_OPTION_ENDS, .role = ENGINE_OPTION_VERSION},
    {"--list-devices", .class = ENGINE_OPTION_ENDS},
    {"--cache-list", .class = ENGINE_OPTION_ENDS},
    {"--completion-bash", .class = ENGINE_OPTION_ENDS},
    {"--model", .class = ENGINE_OPTION_CHOOSES, .role = ENGINE_OPTION_MODEL},
    {"--hf-repo", .class = ENGINE_OPTION_CHOOSES, .role = ENGINE_OPTION_REPO, .flags = FETCHES},
    {"--docker-repo", .class = ENGINE_OPTION_CHOOSES, .role = ENGINE_OPTION_REMOTE,
     .flags = FETCHES},
    {"--model-url", .role = ENGINE_OPTION_REMOTE, .flags = FETCHES},
    MODEL_SET("--embd-gemma-default", 8011),
    MODEL_SET("--fim-qwen-1.5b-default", 8012),
    MODEL_SET("--fim-qwen-3b-default", 8012),
    MODEL_SET("--fim-qwen-7b-default", 8012),
    MODEL_SET("--fim-qwen-7b-spec", 8012),
    MODEL_SET("--fim-qwen-14b-spec", 8012),
    MODEL_SET("--fim-qwen-30b-default", 8012),
    MODEL_SET("--gpt-oss-20b-default", 8013),
    MODEL_SET("--gpt-oss-120b-default", 8013),
    MODEL_SET("--vision-gemma-4b-default", 8014),
    MODEL_SET("--vision-gemma-12b-default", 8014),
    {"--alias", .class = ENGINE_OPTION_ROUTERS, .role = ENGINE_OPTION_ALIAS},
    {"--host", .class = ENGINE_OPTION_ROUTERS},
    {"--port", .class = ENGINE_OPTION_ROUTERS},
    {"--api-key", .class = ENGINE_OPTION_ROUTERS},
    {"--api-key-file", .class = ENGINE_OPTION_ROUTERS},
    {"--ssl-key-file", .class = ENGINE_OPTION_ROUTERS},
    {"--ssl-cert-file", .class = ENGINE_OPTION_ROUTERS},
    {"--models-dir", .class = ENGINE_OPTION_ROUTERS},
    {"--models-max", .class = ENGINE_OPTION_ROUTERS},
    {"--models-preset", .class = ENGINE_OPTION_ROUTERS},
    {"--models-autoload", .class = ENGINE_OPTION_ROUTERS},
    {"--api-prefix", .class = ENGINE_OPTION_ROUTERS},
    {"--reuse-port", .class = ENGINE_OPTION_ROUTERS},
    {"--cors-origins", .class = ENGINE_OPTION_ROUTERS},
    {"--cors-methods", .class = ENGINE_OPTION_ROUTERS},
    {"--cors-headers", .class = ENGINE_OPTION_ROUTERS},
    {"--cors-credentials", .class = ENGINE_OPTION_ROUTERS},
    {"--mmproj", .role = ENGINE_OPTION_PROJECTOR},
    {"--mmproj-url", .flags = FETCHES},
    {"--model-draft", .role = ENGINE_OPTION_DRAFT},
    {"--hf-file", .role = ENGINE_OPTION_REPO_FILE},
    {"--hf-repo-draft", .role = ENGINE_OPTION_DRAFT_REPO, .flags = FETCHES},
    {"--tags", .role = ENGINE_OPTION_TAGS, .flags = ACCUMULATES},
    {"--hf-token", .role = ENGINE_OPTION_TOKEN},
    {"--threads-http", .role = ENGINE_OPTION_CONNECTIONS},
    {"--fit-target", .role = ENGINE_OPTION_MARGIN},
    {"--cache-ram", .role = ENGINE_OPTION_GROWTH},
    {"--ctx-checkpoints", .role = ENGINE_OPTION_CHECKPOINTS},
    {"--slot-save-path", .role = ENGINE_OPTION_PROMPTS},
    {"--metrics", .role = ENGINE_OPTION_METRICS},
    {"--lora", .flags = ACCUMULATES},
    {"--lora-scaled", .flags = ACCUMULATES},
    {"--control-vector", .flags = ACCUMULATES},
    {"--control-vector-scaled", .flags = ACCUMULATES},
    {"--override-kv", .flags = ACCUMULATES},
    {"--override-tensor", .flags = ACCUMULATES},
    {"--override-tensor-draft", .flags = ACCUMULATES},
    {"--logit-bias", .flags = ACCUMULATES},
    {"--dry-sequence-breaker", .flags = ACCUMULATES},
    {"--reverse-prompt", .flags = ACCUMULATES},
    {"--spec-type", .flags = ACCUMULATES},
    {"--tools", .flags = POWERFUL},
    {"--agent", .flags = POWERFUL},
    {"--mcp-servers-config", .flags = POWERFUL},
    {"--mcp-servers-json", .flags = POWERFUL},
};

/* Options that name files of tensors, and what these are. */
static const struct {
    const char *name, *noun;
    enum engine_option_files files;
} file_options[] = {
    {"--model", "file", ENGINE_OPTION_FILE},
    {"--mmproj", "mmproj", ENGINE_OPTION_FILE},
    {"-md", "draft", ENGINE_OPTION_FILE}, /* its long name differs between builds */
    {"--model-vocoder", "vocoder", ENGINE_OPTION_FILE},
    {"--lora", "LoRA", ENGINE_OPTION_FILE_LIST},
    {"--lora-scaled", "LoRA", ENGINE_OPTION_FILE_SCALED_LIST},
    {"--control-vector", "control vector", ENGINE_OPTION_FILE_LIST},
    {"--control-vector-scaled", "control vector", ENGINE_OPTION_FILE_SCALED_LIST},
};

static void add_files(struct engine_option *o)
{
    for (size_t i = 0; i < sizeof file_options / sizeof *file_options; i++) {
        if (!strv_has(&o->names, file_options[i].name))
            continue;
        o->files = file_options[i].files;
        o->file_noun = file_options[i].noun;
        return;
    }
}

static void add_knowledge(struct engine_option *o)
{
    for (size_t i = 0; i < sizeof knowledge / sizeof *knowledge; i++) {
        if (!strv_has(&o->names, knowledge[i].name))
            continue;
        o->class = knowledge[i].class;
        o->role = knowledge[i].role;
        o->port = knowledge[i].port;
        o->accumulates = knowledge[i].flags & ACCUMULATES;
        o->fetches = knowledge[i].flags & FETCHES;
        o->powerful = knowledge[i].flags & POWERFUL;
        return;
    }
}

/* --- what --help says of switches that the table does not know -----------------------------------
 */

/* Length of `phrase` at `text`, whose words may be separated by any white space; 0: it is not there. */
static size_t phrase_len(const char *text, const char *end, const char *phrase)
{
    const char *p = text;
    for (; *phrase; phrase++) {
        if (p == end || (*phrase == ' ' ? !strchr(" \n", *p) : *p != *phrase))
            return 0;
        p++;
        while (*phrase == ' ' && p < end && strchr(" \n", *p))
            p++;
    }
    return (size_t)(p - text);
}

static bool says(const char *text, size_t len, const char *phrase)
{
    for (size_t i = 0; i < len; i++)
        if (phrase_len(text + i, text + len, phrase))
            return true;
    return false;
}

/* Newer builds have further switches of the same kinds. `text`: all that --help says of the option. */
static void read_class(struct engine_option *o, const char *text, size_t len)
{
    if (o->class != ENGINE_OPTION_TUNES || o->takes_value || o->negations.n)
        return;
    if (says(text, len, "and exit")) {
        o->class = ENGINE_OPTION_ENDS;
    } else if (says(text, len, "can download weights from the internet")) {
        o->class = ENGINE_OPTION_CHOOSES;
        o->role = ENGINE_OPTION_MODEL_SET;
        o->fetches = true;
    }
}

/* --- the text -----------------------------------------------------------------------------------
 */
static struct engine_option *add_option(struct engine_options *o, const char *line)
{
    struct engine_option *option = engine_options_add(o);
    struct strv all = {0};
    take_value(option, take_names(line, &all));
    split_names(option, &all);
    strv_finish(&all);
    add_knowledge(option);
    add_files(option);
    option->harmless = option_is_harmless(option);
    return option;
}

/* Length of the line at `help` and of the indented or empty lines that belong to it. */
static size_t entry_len(const char *help)
{
    size_t n = 0;
    do {
        n += strcspn(help + n, "\n");
        n += help[n] == '\n';
    } while (help[n] == ' ' || help[n] == '\n');
    return n;
}

static bool has_value(const struct engine_options *o, const char *name)
{
    const struct engine_option *option = engine_options_find(o, name, NULL);
    return option && option->takes_value;
}

int llama_help_parse(struct engine_options **out, const char *help, const char *own,
                     struct error *err)
{
    struct engine_options *o = engine_options_create();
    while (*help) {
        size_t len = entry_len(help);
        if (is_option_line(help)) {
            struct engine_option *option = add_option(o, help);
            take_env(option, help, len);
            read_class(option, help, len);
        }
        help += len;
    }
    if (!has_value(o, "--model") || !has_value(o, own)) {
        engine_options_destroy(o);
        return error_set(err, -EPROTO, "its --help names no --model and %s", own);
    }
    *out = o;
    return 0;
}

/* --- the binary ---------------------------------------------------------------------------------
 */
/*
 * Without LLAMA_ARG_…, which are options for engines: with a wrong value among them --help fails, and the
 * binary would be blamed. LLAMA_SERVER_ROUTER_PORT would start an engine.
 */
static void probe_environment(struct strv *env)
{
    for (char **e = environ; e && *e; e++)
        if (strncmp(*e, "LLAMA_ARG_", 10) != 0 && strncmp(*e, "LLAMA_SERVER_ROUTER_PORT=", 25) != 0)
            strv_add(env, *e);
}

int llama_help_ask(struct probe *p, const char *binary, const struct strv *args, struct error *err)
{
    struct strv argv = {0}, env = {0};
    strv_add(&argv, binary);
    for (size_t i = 0; i < args->n; i++)
        strv_add(&argv, args->v[i]);
    probe_environment(&env);
    struct error why = {0};
    int rc = probe_run(p, argv.v, env.v, PROBE_TIMEOUT_MS, &why);
    if (rc)
        error_set(err, rc,
                  "%s; an engine is llama.cpp's llama-server: have it on PATH, or name it with "
                  "--engine PATH or LLAMA_SERVER",
                  why.text);
    strv_finish(&argv);
    strv_finish(&env);
    return rc;
}

static int ask(struct probe *p, const char *binary, const char *question, struct error *err)
{
    struct strv args = {0};
    strv_add(&args, question);
    int rc = llama_help_ask(p, binary, &args, err);
    strv_finish(&args);
    return rc;
}

/* The last line that is not empty: usually the reason why a program ended. */
static const char *last_line(struct buf *text, int *len)
{
    while (text->len && strchr("\n\r ", text->data[text->len - 1]))
        text->len--;
    if (!text->len) {
        *len = 0;
        return "";
    }
    const char *newline = memrchr(text->data, '\n', text->len);
    const char *line = newline ? newline + 1 : text->data;
    size_t n = (size_t)(text->data + text->len - line);
    *len = n < 400 ? (int)n : 400;
    return line;
}

static int help_failed(struct error *err, const char *binary, struct probe *p)
{
    int len;
    const char *line = last_line(&p->err, &len);
    if (p->signal)
        return error_set(err, -EPROTO, "%s --help was killed by signal %d (%s)", binary, p->signal,
                         strsignal(p->signal));
    return error_set(err, -EPROTO,
                     "%s --help failed with exit code %d%s%.*s: is it a llama-server? Name one "
                     "with --engine PATH or LLAMA_SERVER=PATH",
                     binary, p->code, len ? ": " : "", len, line);
}

static int load_help(struct engine_options **out, const char *binary, struct error *err)
{
    struct probe p;
    struct error why = {0};
    int rc = ask(&p, binary, "--help", err);
    if (rc)
        goto done;
    if (p.code != 0) {
        rc = help_failed(err, binary, &p);
        goto done;
    }
    const char *help = buf_cstr(&p.out);
    rc = llama_help_parse(out, help ? help : "", "--port", &why);
    if (rc)
        error_set(err, rc, "%s is no llama-server: %s", binary, why.text);
done:
    probe_finish(&p);
    return rc;
}

/* The first line that begins with `version:`; builds print it on stderr or on stdout. */
static char *find_version(struct buf *text)
{
    const char *at = buf_cstr(text);
    while (at && *at && strncmp(at, "version:", 8) != 0) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return at && *at ? mem_strndup(at, strcspn(at, "\r\n")) : NULL;
}

/* `version: 4719 (ae1b2c3)` or, as newer builds have it, `version: 0.7.0 (build 11669, commit ae1b2c3)`. The
 * caller frees; empty: neither. */
static char *build_of(const char *version)
{
    unsigned number;
    char commit[64];
    if (sscanf(version, "version: %*[^(](build %u, commit %63[^)])", &number, commit) == 2 ||
        sscanf(version, "version: %u (%63[^)])", &number, commit) == 2)
        return mem_printf("b%u-%s", number, commit);
    return mem_strdup("");
}

/* A binary without a version can be used. */
static void load_version(struct engine_options *o, const char *binary)
{
    struct probe p;
    struct error ignored = {0};
    if (ask(&p, binary, "--version", &ignored) == 0) {
        char *version = find_version(&p.err);
        if (!version)
            version = find_version(&p.out);
        if (version) {
            engine_options_set_build(o, build_of(version));
            engine_options_set_version(o, version);
        }
    }
    probe_finish(&p);
}

int llama_help_load(struct engine_options **out, const char *binary, struct error *err)
{
    int rc = load_help(out, binary, err);
    if (!rc)
        load_version(*out, binary);
    return rc;
}

/* --- look-up ------------------------------------------------------------------------------------
 */
static const char no_prefix[] = "LLAMA_ARG_NO_";

const struct engine_option *llama_help_find_env(const struct engine_options *o, const char *name,
                                                bool *negated)
{
    const struct engine_option *option = engine_options_find_env(o, name);
    *negated = false;
    if (option || strncmp(name, no_prefix, sizeof no_prefix - 1) != 0)
        return option;
    char *positive = mem_printf("LLAMA_ARG_%s", name + sizeof no_prefix - 1);
    option = engine_options_find_env(o, positive);
    free(positive);
    *negated = option && option->negations.n;
    return *negated ? option : NULL;
}
