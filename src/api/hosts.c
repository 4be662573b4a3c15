/* SPDX-License-Identifier: MIT */
#include "api/hosts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "http/listener.h"

#define NAME_SIZE 256 /* a DNS name has at most 253 characters */

/* --- names and addresses ------------------------------------------------------------------------
 */

enum kind { NAME, ADDRESS, LOOPBACK_ADDRESS };

/* A host, and its one spelling. */
struct host_name {
    enum kind kind;
    char text[NAME_SIZE];
};

static bool is_port(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return len <= 5;
}

/* The host's part of the authority: `*len` bytes from where it returns. NULL when what stands after
 * it is no port. A missing number after the colon is allowed (RFC 3986, 3.2.3). */
static const char *without_port(const char *authority, size_t *len)
{
    size_t n = *len;
    const char *end = NULL;
    if (n && *authority == '[') {
        end = memchr(authority, ']', n);
        if (!end)
            return NULL;
        end++;
    } else {
        end = memchr(authority, ':', n);
        end = end ? end : authority + n;
    }
    const size_t host = (size_t)(end - authority);
    if (host < n && (*end != ':' || !is_port(end + 1, n - host - 1)))
        return NULL;
    *len = host;
    return authority;
}

static bool read_ipv6(struct host_name *out, const char *text, size_t len)
{
    struct in6_addr ip;
    char plain[INET6_ADDRSTRLEN];
    const char *zone = memchr(text, '%', len); /* of a link: the same address on any */
    if (zone)
        len = (size_t)(zone - text);
    if (len >= sizeof plain)
        return false;
    memcpy(plain, text, len);
    plain[len] = '\0';
    if (inet_pton(AF_INET6, plain, &ip) != 1)
        return false;
    out->kind = IN6_IS_ADDR_LOOPBACK(&ip) ? LOOPBACK_ADDRESS : ADDRESS;
    inet_ntop(AF_INET6, &ip, out->text, sizeof out->text);
    return true;
}

/* Letters, digits, `-`, `_` and dots; one dot at the end names the same host. */
static bool read_name(struct host_name *out, const char *text, size_t len)
{
    struct in_addr ip;
    if (len && text[len - 1] == '.')
        len--;
    if (!len || len >= sizeof out->text)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        c = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
        out->text[i] = c;
    }
    out->text[len] = '\0';
    bool digits = out->text[0] >= '0' && out->text[0] <= '9';
    bool is_ip = digits && inet_pton(AF_INET, out->text, &ip) == 1;
    out->kind = !is_ip                                     ? NAME
                : ntohl(ip.s_addr) >> 24 == IN_LOOPBACKNET ? LOOPBACK_ADDRESS
                                                           : ADDRESS;
    return true;
}

static bool read_host(struct host_name *out, const char *authority, size_t len)
{
    const char *host = without_port(authority, &len);
    if (!host)
        return false;
    if (len && *host == '[')
        return read_ipv6(out, host + 1, len - 2);
    return read_name(out, host, len);
}

static bool is_loopback(const struct host_name *host)
{
    return host->kind == LOOPBACK_ADDRESS || strcmp(host->text, "localhost") == 0;
}

bool host_is_loopback(const char *authority, size_t len)
{
    struct host_name host;
    return read_host(&host, authority, len) && is_loopback(&host);
}

/* --- those that may be asked --------------------------------------------------------------------
 */

static void add(struct hosts *h, const char *text, size_t len)
{
    struct host_name host;
    if ((read_ipv6(&host, text, len) || read_host(&host, text, len)) &&
        !strv_has(&h->names, host.text))
        strv_add(&h->names, host.text);
}

/* The addresses as URLs: `http://[::]:8080`. */
static void add_addresses(struct hosts *h, const struct http_server *server)
{
    char url[LISTENER_ADDRESS_MAX + 16];
    bool exposed;
    for (unsigned i = 0; http_server_address(server, i, url, sizeof url, &exposed); i++) {
        const char *address = strstr(url, "://");
        if (!address)
            continue; /* a unix socket */
        address += 3;
        add(h, address, strlen(address));
        h->any_address |= strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0;
    }
}

void hosts_init(struct hosts *h, const struct config *c, const struct http_server *server)
{
    struct strv listened = {0};
    *h = (struct hosts){0};
    add_addresses(h, server);
    strv_split(&listened, c->host, ',');
    for (size_t i = 0; i < listened.n; i++)
        if (!listener_means_unix(listened.v[i]))
            add(h, listened.v[i], strlen(listened.v[i]));
    strv_finish(&listened);
    for (size_t i = 0; i < c->allowed_hosts.n; i++)
        add(h, c->allowed_hosts.v[i], strlen(c->allowed_hosts.v[i]));
    h->any_name = c->allowed_hosts.n ? strv_has(&c->allowed_hosts, "*") : h->any_address;
}

void hosts_finish(struct hosts *h)
{
    strv_finish(&h->names);
}

bool hosts_have(const struct hosts *h, const char *authority, size_t len)
{
    struct host_name host;
    if (h->any_name)
        return true;
    if (!read_host(&host, authority, len))
        return false;
    return is_loopback(&host) || (h->any_address && host.kind == ADDRESS) ||
           strv_has(&h->names, host.text);
}

static bool has_host(struct hosts *h, const char *host)
{
    const size_t len = strlen(host);
    if (len && strcmp(host, h->latest) == 0)
        return true;
    if (!hosts_have(h, host, len))
        return false;
    if (len < sizeof h->latest)
        memcpy(h->latest, host, len + 1);
    return true;
}

bool hosts_accept(struct hosts *h, const struct http_exchange *x)
{
    size_t len;
    if (http_exchange_is_unix(x))
        return true;
    const char *host = http_head_get(http_exchange_head(x), "host");
    if (host && !has_host(h, host))
        return false;
    const char *authority = http_exchange_authority(x, &len);
    return !authority || hosts_have(h, authority, len);
}
