/*
 * workers --watch: one screen, drawn again every two seconds. It uses the terminal's alternate screen, and restores the terminal
 * when it ends.
 */
#include "cli/cli.h"
#include "cli/workers.h"

#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define REFRESH_S 2
#define LINES_AROUND 6 /* without a worker: title, state, blank, column titles, "more follow", one to spare */
#define WORKERS_MAX 1000

struct screen {
    struct client *client;
    const struct options *options;
    struct terminal terminal;
    struct termios modes; /* to be restored */
    bool has_modes;
    struct buffer rows; /* the table of the last answer */
    bool more;          /* there are more workers than the rows show */
    time_t away_since;  /* 0: the last request was answered */
};

static void watched_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGTSTP);
    sigaddset(signals, SIGWINCH);
}

void watch_block_signals(void)
{
    sigset_t signals;
    watched_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static void enter(struct screen *screen)
{
    screen->has_modes = tcgetattr(STDIN_FILENO, &screen->modes) == 0;
    if (screen->has_modes) {
        struct termios quiet = screen->modes;
        quiet.c_lflag &= ~(tcflag_t)ECHO; /* typed keys would appear in the table */
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    /* alternate screen; no cursor; no wrapping of long lines, which would scroll */
    fputs("\x1b[?1049h\x1b[?25l\x1b[?7l", stdout);
    fflush(stdout);
}

static void leave(struct screen *screen)
{
    fputs("\x1b[?7h\x1b[?25h\x1b[?1049l", stdout);
    fflush(stdout);
    if (screen->has_modes)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen->modes);
}

/* Asks for as many workers as the screen has lines for. If no answer comes, the rows stay as they are. */
static void refresh(struct screen *screen)
{
    struct answer answer;
    const cJSON *workers;
    terminal_look(&screen->terminal);
    size_t rows = screen->terminal.rows > LINES_AROUND ? screen->terminal.rows - LINES_AROUND : 1;
    if (workers_ask(screen->client, screen->options, rows < WORKERS_MAX ? rows : WORKERS_MAX, NULL, &answer, &workers) ==
        CLI_DONE) {
        struct table table;
        workers_table(&table, &screen->terminal);
        workers_add(&table, workers);
        screen->rows.len = 0;
        table_print(&table, &screen->rows);
        table_fini(&table);
        screen->more = member_text(answer.json, "next_cursor").ptr != NULL;
        screen->away_since = 0;
    } else if (screen->away_since == 0) {
        screen->away_since = time(NULL);
    }
    answer_fini(&answer);
}

/* Appends a line, cut at the screen's edge. */
static void add_line(const struct screen *screen, struct buffer *frame, struct str text, enum colour colour)
{
    terminal_show(&screen->terminal, frame, text, screen->terminal.columns, colour);
    buffer_append(frame, STR("\n"));
}

static void add_time(struct buffer *out, time_t moment)
{
    struct tm local;
    if (localtime_r(&moment, &local) != NULL)
        buffer_printf(out, "%02d:%02d:%02d", local.tm_hour, local.tm_min, local.tm_sec);
}

static void compose(const struct screen *screen, struct buffer *frame)
{
    struct buffer line = BUFFER_INIT;
    add_time(&line, time(NULL));
    buffer_printf(&line, "  workers of %s, every %d s; Ctrl-C ends it", screen->client->place, REFRESH_S);
    add_line(screen, frame, buffer_str(&line), COLOUR_BOLD);
    line.len = 0;
    if (screen->away_since != 0) {
        buffer_append(&line, STR("away since "));
        add_time(&line, screen->away_since);
        buffer_printf(&line, ", trying again: %s", screen->client->why);
    }
    add_line(screen, frame, buffer_str(&line), COLOUR_RED);
    buffer_append(frame, STR("\n"));
    buffer_append(frame, buffer_str(&screen->rows));
    if (screen->more)
        add_line(screen, frame, STR("… more follow: make the terminal taller, or use --tier, --status, --service"), COLOUR_FAINT);
    buffer_fini(&line);
}

/* Overwrites the screen line by line, which does not flicker, with no more lines than it has, which would scroll. */
static bool draw(const struct screen *screen)
{
    struct buffer frame = BUFFER_INIT, out = BUFFER_INIT;
    compose(screen, &frame);
    struct str rest = buffer_str(&frame);
    buffer_append(&out, STR("\x1b[H"));
    for (size_t i = 0; i < screen->terminal.rows && rest.len > 0; i++) {
        buffer_append(&out, i > 0 ? STR("\r\n") : STR(""));
        buffer_append(&out, str_cut(&rest, '\n'));
        buffer_append(&out, STR("\x1b[K"));
    }
    buffer_append(&out, STR("\x1b[J"));
    bool drawn = print_buffer(&out);
    buffer_fini(&frame);
    buffer_fini(&out);
    return drawn;
}

int watch(struct client *client, const struct options *options)
{
    struct screen screen = {.client = client, .options = options};
    const struct timespec pause = {REFRESH_S, 0};
    sigset_t signals;
    int got = -1;
    bool drawn = true;
    watched_signals(&signals);
    enter(&screen);
    while (drawn && got != SIGINT && got != SIGTERM && got != SIGHUP) {
        if (got == SIGTSTP) {
            leave(&screen);
            raise(SIGSTOP);
            enter(&screen);
        }
        refresh(&screen);
        drawn = draw(&screen);
        got = drawn ? sigtimedwait(&signals, NULL, &pause) : -1;
    }
    leave(&screen);
    buffer_fini(&screen.rows);
    return drawn ? CLI_DONE : CLI_FAILED;
}
