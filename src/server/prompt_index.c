/* SPDX-License-Identifier: MIT */
#include "server/prompt_index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How far to each side of its place a chain is compared: many files may have only a first message in common with
 * it, and which of these it is matters little. */
#define NEIGHBOURS 32
#define HALF_AFTER 3600.0 /* s since the last use */

/* --- order -------------------------------------------------------------------------------------- */

/* What is sorted, or searched for: the first `n` points of a chain. */
struct key {
    const char *identity;
    const struct prompt_chain *chain;
    size_t n;
};

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_hashes(const struct prompt_hash *a, const struct prompt_hash *b)
{
    int high = compare_numbers(a->high, b->high);
    return high ? high : compare_numbers(a->low, b->low);
}

static int compare_points(const struct prompt_point *a, const struct prompt_point *b)
{
    int at = compare_numbers(a->at, b->at);
    return at ? at : compare_hashes(&a->hash, &b->hash);
}

/* A point that both have stands for all before it: so binary search finds the first that differs. */
static size_t count_common(const struct key *a, const struct key *b)
{
    size_t low = 0, high = a->n < b->n ? a->n : b->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_points(&a->chain->point[middle], &b->chain->point[middle]) == 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int compare_groups(const struct key *a, const struct key *b)
{
    int identity = strcmp(a->identity, b->identity);
    return identity ? identity : compare_hashes(&a->chain->head, &b->chain->head);
}

static int compare(const struct key *a, const struct key *b)
{
    int group = compare_groups(a, b);
    if (group)
        return group;
    size_t common = count_common(a, b);
    if (common == a->n || common == b->n)
        return compare_numbers(a->n, b->n);
    return compare_points(&a->chain->point[common], &b->chain->point[common]);
}

static struct key key_of(const struct prompt_file *f)
{
    return (struct key){f->identity, &f->chain, f->chain.n};
}

/* How many points they have in common; 0 where identity or head differ. */
static size_t shared(const struct prompt_index *x, size_t i, const struct key *k)
{
    struct key other = key_of(x->file[i]);
    return compare_groups(&other, k) == 0 ? count_common(&other, k) : 0;
}

/* The place of the first file that does not stand before `k`. */
static size_t place_of(const struct prompt_index *x, const struct key *k)
{
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct key other = key_of(x->file[middle]);
        if (compare(&other, k) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- how many files each model has --------------------------------------------------------------- */

struct prompt_model {
    UT_hash_handle by_name;
    size_t files; /* never 0 */
    char name[];
};

static struct prompt_model *find_model(const struct prompt_index *x, const char *name)
{
    struct prompt_model *m;
    HASH_FIND(by_name, x->models, name, strlen(name), m);
    return m;
}

static void count_model(struct prompt_index *x, const char *name)
{
    struct prompt_model *m = find_model(x, name);
    if (!m) {
        size_t len = strlen(name);
        m = mem_zalloc(sizeof *m + len + 1);
        memcpy(m->name, name, len);
        HASH_ADD_KEYPTR(by_name, x->models, m->name, len, m);
    }
    m->files++;
}

static void count_model_out(struct prompt_index *x, const char *name)
{
    struct prompt_model *m = find_model(x, name);
    if (--m->files)
        return;
    HASH_DELETE(by_name, x->models, m);
    free(m);
}

bool prompt_index_has_model(const struct prompt_index *x, const char *model)
{
    return find_model(x, model);
}

/* --- which files there are ---------------------------------------------------------------------- */

void prompt_index_add(struct prompt_index *x, struct prompt_file *f)
{
    struct key k = key_of(f);
    size_t at = place_of(x, &k);
    if (x->n == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 64;
        x->file = mem_realloc(x->file, x->cap * sizeof(struct prompt_file *));
    }
    memmove(x->file + at + 1, x->file + at, (x->n - at) * sizeof(struct prompt_file *));
    x->file[at] = f;
    x->n++;
    HASH_ADD(by_number, x->numbers, number, sizeof f->number, f);
    x->n_coarse += f->chain.coarse > 0;
    x->bytes += f->bytes;
    x->points += f->chain.n;
    count_model(x, f->model);
}

static void count_out(struct prompt_index *x, struct prompt_file *f)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): `f` is in the table, so that is not empty
    HASH_DELETE(by_number, x->numbers, f);
    x->n_coarse -= f->chain.coarse > 0;
    x->bytes -= f->bytes;
    x->points -= f->chain.n;
    count_model_out(x, f->model);
}

void prompt_index_remove(struct prompt_index *x, struct prompt_file *f)
{
    struct key k = key_of(f);
    size_t at = place_of(x, &k);
    while (x->file[at] != f)
        at++; /* those with the same chain */
    x->n--;
    memmove(x->file + at, x->file + at + 1, (x->n - at) * sizeof(struct prompt_file *));
    count_out(x, f);
}

size_t prompt_index_remove_model(struct prompt_index *x, const char *model,
                                 struct prompt_file **out)
{
    size_t removed = 0, kept = 0;
    for (size_t i = 0; i < x->n; i++) {
        struct prompt_file *f = x->file[i];
        bool goes = !model || strcmp(f->model, model) == 0;
        if (goes)
            count_out(x, f);
        *(goes ? &out[removed++] : &x->file[kept++]) = f;
    }
    x->n = kept;
    return removed;
}

void prompt_index_finish(struct prompt_index *x)
{
    struct prompt_model *next, *m = x->models;
    HASH_CLEAR(by_number, x->numbers);
    HASH_CLEAR(by_name, x->models);
    for (; m; m = next) {
        next = m->by_name.next; /* still valid after HASH_CLEAR */
        free(m);
    }
    for (size_t i = 0; i < x->n; i++)
        prompt_file_destroy(x->file[i]);
    free(x->file);
    *x = (struct prompt_index){0};
}

struct prompt_file *prompt_index_get(const struct prompt_index *x, uint64_t number)
{
    struct prompt_file *f;
    HASH_FIND(by_number, x->numbers, &number, sizeof number, f);
    return f;
}

/* --- the longest common prefix ------------------------------------------------------------------ */

struct best {
    struct prompt_file *file;
    uint64_t common; /* bytes */
};

static void offer(struct best *b, struct prompt_file *f, uint64_t common)
{
    if (common > b->common || (common && common == b->common && f->bytes < b->file->bytes))
        *b = (struct best){f, common};
}

/* From `at` on in steps of `step`, as long as as much is in common. */
static void offer_neighbours(struct best *b, const struct prompt_index *x, const struct key *k,
                             size_t at, int step)
{
    size_t most = 0;
    for (int i = 0; i < NEIGHBOURS && at < x->n; i++, at += (size_t)step) {
        size_t n = shared(x, at, k);
        if (n < most || !n)
            return;
        most = n;
        offer(b, x->file[at], k->chain->point[n - 1].at);
    }
}

static void offer_other_coarseness(struct best *b, const struct prompt_index *x,
                                   const struct key *k)
{
    for (size_t i = 0; i < x->n; i++) {
        struct prompt_file *f = x->file[i];
        if (f->chain.coarse != k->chain->coarse && strcmp(f->identity, k->identity) == 0)
            offer(b, f, prompt_chain_common(&f->chain, k->chain));
    }
}

bool prompt_index_has(const struct prompt_index *x, const char *identity)
{
    static const struct prompt_chain first; /* of all heads */
    struct key k = {identity, &first, 0};
    size_t at = place_of(x, &k);
    return at < x->n && strcmp(x->file[at]->identity, identity) == 0;
}

struct prompt_file *prompt_index_find(const struct prompt_index *x, const char *identity,
                                      const struct prompt_chain *chain, uint64_t *common)
{
    struct key k = {identity, chain, chain->n};
    struct best best = {0};
    size_t at = place_of(x, &k);
    offer_neighbours(&best, x, &k, at, 1);
    offer_neighbours(&best, x, &k, at - 1, -1); /* before the first: beyond n */
    if (chain->coarse || x->n_coarse)
        offer_other_coarseness(&best, x, &k);
    *common = best.common;
    return best.file;
}

/* Each turn looks for a prefix of `k.n` points. A shorter one is in the file before that place, or shares with it
 * what the two have in common. */
struct prompt_file *prompt_index_superseded(const struct prompt_index *x,
                                            const struct prompt_file *f)
{
    struct key k = key_of(f);
    while (k.n) {
        size_t at = place_of(x, &k);
        for (size_t i = at; i < x->n && x->file[i]->chain.n == k.n && shared(x, i, &k) == k.n; i++)
            if (x->file[i]->number < f->number)
                return x->file[i];
        k.n = at ? shared(x, at - 1, &k) : 0;
    }
    return NULL;
}

/* --- worth -------------------------------------------------------------------------------------- */

double prompt_worth(double gain_ms, double age, uint64_t bytes)
{
    return gain_ms / (1 + fmax(age, 0) / HALF_AFTER) / (bytes ? (double)bytes : 1);
}

static double worth(const struct prompt_file *f, double now)
{
    return prompt_worth((double)f->tokens * f->token_ms, now - f->used, f->bytes);
}

/* Among equals the one that was not used for the longest goes first, then the oldest. */
static bool is_worth_less(const struct prompt_file *a, const struct prompt_file *b, double now)
{
    double of_a = worth(a, now), of_b = worth(b, now);
    if (of_a != of_b)
        return of_a < of_b;
    return a->used != b->used ? a->used < b->used : a->number < b->number;
}

struct prompt_file *prompt_index_least(const struct prompt_index *x, double now)
{
    struct prompt_file *least = NULL;
    for (size_t i = 0; i < x->n; i++)
        if (!least || is_worth_less(x->file[i], least, now))
            least = x->file[i];
    return least;
}

bool prompt_index_would_keep(const struct prompt_index *x, double gain_ms, uint64_t bytes,
                             uint64_t excess, double now)
{
    double mine = prompt_worth(gain_ms, 0, bytes);
    uint64_t others = 0;
    for (size_t i = 0; i < x->n && others < excess; i++)
        if (worth(x->file[i], now) <= mine)
            others += x->file[i]->bytes;
    return others >= excess;
}
