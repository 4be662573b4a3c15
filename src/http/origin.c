/* SPDX-License-Identifier: MIT */
#include "http/origin.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

int http_origin_unix(struct http_origin *o, const char *path)
{
    struct sockaddr_un *a = (struct sockaddr_un *)&o->address;
    size_t size = strlen(path) + 1;
    *o = (struct http_origin){0};
    if (size > sizeof a->sun_path)
        return -ENAMETOOLONG;
    a->sun_family = AF_UNIX;
    memcpy(a->sun_path, path, size);
    return 0;
}

int http_origin_tcp(struct http_origin *o, const char *host, int port)
{
    *o = (struct http_origin){0};
    if (port < 1 || port > 65535)
        return -EINVAL;
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&o->address) == 0 ||
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&o->address) == 0)
        return 0;
    return -EINVAL;
}

bool http_origin_is_absent(int error)
{
    return error == UV_ECONNREFUSED || error == UV_ENOENT;
}
