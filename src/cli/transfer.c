#include "cli/transfer.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "instance/instance.h"
#include "redis/keys.h"
#include "redis/script.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define PROGRESS_INTERVAL_MS 100

/*
 * Takes FILE, which may stand anywhere, and --json out of a command's arguments. The settings stay in `args`; each has a value.
 * ERR_BAD_REQUEST: there is more than one FILE.
 */
static enum err take_arguments(struct transfer *transfer, char **args, char why[TRANSFER_WHY_MAX])
{
    char **kept = args;
    while (*args != NULL) {
        if (strcmp(*args, "--json") == 0) {
            transfer->json = true;
            args++;
        } else if ((*args)[0] == '-') {
            bool has_value = strchr(*args, '=') != NULL;
            *kept++ = *args++;
            if (!has_value && *args != NULL)
                *kept++ = *args++;
        } else if (transfer->file != NULL) {
            snprintf(why, TRANSFER_WHY_MAX, "one file, not also \"%.64s\"; --help tells more", *args);
            return ERR_BAD_REQUEST;
        } else {
            transfer->file = *args++;
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

static int run(char **args, enum err (*work)(const struct transfer *transfer, char why[TRANSFER_WHY_MAX]))
{
    static struct instance instance; /* for its settings; it is never started */
    struct transfer transfer = {.config = &instance.config, .address = &instance.address};
    char why[TRANSFER_WHY_MAX];
    enum err err = take_arguments(&transfer, args, why);
    if (err == ERR_NONE)
        err = instance_configure(&instance, args, why);
    if (err == ERR_NONE) {
        if (instance_take_catalogue(&instance) != ERR_NONE)
            return CLI_FAILED;
        signal(SIGPIPE, SIG_IGN);
        keys_init(instance.config.text[CONFIG_KEY_PREFIX]);
        scripts_init();
        err = work(&transfer, why);
    }
    if (err == ERR_NONE)
        return CLI_DONE;
    return cli_fail(err == ERR_BAD_REQUEST ? CLI_USAGE : CLI_FAILED, "%s", why);
}

int cli_import(char **args)
{
    return run(args, transfer_import);
}

int cli_check(char **args)
{
    return run(args, transfer_check);
}

int cli_export(char **args)
{
    return run(args, transfer_export);
}
