/* SPDX-License-Identifier: MIT */
#include "server/budget.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "server/host.h"

#define GIB ((double)(1u << 30))
#define MIB ((uint64_t)1 << 20)
#define USUAL_ENGINES 4          /* where --models-max permits more, or sets no limit */
#define GROWTH_MOST (8192 * MIB) /* what a llama-server takes by itself */
#define CONTEXT (512 * MIB) /* of a driver on a card, at most: a card without weights has it, too */

/* A file that engines map. Several models may share one, by different names. A file that was replaced is another
 * one: engines that still map the old one hold it, too. */
struct budget_file {
    struct sched_weights weights;
    uint64_t stamp;
    UT_hash_handle hh; /* by stamp */
};

static size_t find_device(const struct budget *b, const char *name)
{
    size_t d = 0;
    while (d < b->snapshot->figures.n && strcmp(b->snapshot->figures.device[d].name, name) != 0)
        d++;
    return d;
}

static const char *device_names(const struct budget *b, char *out, size_t size)
{
    size_t n = 0;
    for (size_t d = 0; d < b->snapshot->figures.n && n < size; d++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", d ? ", " : "",
                              b->snapshot->figures.device[d].name);
    return out;
}

/* Rounded down to a figure that people can read. */
static uint64_t readable(uint64_t bytes)
{
    uint64_t step = bytes < 128 * MIB ? 16 * MIB : bytes < 1024 * MIB ? 64 * MIB : 256 * MIB;
    return bytes / step * step;
}

/* Of --models-max 100 as few run at once as of none: their footprints contain the share. */
static uint64_t share_of_growth(const struct budget *b, unsigned engines)
{
    bool few = engines && engines < USUAL_ENGINES;
    uint64_t share = budget_ceiling(b, 0) / 4 / (few ? engines : USUAL_ENGINES);
    return readable(share < GROWTH_MOST ? share : GROWTH_MOST);
}

/* By the names of devices: those that come later may have a limit, too. */
static void set_devices(struct budget *b, const struct config *c)
{
    b->version = b->snapshot->figures.version;
    b->devices = c->classic || c->memory_off ? 0 : b->snapshot->figures.n;
    for (size_t d = 0; d < b->snapshot->figures.n; d++)
        b->limit[d] = memory_limit_of(&c->memory, b->snapshot->figures.device[d].name);
}

bool budget_take_snapshot(struct budget *b, const struct config *c, const struct snapshot *snapshot)
{
    b->snapshot = snapshot;
    if (snapshot->figures.version == b->version)
        return false;
    set_devices(b, c);
    return true;
}

int budget_init(struct budget *b, const struct config *c, const struct snapshot *snapshot,
                struct error *err)
{
    char names[256];
    *b = (struct budget){.snapshot = snapshot};
    for (size_t i = 0; i < c->memory.n; i++)
        if (find_device(b, c->memory.limit[i].name) == b->snapshot->figures.n)
            return error_set(err, -ENODEV, "--memory: there is no device '%s' here; there is %s",
                             c->memory.limit[i].name, device_names(b, names, sizeof names));
    set_devices(b, c);
    b->growth = share_of_growth(b, c->models_max);
    return 0;
}

void budget_finish(struct budget *b)
{
    struct budget_file *f, *next;
    HASH_ITER (hh, b->files, f, next) {
        HASH_DEL(b->files, f); // NOLINT(clang-analyzer-unix.Malloc): uthash holds it no more
        free(f);
    }
}

const struct memory_figures *budget_machine(const struct budget *b)
{
    return b->devices ? &b->snapshot->figures : NULL;
}

uint64_t budget_ceiling(const struct budget *b, size_t device)
{
    const struct memory_device *d = &b->snapshot->figures.device[device];
    if (d->gone)
        return 0;
    if (!d->total)
        return b->limit[device] ? b->limit[device] : SCHED_UNLIMITED;
    return memory_ceiling(d, b->limit[device], memory_margin(d));
}

uint64_t budget_capacity(const struct budget *b, size_t device)
{
    const struct memory_device *d = &b->snapshot->figures.device[device];
    if (!d->total) /* it reports nothing now */
        return b->limit[device] ? b->limit[device] : SCHED_UNLIMITED;
    return memory_capacity(d, b->snapshot->held[device], b->limit[device], memory_margin(d));
}

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

const uint64_t *budget_growth(const struct budget *b)
{
    return b->devices ? &b->growth : NULL;
}

/* What an engine comes to on a device, when requests have added all that they may. */
static uint64_t most_on(const struct footprint *f, size_t device)
{
    uint64_t loaded = f->source == FOOTPRINT_MEASURED ? f->loaded[device] : f->bytes[device];
    uint64_t grown = device == 0 ? loaded + f->growth : 0;
    return max(grown, f->bytes[device]);
}

static void set_apart(const struct model *m, const struct footprint *f, struct sched_footprint *out)
{
    out->apart = footprint_is_apart(f, m->entry, &m->launch->args);
}

/* What the preset gives says what the next engine gets. One that runs counts for what it holds, if that is more: the
 * memory is not there for others, whatever was given. */
static void count_at_least(const struct budget *b, struct instance *i,
                           const struct footprint *given)
{
    for (size_t d = 0; d < b->devices; d++)
        i->sched.footprint.bytes[d] = max(given->bytes[d], i->most.bytes[d]);
}

static void count_what_it_holds(const struct budget *b, struct instance *i)
{
    for (size_t d = 0; d < b->devices; d++)
        i->sched.footprint.bytes[d] = max(i->sched.footprint.bytes[d], i->most.bytes[d]);
}

void budget_learn(const struct budget *b, struct instance *i, const struct memory_use *use)
{
    struct model *m = i->model;
    if (i->cards != b->version) {
        count_what_it_holds(b, i);
        return;
    }
    if (m->learned.footprint.source == FOOTPRINT_GIVEN)
        m->learned.footprint.alone = false; /* it was loaded */
    if (m->learned.footprint.source == FOOTPRINT_GIVEN && !i->sched.outdated)
        count_at_least(b, i, &m->learned.footprint);
    if (!b->devices || m->learned.footprint.source == FOOTPRINT_GIVEN || i->sched.outdated ||
        b->snapshot->figures.silent)
        return;
    if (m->learned.footprint.source ==
        FOOTPRINT_UNKNOWN) /* a measurement does not show what it maps */
        model_estimate(m, budget_machine(b), &m->learned.footprint);
    learned_measure(&m->learned, i->number, use);
    for (size_t d = 0; d < b->devices; d++) {
        m->sched.next.bytes[d] = most_on(&m->learned.footprint, d);
        i->sched.footprint.bytes[d] = max(m->sched.next.bytes[d], i->most.bytes[d]);
    }
    set_apart(m, &m->learned.footprint, &i->sched.footprint);
    set_apart(m, &m->learned.footprint, &m->sched.next);
}

/* More than a driver's context or a slightly low estimate explains: what goes to this card is not known. */
static bool refutes(uint64_t held, uint64_t expected)
{
    return held > expected && held - expected > max(CONTEXT, expected / 20);
}

static uint64_t on_cards(const struct budget *b, const uint64_t *bytes)
{
    uint64_t sum = 0;
    for (size_t d = 1; d < b->devices; d++)
        sum += bytes[d];
    return sum;
}

void budget_correct(const struct budget *b, struct instance *i, const struct memory_use *use)
{
    const struct footprint *f = &i->model->learned.footprint;
    if (!b->devices || i->sched.outdated)
        return;
    if (i->cards != b->version) {
        for (size_t d = 0; d < b->devices; d++)
            i->sched.footprint.bytes[d] = max(i->sched.footprint.bytes[d], use->bytes[d]);
        return;
    }
    uint64_t expected = on_cards(b, f->bytes), held = on_cards(b, use->bytes);
    uint64_t to_come = expected > held ? expected - held : 0;
    for (size_t d = 0; d < b->devices; d++) {
        uint64_t more = d && refutes(use->bytes[d], f->bytes[d]) ? to_come : 0;
        i->sched.footprint.bytes[d] = max(i->model->sched.next.bytes[d], use->bytes[d] + more);
    }
}

static struct sched_weights *weights_of(struct budget *b, uint64_t stamp)
{
    struct budget_file *f;
    HASH_FIND(hh, b->files, &stamp, sizeof stamp, f);
    if (!f) {
        f = mem_zalloc(sizeof *f);
        f->stamp = stamp;
        HASH_ADD(hh, b->files, stamp, sizeof f->stamp, f);
    }
    return &f->weights;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t subtract(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* What a load takes for certain. What was measured includes what requests added, which says nothing of the next
 * load. A first reading may come late: so where the estimate is lower, that counts, if it is of the file's header and
 * need not guess how several cards share the model. */
static uint64_t least_on(const struct budget *b, const struct model *m, const struct footprint *f,
                         size_t device)
{
    struct footprint estimate;
    if (f->source != FOOTPRINT_MEASURED)
        return f->bytes[device];
    uint64_t loaded = f->loaded[device] ? f->loaded[device] : f->bytes[device];
    if (m->entry->header != MODEL_HEADER_READ || b->devices > 2) /* the host and one card */
        return loaded;
    model_estimate(m, budget_machine(b), &estimate);
    return min(loaded, estimate.bytes[device]);
}

/*
 * What exceeds the budget is cut to it, as far as the model then still loads: it gets all there is, when no
 * other engine is left. With a limit the load's certain part stays, so that the model is refused where that
 * exceeds the limit. Without one (budget.h) the same goes for a device that could never hold that part. Nothing is placed on
 * a card that does not answer, or is not there.
 */
static uint64_t bytes_on(const struct budget *b, const struct model *m, const struct footprint *f,
                         size_t device)
{
    uint64_t bytes = most_on(f, device), room = budget_capacity(b, device);
    const struct memory_device *d = &b->snapshot->figures.device[device];
    if (d->silent || d->gone)
        return bytes;
    if (b->limit[device] && device == 0)
        room = subtract(room, f->mapped);
    if (bytes <= room)
        return bytes;
    uint64_t least = least_on(b, m, f, device);
    if (b->limit[device] || (device == 0 && least > d->total))
        return least > room ? least : room;
    return room;
}

static bool is_in_use(const struct model *m, const struct sched_weights *w)
{
    const struct sched_instance *i;
    TAILQ_FOREACH (i, &host_sched(m->host)->instances, link)
        if (i->footprint.weights == w)
            return true;
    return false;
}

/* Shared weights of a running engine must not shrink; lower this model's own share, or it would be
 * refused. */
static void add_weights(struct budget *b, const struct model *m, uint64_t mapped,
                        struct sched_footprint *out)
{
    uint64_t capacity = budget_capacity(b, 0);
    out->weights = NULL;
    if (!mapped || !m->entry->stamp)
        return;
    if (!b->limit[0])
        mapped = min(mapped, subtract(capacity, out->bytes[0]));
    out->weights = weights_of(b, m->entry->stamp);
    if (mapped > out->weights->bytes || !is_in_use(m, out->weights))
        out->weights->bytes = mapped;
    if (!b->limit[0] && out->bytes[0] <= capacity)
        out->bytes[0] = min(out->bytes[0], subtract(capacity, out->weights->bytes));
}

/* The whole budget, its mapped file included. */
static void take_all(const struct budget *b, struct sched_footprint *out)
{
    for (size_t d = 0; d < b->devices; d++)
        out->bytes[d] = budget_capacity(b, d);
    if (out->weights)
        out->bytes[0] = subtract(out->bytes[0], out->weights->bytes);
}

void budget_footprint(struct budget *b, const struct model *m, const struct footprint *f,
                      struct sched_footprint *out)
{
    for (size_t d = 0; d < b->devices; d++)
        out->bytes[d] = bytes_on(b, m, f, d);
    add_weights(b, m, f->mapped, out);
    set_apart(m, f, out);
    if (f->alone)
        take_all(b, out);
}

void budget_apply_preset(const struct budget *b, struct model *m)
{
    if (!m->settings.memory)
        return;
    m->learned.footprint.source = FOOTPRINT_GIVEN;
    m->learned.footprint.mapped = m->learned.footprint.growth = 0;
    for (size_t d = 0; d < b->snapshot->figures.n; d++)
        m->learned.footprint.bytes[d] =
            memory_limit_of(m->settings.memory, b->snapshot->figures.device[d].name);
}

/* Cards share a model by what is free on each, which changes with each reading. */
static bool follows_free_memory(const struct budget *b, const struct model *m)
{
    const struct footprint *f = &m->learned.footprint;
    return f->source == FOOTPRINT_ESTIMATED && !f->alone && b->devices > 2 &&
           m->learned.estimated_by != b->snapshot->version;
}

void budget_set_next(struct budget *b, struct model *m)
{
    if (m->learned.footprint.source == FOOTPRINT_UNKNOWN || follows_free_memory(b, m)) {
        model_estimate(m, budget_machine(b), &m->learned.footprint);
        m->learned.estimated_by = b->snapshot->version;
    }
    budget_footprint(b, m, &m->learned.footprint, &m->sched.next);
}

/* --- words --------------------------------------------------------------------------------------
 */

/* What it asks of a device, mapped weights included. */
static uint64_t asked_of(const struct sched_footprint *asked, size_t device)
{
    return asked->bytes[device] + (device == 0 && asked->weights ? asked->weights->bytes : 0);
}

/* `text`, which is freed, with what is not known of the figures. */
static char *with_doubt(char *text, const struct footprint *f)
{
    if (!f->undecided)
        return text;
    char *both = mem_printf("%s (%s)", text, f->undecided);
    free(text);
    return both;
}

static char *advice_on(const struct budget *b, const struct model *m, size_t d, uint64_t asked)
{
    const struct memory_device *device = &b->snapshot->figures.device[d];
    const char *hint = m->launch->program->kind->memory_hint;
    const char *link = hint ? ", or " : "";
    if (!hint)
        hint = "";
    if (device->gone)
        return mem_printf("bring back the card of %s, or let the model use another one",
                          device->name);
    if (asked <= budget_ceiling(b, d))
        return mem_printf(
            "%s%sunload or unpin other models, or free memory that other programs use", hint, link);
    if (b->limit[d] && asked <= device->total)
        return mem_printf("%s%sraise --memory to %s=%lluM", hint, link, device->name,
                          (unsigned long long)((asked + MIB - 1) / MIB));
    return mem_printf("%s%swrite what it really needs into its preset, as 'memory = %s=SIZE'", hint,
                      link, device->name);
}

char *budget_advice(struct budget *b, const struct model *m, const struct footprint *f)
{
    struct sched_footprint asked = {0};
    budget_footprint(b, m, f, &asked);
    for (size_t d = 0; d < b->devices; d++)
        if (asked_of(&asked, d) > budget_capacity(b, d))
            return advice_on(b, m, d, asked_of(&asked, d));
    return mem_strdup("unload or unpin other models");
}

static const char *limit_note(const struct budget *b, size_t device)
{
    if (b->snapshot->figures.device[device].gone)
        return " (the card is gone)";
    return b->limit[device] ? " (--memory)" : "";
}

char *budget_explain(struct budget *b, const struct model *m, const char *pinned)
{
    const struct footprint *f = &m->learned.footprint;
    char *advice = budget_advice(b, m, f), *text = NULL;
    for (size_t d = 0; d < b->devices && !text; d++) {
        uint64_t needs = f->bytes[d] + (d == 0 ? f->mapped : 0);
        if (needs > budget_capacity(b, d))
            text = mem_printf(
                "model '%s' needs %.2f GiB on %s (%s), and engines may have %.2f GiB there now, "
                "%.2f GiB at most%s%s%s; %s",
                m->entry->id, (double)needs / GIB, b->snapshot->figures.device[d].name,
                footprint_source_name(f->source), (double)budget_capacity(b, d) / GIB,
                (double)budget_ceiling(b, d) / GIB, limit_note(b, d), pinned ? "; pinned: " : "",
                pinned ? pinned : "", advice);
    }
    if (text)
        text = with_doubt(text, f);
    else
        text = mem_printf("model '%s' finds no room beside what is pinned%s%s; %s", m->entry->id,
                          pinned ? ": " : "", pinned ? pinned : "", advice);
    free(advice);
    return text;
}
