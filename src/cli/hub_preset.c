/* SPDX-License-Identifier: MIT */
#include "cli/hub_preset.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/client.h"

#define FILE_NAME "preset.ini"
#define HUB "https://huggingface.co"
#define COMMIT_LEN 40
#define PRESET_MAX ((size_t)4 * 1024 * 1024)
#define REQUEST_MS 10000
#define REDIRECTS_MAX 5

/* --- the cache ----------------------------------------------------------------------------------
 */

static bool is_commit(const char *text)
{
    size_t n = 0;
    while (text && isxdigit((unsigned char)text[n]))
        n++;
    return n == COMMIT_LEN && !text[n];
}

/* CACHE/models--USER--REPO; NULL: that is no name of a repository. The caller frees it. */
static char *repo_folder(const char *cache, const char *repo)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t user = strspn(repo, allowed);
    size_t name = repo[user] == '/' ? strspn(repo + user + 1, allowed) : 0;
    const char *end = repo + user + 1 + name;
    if (!user || !name || *repo == '.' || repo[user + 1] == '.' || (*end && *end != ':'))
        return NULL;
    return mem_printf("%s/models--%.*s--%.*s", cache, (int)user, repo, (int)name, repo + user + 1);
}

/* The commit that refs/main names; empty: none. */
static void read_main(const char *folder, char commit[COMMIT_LEN + 1])
{
    char *path = mem_printf("%s/refs/main", folder);
    FILE *f = fopen(path, "re");
    memset(commit, 0, COMMIT_LEN + 1);
    if (!f || fread(commit, 1, COMMIT_LEN, f) < COMMIT_LEN || !is_commit(commit))
        *commit = '\0';
    if (f)
        fclose(f);
    free(path);
}

static char *find_cached(const char *folder)
{
    char commit[COMMIT_LEN + 1];
    read_main(folder, commit);
    char *path = *commit ? mem_printf("%s/snapshots/%s/" FILE_NAME, folder, commit) : NULL;
    if (path && access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static int make_folder(const char *path)
{
    return mkdir(path, 0777) && errno != EEXIST ? -errno : 0;
}

/* FOLDER/NAME, and the folder above. */
static int make_below(const char *folder, const char *name)
{
    char *path = mem_printf("%s/%s", folder, name);
    int rc = make_folder(path);
    free(path);
    return rc;
}

/* The file is there whole, or not at all. */
static int write_file(const char *folder, const char *name, const char *data, size_t len)
{
    char *path = mem_printf("%s/%s", folder, name);
    char *part = mem_printf("%s.%d.part", path, (int)getpid());
    FILE *f = fopen(part, "we");
    int rc = f && fwrite(data, 1, len, f) == len ? 0 : -EIO;
    if (f && fclose(f))
        rc = -errno;
    if (!rc && rename(part, path))
        rc = -errno;
    if (rc)
        unlink(part);
    free(part);
    free(path);
    return rc;
}

static int store(const char *cache, const char *folder, const char *commit, const struct buf *text)
{
    char *snapshot = mem_printf("snapshots/%s", commit);
    char *below = mem_printf("%s/%s", folder, snapshot);
    int rc = make_folder(cache);
    if (!rc)
        rc = make_folder(folder);
    if (!rc)
        rc = make_below(folder, "refs");
    if (!rc)
        rc = make_below(folder, "blobs");
    if (!rc)
        rc = make_below(folder, "snapshots");
    if (!rc)
        rc = make_below(folder, snapshot);
    if (!rc)
        rc = write_file(below, FILE_NAME, text->data, text->len);
    if (!rc)
        rc = write_file(folder, "refs/main", commit, COMMIT_LEN);
    free(below);
    free(snapshot);
    return rc;
}

/* --- the hub: in a process of its own -----------------------------------------------------------
 */

static int ask_at(const char *base, const char *path, const char *token, struct client_answer *a,
                  struct error *err)
{
    struct url url = {0};
    struct client *client = NULL;
    int rc = url_parse(&url, base, err);
    if (!rc)
        rc = client_create(&client, &url, token, err);
    if (!rc)
        rc = client_do(
            client,
            &(struct client_request){.method = "GET", .path = path, .timeout_ms = REQUEST_MS}, a,
            err);
    client_destroy(client);
    url_finish(&url);
    return rc;
}

/* `https://HOST` of `url`, whose path begins at `*path`; NULL: it is none. The caller frees it. */
static char *split_url(const char *url, const char **path)
{
    const char *host = strstr(url, "://");
    *path = host ? host + 3 + strcspn(host + 3, "/") : NULL;
    return host && **path ? mem_strndup(url, (size_t)(*path - url)) : NULL;
}

/* Follows redirects; to another host without the token. The answer is finished by the caller. */
static int ask(const struct hub_question *q, const char *path, struct client_answer *a,
               struct error *err)
{
    char *base = mem_strdup(q->endpoint ? q->endpoint : HUB), *at = mem_strdup(path);
    const char *token = q->token;
    int rc = 0;
    for (unsigned i = 0;; i++) {
        rc = ask_at(base, at, token, a, err);
        const char *rest = a->redirect;
        if (rc || !rest || i == REDIRECTS_MAX)
            break;
        char *other = *rest == '/' ? NULL : split_url(rest, &rest);
        if (other && strcmp(other, base) != 0)
            token = NULL;
        if (other)
            mem_replace(&base, other);
        free(other);
        mem_replace(&at, rest ? rest : "/");
        client_answer_finish(a);
        *a = (struct client_answer){0};
    }
    free(base);
    free(at);
    if (!rc && a->status != 200)
        rc = error_set(err, a->status == 404 ? -ENOENT : -EPROTO, "the hub answers %d", a->status);
    return rc;
}

static int ask_json(const struct hub_question *q, const char *path, json_t **out, struct error *err)
{
    struct client_answer a = {0};
    int rc = ask(q, path, &a, err);
    *out = rc ? NULL : json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, NULL);
    client_answer_finish(&a);
    return rc || *out ? rc : error_set(err, -EPROTO, "what the hub answers is no JSON");
}

/* The commit of `main`. */
static int ask_commit(const struct hub_question *q, const char *repo, char commit[COMMIT_LEN + 1],
                      struct error *err)
{
    char *path = mem_printf("/api/models/%s/refs", repo);
    json_t *refs, *branch;
    size_t i;
    int rc = ask_json(q, path, &refs, err);
    *commit = '\0';
    json_array_foreach (json_object_get(refs, "branches"), i, branch) {
        const char *target = cli_json_text_or(branch, "targetCommit", "");
        if (strcmp(cli_json_text_or(branch, "name", ""), "main") == 0 && is_commit(target))
            memcpy(commit, target, COMMIT_LEN + 1);
    }
    json_decref(refs);
    free(path);
    return rc || *commit ? rc : error_set(err, -ENOENT, "the repository has no branch main");
}

static int ask_whether_there(const struct hub_question *q, const char *repo, const char *commit,
                             bool *there, struct error *err)
{
    char *path = mem_printf("/api/models/%s/tree/%s?recursive=true", repo, commit);
    json_t *tree, *file;
    size_t i;
    int rc = ask_json(q, path, &tree, err);
    *there = false;
    json_array_foreach (tree, i, file)
        *there |= strcmp(cli_json_text_or(file, "path", ""), FILE_NAME) == 0;
    json_decref(tree);
    free(path);
    return rc;
}

static int fetch_file(const struct hub_question *q, const char *folder, const char *repo,
                      const char *commit, struct error *err)
{
    struct client_answer a = {0};
    char *path = mem_printf("/%s/resolve/%s/" FILE_NAME, repo, commit);
    int rc = ask(q, path, &a, err);
    if (!rc && a.body.len > PRESET_MAX)
        rc = error_set(err, -EFBIG, FILE_NAME " is larger than 4 MiB");
    if (!rc && (rc = store(q->cache_dir, folder, commit, &a.body)))
        error_set(err, rc, "cannot write into %s: %s", folder, strerror(-rc));
    client_answer_finish(&a);
    free(path);
    return rc;
}

enum fetch_status { FETCH_DONE, FETCH_NONE, FETCH_FAILED };

static enum fetch_status fetch(const struct hub_question *q, const char *folder)
{
    struct error err = {""};
    char commit[COMMIT_LEN + 1];
    char *repo = mem_strndup(q->repo, strcspn(q->repo, ":"));
    bool there = false;
    int rc = ask_commit(q, repo, commit, &err);
    if (!rc)
        rc = ask_whether_there(q, repo, commit, &there, &err);
    if (!rc && there)
        rc = fetch_file(q, folder, repo, commit, &err);
    if (rc && rc != -ENOENT)
        log_warn("cannot ask the hub whether %s holds presets: %s", repo, err.text);
    free(repo);
    return rc == -ENOENT || (!rc && !there) ? FETCH_NONE : rc ? FETCH_FAILED : FETCH_DONE;
}

static enum fetch_status fetch_in_child(const struct hub_question *q, const char *folder)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit((int)fetch(q, folder));
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) ? (enum fetch_status)WEXITSTATUS(status) : FETCH_FAILED;
}

/* --- both ---------------------------------------------------------------------------------------
 */

char *hub_preset_find(const struct hub_question *q)
{
    char *folder = q->cache_dir ? repo_folder(q->cache_dir, q->repo) : NULL;
    enum fetch_status status = FETCH_FAILED;
    if (folder && !q->offline)
        status = fetch_in_child(q, folder);
    char *path = folder && status != FETCH_NONE ? find_cached(folder) : NULL;
    free(folder);
    return path;
}
