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
#include <sys/wait.h>
#include <unistd.h>

#include "base/folders.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/peer/client.h"

#define FILE_NAME "preset.ini"
#define HUB "https://huggingface.co"
#define COMMIT_LEN 40
#define PRESET_MAX ((size_t)4 * 1024 * 1024)
#define DEADLINE_MS 10000 /* for all questions together, see the header */
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

/* FOLDER/NAME, and all folders above. */
static int make_below(const char *folder, const char *name)
{
    char *path = mem_printf("%s/%s", folder, name);
    int rc = folders_make(path, 0777);
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

static int put_into_snapshot(const char *folder, const char *commit, const struct buf *text)
{
    char *snapshot = mem_printf("%s/snapshots/%s", folder, commit);
    int rc = folders_make(snapshot, 0777);
    if (!rc)
        rc = write_file(snapshot, FILE_NAME, text->data, text->len);
    free(snapshot);
    return rc;
}

/* A ref that is there stays, since what it names holds the repository's cached models, and this snapshot does not: the
 * file is put there too, where it is found without the hub. */
static int store(const char *folder, const char *commit, const struct buf *text)
{
    char named[COMMIT_LEN + 1];
    read_main(folder, named);
    int rc = make_below(folder, "refs");
    if (!rc)
        rc = make_below(folder, "blobs");
    if (!rc)
        rc = put_into_snapshot(folder, commit, text);
    if (!rc && !*named)
        rc = write_file(folder, "refs/main", commit, COMMIT_LEN);
    if (!rc && *named && strcmp(named, commit) != 0)
        rc = put_into_snapshot(folder, named, text);
    return rc;
}

/* --- the hub: in a process of its own -----------------------------------------------------------
 */

struct fetch {
    const struct hub_question *q;
    const char *folder;   /* of the repository, in the cache */
    uint64_t deadline_ms; /* of cli_now_ms() */
    bool not_found;       /* the hub itself answered 404: there is no such repository */
};

static int ask_at(const struct fetch *f, const char *base, const char *path, const char *token,
                  struct client_answer *a, struct error *err)
{
    struct url url = {0};
    struct client *client = NULL;
    uint64_t now = cli_now_ms();
    if (now >= f->deadline_ms)
        return error_set(err, -ETIMEDOUT, "its answers took longer than %d s", DEADLINE_MS / 1000);
    int rc = url_parse(&url, base, err);
    if (!rc)
        rc = client_create(&client, &url, token, err);
    if (!rc)
        rc = client_do(client,
                       &(struct client_request){.method = "GET",
                                                .path = path,
                                                .timeout_ms = (unsigned)(f->deadline_ms - now)},
                       a, err);
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
static int ask(struct fetch *f, const char *path, struct client_answer *a, struct error *err)
{
    const char *hub = f->q->endpoint ? f->q->endpoint : HUB;
    char *base = mem_strdup(hub), *at = mem_strdup(path);
    const char *token = f->q->token;
    int rc = 0;
    for (unsigned i = 0;; i++) {
        rc = ask_at(f, base, at, token, a, err);
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
    f->not_found |= !rc && a->status == 404 && strcmp(base, hub) == 0;
    free(base);
    free(at);
    if (!rc && a->status != 200)
        rc = error_set(err, -EPROTO, "the hub answers %d", a->status);
    return rc;
}

static int ask_json(struct fetch *f, const char *path, json_t **out, struct error *err)
{
    struct client_answer a = {0};
    int rc = ask(f, path, &a, err);
    *out = rc ? NULL : json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, NULL);
    client_answer_finish(&a);
    return rc || *out ? rc : error_set(err, -EPROTO, "what the hub answers is no JSON");
}

/* The commit of `main`. */
static int ask_commit(struct fetch *f, const char *repo, char commit[COMMIT_LEN + 1],
                      struct error *err)
{
    char *path = mem_printf("/api/models/%s/refs", repo);
    json_t *refs, *branch;
    size_t i;
    int rc = ask_json(f, path, &refs, err);
    *commit = '\0';
    json_array_foreach (json_object_get(refs, "branches"), i, branch) {
        const char *target = cli_json_text_or(branch, "targetCommit", "");
        if (strcmp(cli_json_text_or(branch, "name", ""), "main") == 0 && is_commit(target))
            memcpy(commit, target, COMMIT_LEN + 1);
    }
    json_decref(refs);
    free(path);
    return rc || *commit ? rc : error_set(err, -EPROTO, "it tells no commit of the branch main");
}

static int ask_whether_there(struct fetch *f, const char *repo, const char *commit, bool *there,
                             struct error *err)
{
    char *path = mem_printf("/api/models/%s/tree/%s?recursive=true", repo, commit);
    json_t *tree, *file;
    size_t i;
    int rc = ask_json(f, path, &tree, err);
    *there = false;
    json_array_foreach (tree, i, file)
        *there |= strcmp(cli_json_text_or(file, "path", ""), FILE_NAME) == 0;
    json_decref(tree);
    free(path);
    return rc;
}

static int fetch_file(struct fetch *f, const char *repo, const char *commit, struct error *err)
{
    struct client_answer a = {0};
    char *path = mem_printf("/%s/resolve/%s/" FILE_NAME, repo, commit);
    int rc = ask(f, path, &a, err);
    if (!rc && a.body.len > PRESET_MAX)
        rc = error_set(err, -EFBIG, FILE_NAME " is larger than 4 MiB");
    if (!rc && (rc = store(f->folder, commit, &a.body)))
        error_set(err, rc, "cannot write into %s: %s", f->folder, strerror(-rc));
    client_answer_finish(&a);
    free(path);
    return rc;
}

enum fetch_status { FETCH_DONE, FETCH_NONE, FETCH_FAILED };

static enum fetch_status fetch(struct fetch *f)
{
    struct error err = {""};
    char commit[COMMIT_LEN + 1];
    char *repo = mem_strndup(f->q->repo, strcspn(f->q->repo, ":"));
    bool there = false;
    int rc = ask_commit(f, repo, commit, &err);
    if (!rc)
        rc = ask_whether_there(f, repo, commit, &there, &err);
    if (!rc && there)
        rc = fetch_file(f, repo, commit, &err);
    bool none = rc ? f->not_found : !there;
    if (rc && !none)
        log_warn("cannot ask the hub whether %s holds presets: %s", repo, err.text);
    free(repo);
    return none ? FETCH_NONE : rc ? FETCH_FAILED : FETCH_DONE;
}

static enum fetch_status fetch_in_child(const struct hub_question *q, const char *folder)
{
    int status = 0;
    struct fetch f = {.q = q, .folder = folder, .deadline_ms = cli_now_ms() + DEADLINE_MS};
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit((int)fetch(&f));
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
