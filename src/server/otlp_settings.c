/* SPDX-License-Identifier: MIT */
#include "server/otlp_settings.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"
#include "base/memory.h"

/* The specification's defaults. */
#define TIMEOUT_MS 10000
#define SPAN_DELAY_MS 5000
#define SPANS_MAX 2048
#define BATCH_MAX 512
#define METRICS_INTERVAL_MS 60000

static const char *const signal_name[OTLP_SIGNALS] = {"TRACES", "METRICS"};
static const char *const signal_path[OTLP_SIGNALS] = {"v1/traces", "v1/metrics"};

/* An empty value is as none. */
static const char *get(char *const *env, const char *name)
{
    const char *value = env_get(env, name);
    return value && *value ? value : NULL;
}

/* `OTEL_EXPORTER_OTLP_TRACES_what`, else `OTEL_EXPORTER_OTLP_what`. */
static const char *get_of(char *const *env, enum otlp_signal signal, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_%s_%s", signal_name[signal], what);
    const char *own = get(env, name);
    snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_%s", what);
    return own ? own : get(env, name);
}

/* A whole number; `otherwise` for none and, with a warning, for what is none. */
static uint64_t number(const char *name, const char *value, uint64_t otherwise)
{
    if (!value)
        return otherwise;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (!errno && isdigit((unsigned char)*value) && !*end && n > 0 && n <= INT32_MAX)
        return n;
    log_warn("%s: '%s' is no number from 1 to %d: %llu is used", name, value, INT32_MAX,
             (unsigned long long)otherwise);
    return otherwise;
}

static uint64_t setting(char *const *env, const char *name, uint64_t otherwise)
{
    return number(name, get(env, name), otherwise);
}

/* --- lists: `name=value,name=value`, with percent-encoded values (W3C Baggage) --------------------
 */

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (tolower((unsigned char)c) - 'a') + 10;
}

/* In place. */
static void decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        bool is_escape =
            *in == '%' && isxdigit((unsigned char)in[1]) && isxdigit((unsigned char)in[2]);
        *out++ = is_escape ? (char)(hex(in[1]) * 16 + hex(in[2])) : *in;
        in += is_escape ? 2 : 0;
    }
    *out = '\0';
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    return text;
}

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' && *text != '\t')
            return false;
    return true;
}

typedef void on_pair(const char *name, const char *value, void *ctx);

/* An entry without a name or with a line break is warned of; its value may be a secret. */
static void each_pair(const char *variable, const char *list, on_pair *pair, void *ctx)
{
    struct strv entries = {0};
    strv_split(&entries, list ? list : "", ',');
    for (size_t i = 0; i < entries.n; i++) {
        char *value = strchr(entries.v[i], '=');
        if (value)
            *value++ = '\0';
        char *name = trim(entries.v[i]);
        if (!value && !*name)
            continue;
        if (value)
            decode(value = trim(value));
        if (!value || !*name || !is_one_line(value))
            log_warn("%s: its entry %zu is not NAME=VALUE and is left out", variable, i + 1);
        else
            pair(name, value, ctx);
    }
    strv_finish(&entries);
}

/* RFC 9110, 5.6.2: what a header's name consists of. */
static bool is_token(const char *name)
{
    return name[strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static void add_header(const char *name, const char *value, void *ctx)
{
    if (is_token(name))
        strv_addf(ctx, "%s: %s", name, value);
    else
        log_warn("OTEL_EXPORTER_OTLP_HEADERS: '%s' is no name of a header and is left out", name);
}

static bool has_name(json_t *attributes, const char *name)
{
    size_t i;
    json_t *a;
    json_array_foreach (attributes, i, a)
        if (strcmp(json_string_value(json_object_get(a, "key")), name) == 0)
            return true;
    return false;
}

/* Names of attributes are unique: the first counts. */
static void add_attribute(const char *name, const char *value, void *ctx)
{
    if (has_name(ctx, name))
        return;
    json_array_append_new(ctx,
                          json_pack("{s:s, s:{s:s}}", "key", name, "value", "stringValue", value));
}

/* --- the parts -----------------------------------------------------------------------------------
 */

static char *resource_of(char *const *env)
{
    json_t *attributes = json_array(), *resource = json_object();
    const char *service = get(env, "OTEL_SERVICE_NAME");
    char host[256] = "";
    if (service)
        add_attribute("service.name", service, attributes);
    each_pair("OTEL_RESOURCE_ATTRIBUTES", get(env, "OTEL_RESOURCE_ATTRIBUTES"), add_attribute,
              attributes);
    add_attribute("service.name", "hostler", attributes);
    add_attribute("service.version", HOSTLER_VERSION, attributes);
    if (gethostname(host, sizeof host - 1) == 0)
        add_attribute("host.name", host, attributes);
    json_object_set_new(resource, "attributes", attributes);
    char *text = json_dumps(resource, JSON_COMPACT);
    json_decref(resource);
    return text ? text : mem_strdup("{}");
}

static bool is_http(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

/* NULL: not to be sent. */
static char *url_of(char *const *env, enum otlp_signal signal)
{
    char name[64];
    snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_%s_ENDPOINT", signal_name[signal]);
    const char *own = get(env, name), *base = get(env, "OTEL_EXPORTER_OTLP_ENDPOINT");
    const char *url = own ? own : base;
    if (!url)
        return NULL;
    if (!is_http(url)) {
        log_warn("%s is no http:// or https:// URL: %s are not sent",
                 own ? name : "OTEL_EXPORTER_OTLP_ENDPOINT",
                 signal == OTLP_TRACES ? "traces" : "metrics");
        return NULL;
    }
    if (own)
        return mem_strdup(own);
    size_t n = strlen(base);
    return mem_printf("%s%s%s", base, base[n - 1] == '/' ? "" : "/", signal_path[signal]);
}

static char *without_secrets(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    const size_t len = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', len);
    const char *begin = at ? at + 1 : host;
    return mem_printf("%.*s%.*s", (int)(host - url), url, (int)strcspn(begin, "?#"), begin);
}

/* `OTEL_TRACES_EXPORTER=none` and its like. */
static bool is_exported(char *const *env, enum otlp_signal signal)
{
    char name[64];
    snprintf(name, sizeof name, "OTEL_%s_EXPORTER", signal_name[signal]);
    const char *exporter = get(env, name);
    if (exporter && strcasecmp(exporter, "otlp") != 0 && strcasecmp(exporter, "none") != 0)
        log_warn("%s: hostler knows 'otlp' and 'none', not '%s': nothing is sent", name, exporter);
    return !exporter || strcasecmp(exporter, "otlp") == 0;
}

static bool has_protocol(char *const *env, enum otlp_signal signal)
{
    const char *protocol = get_of(env, signal, "PROTOCOL");
    if (!protocol || strcasecmp(protocol, "http/json") == 0)
        return true;
    if (strcasecmp(protocol, "http/protobuf") == 0) {
        log_info("OTEL_EXPORTER_OTLP_PROTOCOL: hostler sends JSON (http/json) in place of '%s'",
                 protocol);
        return true;
    }
    log_warn("OTEL_EXPORTER_OTLP_PROTOCOL: hostler sends http/json, not '%s': give the collector's "
             "HTTP endpoint, as a rule port 4318, and http/json",
             protocol);
    return false;
}

static void read_signal(struct otlp_settings *s, char *const *env, enum otlp_signal signal)
{
    s->url[signal] =
        is_exported(env, signal) && has_protocol(env, signal) ? url_of(env, signal) : NULL;
    if (!s->url[signal])
        return;
    s->shown[signal] = without_secrets(s->url[signal]);
    each_pair("OTEL_EXPORTER_OTLP_HEADERS", get_of(env, signal, "HEADERS"), add_header,
              &s->headers[signal]);
    s->timeout_ms[signal] =
        number("OTEL_EXPORTER_OTLP_TIMEOUT", get_of(env, signal, "TIMEOUT"), TIMEOUT_MS);
}

static double ratio_of(const char *text)
{
    char *end = NULL;
    double ratio = text ? strtod(text, &end) : 1;
    if (ratio >= 0 && ratio <= 1 && (!text || (end != text && !*end)))
        return ratio;
    log_warn("OTEL_TRACES_SAMPLER_ARG: '%s' is no number from 0 to 1: 1 is used", text);
    return 1;
}

static void read_sampler(struct otlp_settings *s, char *const *env)
{
    static const char parent[] = "parentbased_";
    const char *name = get(env, "OTEL_TRACES_SAMPLER");
    const char *kind = name ? name : "parentbased_always_on";
    s->follows_parent = strncmp(kind, parent, sizeof parent - 1) == 0;
    kind += s->follows_parent ? sizeof parent - 1 : 0;
    s->ratio = 1;
    if (strcmp(kind, "always_off") == 0)
        s->ratio = 0;
    else if (strcmp(kind, "traceidratio") == 0)
        s->ratio = ratio_of(get(env, "OTEL_TRACES_SAMPLER_ARG"));
    else if (strcmp(kind, "always_on") != 0)
        log_warn("OTEL_TRACES_SAMPLER: '%s' is not known: all traces are recorded", name);
}

bool otlp_settings_read(struct otlp_settings *s, char *const *env)
{
    *s = (struct otlp_settings){0};
    const char *disabled = get(env, "OTEL_SDK_DISABLED");
    if (disabled && strcasecmp(disabled, "true") == 0)
        return false;
    for (int signal = 0; signal < OTLP_SIGNALS; signal++)
        read_signal(s, env, (enum otlp_signal)signal);
    if (!s->url[OTLP_TRACES] && !s->url[OTLP_METRICS])
        return false;
    s->span_delay_ms = setting(env, "OTEL_BSP_SCHEDULE_DELAY", SPAN_DELAY_MS);
    s->spans_max = setting(env, "OTEL_BSP_MAX_QUEUE_SIZE", SPANS_MAX);
    s->batch_max = setting(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_MAX);
    s->metrics_interval_ms = setting(env, "OTEL_METRIC_EXPORT_INTERVAL", METRICS_INTERVAL_MS);
    read_sampler(s, env);
    s->resource = resource_of(env);
    return true;
}

void otlp_settings_finish(struct otlp_settings *s)
{
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        free(s->url[signal]);
        free(s->shown[signal]);
        strv_finish(&s->headers[signal]);
    }
    free(s->resource);
    *s = (struct otlp_settings){0};
}
