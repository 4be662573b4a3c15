/* SPDX-License-Identifier: MIT */
#include "catalog/cache_choice.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/model_name.h"

static bool is_of(const struct folder_model *m, const char *repo, size_t len)
{
    return strncmp(m->id, repo, len) == 0 && m->id[len] == ':';
}

/* Whether `path`, …/snapshots/COMMIT/FILE, is that file of its repository. */
static bool is_file(const char *path, const char *file)
{
    static const char snapshots[] = "/snapshots/";
    const char *at = path, *commit = NULL;
    while ((at = strstr(at, snapshots))) {
        at += sizeof snapshots - 1;
        commit = at;
    }
    const char *slash = commit ? strchr(commit, '/') : NULL;
    return slash && strcmp(slash + 1, file) == 0;
}

static const struct folder_model *by_file(const struct folder *cached, const char *repo, size_t len,
                                          const char *file)
{
    for (size_t i = 0; i < cached->n; i++)
        if (is_of(&cached->v[i], repo, len) && is_file(cached->v[i].path, file))
            return &cached->v[i];
    return NULL;
}

static const struct folder_model *by_default(const struct folder *cached, const char *repo)
{
    static const char *const tags[] = {"Q4_K_M", "Q8_0"};
    const struct folder_model *found = NULL;
    for (size_t i = 0; i < sizeof tags / sizeof *tags && !found; i++) {
        char *id = mem_printf("%s:%s", repo, tags[i]);
        found = folder_find(cached, id);
        free(id);
    }
    for (size_t i = 0; i < cached->n && !found; i++)
        if (cached->v[i].first_in_repo && is_of(&cached->v[i], repo, strlen(repo)))
            found = &cached->v[i];
    return found;
}

const struct folder_model *cache_choice(const struct folder *cached, const char *repo,
                                        const char *file)
{
    size_t len = strcspn(repo, ":");
    if (file)
        return by_file(cached, repo, len, file);
    if (!repo[len])
        return by_default(cached, repo);
    char *id = model_name_normal(repo);
    const struct folder_model *found = folder_find(cached, id);
    free(id);
    return found;
}
