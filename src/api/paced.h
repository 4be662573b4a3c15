/* SPDX-License-Identifier: MIT */
/* An answer that is in memory already, sent as fast as its client reads, so that it is not there a second time. */
#ifndef HOSTLER_API_PACED_H
#define HOSTLER_API_PACED_H

#include <stddef.h>

#include "http/server.h"

/* `fields`: complete header lines, each ended by CR LF. `owned`: what is freed when all is sent, or the client is gone; NULL:
 * `data` lasts. */
void paced_reply(struct http_exchange *x, int status, const char *fields, const char *data,
                 size_t len, void *owned);

#endif
