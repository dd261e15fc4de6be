#include "base/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum config_kind { TEXT, NUMBER };

static const struct setting {
    enum config_kind kind;
    const char *name;
    const char *default_;
    long low, high;
    const char *help;
} settings[CONFIG_COUNT] = {
#define X(kind, name, default_, low, high, help) {kind, #name, default_, low, high, help},
    CONFIG_TABLE(X)
#undef X
};

/* The flag of a setting without its dashes: "redis-url". */
static void flag_name(const struct setting *setting, char room[64])
{
    size_t i = 0;
    for (; setting->name[i] != '\0' && i < 63; i++)
        room[i] = setting->name[i] == '_' ? '-' : (char)tolower((unsigned char)setting->name[i]);
    room[i] = '\0';
}

static enum err set(struct config *config, int i, const char *value, char why[256])
{
    const struct setting *setting = &settings[i];
    struct str text = str_from(value);
    config->text[i] = text;
    if (setting->kind == TEXT) {
        if ((long)text.len >= setting->low && (long)text.len <= setting->high)
            return ERR_NONE;
        snprintf(why, 256, "%s must be %ld to %ld characters long", setting->name, setting->low, setting->high);
        return ERR_INVALID;
    }
    char *end;
    long number = strtol(value, &end, 10);
    if (value[0] == '\0' && setting->default_[0] == '\0') {
        number = 0;
    } else if (value[0] == '\0' || *end != '\0' || number < setting->low || number > setting->high) {
        snprintf(why, 256, "%s must be a whole number from %ld to %ld, not \"%.64s\"", setting->name, setting->low, setting->high,
                 value);
        return ERR_INVALID;
    }
    config->number[i] = (int)number;
    return ERR_NONE;
}

/* The setting of a flag, its value in *value (of "--port=80" or, from the next argument, of "--port 80"); -1: no such flag. */
static int find_flag(char **args, const char **value, int *taken)
{
    if (strncmp(args[0], "--", 2) != 0)
        return -1;
    const char *given = args[0] + 2;
    size_t len = strcspn(given, "=");
    for (int i = 0; i < CONFIG_COUNT; i++) {
        char flag[64];
        flag_name(&settings[i], flag);
        if (strlen(flag) != len || strncmp(given, flag, len) != 0)
            continue;
        *taken = given[len] == '=' ? 1 : 2;
        *value = given[len] == '=' ? given + len + 1 : args[1];
        return i;
    }
    return -1;
}

enum err config_read(struct config *config, char **args, char why[256])
{
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const char *value = getenv(settings[i].name);
        /* an empty variable is as good as none: compose files and shells make them easily */
        enum err err = set(config, i, value != NULL && value[0] != '\0' ? value : settings[i].default_, why);
        if (err != ERR_NONE)
            return err;
    }
    while (*args != NULL) {
        const char *value = NULL;
        int taken = 0;
        int i = find_flag(args, &value, &taken);
        if (i == -1 || value == NULL) {
            snprintf(why, 256, i == -1 ? "there is no option %.64s; --help lists all" : "%.64s needs a value", args[0]);
            return ERR_INVALID;
        }
        enum err err = set(config, i, value, why);
        if (err != ERR_NONE)
            return err;
        args += taken;
    }
    return ERR_NONE;
}

void config_print_help(void)
{
    printf(
        "Usage: rma-coordinator [serve] [OPTION...]\n\n"
        "Keeps the register of a fleet of workers, in Redis. Each option may be given in the environment instead, by the name in\n"
        "capitals; an option on the command line wins.\n\n");
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const struct setting *setting = &settings[i];
        char flag[64];
        flag_name(setting, flag);
        printf("  --%-28s %s\n      %s", flag, setting->name, setting->help);
        printf(setting->default_[0] != '\0' ? " (%s)\n" : "\n", setting->default_);
    }
    printf("\n  --help                         shows this\n  --version                      shows the version\n");
}
