/* SPDX-License-Identifier: Apache-2.0 */
/* screen.c - see screen.h; by ncurses. draw.c has nothing of it. */
#include "controller/cli/top/screen.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define ESCAPE_MS 25 /* how long a key's sequence may take behind its ESC */

static struct {
    SCREEN *screen;
    bool coloured;
    bool is_utf8;
    attr_t mark;
    int signals[2]; /* a pipe from the handler to the loop */
} terminal = {.signals = {-1, -1}};

/* ---- signals -----------------------------------------------------------------------------------
 */

/* Of a crash: what gives the terminal back, prepared, for a handler may not ask terminfo. */
static struct {
    struct termios settings;
    char sequences[256];
    size_t size;
} rescue;

static const int asking[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};
static const int crashing[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void on_asking(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t written = write(terminal.signals[1], &byte, 1); /* full: the loop wakes up anyway */
    (void)written;
    errno = saved;
}

static void on_crash(int number)
{
    ssize_t written = write(STDOUT_FILENO, rescue.sequences, rescue.size);
    (void)written;
    tcsetattr(STDIN_FILENO, TCSANOW, &rescue.settings);
    raise(number); /* caught once only: this time it ends us */
}

/* Without the padding that only slow terminals need. */
static void add_sequence(const char *name)
{
    const char *text = tigetstr(name);
    if (!text || text == (const char *)-1) // NOLINT: terminfo's own way to say no
        return;
    while (*text && rescue.size < sizeof rescue.sequences) {
        const char *end = strncmp(text, "$<", 2) == 0 ? strchr(text, '>') : NULL;
        if (end)
            text = end + 1;
        else
            rescue.sequences[rescue.size++] = *text++;
    }
}

static void set_handler(int number, void (*handler)(int), bool once)
{
    struct sigaction action = {.sa_flags = once ? (int)SA_RESETHAND : SA_RESTART};
    struct sigaction present;
    sigemptyset(&action.sa_mask);
    action.sa_handler = handler;
    /* What somebody else catches, as a sanitizer does its crashes, stays theirs; nohup's SIGHUP
     * stays ignored. */
    if (sigaction(number, NULL, &present) == 0 && present.sa_handler == SIG_DFL)
        sigaction(number, &action, NULL);
}

static void catch_signals(void)
{
    for (size_t i = 0; i < COUNT(asking); i++)
        set_handler(asking[i], on_asking, false);
}

static void catch_crashes(void)
{
    rescue.size = 0;
    add_sequence("sgr0");
    add_sequence("cnorm");
    add_sequence("rmkx");
    add_sequence("rmcup");
    for (size_t i = 0; i < COUNT(crashing); i++)
        set_handler(crashing[i], on_crash, true);
}

static void screen_release(const int *numbers, size_t count, void (*handler)(int))
{
    for (size_t i = 0; i < count; i++) {
        struct sigaction present;
        if (sigaction(numbers[i], NULL, &present) == 0 && present.sa_handler == handler)
            signal(numbers[i], SIG_DFL);
    }
}

udptun_socket screen_key_fd(void)
{
    return STDIN_FILENO;
}

udptun_socket screen_signal_fd(void)
{
    return terminal.signals[0];
}

static void screen_take_size(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
    clearok(curscr, TRUE); /* what the terminal shows now is anybody's guess */
}

int screen_signal(void)
{
    unsigned char numbers[64];
    int asked = 0;
    ssize_t size;
    while ((size = read(terminal.signals[0], numbers, sizeof numbers)) > 0) {
        for (ssize_t i = 0; i < size; i++) {
            if (numbers[i] == SIGWINCH || numbers[i] == SIGCONT)
                screen_take_size();
            else
                asked = numbers[i];
        }
    }
    return asked;
}

void screen_raise(int number)
{
    if (number == SIGINT)
        return;
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static int open_pipe(void)
{
    if (pipe(terminal.signals) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        fcntl(terminal.signals[i], F_SETFD, FD_CLOEXEC);
        fcntl(terminal.signals[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static void screen_close_pipe(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (terminal.signals[i] >= 0)
            close(terminal.signals[i]);
        terminal.signals[i] = -1;
    }
}

static void set_colours(bool wanted)
{
    static const short numbers[][2] = {
        {COLOUR_GREEN, COLOR_GREEN}, {COLOUR_YELLOW, COLOR_YELLOW}, {COLOUR_RED, COLOR_RED}};
    terminal.coloured = wanted && has_colors() && start_color() == OK;
    if (!terminal.coloured)
        return;
    short background = use_default_colors() == OK ? -1 : COLOR_BLACK;
    for (size_t i = 0; i < COUNT(numbers); i++)
        init_pair(numbers[i][0], numbers[i][1], background);
}

/* "dumb" has no way to put the cursor anywhere. */
enum exit_status screen_check(void)
{
    const char *name = getenv("TERM");
    int outcome;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return complain(EXIT_USAGE, "top: wants a terminal. For a script: udptunctl -j status -w");
    if (!name || !name[0])
        return complain(EXIT_USAGE, "top: $TERM does not say which terminal this is");
    if (setupterm(name, STDOUT_FILENO, &outcome) != OK)
        return complain(EXIT_USAGE, "top: the terminal '%s' ($TERM) is not known here", name);
    const char *move = tigetstr("cup");
    del_curterm(cur_term);
    if (!move || move == (const char *)-1) // NOLINT: terminfo's own way to say no
        return complain(EXIT_USAGE,
                        "top: the terminal '%s' ($TERM) cannot be drawn on. "
                        "Without drawing: udptunctl status -w",
                        name);
    return EXIT_OK;
}

enum exit_status screen_open(const struct cli *cli)
{
    if (open_pipe() != 0)
        return complain(EXIT_OTHER, "top: pipe: %s", strerror(errno));
    tcgetattr(STDIN_FILENO, &rescue.settings);
    catch_signals(); /* before ncurses, which leaves alone what is caught */
    terminal.screen = newterm(NULL, stdout, stdin);
    if (!terminal.screen) {
        screen_release(asking, COUNT(asking), on_asking);
        screen_close_pipe();
        return complain(EXIT_USAGE, "top: this terminal cannot be drawn on");
    }
    catch_crashes();
    terminal.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    terminal.mark = A_NORMAL;
    set_colours(cli->colour);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(ESCAPE_MS);
    curs_set(0);
    return EXIT_OK;
}

void screen_close(void)
{
    if (!terminal.screen)
        return;
    endwin();
    delscreen(terminal.screen);
    terminal.screen = NULL;
    screen_release(crashing, COUNT(crashing), on_crash);
    screen_release(asking, COUNT(asking), on_asking);
    screen_close_pipe();
}

/* ---- keys --------------------------------------------------------------------------------------
 */

enum top_key screen_key(int *character)
{
    static const struct {
        int code;
        enum top_key key;
    } keys[] = {
        {KEY_UP, TOP_KEY_UP},
        {'k', TOP_KEY_UP},
        {KEY_DOWN, TOP_KEY_DOWN},
        {'j', TOP_KEY_DOWN},
        {KEY_PPAGE, TOP_KEY_PAGE_UP},
        {'b', TOP_KEY_PAGE_UP},
        {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
        {' ', TOP_KEY_PAGE_DOWN},
        {KEY_HOME, TOP_KEY_HOME},
        {'g', TOP_KEY_HOME},
        {KEY_END, TOP_KEY_END},
        {'G', TOP_KEY_END},
        {KEY_ENTER, TOP_KEY_ENTER},
        {'\r', TOP_KEY_ENTER},
        {'\n', TOP_KEY_ENTER},
        {KEY_RIGHT, TOP_KEY_ENTER},
        {KEY_BACKSPACE, TOP_KEY_BACK},
        {'\b', TOP_KEY_BACK},
        {0x7f, TOP_KEY_BACK},
        {0x1b, TOP_KEY_BACK},
        {KEY_LEFT, TOP_KEY_BACK},
        {'f', TOP_KEY_FLOWS},
        {'s', TOP_KEY_SESSIONS},
        {'\t', TOP_KEY_OTHER},
        {'>', TOP_KEY_SORT_NEXT},
        {'.', TOP_KEY_SORT_NEXT},
        {'<', TOP_KEY_SORT_PREVIOUS},
        {',', TOP_KEY_SORT_PREVIOUS},
        {'r', TOP_KEY_TURN},
        {'p', TOP_KEY_PAUSE},
        {'h', TOP_KEY_HELP},
        {'?', TOP_KEY_HELP},
        {KEY_F(1), TOP_KEY_HELP},
        {'/', TOP_KEY_FILTER},
        {'x', TOP_KEY_CLOSE},
        {'d', TOP_KEY_DISABLE},
        {'q', TOP_KEY_QUIT},
        {KEY_F(10), TOP_KEY_QUIT},
    };
    int code = getch();
    bool erases = code == KEY_BACKSPACE || code == 0x7f || code == '\b';
    *character = erases ? '\b' : code >= ' ' && code < 0x7f ? code : 0;
    for (size_t i = 0; i < COUNT(keys); i++)
        if (keys[i].code == code)
            return keys[i].key;
    return code == ERR ? TOP_KEY_NONE : TOP_KEY_UNKNOWN;
}

/* ---- drawing -----------------------------------------------------------------------------------
 */

int screen_rows(void)
{
    return LINES;
}

int screen_columns(void)
{
    return COLS;
}

void screen_begin(void)
{
    erase();
}

void screen_end(void)
{
    refresh();
}

const char *screen_arrow(bool down)
{
    if (terminal.is_utf8)
        return down ? "\xe2\x96\xbc" : "\xe2\x96\xb2";
    return down ? "v" : "^";
}

static attr_t attributes_of(enum colour colour)
{
    switch (colour) {
    case COLOUR_NONE:
        return A_NORMAL;
    case COLOUR_BOLD:
        return A_BOLD;
    case COLOUR_DIM:
        return terminal.mark ? A_NORMAL : A_DIM; /* dim on reverse cannot be read */
    case COLOUR_GREEN:
    case COLOUR_YELLOW:
    case COLOUR_RED:
        return terminal.coloured ? (attr_t)COLOR_PAIR(colour) : A_NORMAL;
    }
    return A_NORMAL;
}

void screen_mark(int row, bool marked)
{
    terminal.mark = marked ? A_REVERSE : A_NORMAL;
    if (marked)
        mvhline(row, 0, ' ' | A_REVERSE, COLS);
}

/* As much of `text` as fits into `width` columns; `*used` of them. */
static size_t screen_fit(const char *text, int width, wchar_t *fitted, size_t room, int *used)
{
    mbstate_t state = {0};
    size_t count = 0, left = strlen(text);
    *used = 0;
    while (left > 0 && count < room) {
        wchar_t one;
        size_t size = mbrtowc(&one, text, left, &state);
        if (size == (size_t)-1 || size == (size_t)-2) {
            state = (mbstate_t){0};
            for (size = 1; size < left && ((unsigned char)text[size] & 0xc0) == 0x80;)
                size++;
            one = L'?';
        }
        if (!iswprint((wint_t)one) || wcwidth(one) < 0)
            one = L'?';
        if (*used + wcwidth(one) > width)
            break;
        *used += wcwidth(one);
        fitted[count++] = one;
        text += size;
        left -= size;
    }
    if (left == 0 || width == 0)
        return count;
    if (count > 0 && (*used >= width || count == room))
        *used -= wcwidth(fitted[--count]);
    fitted[count++] = terminal.is_utf8 ? L'\u2026' : L'~';
    ++*used;
    return count;
}

int screen_put(int row, int column, int width, bool right, enum colour colour, const char *text)
{
    wchar_t fitted[512];
    int used;
    if (row < 0 || row >= LINES || column >= COLS)
        return column;
    if (width > COLS - column)
        width = COLS - column;
    size_t count = screen_fit(text, width, fitted, COUNT(fitted), &used);
    attr_t attributes = attributes_of(colour) | terminal.mark;
    attron(attributes);
    mvaddnwstr(row, column + (right ? width - used : 0), fitted, (int)count);
    attroff(attributes);
    return column + (right ? width : used);
}
