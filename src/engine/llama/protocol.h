/* SPDX-License-Identifier: MIT */
/*
 * What an engine in child mode says on stdout: lines `cmd_child_to_router:state:{…}` with a state
 * and its payload (docs/engine.md). Everything else on stdout is log.
 */
#ifndef HOSTLER_ENGINE_LLAMA_PROTOCOL_H
#define HOSTLER_ENGINE_LLAMA_PROTOCOL_H

#include "engine/kind.h"

/* What is written on the engine's stdin to make it end. */
#define PROTOCOL_EXIT "cmd_router_to_child:exit\n"

/* States: `loading`, payload {stages[],current,value}; `ready`, the model's info, empty after a wake;
 * `sleeping`; and of a download `downloading`, payload {url,downloaded,total} (bytes, of one file),
 * at last {result}. -EBADMSG: bad JSON, or a state unknown here. */
int llama_protocol_parse(const char *line, size_t len, struct engine_report *out)
    __attribute__((warn_unused_result));

#endif
