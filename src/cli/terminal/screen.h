/* SPDX-License-Identifier: MIT */
/*
 * The whole terminal as a screen, by ncurses.
 *
 * ncurses is loaded with dlopen() as libcurl is (client.h), and known to screen.c only: the daemon
 * neither maps it nor needs it installed. There is one screen a process.
 *
 * Without a UTF-8 locale all text goes out as ASCII, letters beyond it as `?`; without colour the
 * styles are told apart by bold, underline and reverse where the terminal has them.
 */
#ifndef HOSTLER_CLI_TERMINAL_SCREEN_H
#define HOSTLER_CLI_TERMINAL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "cli/terminal/table.h"

/* Behind the styles of tables. */
enum screen_style {
    SCREEN_ACCENT = TABLE_FAINT + 1, /* the one colour that is ours: bars, keys */
    SCREEN_STRONG,
};

/* Pieces of bars. */
enum screen_glyph { SCREEN_FULL, SCREEN_FOREIGN, SCREEN_EMPTY, SCREEN_LIMIT };

/* What screen_key() returns beside the bytes of UTF-8. */
enum screen_key {
    SCREEN_NO_KEY = -1,
    SCREEN_UP = 0x100,
    SCREEN_DOWN,
    SCREEN_PAGE_UP,
    SCREEN_PAGE_DOWN,
    SCREEN_HOME,
    SCREEN_END,
    SCREEN_BACKSPACE,
    SCREEN_HELP,
    SCREEN_OTHER, /* a key that has no meaning here */
};

/*
 * Takes the terminal. It is given back by screen_close(), at exit, and when a signal that means a
 * bug ends the process; signals that ask for an end are the caller's. -ELIBACC without ncurses,
 * -ENOTTY when the terminal cannot be drawn on: the text says what to do.
 */
int screen_open(bool colour, struct error *err) __attribute__((warn_unused_result));
/* May be called at any time, also when it is not open. */
void screen_close(void);

/* The size changed: to be called after SIGWINCH. */
void screen_resize(void);
void screen_size(unsigned *rows, unsigned *columns);

/* A picture: begin (all empty), texts, end (what differs is sent). */
void screen_begin(void);
void screen_end(void);
/* Until called with false, all is drawn in reverse. */
void screen_reverse(bool on);
/*
 * At most `width` columns of `text`, whose control characters are replaced; what is longer is cut
 * and ends in `…`. Returns the columns used. `style`: an enum table_style or screen_style.
 */
unsigned screen_text(unsigned row, unsigned column, unsigned width, unsigned style,
                     const char *text);
unsigned screen_textf(unsigned row, unsigned column, unsigned width, unsigned style,
                      const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* `n` times that piece, in its own style. */
void screen_glyphs(unsigned row, unsigned column, unsigned n, enum screen_glyph glyph);
/* `n` blanks: for the background of a line in reverse. */
void screen_blank(unsigned row, unsigned column, unsigned n);

/* The next key that was pressed, without waiting; SCREEN_NO_KEY. */
int screen_key(void);
/* The terminal hung up. */
bool screen_is_gone(void);

#endif
