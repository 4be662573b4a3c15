/* SPDX-License-Identifier: MIT */
/*
 * Reports of an engine in child mode on stdout: lines `cmd_child_to_router:state:{…}` with a state and its
 * payload (docs/engine.md). Other lines on stdout are log.
 */
#ifndef HOSTLER_ENGINE_LLAMA_PROTOCOL_H
#define HOSTLER_ENGINE_LLAMA_PROTOCOL_H

#include "engine/kind.h"

/* Written on the engine's stdin, it makes the engine exit. */
#define PROTOCOL_EXIT "cmd_router_to_child:exit\n"

/* States: `loading`, payload {stages[],current,value}; `ready`, payload the model's info, none after a
 * wake; `sleeping`; for a download `downloading`, payload {url,downloaded,total} (bytes of one file), at
 * the end {result}. -EBADMSG: malformed JSON, or an unknown state. */
int llama_protocol_parse(const char *line, size_t len, struct engine_report *out)
    __attribute__((warn_unused_result));

#endif
