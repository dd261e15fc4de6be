#include "cli/cli.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

#define PROGRESS_INTERVAL_MS 100

enum err cli_take_arguments(struct cli *cli, char **args, char why[CLI_WHY_MAX])
{
    char **kept = args;
    while (*args != NULL) {
        if (strcmp(*args, "--json") == 0) {
            cli->json = true;
            args++;
        } else if ((*args)[0] == '-') {
            bool has_value = strchr(*args, '=') != NULL;
            *kept++ = *args++;
            if (!has_value && *args != NULL)
                *kept++ = *args++;
        } else if (cli->file != NULL) {
            snprintf(why, CLI_WHY_MAX, "one file, not also \"%.64s\"; --help tells more", *args);
            return ERR_BAD_REQUEST;
        } else {
            cli->file = *args++;
        }
    }
    *kept = NULL;
    return ERR_NONE;
}

void progress_show(struct progress *progress, size_t done)
{
    int64_t now = clock_ms();
    if (now < progress->next || !isatty(STDERR_FILENO))
        return;
    progress->next = now + PROGRESS_INTERVAL_MS;
    fprintf(stderr, "\r%s: %zu of %zu (%zu %%)\033[K", progress->doing, done, progress->total,
            progress->total > 0 ? done * 100 / progress->total : 100);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->next != 0 && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}
