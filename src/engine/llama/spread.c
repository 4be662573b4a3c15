/* SPDX-License-Identifier: MIT */
#include "engine/llama/spread.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/strv.h"
#include "engine/environment.h"
#include "engine/llama/arg_value.h"

#define PROJECTOR_DEVICE "MTMD_BACKEND_DEVICE" /* variable: names a device */

const struct spread_options spread_of_model = {"--device", "--n-gpu-layers", "--cpu-moe",
                                               "--n-cpu-moe", "--override-tensor"};
const struct spread_options spread_of_draft = {"--device-draft", "--n-gpu-layers-draft",
                                               "--cpu-moe-draft", "--n-cpu-moe-draft",
                                               "--override-tensor-draft"};

/* --- devices */

void spread_views(struct device_views *out, const struct engine_question *q,
                  enum view_runtime runtime)
{
    static const struct card_list none;
    device_views_find(out, q->machine ? &q->machine->cards : &none, runtime, q->env, environ);
}

int spread_device(const struct engine_question *q, const char *name, size_t alternative)
{
    struct device_views views;
    enum view_runtime runtime = device_view_runtime(name);
    size_t number = strtoul(name + strcspn(name, "0123456789"), NULL, 10);
    if (runtime == VIEW_BY_CARDS)
        return -1;
    spread_views(&views, q, runtime);
    const struct device_view *v = &views.view[alternative % views.n];
    return number < v->n ? v->device[number] : -1;
}

static bool is_none(const char *list)
{
    return list && strcmp(list, "none") == 0;
}

/* Those of --device; false: the option is not set. */
static bool named_cards(struct spread *out, const struct engine_question *q, const char *list,
                        size_t alternative)
{
    struct strv names = {0};
    if (!list)
        return false;
    strv_split(&names, list, ',');
    for (size_t i = 0; i < names.n && out->n < VIEW_CARDS_MAX && !is_none(list); i++) {
        int device = spread_device(q, names.v[i], alternative);
        if (device >= 0)
            out->card[out->n++].device = (size_t)device;
    }
    strv_finish(&names);
    return true;
}

/* All that the runtime shows; parts of the processor only where there is nothing else. */
static void visible_cards(struct spread *out, const struct engine_question *q, size_t alternative)
{
    struct device_views views;
    spread_views(&views, q, VIEW_BY_CARDS);
    const struct device_view *v = &views.view[alternative % views.n];
    for (size_t i = 0; i < v->n; i++)
        if (!v->integrated[i])
            out->card[out->n++].device = v->device[i];
    for (size_t i = 0; i < v->n && !out->n; i++)
        out->card[out->n++].device = v->device[i];
}

static void take_views(const struct engine_question *q, enum view_runtime runtime, size_t *n,
                       const char **why)
{
    struct device_views views;
    spread_views(&views, q, runtime);
    if (views.n > *n) {
        *n = views.n;
        *why = views.undecided;
    }
}

static const char *list_of(const struct engine_question *q, const struct spread_options *options)
{
    const char *list = arg_text(q->args, options->device);
    return list ? list : arg_text(q->args, spread_of_model.device);
}

static void count_views(const struct engine_question *q, const struct spread_options *options,
                        size_t *n, const char **why)
{
    const char *list = list_of(q, options);
    struct strv names = {0};
    if (!list)
        take_views(q, VIEW_BY_CARDS, n, why);
    else
        strv_split(&names, list, ',');
    for (size_t i = 0; i < names.n; i++)
        if (device_view_runtime(names.v[i]) != VIEW_BY_CARDS)
            take_views(q, device_view_runtime(names.v[i]), n, why);
    strv_finish(&names);
}

size_t spread_alternatives(const struct engine_question *q, const char **why)
{
    size_t n = 1;
    count_views(q, &spread_of_model, &n, why);
    count_views(q, &spread_of_draft, &n, why);
    return n;
}

/* --- proportions */

static double free_bytes(const struct engine_question *q, size_t device)
{
    return (double)q->machine->device[device].available;
}

/* `3,1`; false: it is not set, or all zeroes. A card without an entry gets nothing. */
static bool given_shares(struct spread *s, const char *list)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        char *end = NULL;
        double share = list && *list ? strtod(list, &end) : 0;
        s->card[i].share = share > 0 ? share : 0;
        sum += s->card[i].share;
        list = end && *end ? end + 1 : NULL;
    }
    for (size_t i = 0; i < s->n && sum > 0; i++)
        s->card[i].share /= sum;
    return sum > 0;
}

static void set_shares(struct spread *s, const struct engine_question *q)
{
    double sum = 0;
    if (given_shares(s, arg_text(q->args, "--tensor-split")))
        return;
    for (size_t i = 0; i < s->n; i++)
        sum += free_bytes(q, s->card[i].device);
    for (size_t i = 0; i < s->n; i++)
        s->card[i].share = sum > 0 ? free_bytes(q, s->card[i].device) / sum : 1.0 / (double)s->n;
}

/* --- split modes */

static void keep_main(struct spread *s, size_t main)
{
    s->card[0] = s->card[main < s->n ? main : 0];
    s->n = s->n > 0;
}

static void set_mode(struct spread *s, const struct engine_question *q)
{
    const char *mode = arg_text(q->args, "--split-mode"), *text = arg_text(q->args, "--main-gpu");
    long main = text ? strtol(text, NULL, 10) : 0;
    s->mode = SPREAD_LAYERS;
    if (!mode)
        return;
    if (strcmp(mode, "none") == 0 && main < 0)
        s->n = 0;
    else if (strcmp(mode, "none") == 0)
        keep_main(s, (size_t)main);
    else if (s->n > 1 && strcmp(mode, "row") == 0)
        s->mode = SPREAD_ROWS;
    else if (s->n > 1 && strcmp(mode, "tensor") == 0)
        s->mode = SPREAD_TENSORS;
    if (s->n)
        s->card[main > 0 && (size_t)main < s->n ? main : 0].is_main = true;
}

/* --- layers */

/* How many layers are offloaded, the answer's included. */
static uint32_t offloaded(struct spread *s, const struct engine_question *q,
                          const struct spread_options *options, uint32_t all)
{
    const char *text = arg_text(q->args, options->layers);
    long n = text ? strtol(text, NULL, 10) : -1;
    s->is_auto = !text || strcmp(text, "auto") == 0 || n == -1;
    if (s->is_auto || n < 0 || strcmp(text, "all") == 0 || n > (long)all)
        return all;
    return (uint32_t)n;
}

/* The card of the layer at `at` (0 … 1) of those that are offloaded. */
static struct spread_card *card_at(struct spread *s, float at)
{
    float sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < s->n; i++) {
        sum += (float)s->card[i].share;
        if (s->card[i].share > 0)
            last = i;
        if (sum > at)
            return &s->card[i];
    }
    return &s->card[last];
}

/* --- experts */

#define PATTERNS_MAX 32

/* Which tensors of experts stay on the host. */
struct host_experts {
    uint64_t blocks;               /* all of the first blocks, */
    regex_t pattern[PATTERNS_MAX]; /* and those with such a name */
    size_t n;
};

/* llama.cpp's patterns are ECMAScript's: what differs in POSIX's is \d. */
static bool compile(regex_t *out, const char *pattern, size_t len)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    for (size_t i = 0; i < len; i++) {
        bool digit = pattern[i] == '\\' && i + 1 < len && pattern[i + 1] == 'd';
        buf_append(&b, digit ? "[0-9]" : &pattern[i], digit ? 5 : 1);
        i += digit;
    }
    bool ok = regcomp(out, buf_cstr(&b), REG_EXTENDED | REG_NOSUB) == 0;
    buf_finish(&b);
    return ok;
}

/* PATTERN=DEVICE by commas; the host's name is CPU. */
static void take_patterns(struct host_experts *out, const char *list)
{
    struct strv entries = {0};
    strv_split(&entries, list, ',');
    for (size_t i = 0; i < entries.n && out->n < PATTERNS_MAX; i++) {
        const char *text = entries.v[i], *sign = strrchr(text, '=');
        if (sign && strcmp(sign + 1, "CPU") == 0)
            out->n += compile(&out->pattern[out->n], text, (size_t)(sign - text));
    }
    strv_finish(&entries);
}

static void find_host_experts(struct host_experts *out, struct spread *s,
                              const struct engine_question *q, const struct spread_options *options)
{
    const char *patterns = arg_text(q->args, options->override_tensor);
    out->n = 0;
    out->blocks = arg_is_on(q->args, options->cpu_moe) ? UINT64_MAX
                                                       : arg_number(q->args, options->n_cpu_moe, 0);
    if (!patterns)
        return;
    s->guessed = true; /* other tensors may match, too, and go to other devices */
    take_patterns(out, patterns);
}

/* How many of the block's tensors of experts stay on the host. */
static uint32_t host_experts_of(const struct host_experts *h, uint32_t block)
{
    static const char *const names[SPREAD_EXPERTS] = {"gate", "up", "down"};
    uint32_t found = 0;
    if (block < h->blocks)
        return SPREAD_EXPERTS;
    if (!h->n)
        return 0;
    for (size_t k = 0; k < SPREAD_EXPERTS; k++) {
        char name[64];
        bool stays = false;
        snprintf(name, sizeof name, "blk.%u.ffn_%s_exps.weight", block, names[k]);
        for (size_t i = 0; i < h->n; i++)
            stays |= regexec(&h->pattern[i], name, 0, NULL, 0) == 0;
        found += stays;
    }
    return found;
}

static void free_host_experts(struct host_experts *h)
{
    while (h->n)
        regfree(&h->pattern[--h->n]);
}

static void place_layers(struct spread *s, uint32_t blocks, uint32_t on_cards,
                         const struct host_experts *h)
{
    uint32_t first = blocks + 1 - on_cards;
    s->host_layers = first < blocks ? first : blocks;
    for (uint32_t i = first; i <= blocks; i++) {
        struct spread_card *card = card_at(s, (float)(i - first) / (float)on_cards);
        uint32_t away = i < blocks ? host_experts_of(h, i) : 0;
        card->output |= i == blocks;
        card->layers += i < blocks;
        card->experts += i < blocks ? SPREAD_EXPERTS - away : 0;
        s->host_experts += away;
    }
}

/* Whether an argument moves something that the arithmetic does not follow. */
static bool has_unknown_places(const struct engine_question *q)
{
    static const char *const names[] = {"--rpc", "--moe-cache-mib", "--n-cpu-ffn"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (engine_args_find(q->args, names[i]))
            return true;
    return false;
}

void spread_find(struct spread *out, const struct engine_question *q,
                 const struct engine_figures *f, const struct spread_options *options,
                 size_t alternative)
{
    *out = (struct spread){.guessed = has_unknown_places(q)};
    if (!named_cards(out, q, list_of(q, options), alternative))
        visible_cards(out, q, alternative);
    set_mode(out, q);
    uint32_t all = f->block_count + 1, on_cards = offloaded(out, q, options, all);
    struct host_experts experts;
    if (!on_cards) { /* a card may be used to compute all the same */
        out->guessed |= out->n > 0;
        out->n = 0;
    }
    if (!out->n)
        return;
    out->guessed |= out->n > 1 || on_cards < all;
    set_shares(out, q);
    find_host_experts(&experts, out, q, options);
    place_layers(out, f->block_count, on_cards, &experts);
    free_host_experts(&experts);
    out->guessed |= out->host_experts > 0;
}

/* --- the projector */

static const char *projector_device(const struct engine_question *q)
{
    const char *name = arg_text(q->args, "--mmproj-device");
    return name ? name : environment_get(q->env, environ, PROJECTOR_DEVICE);
}

/* By default it follows --device, and goes to the first of the cards. */
size_t spread_projector(const struct engine_question *q, size_t alternative)
{
    struct spread s = {0};
    const char *name = projector_device(q);
    if (arg_is_off(q->args, "--mmproj-offload") || is_none(name))
        return 0;
    if (!named_cards(&s, q, name ? name : list_of(q, &spread_of_model), alternative))
        visible_cards(&s, q, alternative);
    return s.n ? s.card[0].device : 0;
}
