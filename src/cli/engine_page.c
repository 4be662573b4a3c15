/* SPDX-License-Identifier: MIT */
#include "cli/engine_page.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/curl_library.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/whole_file.h"
#include "cli/cli.h"

#define DEADLINE_MS 20000
#define FILE_MAX ((size_t)16 * 1024 * 1024)
#define ALL_MAX ((size_t)32 * 1024 * 1024)
#define FILES_MAX 512
#define TRIES_MAX 2048 /* paths that are asked for: text may name what is not there */
#define PAUSE_NS 20000000L

/* The process that fetches. */
struct fetch {
    const struct curl_library *lib;
    CURL *curl;
    char *socket;
    uint64_t deadline; /* cli_now_ms() */
    int out;           /* a memory file for what is found */
    struct strv paths; /* asked for, or to be asked for */
    size_t files, bytes;
};

/* How a file stands there, followed by its path, type and data. */
struct entry {
    size_t path, type, data; /* bytes */
    bool packed;
};

/* --- asking -------------------------------------------------------------------------------------
 */

struct answer {
    struct buf body;
    char type[128];
    bool packed;
    long status;
};

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct answer *a = ctx;
    return buf_append(&a->body, data, size * n) ? 0 : size * n;
}

/* The value of the header line `name`; NULL: it is another one. */
static const char *value_of(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) != 0)
        return NULL;
    return line + n + strspn(line + n, " ");
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct answer *a = ctx;
    const size_t len = size * n;
    char *line = mem_strndup(data, len);
    line[strcspn(line, "\r\n")] = '\0';
    const char *type = value_of(line, len, "content-type:");
    const char *coding = value_of(line, len, "content-encoding:");
    if (type)
        snprintf(a->type, sizeof a->type, "%s", type);
    if (coding)
        a->packed = strcasecmp(coding, "gzip") == 0;
    free(line);
    return len;
}

/* `decoded`: as text, whatever the program packs it by. False: there is no answer 200. */
static bool ask(struct fetch *f, const char *path, bool decoded, struct answer *a)
{
    const struct curl_library *lib = f->lib;
    char *url = mem_printf("http://localhost%s", path);
    struct curl_slist *fields =
        decoded ? NULL : lib->curl_slist_append(NULL, "Accept-Encoding: gzip");
    uint64_t now = cli_now_ms(), left = now < f->deadline ? f->deadline - now : 1;
    *a = (struct answer){0};
    buf_init(&a->body, FILE_MAX);
    lib->curl_easy_reset(f->curl);
    lib->curl_easy_setopt(f->curl, CURLOPT_URL, url);
    lib->curl_easy_setopt(f->curl, CURLOPT_UNIX_SOCKET_PATH, f->socket);
    lib->curl_easy_setopt(f->curl, CURLOPT_NOSIGNAL, 1L);
    lib->curl_easy_setopt(f->curl, CURLOPT_PROXY, "");
    lib->curl_easy_setopt(f->curl, CURLOPT_TIMEOUT_MS, (long)left);
    lib->curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, on_body);
    lib->curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, a);
    lib->curl_easy_setopt(f->curl, CURLOPT_HEADERFUNCTION, on_header);
    lib->curl_easy_setopt(f->curl, CURLOPT_HEADERDATA, a);
    if (decoded)
        lib->curl_easy_setopt(f->curl, CURLOPT_ACCEPT_ENCODING, "");
    else
        lib->curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, fields);
    CURLcode rc = lib->curl_easy_perform(f->curl);
    if (!rc)
        lib->curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &a->status);
    lib->curl_slist_free_all(fields);
    free(url);
    return !rc && a->status == 200;
}

/* --- what a file names --------------------------------------------------------------------------
 */

static bool is_path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_-./@", c));
}

static bool has_ending(const char *text, size_t len)
{
    static const char *const endings[] = {".js",    ".mjs",         ".css", ".json",
                                          ".svg",   ".png",         ".ico", ".webp",
                                          ".woff2", ".webmanifest", ".jpg", ".wasm"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (len > n && memcmp(text + len - n, endings[i], n) == 0)
            return true;
    }
    return false;
}

/* `a/./b/../c` below `folder` (`/x/`) as a path; NULL: it leads out. The caller frees it. */
static char *resolve(const char *folder, const char *name, size_t len)
{
    char *all = mem_printf("%s%.*s", len && *name == '/' ? "" : folder, (int)len, name);
    struct strv parts = {0}, kept = {0};
    struct buf path;
    bool leads_out = false;
    strv_split(&parts, all, '/');
    free(all);
    for (size_t i = 0; i < parts.n; i++) {
        if (strcmp(parts.v[i], "..") == 0) {
            leads_out |= !kept.n;
            if (kept.n)
                free(kept.v[--kept.n]);
        } else if (*parts.v[i] && strcmp(parts.v[i], ".") != 0) {
            strv_add(&kept, parts.v[i]);
        }
    }
    buf_init(&path, BUF_OWN);
    for (size_t i = 0; i < kept.n; i++)
        buf_printf(&path, "/%s", kept.v[i]);
    char *found = kept.n && !leads_out ? buf_take(&path) : NULL;
    buf_finish(&path);
    strv_finish(&parts);
    strv_finish(&kept);
    return found;
}

static void want(struct fetch *f, const char *folder, const char *name, size_t len)
{
    char *path = resolve(folder, name, len);
    if (path && f->paths.n < TRIES_MAX && !strv_has(&f->paths, path))
        strv_add(&f->paths, path);
    free(path);
}

/* Whatever looks like the path of a file: relative to the file that names it, and to the root. */
static void note_names(struct fetch *f, const char *path, const struct buf *text)
{
    const char *slash = strrchr(path, '/');
    char *folder = mem_strndup(path, (size_t)(slash - path) + 1);
    for (size_t i = 0, n; i < text->len; i += n + 1) {
        for (n = 0; i + n < text->len && is_path_char(text->data[i + n]); n++)
            ;
        if (n > 255 || !has_ending(text->data + i, n))
            continue;
        want(f, folder, text->data + i, n);
        want(f, "/", text->data + i, n);
    }
    free(folder);
}

/* --- fetching -----------------------------------------------------------------------------------
 */

static int keep(struct fetch *f, const char *path, const struct answer *a)
{
    const struct entry e = {
        .path = strlen(path), .type = strlen(a->type), .data = a->body.len, .packed = a->packed};
    f->files++;
    f->bytes += a->body.len;
    int rc = whole_file_write_all(f->out, (const char *)&e, sizeof e);
    if (!rc)
        rc = whole_file_write_all(f->out, path, e.path);
    if (!rc)
        rc = whole_file_write_all(f->out, a->type, e.type);
    return rc ? rc : whole_file_write_all(f->out, a->body.data, e.data);
}

static bool is_text(const char *type)
{
    return strncmp(type, "text/", 5) == 0 || strstr(type, "javascript") || strstr(type, "json");
}

/* Twice, since what it names is read unpacked, and what browsers get is kept as the program packs it. */
static void fetch_file(struct fetch *f, const char *path)
{
    struct answer a, text;
    if (ask(f, path, false, &a) && f->bytes + a.body.len <= ALL_MAX && !keep(f, path, &a) &&
        is_text(a.type)) {
        if (ask(f, path, true, &text))
            note_names(f, path, &text.body);
        buf_finish(&text.body);
    }
    buf_finish(&a.body);
}

static bool is_listening(struct fetch *f, pid_t engine)
{
    struct answer a;
    bool there = false;
    while (!there && cli_now_ms() < f->deadline && waitpid(engine, NULL, WNOHANG) == 0) {
        there = ask(f, "/health", true, &a);
        buf_finish(&a.body);
        if (!there)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return there;
}

static void fetch_all(struct fetch *f)
{
    struct answer a;
    const bool is_page = ask(f, "/", true, &a) && strncmp(a.type, "text/html", 9) == 0;
    buf_finish(&a.body);
    if (!is_page)
        return;
    strv_add(&f->paths, "/");
    for (size_t i = 0; i < f->paths.n && f->files < FILES_MAX && cli_now_ms() < f->deadline; i++) {
        char *path = mem_strdup(f->paths.v[i]);
        fetch_file(f, path);
        free(path);
    }
}

/* --- the program -------------------------------------------------------------------------------- */

static pid_t start_engine(const char *program, const char *prefix, const char *folder,
                          const char *socket)
{
    char *argv[] = {(char *)program, "--models-dir", (char *)folder,
                    "--host",        (char *)socket, NULL};
    struct strv env = {0};
    for (char **e = environ; *e; e++)
        if (!prefix || strncmp(*e, prefix, strlen(prefix)) != 0)
            strv_add(&env, *e);
    pid_t pid = fork();
    if (pid != 0) {
        strv_finish(&env);
        return pid;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    for (int fd = 0; null >= 0 && fd <= 2; fd++)
        dup2(null, fd);
    execve(argv[0], argv, env.v);
    _exit(127);
}

/* In the process of its own. */
static void fetch_in(const char *program, const char *prefix, int out, const char *folder)
{
    struct error err;
    struct fetch f = {.out = out, .deadline = cli_now_ms() + DEADLINE_MS};
    f.lib = curl_library_load(&err);
    f.curl = f.lib ? f.lib->curl_easy_init() : NULL;
    if (!f.curl)
        return;
    f.socket = mem_printf("%s/s.sock", folder);
    pid_t engine = start_engine(program, prefix, folder, f.socket);
    if (engine > 0 && is_listening(&f, engine))
        fetch_all(&f);
    if (engine > 0) {
        kill(-engine, SIGKILL);
        kill(engine, SIGKILL);
        waitpid(engine, NULL, 0);
    }
    unlink(f.socket);
}

/* --- the daemon's side -------------------------------------------------------------------------- */

static bool read_whole(int fd, void *data, size_t len)
{
    for (ssize_t n = 0; len; data = (char *)data + n, len -= (size_t)n)
        if ((n = read(fd, data, len)) <= 0)
            return false;
    return true;
}

static char *read_text(int fd, size_t len)
{
    char *text = mem_zalloc(len + 1);
    if (read_whole(fd, text, len))
        return text;
    free(text);
    return NULL;
}

/* How many there are. */
static size_t take(int fd, engine_page_found *found, void *ctx)
{
    struct entry e;
    size_t n = 0;
    lseek(fd, 0, SEEK_SET);
    while (n < FILES_MAX && read_whole(fd, &e, sizeof e)) {
        char *path = read_text(fd, e.path);
        char *type = read_text(fd, e.type);
        char *data = read_text(fd, e.data);
        if (!data) { /* the last one is cut: there was no room for it */
            free(path);
            free(type);
            break;
        }
        found(path, type, e.packed, data, e.data, ctx);
        n++;
    }
    return n;
}

size_t engine_page_fetch(const char *program, const char *env_prefix, engine_page_found *found,
                         void *ctx)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = mem_printf("%s/hostler-ui-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    int out = memfd_create("page", MFD_CLOEXEC);
    size_t n = 0;
    if (out >= 0 && mkdtemp(folder)) {
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            fetch_in(program, env_prefix, out, folder);
            _exit(0);
        }
        while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        n = take(out, found, ctx);
        rmdir(folder);
    }
    if (out >= 0)
        close(out);
    free(folder);
    return n;
}
