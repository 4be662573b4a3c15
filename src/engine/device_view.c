/* SPDX-License-Identifier: MIT */
#include "engine/device_view.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/environment.h"

#define LEAST_DISCRETE ((uint64_t)4 << 30)

/* Cards in the order of a runtime. */
struct row {
    size_t n;
    const struct card *card[CARDS_MAX];
};

struct setting {
    const struct card_list *cards;
    const struct strv *env;
    char *const *parent;
};

/* --- variables */

static const char *own_value(const struct setting *s, const char *name)
{
    return environment_get(s->env, NULL, name);
}

static const char *parent_value(const struct setting *s, const char *name)
{
    return environment_get(NULL, s->parent, name);
}

/* NULL: not set. An empty value is one: CUDA takes it for no device. */
static const char *value_of(const struct setting *s, const char *name)
{
    return environment_get(s->env, s->parent, name);
}

/* --- lists of devices */

static void take_nothing(struct row *r)
{
    r->n = 0;
}

static bool has(const struct row *r, const struct card *card)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->card[i] == card)
            return true;
    return false;
}

/* The card with that number among `from`, MIG instances not counted. */
static const struct card *by_number(const struct row *from, unsigned long number)
{
    for (size_t i = 0; i < from->n; i++)
        if (!from->card[i]->instance && number-- == 0)
            return from->card[i];
    return NULL;
}

/* The one whose UUID begins so. NULL: none, or several. */
static const struct card *by_uuid(const struct row *from, const char *text, size_t len)
{
    const struct card *found = NULL;
    for (size_t i = 0; i < from->n; i++)
        if (strncasecmp(from->card[i]->uuid, text, len) == 0) {
            if (found)
                return NULL;
            found = from->card[i];
        }
    return found;
}

/* An item of the list; NULL: not valid. Like strtoul(), CUDA ignores what follows a number. */
static const struct card *card_of(const struct row *from, const char *item, size_t len)
{
    while (len && isspace((unsigned char)*item))
        item++, len--;
    while (len && isspace((unsigned char)item[len - 1]))
        len--;
    if (len && isdigit((unsigned char)*item))
        return by_number(from, strtoul(item, NULL, 10));
    bool named = len > 4 && (strncmp(item, "GPU-", 4) == 0 || strncmp(item, "MIG-", 4) == 0);
    return named ? by_uuid(from, item, len) : NULL;
}

/* As CUDA and HIP do: an item that is not valid ends the list, one that comes twice makes it void. */
static void select_list(struct row *r, const char *list)
{
    const struct row all = *r;
    if (!list)
        return;
    take_nothing(r);
    for (const char *item = list;;) {
        size_t len = strcspn(item, ",");
        const struct card *card = card_of(&all, item, len);
        if (!card)
            return;
        if (has(r, card)) {
            take_nothing(r);
            return;
        }
        r->card[r->n++] = card;
        if (!item[len])
            return;
        item += len + 1;
    }
}

/* --- ONEAPI_DEVICE_SELECTOR: terms `[!]BACKEND:DEVICES`, by semicolons */

static bool is_gpu_backend(const char *term, size_t len)
{
    static const char *const names[] = {"*", "level_zero", "opencl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (len == strlen(names[i]) && strncasecmp(term, names[i], len) == 0)
            return true;
    return false;
}

/* Marks the cards that a list of DEVICES names: `gpu`, `*`, numbers; `0.1` is a part of card 0. */
static void mark(const struct row *all, const char *devices, const char *end, bool value,
                 bool *marks)
{
    for (const char *item = devices; item < end;) {
        size_t len = strcspn(item, ",;");
        bool every = (len == 1 && *item == '*') || (len == 3 && strncasecmp(item, "gpu", 3) == 0);
        for (size_t i = 0; i < all->n; i++)
            if (every || (isdigit((unsigned char)*item) && strtoul(item, NULL, 10) == i))
                marks[i] = value;
        item += len + 1;
    }
}

static void select_oneapi(struct row *r, const char *selector)
{
    const struct row all = *r;
    bool marks[CARDS_MAX] = {false}, any = false, only_less = true;
    for (const char *t = selector; t && *t; t += strcspn(t, ";"), t += *t == ';')
        only_less &= *t == '!';
    for (size_t i = 0; i < all.n; i++)
        marks[i] = only_less;
    for (const char *t = selector; t && *t; t += strcspn(t, ";"), t += *t == ';') {
        bool less = *t == '!';
        const char *end = t + strcspn(t, ";"), *colon = memchr(t, ':', (size_t)(end - t));
        any = true;
        if (colon && is_gpu_backend(t + less, (size_t)(colon - t) - less))
            mark(&all, colon + 1, end, !less, marks);
    }
    if (!any)
        return;
    take_nothing(r);
    for (size_t i = 0; i < all.n; i++)
        if (marks[i])
            r->card[r->n++] = all.card[i];
}

/* --- the order of a runtime */

static bool has_vendor(const struct card_list *cards, enum card_vendor vendor)
{
    for (size_t i = 0; i < cards->n; i++)
        if (cards->card[i].vendor == vendor)
            return true;
    return false;
}

/* The kernel does not say which card is a part of the processor; such ones have little memory of their own. */
static bool is_integrated(const struct card *card)
{
    return card->vendor != CARD_NVIDIA && card->total < LEAST_DISCRETE;
}

static bool is_seen_by(enum view_runtime runtime, const struct card *card)
{
    switch (runtime) {
    case VIEW_CUDA:
        return card->vendor == CARD_NVIDIA;
    case VIEW_ROCM:
        return card->vendor == CARD_AMD;
    case VIEW_SYCL:
        return card->vendor == CARD_INTEL;
    case VIEW_VULKAN:
        return !card->partitioned && !card->instance;
    case VIEW_BY_CARDS:
        return true;
    }
    return true;
}

/* By PCI address; instances stay behind their card. */
static void insert(struct row *r, const struct card *card)
{
    size_t at = r->n++;
    for (; at && card_compare_pci(r->card[at - 1]->pci, card->pci) > 0; at--)
        r->card[at] = r->card[at - 1];
    r->card[at] = card;
}

static void find_row(struct row *r, const struct card_list *cards, enum view_runtime runtime)
{
    take_nothing(r);
    for (size_t i = 0; i < cards->n; i++)
        if (is_seen_by(runtime, &cards->card[i]))
            insert(r, &cards->card[i]);
}

static size_t count_whole(const struct row *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += !r->card[i]->instance;
    return n;
}

static bool are_alike(const struct row *r)
{
    for (size_t i = 1; i < r->n; i++)
        if (!r->card[i]->instance && !card_is_like(r->card[0], r->card[i]))
            return false;
    return true;
}

/* Moves the first card, with its instances, to the end. */
static void rotate(struct row *r)
{
    const struct row before = *r;
    size_t first = 1, n = 0;
    while (first < r->n && before.card[first]->instance)
        first++;
    for (size_t i = first; i < before.n; i++)
        r->card[n++] = before.card[i];
    for (size_t i = 0; i < first; i++)
        r->card[n++] = before.card[i];
}

/* Whether the runtime may have another order than that of addresses. */
static bool may_reorder(const struct setting *s, enum view_runtime runtime, const struct row *r)
{
    const char *order = value_of(s, "CUDA_DEVICE_ORDER");
    if (are_alike(r))
        return false;
    return runtime == VIEW_VULKAN ||
           (runtime == VIEW_CUDA && !(order && strcmp(order, "PCI_BUS_ID") == 0));
}

/* --- views */

/* CUDA gives a process one MIG instance, and then no other card. */
static void keep_one_instance(struct row *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->card[i]->instance || r->card[i]->partitioned) {
            r->card[0] = r->card[i];
            r->n = 1;
        }
}

static void select_visible(const struct setting *s, enum view_runtime runtime, struct row *r)
{
    const char *hip = value_of(s, "HIP_VISIBLE_DEVICES");
    switch (runtime) {
    case VIEW_CUDA:
        select_list(r, value_of(s, "CUDA_VISIBLE_DEVICES"));
        keep_one_instance(r);
        return;
    case VIEW_ROCM:
        select_list(r, value_of(s, "ROCR_VISIBLE_DEVICES"));
        select_list(r, hip ? hip : value_of(s, "CUDA_VISIBLE_DEVICES"));
        return;
    case VIEW_VULKAN:
        select_list(r, value_of(s, "GGML_VK_VISIBLE_DEVICES"));
        return;
    case VIEW_SYCL:
        select_oneapi(r, value_of(s, "ONEAPI_DEVICE_SELECTOR"));
        return;
    case VIEW_BY_CARDS:
        return;
    }
}

static void append(struct device_view *v, const struct row *r)
{
    for (size_t i = 0; i < r->n && v->n < VIEW_CARDS_MAX; i++)
        if (!r->card[i]->instance || r->n == 1) {
            v->integrated[v->n] = is_integrated(r->card[i]);
            v->device[v->n++] = r->card[i]->device;
        }
}

static bool is_known(const struct device_views *all, const struct device_view *v)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->view[i].n == v->n && memcmp(all->view[i].device, v->device, v->n) == 0)
            return true;
    return false;
}

static void add(struct device_views *all, const struct device_view *v)
{
    if (all->n < VIEWS_MAX && !is_known(all, v))
        all->view[all->n++] = *v;
}

static void add_row(struct device_views *out, const struct setting *s, enum view_runtime runtime,
                    struct row r)
{
    struct device_view v = {0};
    select_visible(s, runtime, &r);
    append(&v, &r);
    add(out, &v);
}

/* Each card in each place once: an order for each card is enough to know the most that each may hold. */
static void find_views(struct device_views *out, const struct setting *s, enum view_runtime runtime)
{
    struct row r;
    find_row(&r, s->cards, runtime);
    size_t orders = may_reorder(s, runtime, &r) ? count_whole(&r) : 1;
    for (size_t i = 0; i < orders; i++, rotate(&r))
        add_row(out, s, runtime, r);
    if (out->n > 1)
        out->undecided = runtime == VIEW_CUDA
                             ? "its cards are numbered by CUDA, the fastest first: set "
                               "CUDA_DEVICE_ORDER=PCI_BUS_ID in its env, or name its cards by UUID"
                             : "its cards are numbered by Vulkan in an order that is not known: "
                               "leave one visible by GGML_VK_VISIBLE_DEVICES in its env";
}

/* --- the runtime */

struct variable {
    const char *name;
    enum view_runtime runtime;
};

/* NVIDIA's own variable counts for AMD's cards where there is no other. */
static bool applies(const struct setting *s, const struct variable *v)
{
    switch (v->runtime) {
    case VIEW_CUDA:
        return has_vendor(s->cards, CARD_NVIDIA);
    case VIEW_ROCM:
        return has_vendor(s->cards, CARD_AMD);
    case VIEW_SYCL:
        return has_vendor(s->cards, CARD_INTEL);
    case VIEW_VULKAN:
    case VIEW_BY_CARDS:
        return true;
    }
    return true;
}

/* That of the first variable that is set; VIEW_BY_CARDS: none is. */
static enum view_runtime runtime_in(const struct setting *s,
                                    const char *get(const struct setting *, const char *))
{
    static const struct variable variables[] = {
        {"CUDA_VISIBLE_DEVICES", VIEW_CUDA},      {"HIP_VISIBLE_DEVICES", VIEW_ROCM},
        {"ROCR_VISIBLE_DEVICES", VIEW_ROCM},      {"CUDA_VISIBLE_DEVICES", VIEW_ROCM},
        {"GGML_VK_VISIBLE_DEVICES", VIEW_VULKAN}, {"ONEAPI_DEVICE_SELECTOR", VIEW_SYCL},
    };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (applies(s, &variables[i]) && get(s, variables[i].name))
            return variables[i].runtime;
    return VIEW_BY_CARDS;
}

static enum view_runtime runtime_of(const struct setting *s)
{
    enum view_runtime own = runtime_in(s, own_value);
    if (own == VIEW_BY_CARDS)
        own = runtime_in(s, parent_value);
    if (own != VIEW_BY_CARDS)
        return own;
    if (!has_vendor(s->cards, CARD_AMD))
        return VIEW_CUDA;
    return has_vendor(s->cards, CARD_NVIDIA) ? VIEW_BY_CARDS : VIEW_ROCM;
}

static bool has_discrete(const struct row *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (!is_integrated(r->card[i]))
            return true;
    return false;
}

/* Cards of both vendors: an engine that was built for one of them, or for both. */
static void find_by_vendors(struct device_views *out, const struct setting *s)
{
    struct device_view both = {0};
    struct row nvidia, amd;
    find_views(out, s, VIEW_CUDA);
    find_row(&nvidia, s->cards, VIEW_CUDA);
    find_row(&amd, s->cards, VIEW_ROCM);
    if (!has_discrete(&amd))
        return;
    keep_one_instance(&nvidia);
    append(&both, &nvidia);
    append(&both, &amd);
    find_views(out, s, VIEW_ROCM);
    add(out, &both);
    out->undecided =
        "it may use NVIDIA's cards, or AMD's, or both: name them, as in 'device = CUDA0'";
}

void device_views_find(struct device_views *out, const struct card_list *cards,
                       enum view_runtime runtime, const struct strv *env, char *const *parent)
{
    const struct setting s = {.cards = cards, .env = env, .parent = parent};
    *out = (struct device_views){0};
    if (runtime == VIEW_BY_CARDS)
        runtime = runtime_of(&s);
    if (runtime == VIEW_BY_CARDS)
        find_by_vendors(out, &s);
    else
        find_views(out, &s, runtime);
}

void device_view_variables(const struct strv *env, char *const *parent,
                           void (*each)(const char *name, const char *value, void *ctx), void *ctx)
{
    static const char *const names[] = {
        "CUDA_DEVICE_ORDER",   "CUDA_VISIBLE_DEVICES",   "GGML_VK_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR", "ROCR_VISIBLE_DEVICES",
    };
    const struct setting s = {.env = env, .parent = parent};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = value_of(&s, names[i]);
        if (value)
            each(names[i], value, ctx);
    }
}

enum view_runtime device_view_runtime(const char *name)
{
    static const struct variable prefixes[] = {
        {"CUDA", VIEW_CUDA},     {"ROCm", VIEW_ROCM}, {"HIP", VIEW_ROCM},
        {"Vulkan", VIEW_VULKAN}, {"SYCL", VIEW_SYCL},
    };
    size_t letters = strcspn(name, "0123456789");
    for (size_t i = 0; name[letters] && i < sizeof prefixes / sizeof *prefixes; i++)
        if (letters == strlen(prefixes[i].name) &&
            strncasecmp(name, prefixes[i].name, letters) == 0)
            return prefixes[i].runtime;
    return VIEW_BY_CARDS;
}
