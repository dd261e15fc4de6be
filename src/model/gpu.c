/*
 * Compares the text as words: in lower case, with one blank in place of all other characters in a row, and a blank at both ends.
 */
#include "model/gpu.h"

#include "base/ascii.h"
#include "base/buffer.h"
#include "model/placeholder.h"

/* Marks of error texts. A blank in a mark is the beginning or the end of a word. */
static const char *const error_marks[] = {
    " error",          "founderror ",
    "importerror ",    "runtimeerror ",
    "assertionerror ", " oserror ",
    "valueerror ",     "typeerror ",
    "processerror ",   "nvmlerror",
    "attributeerror ", "keyerror ",
    "nameerror ",      "permissionerror ",
    "timeouterror ",   "exception",
    "traceback",       " fail",
    " not ",           " no ",
    " cannot ",        " can t ",
    " couldn",         " wasn t ",
    " isn t ",         " doesn t ",
    " unable ",        " unavailable",
    " missing ",       " denied ",
    " timed out ",     " timeout ",
    " make sure ",     " without ",
    " invalid ",       " warning ",
    " mismatch",       " install",
    " unsupported ",   " refused ",
    " insufficient",   " nvml ",
    " nvidia smi ",    " fault ",
    " dumped ",        " usage ",
    " undefined ",     " unexpected ",
    " lost ",          " rocm smi ",
    " please ",        " unknown option ",
    " err ",           " false ",
    " blocked ",       " requires reset ",
    " exit ",          " exited ",
    " killed ",        " ioctl",
    " torch ",         " busy ",
    " bad ",           " illegal ",
    " out of ",        " uninitialized ",
    " fallen off ",    " fatal",
    " incompatible ",  " corrupt",
    "cudaerror",       "hiperror",
    " undetected ",
};

/*
 * Marks of what is no GPU: words for none, processors, software renderers, displays of virtual machines, and management chips of
 * servers.
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
    " astdrm",
    " mgag",
    " vmwgfx ",
    " emulex",
    " serverengines",
    " pilot",
    " trident ",
    " s3 ",
    " sis ",
    " warp ",
    " mesa x11 ",
    " oclgrind ",
    " portable computing language ",
    " virtual ",
    " indirect display",
    " iddsample",
    " mirror driver",
    " mirage driver ",
    " parallels ",
    " citrix ",
    " spacedesk ",
    " teamviewer ",
    " anydesk ",
    " vnc ",
    " rdp",
    " qemu ",
    " xen ",
    " monitor ",
    " headless ",
    " unclaimed ",
    " core i3 ",
    " core i5 ",
    " core i7 ",
    " core i9 ",
    " core tm ",
    " cortex ",
    " neoverse ",
    " athlon ",
    " opteron ",
    " celeron ",
    " pentium ",
    " nogpu ",
    " kein",
    " aucun",
    " ningun",
    " nessun",
    " 0x ",
    " 0 x ",
};

/* Texts that name nothing. */
static const char *const empty_words[] = {
    " no ",   " not ", " off ",  " empty ",  " nothing ", " absent ", " gpus ",  " inactive ", " zero ", " emulated ",
    " todo ", " tbd ", " nein ", " x86 64 ", " aarch64 ", " arm64 ",  " amd64 ", " i386 ",     " i686 ", " terminated ",
};

/* Words that listings of devices use for any display. A text with no other words names no card. */
static const char *const device_words[] = {"vga", "compatible", "controller", "3d",   "display",     "device",  "adapter", "video",
                                           "rev", "standard",   "graphics",   "card", "description", "product", "vendor"};

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
        bool is_word = ascii_is_alphanumeric(c) || (unsigned char)c >= 0x80;
        c = ascii_lower(c);
        if (is_word || out->ptr[out->len - 1] != ' ')
            buffer_append(out, is_word ? (struct str){&c, 1} : STR(" "));
    }
    buffer_append(out, out->ptr[out->len - 1] != ' ' ? STR(" ") : STR(""));
}

/* Whether the text is a number of cards ("0", "1", "0.0"); "4090" names a card. */
static bool is_small_number(struct str words)
{
    size_t digits = 0;
    for (size_t i = 0; i < words.len; i++) {
        if (words.ptr[i] >= '0' && words.ptr[i] <= '9')
            digits++;
        else if (words.ptr[i] != ' ')
            return false;
    }
    return digits < 3;
}

static bool is_device_word(struct str word)
{
    for (size_t i = 0; i < sizeof(device_words) / sizeof(device_words[0]); i++)
        if (str_eq(word, str_from(device_words[i])))
            return true;
    return false;
}

/* Whether the text has only the kind and numbers of a device: "VGA compatible controller", "Device 1234:1111". */
static bool is_nameless(struct str words)
{
    size_t known = 0;
    while (words.len > 0) {
        struct str word = str_cut(&words, ' ');
        bool has_digit = word.len > 0 && word.ptr[0] >= '0' && word.ptr[0] <= '9';
        if (is_device_word(word))
            known++;
        else if (word.len > 0 && !has_digit)
            return false;
    }
    return known > 0;
}

/* How much a text must look like the name of a card. */
enum likeness { LIKE_ANYTHING, HAS_A_MAKER, BEGINS_WITH_A_MAKER };

/* Whether one card's text names a GPU. */
static bool is_card(struct buffer *room, struct str text, enum likeness needed)
{
    if (placeholder_is(text))
        return false;
    write_words(room, text);
    struct str words = buffer_str(room);
    for (size_t i = 0; i < sizeof(empty_words) / sizeof(empty_words[0]); i++)
        if (str_eq(words, str_from(empty_words[i])))
            return false;
    if (HAS(error_marks, words) || HAS(other_marks, words) || is_small_number(words) || is_nameless(words))
        return false;
    return needed == LIKE_ANYTHING || (needed == HAS_A_MAKER ? HAS(makers, words) : begins_with_a_maker(words));
}

/* Whether one of the texts in `text`, with `separators` between them, names a GPU. */
static bool has_card(struct buffer *room, struct str text, const char *separators, enum likeness needed)
{
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && (text.ptr[len] == '\0' || strchr(separators, text.ptr[len]) == NULL))
            len++;
        if (len > 0 && is_card(room, (struct str){text.ptr, len}, needed))
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
    /* lines of tracebacks and listings may look like anything, and makers' names have commas: such a line must look like a card */
    enum likeness needed = HAS(error_marks, buffer_str(&room))   ? BEGINS_WITH_A_MAKER
                           : HAS(other_marks, buffer_str(&room)) ? HAS_A_MAKER
                                                                 : LIKE_ANYTHING;
    bool found = has_card(&room, gpu_type, "\n\r;|", needed) || has_card(&room, gpu_type, "\n\r;|,", BEGINS_WITH_A_MAKER);
    buffer_fini(&room);
    return found;
}
