/*
 * The text is compared as words: lower case, one blank for whatever is neither letter nor digit, a blank at both ends.
 */
#include "model/gpu.h"

#include "base/buffer.h"
#include "model/placeholder.h"

/* A blank in a mark is the begin or the end of a word. */
static const char *const error_marks[] = {
    " error",        "founderror ",   "importerror ",     "runtimeerror ",   "assertionerror ", " oserror ",     "valueerror ",
    "typeerror ",    "processerror ", "nvmlerror",        "attributeerror ", "keyerror ",       "nameerror ",    "permissionerror ",
    "timeouterror ", "exception",     "traceback",        " fail",           " not ",           " no ",          " cannot ",
    " can t ",       " couldn",       " wasn t ",         " isn t ",         " doesn t ",       " unable ",      " unavailable",
    " missing ",     " denied ",      " timed out ",      " timeout ",       " make sure ",     " without ",     " invalid ",
    " warning ",     " mismatch",     " install",         " unsupported ",   " refused ",       " insufficient", " nvml ",
    " nvidia smi ",  " fault ",       " dumped ",         " usage ",         " undefined ",     " unexpected ",  " lost ",
    " rocm smi ",    " please ",      " unknown option ",
};

/*
 * What is no GPU though it has a name: none at all, processors, software, displays of virtual machines, chips of servers'
 * management.
 */
static const char *const other_marks[] = {
    " none ",
    " null ",
    " cpu",
    " n a ",
    " disabled ",
    " processor ",
    " xeon ",
    " epyc ",
    " threadripper ",
    " 0 gpu",
    "llvmpipe",
    "softpipe",
    "lavapipe",
    "swiftshader",
    " swrast",
    " software ",
    "basic render",
    "basic display",
    " gdi generic ",
    " offscreen ",
    " pocl ",
    "vmware",
    " svga",
    "virtualbox",
    " vbox",
    " qxl ",
    "virtio",
    "virgl",
    " cirrus ",
    " bochs",
    " hyper v ",
    " hyperv",
    "remote display",
    "remote desktop",
    "virtual display",
    " standard vga ",
    " std vga ",
    " vesa ",
    " simpledrm ",
    " simple framebuffer ",
    " efifb ",
    " displaylink ",
    " amazon com ",
    " dummy ",
    "aspeed",
    "matrox",
    " mga ",
    " mga g",
    " g200",
    "nuvoton",
    " wpcm",
    " xgi ",
    " volari ",
    " silicon motion ",
    " sm750",
    " es1000 ",
    " rage ",
    " hibmc ",
    " ibmc ",
    " hi171",
    " ilo ",
    " idrac ",
    " bmc ",
    " ast1",
    " ast2",
    " ast ",
};

/* Words that say nothing when they stand alone. */
static const char *const empty_words[] = {" no ", " not ", " off ", " empty ", " nothing ", " absent ", " gpus "};

/* How the names of cards begin. */
static const char *const makers[] = {
    " nvidia ", " geforce ", " rtx ",   " gtx ", " tesla ", " quadro ", " titan ", " amd ", " radeon ", " instinct ",
    " intel ",  " arc ",     " apple ", " gpu ", " a100",   " h100",    " h200",   " b200", " l40",     " mi300",
};

#define HAS(marks, words) has_mark(marks, sizeof(marks) / sizeof((marks)[0]), words)

static bool has_mark(const char *const *marks, size_t count, struct str words)
{
    for (size_t i = 0; i < count; i++)
        if (memmem(words.ptr, words.len, marks[i], strlen(marks[i])) != NULL)
            return true;
    return false;
}

static bool begins_with_a_maker(struct str words)
{
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        size_t len = strlen(makers[i]);
        if (words.len >= len && memcmp(words.ptr, makers[i], len) == 0)
            return true;
    }
    return false;
}

static void write_words(struct buffer *out, struct str text)
{
    out->len = 0;
    buffer_append(out, STR(" "));
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + ('a' - 'A'));
        if (is_word || out->ptr[out->len - 1] != ' ')
            buffer_append(out, is_word ? (struct str){&c, 1} : STR(" "));
    }
    buffer_append(out, out->ptr[out->len - 1] != ' ' ? STR(" ") : STR(""));
}

/* "0" and "1" count cards; "4090" names one. */
static bool is_small_number(struct str words)
{
    size_t digits = 0;
    for (size_t i = 1; i + 1 < words.len; i++)
        if (words.ptr[i] >= '0' && words.ptr[i] <= '9')
            digits++;
    return digits + 2 == words.len && digits < 3;
}

/* Whether one card's text names a GPU; `must_have_maker`: only if it begins like the name of one. */
static bool is_card(struct buffer *room, struct str text, bool must_have_maker)
{
    if (placeholder_is(text))
        return false;
    write_words(room, text);
    struct str words = buffer_str(room);
    for (size_t i = 0; i < sizeof(empty_words) / sizeof(empty_words[0]); i++)
        if (str_eq(words, str_from(empty_words[i])))
            return false;
    if (HAS(error_marks, words) || HAS(other_marks, words) || is_small_number(words))
        return false;
    return !must_have_maker || begins_with_a_maker(words);
}

/* Whether any of the cards in `text`, with one of `separators` between them, is one. */
static bool has_card(struct buffer *room, struct str text, const char *separators, bool must_have_maker)
{
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && (text.ptr[len] == '\0' || strchr(separators, text.ptr[len]) == NULL))
            len++;
        if (len > 0 && is_card(room, (struct str){text.ptr, len}, must_have_maker))
            return true;
        len += len < text.len;
        text.ptr += len;
        text.len -= len;
    }
    return false;
}

bool gpu_is_one(struct str gpu_type)
{
    struct buffer room = BUFFER_INIT;
    if (placeholder_is(gpu_type))
        return false;
    write_words(&room, gpu_type);
    /* a line of a traceback looks like anything, and makers' names have commas: then only what begins like a card counts */
    bool is_error = HAS(error_marks, buffer_str(&room));
    bool found = has_card(&room, gpu_type, "\n\r;|", is_error) || has_card(&room, gpu_type, "\n\r;|,", true);
    buffer_fini(&room);
    return found;
}
