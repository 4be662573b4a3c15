/* SPDX-License-Identifier: MIT */
#include "cli/run/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"

/* --- pure ---------------------------------------------------------------------------------------
 */

const char *run_image_type(const unsigned char *data, size_t len)
{
    static const struct {
        const char *magic, *type;
        size_t len;
    } types[] = {{"\x89PNG\r\n\x1a\n", "image/png", 8},
                 {"\xff\xd8\xff", "image/jpeg", 3},
                 {"GIF8", "image/gif", 4},
                 {"BM", "image/bmp", 2}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (len >= types[i].len && memcmp(data, types[i].magic, types[i].len) == 0)
            return types[i].type;
    bool webp = len >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0;
    return webp ? "image/webp" : NULL;
}

char *run_image_base64(const unsigned char *data, size_t len)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = mem_zalloc((len + 2) / 3 * 4 + 1), *to = out;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16 | (n > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (n > 2 ? data[i + 2] : 0);
        *to++ = letters[bits >> 18];
        *to++ = letters[bits >> 12 & 63];
        *to++ = n > 1 ? letters[bits >> 6 & 63] : '=';
        *to++ = n > 2 ? letters[bits & 63] : '=';
    }
    return out;
}

/* --- files --------------------------------------------------------------------------------------
 */

static char *expand(const char *path)
{
    const char *home = getenv("HOME");
    return path[0] == '~' && path[1] == '/' && home ? mem_printf("%s%s", home, path + 1)
                                                    : mem_strdup(path);
}

static int read_all(int fd, unsigned char *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = read(fd, data + at, size - at);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return n ? -errno : -EIO;
    }
    return 0;
}

static int read_open(int fd, const char *path, char **url, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return error_set(err, -errno, "%s cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "%s is no file", path);
    size_t size = (size_t)st.st_size;
    if (size > RUN_IMAGE_MAX)
        return error_set(err, -EFBIG, "%s is larger than %zu MiB: make it smaller first", path,
                         RUN_IMAGE_MAX >> 20);
    unsigned char *data = mem_zalloc(size + 1);
    int rc = read_all(fd, data, size);
    const char *type = rc ? NULL : run_image_type(data, size);
    if (rc) {
        error_set(err, rc, "%s cannot be read: %s", path, strerror(-rc));
    } else if (!type) {
        rc = error_set(err, -EINVAL, "%s is no image: PNG, JPEG, GIF, BMP and WebP are", path);
    } else {
        char *text = run_image_base64(data, size);
        *url = mem_printf("data:%s;base64,%s", type, text);
        free(text);
    }
    free(data);
    return rc;
}

int run_image_read(const char *path, char **url, struct error *err)
{
    char *name = expand(path);
    /* Not to wait for somebody who writes into a pipe. */
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 ? error_set(err, -errno, "%s cannot be read: %s", path, strerror(errno))
                    : read_open(fd, path, url, err);
    if (fd >= 0)
        close(fd);
    free(name);
    return rc;
}

/* --- names in a text ----------------------------------------------------------------------------
 */

static bool is_image_name(const char *word)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"};
    const char *dot = strrchr(word, '.');
    if (!dot || dot == word || dot[-1] == '/')
        return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

static bool is_file(const char *word)
{
    struct stat st;
    char *name = expand(word);
    bool is_there = stat(name, &st) == 0 && S_ISREG(st.st_mode);
    free(name);
    return is_there;
}

/* Not a pattern, markup or code, which hold names of files that nobody wants to show. */
static bool is_plain(const char *word)
{
    return !word[strcspn(word, "*?()[]{}<>|=$`'\"")];
}

/* The next word, without its quotes and backslashes; NULL at the end. The caller frees it. */
static char *next_word(const char **text)
{
    const char *p = *text + strspn(*text, " \t\n");
    struct buf word;
    buf_init(&word, BUF_UNBOUNDED);
    const char *close = *p == '\'' || *p == '"' ? strchr(p + 1, *p) : NULL;
    if (close) {
        buf_append(&word, p + 1, (size_t)(close - p) - 1);
        p = close + 1;
    }
    for (; *p && !strchr(" \t\n", *p); p++) {
        p += p[0] == '\\' && p[1];
        buf_append(&word, p, 1);
    }
    bool end = p == *text || (!word.len && !*p);
    *text = p;
    char *taken = end ? NULL : mem_strdup(buf_cstr(&word));
    buf_finish(&word);
    return taken;
}

void run_image_find(const char *text, struct strv *paths, struct strv *missing)
{
    if (is_image_name(text) && is_file(text)) {
        strv_add(paths, text);
        return;
    }
    for (char *word; (word = next_word(&text)); free(word)) {
        for (size_t n = strlen(word); !is_image_name(word) && n && strchr(".,:;!?)", word[n - 1]);)
            word[--n] = '\0';
        struct strv *list = !is_image_name(word) ? NULL
                            : is_file(word)      ? paths
                            : is_plain(word)     ? missing
                                                 : NULL;
        if (list && !strv_has(list, word))
            strv_add(list, word);
    }
}
