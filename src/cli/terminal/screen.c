/* SPDX-License-Identifier: MIT */
#include "cli/terminal/screen.h"

#define NCURSES_NOMACROS /* macros would name functions that are not linked */
#include <curses.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/terminal/format.h"
#include "cli/terminal/locale.h"

#define ESCAPE_MS 50 /* how long after an escape its sequence may come: networks cut them */

/* From <term.h>, which defines macros as common as `lines`. */
extern char *tigetstr(const char *name);
extern int setupterm(const char *term, int fd, int *error);
extern struct term *set_curterm(struct term *term);
extern int del_curterm(struct term *term);

/* --- the library --------------------------------------------------------------------------------
 */

#define FUNCTIONS(X)                                                                               \
    X(newterm)                                                                                     \
    X(delscreen)                                                                                   \
    X(endwin)                                                                                      \
    X(newwin)                                                                                      \
    X(delwin)                                                                                      \
    X(cbreak)                                                                                      \
    X(noecho)                                                                                      \
    X(curs_set)                                                                                    \
    X(keypad)                                                                                      \
    X(nodelay)                                                                                     \
    X(set_escdelay)                                                                                \
    X(has_colors)                                                                                  \
    X(start_color)                                                                                 \
    X(use_default_colors)                                                                          \
    X(init_pair)                                                                                   \
    X(resizeterm)                                                                                  \
    X(wresize)                                                                                     \
    X(getmaxx)                                                                                     \
    X(getmaxy)                                                                                     \
    X(werase)                                                                                      \
    X(wrefresh)                                                                                    \
    X(wmove)                                                                                       \
    X(waddnstr)                                                                                    \
    X(wattrset)                                                                                    \
    X(wgetch)                                                                                      \
    X(tigetstr)                                                                                    \
    X(setupterm)                                                                                   \
    X(set_curterm)                                                                                 \
    X(del_curterm)

#define POINTER(name) __typeof__(name) *(name);
static struct {
    void *handle; /* never closed: its allocations stay reachable */
    FUNCTIONS(POINTER)
} lib;

static int load_library(struct error *err)
{
    static const char *const names[] = {"libncursesw.so.6", "libncursesw.so.5"};
    for (size_t i = 0; !lib.handle && i < sizeof names / sizeof *names; i++)
        lib.handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    if (!lib.handle)
        return error_set(err, -ELIBACC,
                         "libncursesw is missing, without which there is no screen: install the "
                         "package libncursesw6 (%s)",
                         dlerror());
#define FIND(name)                                                                                 \
    if (!(lib.name = (__typeof__(lib.name))dlsym(lib.handle, #name)))                              \
        return error_set(err, -ELIBACC,                                                            \
                         "libncursesw has no " #name ": install the package libncursesw6");
    FUNCTIONS(FIND)
    return 0;
}

/* --- the terminal -------------------------------------------------------------------------------
 */

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define N_FATAL (sizeof fatal_signals / sizeof *fatal_signals)

static struct {
    SCREEN *screen; /* NULL: closed */
    WINDOW *window;
    bool colour, utf8;
    attr_t reverse; /* A_REVERSE or 0 */
    /* For a handler that may call next to nothing. */
    struct termios before;
    char restore[128];
    size_t restore_len;
    struct sigaction fatal[N_FATAL]; /* what was installed before */
} me;

/* A bug: the terminal is given back, then the signal does what it did before (a core, a report). */
static void on_fatal(int number)
{
    if (write(STDOUT_FILENO, me.restore, me.restore_len) >= 0)
        tcsetattr(STDIN_FILENO, TCSANOW, &me.before);
    for (size_t i = 0; i < N_FATAL; i++)
        sigaction(fatal_signals[i], &me.fatal[i], NULL);
    raise(number);
}

static void watch_fatal_signals(void)
{
    struct sigaction action = {.sa_handler = on_fatal};
    for (size_t i = 0; i < N_FATAL; i++)
        sigaction(fatal_signals[i], &action, &me.fatal[i]);
}

/* Without the padding (`$<2>`) that a few old terminals want. */
static void add_restore_sequence(const char *capability)
{
    const char *text = lib.tigetstr(capability);
    if (!text || (intptr_t)text == -1)
        return;
    while (*text && me.restore_len < sizeof me.restore) {
        const char *end = text[0] == '$' && text[1] == '<' ? strchr(text, '>') : NULL;
        if (end)
            text = end + 1;
        else
            me.restore[me.restore_len++] = *text++;
    }
}

static void set_colours(bool wanted)
{
    static const short colours[] = {[TABLE_GOOD] = COLOR_GREEN,
                                    [TABLE_BUSY] = COLOR_YELLOW,
                                    [TABLE_BAD] = COLOR_RED,
                                    [SCREEN_ACCENT] = COLOR_CYAN};
    me.colour = wanted && lib.has_colors() && lib.start_color() == OK;
    if (!me.colour)
        return;
    short background = lib.use_default_colors() == OK ? -1 : COLOR_BLACK;
    for (short i = 0; i < (short)(sizeof colours / sizeof *colours); i++)
        if (colours[i])
            lib.init_pair(i, colours[i], background);
}

/* Whether it is known and has a cursor that can be moved. newterm() does not ask for that. */
static bool can_draw(void)
{
    int ignored;
    const char *term = getenv("TERM");
    if (!term || !*term || lib.setupterm(term, STDOUT_FILENO, &ignored) != OK)
        return false;
    const char *move = lib.tigetstr("cup");
    lib.del_curterm(lib.set_curterm(NULL));
    return move && (intptr_t)move != -1;
}

static int take_terminal(struct error *err)
{
    const char *term = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return error_set(err, -ENOTTY, "there is no terminal to draw on");
    tcgetattr(STDIN_FILENO, &me.before);
    me.utf8 = locale_set();
    me.screen = can_draw() ? lib.newterm(NULL, stdout, stdin) : NULL;
    if (me.screen)
        return 0;
    return error_set(
        err, -ENOTTY,
        "a terminal of type '%s' is not known here, or cannot be drawn on: set TERM to "
        "what it is, as in TERM=xterm-256color",
        term ? term : "");
}

int screen_open(bool colour, struct error *err)
{
    static bool at_exit;
    int rc = load_library(err);
    if (!rc)
        rc = take_terminal(err);
    if (rc)
        return rc;
    if (!at_exit)
        atexit(screen_close);
    at_exit = true;
    static const char *const restoring[] = {"sgr0", "cnorm", "rmkx", "rmcup"};
    me.restore_len = 0;
    for (size_t i = 0; i < sizeof restoring / sizeof *restoring; i++)
        add_restore_sequence(restoring[i]);
    watch_fatal_signals();
    me.window = lib.newwin(0, 0, 0, 0);
    if (!me.window)
        mem_out();
    lib.cbreak();
    lib.noecho();
    lib.curs_set(0);
    lib.set_escdelay(ESCAPE_MS);
    lib.keypad(me.window, true);
    lib.nodelay(me.window, true);
    set_colours(colour);
    return 0;
}

void screen_close(void)
{
    if (!me.screen)
        return;
    if (me.window) { /* a terminal that has one screen only shall not keep the picture */
        lib.werase(me.window);
        lib.wrefresh(me.window);
    }
    lib.endwin();
    if (me.window) {
        for (size_t i = 0; i < N_FATAL; i++)
            sigaction(fatal_signals[i], &me.fatal[i], NULL);
        lib.delwin(me.window);
    }
    lib.delscreen(me.screen);
    me.window = NULL;
    me.screen = NULL;
}

void screen_resize(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
        return;
    lib.resizeterm(size.ws_row, size.ws_col);
    lib.wresize(me.window, size.ws_row, size.ws_col);
}

void screen_size(unsigned *rows, unsigned *columns)
{
    *rows = (unsigned)lib.getmaxy(me.window);
    *columns = (unsigned)lib.getmaxx(me.window);
}

bool screen_is_gone(void)
{
    struct pollfd p = {.fd = STDIN_FILENO};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/* --- drawing ------------------------------------------------------------------------------------
 */

void screen_begin(void)
{
    lib.werase(me.window);
}

void screen_end(void)
{
    lib.wrefresh(me.window);
}

void screen_reverse(bool on)
{
    me.reverse = on ? A_REVERSE : 0;
}

static attr_t attributes(unsigned style)
{
    attr_t strong = style == SCREEN_STRONG || style == TABLE_BAD ? A_BOLD : 0;
    attr_t faint = style == TABLE_FAINT && !me.reverse ? A_DIM : 0;
    bool coloured =
        style == TABLE_GOOD || style == TABLE_BUSY || style == TABLE_BAD || style == SCREEN_ACCENT;
    if (style == SCREEN_ACCENT && !me.colour)
        strong = A_BOLD;
    if (coloured && me.colour && !me.reverse)
        return NCURSES_BITS(style, 0) | strong; /* COLOR_PAIR(), which is a function here */
    return strong | faint | me.reverse;
}

static void put(unsigned row, unsigned column, unsigned style, const char *text, size_t len)
{
    lib.wattrset(me.window, (int)attributes(style));
    if (lib.wmove(me.window, (int)row, (int)column) == OK)
        lib.waddnstr(me.window, text, (int)len);
}

/* For terminals that take ASCII only: `?` in place of each other letter. */
static void to_ascii(char *text)
{
    char *to = text;
    for (; *text; text++)
        if ((unsigned char)*text < 0x80)
            *to++ = *text;
        else if ((unsigned char)*text >= 0xc0)
            *to++ = '?';
    *to = '\0';
}

unsigned screen_text(unsigned row, unsigned column, unsigned width, unsigned style,
                     const char *text)
{
    char *clean = format_sanitize(mem_strdup(text), FORMAT_ONE_LINE);
    if (!me.utf8)
        to_ascii(clean);
    size_t used = format_width(clean);
    if (used <= width) {
        put(row, column, style, clean, strlen(clean));
    } else if (width) {
        size_t fit = format_fit(clean, width - 1);
        clean[fit] = '\0';
        used = format_width(clean) + 1;
        put(row, column, style, clean, fit);
        put(row, column + (unsigned)used - 1, style, me.utf8 ? "…" : "~", me.utf8 ? 3 : 1);
    } else {
        used = 0;
    }
    free(clean);
    return (unsigned)used;
}

unsigned screen_textf(unsigned row, unsigned column, unsigned width, unsigned style,
                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    unsigned used = screen_text(row, column, width, style, text);
    free(text);
    return used;
}

void screen_glyphs(unsigned row, unsigned column, unsigned n, enum screen_glyph glyph)
{
    static const struct {
        const char *utf8, *ascii;
        unsigned style;
    } glyphs[] = {[SCREEN_FULL] = {"█", "#", SCREEN_ACCENT},
                  [SCREEN_FOREIGN] = {"▒", ":", TABLE_FAINT},
                  [SCREEN_EMPTY] = {"·", "-", TABLE_FAINT},
                  [SCREEN_LIMIT] = {"│", "|", TABLE_PLAIN}};
    const char *text = me.utf8 ? glyphs[glyph].utf8 : glyphs[glyph].ascii;
    for (unsigned i = 0; i < n; i++)
        put(row, column + i, glyphs[glyph].style, text, strlen(text));
}

void screen_blank(unsigned row, unsigned column, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        put(row, column + i, TABLE_PLAIN, " ", 1);
}

/* --- keys ---------------------------------------------------------------------------------------
 */

int screen_key(void)
{
    int key = lib.wgetch(me.window);
    switch (key) {
    case ERR:
        return SCREEN_NO_KEY;
    case KEY_UP:
        return SCREEN_UP;
    case KEY_DOWN:
        return SCREEN_DOWN;
    case KEY_PPAGE:
        return SCREEN_PAGE_UP;
    case KEY_NPAGE:
        return SCREEN_PAGE_DOWN;
    case KEY_HOME:
        return SCREEN_HOME;
    case KEY_END:
        return SCREEN_END;
    case KEY_BACKSPACE:
    case 0x7f:
    case '\b':
        return SCREEN_BACKSPACE;
    case KEY_F(1):
        return SCREEN_HELP;
    case KEY_ENTER:
        return '\n';
    default:
        return key > 0xff ? SCREEN_OTHER : key;
    }
}
