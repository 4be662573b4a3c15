/* SPDX-License-Identifier: MIT */
/*
 * What an engine in child mode says on stdout: lines `cmd_child_to_router:state:{…}` with a state
 * and its payload (docs/engine.md). Everything else on stdout is log.
 */
#ifndef HOSTLER_ENGINE_LLAMA_PROTOCOL_H
#define HOSTLER_ENGINE_LLAMA_PROTOCOL_H

#include <jansson.h>
#include <stddef.h>

/* The longest line taken; a `ready` report is 1 to 2 KiB. */
#define PROTOCOL_LINE_MAX ((size_t)64 << 10)
/* What is written on the engine's stdin to make it end. */
#define PROTOCOL_EXIT "cmd_router_to_child:exit\n"

enum protocol_state {
    PROTOCOL_LOADING,  /* payload: {stages[],current,value} */
    PROTOCOL_READY,    /* payload: the model's info, empty after a wake */
    PROTOCOL_SLEEPING, /* payload: empty */
    /* Of a download. Payload: {url,downloaded,total} (bytes, of one file), at last {result}. */
    PROTOCOL_DOWNLOADING,
};

struct protocol_report {
    enum protocol_state state;
    json_t *payload; /* an object or NULL; the caller's reference */
};

/* 0; -ENOMSG when it is not a report but log; -EBADMSG when it is a report that makes no sense (bad
 * JSON, a state unknown here). The line need not be zero-terminated. */
int protocol_parse(const char *line, size_t len, struct protocol_report *out)
    __attribute__((warn_unused_result));

#endif
