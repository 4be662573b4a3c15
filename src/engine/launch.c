/* SPDX-License-Identifier: MIT */
#include "engine/launch.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/kind.h"

static void particulars_destroy(struct engine_particulars *p)
{
    if (!p)
        return;
    free(p->path);
    free(p->directory);
    free(p->ready_path);
    free(p->health_path);
    strv_finish(&p->stop_command);
    free(p->routes);
    strv_finish(&p->route_texts);
    free(p);
}

struct engine_launch *engine_launch_create(const struct engine_program *program)
{
    struct engine_launch *l = mem_zalloc(sizeof *l);
    l->owners = 1;
    l->program = program;
    return l;
}

struct engine_launch *engine_launch_share(struct engine_launch *l)
{
    l->owners++;
    return l;
}

void engine_launch_release(struct engine_launch *l)
{
    if (!l || --l->owners)
        return;
    engine_args_finish(&l->args);
    strv_finish(&l->argv);
    strv_finish(&l->env);
    free(l->prompts_folder);
    particulars_destroy(l->own);
    free(l);
}

struct engine_particulars *engine_launch_own(struct engine_launch *l)
{
    if (!l->own)
        l->own = mem_zalloc(sizeof *l->own);
    return l->own;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Paths and routes do not count: an engine that runs takes over the new ones. */
static bool same_process(const struct engine_particulars *a, const struct engine_particulars *b)
{
    static const struct engine_particulars none;
    a = a ? a : &none;
    b = b ? b : &none;
    return same_text(a->path, b->path) && same_text(a->directory, b->directory);
}

bool engine_launch_equal(const struct engine_launch *a, const struct engine_launch *b)
{
    return a->program == b->program && strv_equal(&a->argv, &b->argv) &&
           strv_equal(&a->env, &b->env) && same_process(a->own, b->own);
}

const char *engine_launch_path(const struct engine_launch *l)
{
    return l->own && l->own->path ? l->own->path : l->program->path;
}

const char *engine_launch_ready_path(const struct engine_launch *l)
{
    return l->own && l->own->ready_path ? l->own->ready_path : l->program->kind->ready_path;
}

const char *engine_launch_health_path(const struct engine_launch *l)
{
    return l->own && l->own->health_path ? l->own->health_path : l->program->kind->health_path;
}

const struct engine_route *engine_launch_route(const struct engine_launch *l,
                                               const struct engine_route *asked)
{
    const struct engine_routes *of_kind = l->program->kind->routes;
    const struct engine_particulars *own = l->own && l->own->routes ? l->own : NULL;
    const struct engine_routes routes = own ? (struct engine_routes){own->routes, own->n_routes}
                                        : of_kind ? *of_kind
                                                  : (struct engine_routes){NULL, 0};
    return engine_routes_find(&routes, asked);
}
