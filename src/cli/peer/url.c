/* SPDX-License-Identifier: MIT */
#include "cli/peer/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

#define HINT "write http://HOST:PORT or unix:/PATH.sock"

static bool starts_with(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static bool has_odd_bytes(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* Slashes at the end, and the /v1 of those who think of an OpenAI base. */
static void trim_path(char *base, const char *path)
{
    char *end = base + strlen(base);
    while (end > path && end[-1] == '/')
        *--end = '\0';
    if (end - path >= 3 && strcmp(end - 3, "/v1") == 0)
        end[-3] = '\0';
}

static bool is_loopback(const char *host, size_t len)
{
    static const char *const names[] = {"localhost", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], host, len) == 0)
            return true;
    return len > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= len;
}

static bool port_is_valid(const char *port, size_t len)
{
    return len == 0 || (len <= 5 && strspn(port, "0123456789") >= len && atoi(port) <= 65535);
}

/* host[:port], with an IPv6 address in brackets. */
static int check_authority(struct url *url, const char *text, const char *from, size_t len,
                           struct error *err)
{
    const char *close = *from == '[' ? memchr(from, ']', len) : NULL;
    const char *after = close ? close : from;
    const char *colon = memchr(after, ':', len - (size_t)(after - from));
    size_t host = colon ? (size_t)(colon - from) : len;
    if (!host || (*from == '[' && !close))
        return error_set(err, -EINVAL, "'%s' names no host: " HINT, text);
    if (colon && !port_is_valid(colon + 1, len - host - 1))
        return error_set(err, -EINVAL, "'%s' has no valid port: " HINT, text);
    url->loopback = is_loopback(from, host);
    return 0;
}

/* `unix:/PATH.sock:/PREFIX`, as for nginx: the prefix is below the last `:/`. */
static int parse_socket(struct url *url, const char *text, struct error *err)
{
    const char *path = text + strlen("unix:");
    if (strncmp(path, "//", 2) == 0)
        path += 2; /* unix:///path */
    if (*path != '/')
        return error_set(err, -EINVAL, "'%s' is not absolute: write unix:/PATH.sock", text);
    const char *prefix = NULL;
    for (const char *at = path; (at = strstr(at, ":/")); at++)
        prefix = at + 1;
    if (prefix && (has_odd_bytes(prefix) || strpbrk(prefix, "?#")))
        return error_set(err, -EINVAL, "'%s' has no plain prefix: write unix:/PATH.sock:/PREFIX",
                         text);
    url->socket = prefix ? mem_strndup(path, (size_t)(prefix - 1 - path)) : mem_strdup(path);
    url->base = mem_printf("http://localhost%s", prefix ? prefix : "");
    trim_path(url->base, url->base + strlen("http://localhost"));
    url->shown = mem_printf("unix:%s", path);
    url->loopback = true;
    return 0;
}

int url_parse(struct url *url, const char *text, struct error *err)
{
    *url = (struct url){0};
    if (starts_with(text, "unix:"))
        return parse_socket(url, text, err);
    if (!*text || has_odd_bytes(text) || strpbrk(text, "?#"))
        return error_set(err, -EINVAL, "'%s' is no address of a server: " HINT, text);
    const char *scheme = strstr(text, "://");
    url->tls = starts_with(text, "https://");
    if (scheme && !url->tls && !starts_with(text, "http://"))
        return error_set(err, -EINVAL, "'%s' is neither http:// nor https://: " HINT, text);
    const char *rest = scheme ? scheme + 3 : text;
    size_t authority = strcspn(rest, "/");
    const char *at = memrchr(rest, '@', authority);
    const char *host = at ? at + 1 : rest;
    int rc = check_authority(url, text, host, authority - (size_t)(host - rest), err);
    if (rc)
        return rc;
    url->base = mem_printf("%s%s", url->tls ? "https://" : "http://", rest);
    trim_path(url->base, strchr(url->base + strlen("https://"), '/') ?: strchr(url->base, '\0'));
    url->shown = mem_printf("%s%s", url->tls ? "https://" : "http://", host);
    return 0;
}

void url_finish(struct url *url)
{
    free(url->base);
    free(url->shown);
    free(url->socket);
    *url = (struct url){0};
}

char *url_escape(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~";
    char *out = mem_zalloc(strlen(text) * 3 + 1), *to = out;
    for (; *text; text++)
        if (strchr(plain, *text))
            *to++ = *text;
        else
            to += sprintf(to, "%%%02X", (unsigned char)*text);
    return out;
}

unsigned url_port(const struct url *url)
{
    const char *bracket = strrchr(url->shown, ']'); /* of an IPv6 address */
    const char *colon = strrchr(bracket ? bracket : url->shown, ':');
    unsigned port;
    if (colon && sscanf(colon, ":%u", &port) == 1)
        return port;
    return url->tls ? 443 : 80;
}
