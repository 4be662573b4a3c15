/* SPDX-License-Identifier: MIT */
/*
 * What a process inherits from whoever started it and must not depend on: the file mode mask, blocked and ignored
 * signals, closed standard streams.
 */
#ifndef HOSTLER_BASE_INHERITED_H
#define HOSTLER_BASE_INHERITED_H

/*
 * Called first of all, before there are threads and files.
 * - The mask keeps its bits for group and others, and loses those for the owner: with them this process, and engines,
 *   could not use what they make.
 * - No signal is blocked; ended children can be waited for; a write beyond RLIMIT_FSIZE fails in place of ending the
 *   process. Other signals stay ignored where they are: nohup(1) means it.
 * - Closed standard streams are opened on /dev/null in the wrong direction, so that no other file gets their numbers
 *   and what is written there still fails.
 */
void inherited_reset(void);

#endif
