/* SPDX-License-Identifier: MIT */
/* Doctor's check of the engine: llama-server exists, runs and is new enough. */
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/memory.h"
#include "cli/doctor/doctor.h"
#include "cli/terminal/format.h"
#include "engine/kind.h"

#define ENGINE_NAME "llama-server"

static struct doctor_remedy name_another(void)
{
    return doctor_remedy(mem_strdup("export LLAMA_SERVER=/path/to/llama-server"),
                         "of a current llama.cpp");
}

/* A router of llama.cpp's is its own engine. */
char *doctor_engine_name(const struct doctor *d)
{
    const char *wanted = doctor_setting(d, "--engine", "LLAMA_SERVER");
    if (d->router.kind != ROUTER_HOSTLER && strcmp(d->process.name, ENGINE_NAME) == 0)
        return mem_printf("/proc/%d/exe", (int)d->process.pid);
    if (!wanted || !*wanted)
        return mem_strdup(ENGINE_NAME);
    return strchr(wanted, '/') ? doctor_path(d, wanted) : mem_strdup(wanted);
}

void doctor_engine(struct doctor *d)
{
    struct engine_options *o = NULL;
    struct error err = {0};
    bool ours = d->router.kind == ROUTER_HOSTLER || strcmp(d->process.name, "hostler") == 0;
    bool others = !ours && (d->process.pid || !d->reached);
    if (others)
        return; /* another router's engines are not ours to judge */
    const char *path = d->process.pid ? env_get(d->process.env.v, "PATH") : NULL;
    if (path)
        setenv("PATH", path, 1); /* where the server looks */
    char *name = doctor_engine_name(d);
    int rc = engine_kind_default()->options_load(&o, name, &err);
    if (rc)
        doctor_add(d, DOCTOR_WRONG, "engine", mem_printf("the engine '%s' does not run", name),
                   mem_strdup(err.text));
    else if (!engine_kind_default()->is_supported(o))
        doctor_add(d, DOCTOR_WRONG, "engine", mem_printf("the engine '%s' is too old", name),
                   mem_printf("%s\nit has no router mode, so it cannot report to hostler either",
                              engine_options_version(o)));
    else
        doctor_add(d, DOCTOR_OK, "engine", mem_printf("%s, %s", name, engine_options_version(o)),
                   NULL);
    if (rc || !engine_kind_default()->is_supported(o))
        doctor_add_remedy(d, name_another());
    engine_options_destroy(o);
    free(name);
}
