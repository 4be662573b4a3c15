/* SPDX-License-Identifier: MIT */
/* Progress lines at the bottom of the terminal, redrawn in place, and the figures in them. On stderr, so that stdout
 * holds only the result. */
#ifndef HOSTLER_CLI_TERMINAL_PROGRESS_H
#define HOSTLER_CLI_TERMINAL_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

struct progress {
    bool live; /* else nothing is ever drawn */
    bool dim;
    size_t drawn; /* lines on the screen now */
};

void progress_init(struct progress *p, const struct cli *cli);
/* Replaces what was drawn; lines beyond the terminal's height are left out, long ones cut. */
void progress_draw(struct progress *p, char *const *lines, size_t n);
/* Erases the lines, so that other text can be printed. */
void progress_clear(struct progress *p);

/* --- pure ---------------------------------------------------------------------------------------
 */

/* Of all stages together, 0 to 1, from {"stages":[…],"current","value"}; negative when unknown. */
double progress_fraction(json_t *progress);
/* `[#####-----]  50%`, `columns` between the brackets. The caller frees it. */
char *progress_bar(double fraction, unsigned columns);

/* Estimates the time left from the rate since the first value. Zero-initialized. */
struct progress_rate {
    bool begun;
    double first, last;
    uint64_t since, at; /* ms */
};

void progress_rate_add(struct progress_rate *r, double fraction, uint64_t now);
/* Milliseconds left; false as long as the rate says nothing. */
bool progress_rate_left(const struct progress_rate *r, uint64_t now, uint64_t *left);

#endif
