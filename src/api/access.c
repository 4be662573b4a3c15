/* SPDX-License-Identifier: MIT */
#include "api/access.h"

#include <string.h>

/* Letters, digits and a few signs: nothing that another reader could take for another path. */
static bool is_simple(const char *path, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((path[i] >= 'a' && path[i] <= 'z') || (path[i] >= 'A' && path[i] <= 'Z') ||
              (path[i] >= '0' && path[i] <= '9') || path[i] == '/' || path[i] == '.' ||
              path[i] == '-' || path[i] == '_'))
            return false;
    return !memmem(path, len, "..", 2) && !memmem(path, len, "//", 2);
}

static bool has_page_ending(const char *path, size_t len)
{
    static const char *const endings[] = {
        ".html", ".js",  ".css", ".json", ".webmanifest", ".svg",
        ".png",  ".ico", ".jpg", ".webp", ".woff2",       ".txt",
    };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (len > n + 1 && memcmp(path + len - n, endings[i], n) == 0)
            return true;
    }
    return false;
}

bool access_is_plain_get(const char *method, const char *path, size_t len)
{
    return (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) && len && *path == '/' &&
           is_simple(path, len);
}

bool access_is_page(const char *method, const char *path, size_t len)
{
    if (!access_is_plain_get(method, path, len))
        return false;
    if (len == 1 || strncmp(path, "/_app/", 6) == 0)
        return true;
    return !memchr(path + 1, '/', len - 1) && has_page_ending(path, len);
}
