/* SPDX-License-Identifier: MIT */
#include "cli/run/editor.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/run/history.h"
#include "cli/run/signals.h"
#include "cli/terminal/locale.h"

#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"
#define CTRL_D '\004'
#define PASTE_MAX ((size_t)4 << 20)

/* --- the library --------------------------------------------------------------------------------
 * What is used of <histedit.h>: the numbers are the same in every release with this soname.
 */

struct editline;
struct history;
struct hist_event {
    int number;
    const char *text;
};

enum {
    EL_PROMPT = 0,
    EL_EDITOR = 2,
    EL_BIND = 4,
    EL_ADDFN = 9,
    EL_HIST = 10,
    EL_GETCFN = 13,
    EL_PREP_TERM = 16,
    EL_REFRESH = 20
};
enum { H_SETSIZE = 1, H_ENTER = 10, H_SETUNIQUE = 20 };
enum { CC_REFRESH = 4 };

static struct {
    void *handle; /* never closed: its allocations stay reachable */
    struct editline *(*el_init)(const char *, FILE *, FILE *, FILE *);
    void (*el_end)(struct editline *);
    const char *(*el_gets)(struct editline *, int *);
    int (*el_set)(struct editline *, int, ...);
    int (*el_wset)(struct editline *, int, ...);
    int (*el_insertstr)(struct editline *, const char *);
    int (*el_source)(struct editline *, const char *);
    void (*el_resize)(struct editline *);
    struct history *(*history_init)(void);
    void (*history_end)(struct history *);
    int (*history)(struct history *, struct hist_event *, int, ...);
} lib;

static bool load_library(void)
{
    static const char *const names[] = {"libedit.so.2", "libedit.so.0"};
    for (size_t i = 0; !lib.handle && i < sizeof names / sizeof *names; i++)
        lib.handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
#define FIND(name) (lib.name = (__typeof__(lib.name))dlsym(lib.handle, #name))
    return lib.handle && FIND(el_init) && FIND(el_end) && FIND(el_gets) && FIND(el_set) &&
           FIND(el_wset) && FIND(el_insertstr) && FIND(el_source) && FIND(el_resize) &&
           FIND(history_init) && FIND(history_end) && FIND(history);
}

/* --- the terminal -------------------------------------------------------------------------------
 */

static struct {
    struct editline *line; /* NULL: closed */
    struct history *history;
    FILE *out; /* stderr's terminal, but buffered */
    const char *prompt;
    unsigned given_up; /* how often it was tried to end the line */
} me;

/* While a line is edited, the terminal is the editor's, and has to be given back first. */
static const int wanted[] = {SIGTSTP, SIGTERM, SIGHUP, SIGWINCH};
#define N_WANTED (sizeof wanted / sizeof *wanted)

static void say(const char *sequence)
{
    fputs(sequence, me.out);
    fflush(me.out);
}

static void take_terminal(void)
{
    for (size_t i = 0; i < N_WANTED; i++)
        run_signals_catch(wanted[i]);
    lib.el_set(me.line, EL_PREP_TERM, 1); /* before there is a prompt to be answered */
    /* A terminal throws away what it was just about to show when Ctrl-C is pressed, so that the
     * row need not be empty. What is pasted shall come within PASTE_BEGIN and PASTE_END. */
    say("\r\033[J\033[?2004h");
}

static void give_terminal_back(void)
{
    lib.el_set(me.line, EL_PREP_TERM, 0);
    say("\033[?2004l");
    for (size_t i = 0; i < N_WANTED; i++)
        run_signals_release(wanted[i]);
}

/* The signal does what it would have done. After SIGTSTP it goes on here, when continued. */
static void pass_on(int number)
{
    run_signals_forget(number);
    give_terminal_back();
    raise(number);
    take_terminal();
    lib.el_set(me.line, EL_REFRESH);
}

/* 1; 0 at the end, -1 when the line is given up. */
static int next_byte(char *byte)
{
    for (;;) {
        int number = run_signals_wait_for_input();
        if (number == SIGINT)
            return -1;
        if (number == SIGWINCH) {
            run_signals_forget(number);
            lib.el_resize(me.line);
            say("\r\033[J"); /* what stands there may be of another width */
            lib.el_set(me.line, EL_REFRESH);
        } else if (number) {
            pass_on(number);
        } else {
            ssize_t n = read(STDIN_FILENO, byte, 1);
            if (n >= 0 || (errno != EINTR && errno != EAGAIN))
                return n > 0;
        }
    }
}

/* Ends a line that is given up as Enter would: the cursor leaves it at its end, which may be rows
 * below. Where Enter is something else, by ~/.editrc, it is broken off. */
static int give_up(wchar_t *letter)
{
    *letter = L'\n';
    return me.given_up++ < 3 ? 1 : -1;
}

/* For libedit: a letter out of as many bytes as it takes. */
static int next_letter(struct editline *line, wchar_t *letter)
{
    mbstate_t state = {0};
    char byte;
    (void)line;
    for (;;) {
        int rc = next_byte(&byte);
        if (rc <= 0)
            return rc ? give_up(letter) : 0;
        if (!byte) /* what Ctrl-D becomes that is typed before the terminal is the editor's */
            byte = CTRL_D;
        size_t n = mbrtowc(letter, &byte, 1, &state);
        if (n == (size_t)-1) /* no letter of this locale */
            memset(&state, 0, sizeof state);
        else if (n != (size_t)-2)
            return 1;
    }
}

/* Behind PASTE_BEGIN: all up to PASTE_END is text. What cannot be taken whole is not taken. */
static unsigned char paste(struct editline *line, int key)
{
    struct buf text;
    char byte;
    bool full = false;
    size_t matched = 0;
    (void)key;
    buf_init(&text, PASTE_MAX);
    while (matched < strlen(PASTE_END) && next_byte(&byte) > 0) {
        matched = byte == PASTE_END[matched] ? matched + 1 : byte == PASTE_END[0];
        full = full || buf_append(&text, &byte, 1);
    }
    text.len -= full ? text.len : matched;
    char *clean = run_editor_pasted(mem_strndup(text.data ? text.data : "", text.len));
    if (full || (*clean && lib.el_insertstr(line, clean)))
        say("\a");
    free(clean);
    buf_finish(&text);
    return CC_REFRESH;
}

static char *prompt(struct editline *line)
{
    (void)line;
    return (char *)me.prompt;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void set_up(void)
{
    struct hist_event ignored;
    lib.history(me.history, &ignored, H_SETSIZE, RUN_HISTORY_ENTRIES);
    lib.history(me.history, &ignored, H_SETUNIQUE, 1);
    lib.el_set(me.line, EL_PROMPT, prompt);
    lib.el_set(me.line, EL_EDITOR, "emacs");
    lib.el_set(me.line, EL_HIST, lib.history, me.history);
    lib.el_set(me.line, EL_GETCFN, next_letter);
    lib.el_set(me.line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    lib.el_source(me.line, NULL); /* what the user likes better, in ~/.editrc */
    /* Of a narrow name libedit would keep a copy, and never free it. */
    lib.el_wset(me.line, EL_ADDFN, L"hostler-paste", L"Puts in what is pasted", paste);
    lib.el_set(me.line, EL_BIND, PASTE_BEGIN, "hostler-paste", NULL);
}

bool run_editor_open(void)
{
    const char *term = getenv("TERM");
    bool able =
        term && *term && strcmp(term, "dumb") != 0 && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    int fd = able && load_library() ? dup(STDERR_FILENO) : -1;
    if (fd < 0)
        return false;
    locale_set();
    me.out = fdopen(fd, "w");
    me.history = lib.history_init();
    me.line = me.out && me.history ? lib.el_init("hostler", stdin, me.out, me.out) : NULL;
    if (!me.line) {
        run_editor_close();
        return false;
    }
    set_up();
    return true;
}

void run_editor_close(void)
{
    if (me.line)
        lib.el_end(me.line);
    if (me.history)
        lib.history_end(me.history);
    if (me.out)
        fclose(me.out);
    me.line = NULL;
    me.history = NULL;
    me.out = NULL;
}

/* --- reading ------------------------------------------------------------------------------------
 */

enum run_editor_end run_editor_read(const char *text, char **line)
{
    int n = 0;
    me.prompt = text;
    me.given_up = 0;
    take_terminal();
    const char *read = lib.el_gets(me.line, &n);
    give_terminal_back();
    bool ended = read && n > 0;
    *line = NULL;
    if (!ended)
        say("\n");
    if (me.given_up)
        return RUN_EDITOR_INTERRUPTED;
    if (!ended)
        return RUN_EDITOR_END;
    size_t len = strlen(read);
    *line = mem_strndup(read, len - (read[len - 1] == '\n'));
    return RUN_EDITOR_LINE;
}

void run_editor_remember(const char *entry)
{
    struct hist_event ignored;
    lib.history(me.history, &ignored, H_ENTER, entry);
}

/* --- pure ---------------------------------------------------------------------------------------
 */

char *run_editor_pasted(char *text)
{
    char *to = text;
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\r')
            p += p[1] == '\n', *to++ = '\n';
        else if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f))
            *to++ = *p;
    }
    while (to > text && to[-1] == '\n')
        to--;
    *to = '\0';
    return text;
}
