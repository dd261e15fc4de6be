#include "base/config.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum config_kind { KIND_TEXT, KIND_NUMBER, KIND_CHOICE };

static const struct setting {
    enum config_kind kind;
    const char *name;
    const char *default_;
    const char *help;
    long low, high;       /* TEXT, NUMBER */
    const char *words[5]; /* CHOICE; up to a NULL */
} settings[CONFIG_COUNT] = {
#define TEXT(name, default_, low, high, help) {KIND_TEXT, #name, default_, help, low, high, {NULL}},
#define NUMBER(name, default_, low, high, help) {KIND_NUMBER, #name, default_, help, low, high, {NULL}},
#define CHOICE(name, default_, help, ...) {KIND_CHOICE, #name, default_, help, 0, 0, {__VA_ARGS__, NULL}},
    CONFIG_TABLE(TEXT, NUMBER, CHOICE)
#undef TEXT
#undef NUMBER
#undef CHOICE
};

/* The flag of a setting without its dashes: "redis-url". */
static void flag_name(const struct setting *setting, char room[64])
{
    size_t i = 0;
    for (; setting->name[i] != '\0' && i < 63; i++)
        room[i] = setting->name[i] == '_' ? '-' : (char)tolower((unsigned char)setting->name[i]);
    room[i] = '\0';
}

/* The words of a CHOICE as a sentence has them: "debug, info, warn or error". */
static void list_words(const struct setting *setting, char room[64])
{
    size_t len = 0;
    for (int i = 0; setting->words[i] != NULL; i++) {
        const char *before = setting->words[i + 1] == NULL ? " or " : ", ";
        len += (size_t)snprintf(room + len, 64 - len, "%s%s", i > 0 ? before : "", setting->words[i]);
        assert(len < 64);
    }
}

static enum err set_text(const struct setting *setting, const char *value, char why[256])
{
    long len = (long)strlen(value);
    if (len >= setting->low && len <= setting->high)
        return ERR_NONE;
    if (len < setting->low)
        snprintf(why, 256, "%s must not be empty", setting->name);
    else
        snprintf(why, 256, "%s must have at most %ld bytes", setting->name, setting->high);
    return ERR_INVALID;
}

static enum err set_number(const struct setting *setting, const char *value, int *out, char why[256])
{
    *out = -1;
    if (value[0] == '\0' && setting->default_[0] == '\0')
        return ERR_NONE;
    size_t digits = strspn(value, "0123456789");
    long number = strtol(value, NULL, 10); /* LONG_MAX, which no setting allows, if it is too large for a long */
    if (digits == 0 || value[digits] != '\0' || number < setting->low || number > setting->high) {
        snprintf(why, 256, "%s must be a whole number from %ld to %ld, not \"%.64s\"", setting->name, setting->low, setting->high,
                 value);
        return ERR_INVALID;
    }
    *out = (int)number;
    return ERR_NONE;
}

static enum err set_choice(const struct setting *setting, const char *value, int *out, char why[256])
{
    *out = 0;
    for (int i = 0; setting->words[i] != NULL; i++)
        if (strcmp(setting->words[i], value) == 0) {
            *out = i;
            return ERR_NONE;
        }
    if (value[0] == '\0' && setting->default_[0] == '\0')
        return ERR_NONE;
    char words[64];
    list_words(setting, words);
    snprintf(why, 256, "%s must be %s, not \"%.64s\"", setting->name, words, value);
    return ERR_INVALID;
}

static enum err set(struct config *config, int i, const char *value, char why[256])
{
    const struct setting *setting = &settings[i];
    config->text[i] = str_from(value);
    switch (setting->kind) {
    case KIND_NUMBER:
        return set_number(setting, value, &config->number[i], why);
    case KIND_CHOICE:
        return set_choice(setting, value, &config->number[i], why);
    default:
        return set_text(setting, value, why);
    }
}

/* Finds the setting and the value of a flag, "--port=80" or "--port 80"; *taken: how many arguments. -1: no such flag. */
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
        /* an empty variable counts as none: compose files and shells easily make one */
        enum err err = set(config, i, value != NULL && value[0] != '\0' ? value : settings[i].default_, why);
        if (err != ERR_NONE)
            return err;
    }
    while (*args != NULL) {
        const char *value = NULL;
        int taken = 0;
        int i = find_flag(args, &value, &taken);
        if (i == -1) {
            /* the message leaves out what follows a "=": it may be a password */
            size_t len = strcspn(args[0], "=");
            snprintf(why, 256, "there is no flag \"%.*s\"; --help lists all", len < 64 ? (int)len : 64, args[0]);
            return ERR_BAD_REQUEST;
        }
        if (value == NULL) {
            snprintf(why, 256, "%s needs a value: %s=VALUE", args[0], args[0]);
            return ERR_BAD_REQUEST;
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
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const struct setting *setting = &settings[i];
        char flag[64], words[64];
        flag_name(setting, flag);
        printf("  --%-28s %s\n      ", flag, setting->name);
        if (setting->kind == KIND_CHOICE) {
            list_words(setting, words);
            printf("%s: ", words);
        }
        printf(setting->default_[0] != '\0' ? "%s (%s)\n" : "%s\n", setting->help, setting->default_);
    }
}
