/* SPDX-License-Identifier: MIT */
#include "engine/launch.h"

#include <stdlib.h>

void engine_launch_finish(struct engine_launch *l)
{
    engine_args_finish(&l->args);
    strv_finish(&l->argv);
    strv_finish(&l->env);
    *l = (struct engine_launch){0};
}

bool engine_launch_equal(const struct engine_launch *a, const struct engine_launch *b)
{
    return strv_equal(&a->argv, &b->argv) && strv_equal(&a->env, &b->env);
}
