/* SPDX-License-Identifier: MIT */
/* A program that engines are started from: one installed build of a kind. */
#ifndef HOSTLER_ENGINE_PROGRAM_H
#define HOSTLER_ENGINE_PROGRAM_H

struct engine_kind;
struct engine_options;

struct engine_program {
    const struct engine_kind *kind;
    char *path;                     /* absolute; NULL: the kind has no program of its own */
    struct engine_options *options; /* that this build takes */
};

#endif
