#include "redis/script.h"

#include "redis/command.h"

/* SHA1() of OpenSSL 3 loads all of its algorithms, 2 MB of memory; these functions are the algorithm alone. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdio.h>

static struct {
    char sha[2 * SHA_DIGEST_LENGTH + 1];
    struct buffer keys; /* the count of keys and the keys, as they stand in every EVALSHA */
} scripts[SCRIPT_COUNT];

void script_write(struct buffer *out, enum script script)
{
    for (size_t i = 0; i < script_texts[script].part_count; i++)
        buffer_append(out, script_texts[script].parts[i]);
}

struct str script_line(enum script script, long number)
{
    for (size_t i = 0; i < script_texts[script].part_count; i++)
        for (struct str rest = script_texts[script].parts[i]; rest.len > 0;) { /* each part ends with a newline */
            struct str line = str_cut(&rest, '\n');
            if (--number == 0)
                return line;
        }
    return (struct str){NULL, 0};
}

void scripts_init(void)
{
    for (int script = 0; script < SCRIPT_COUNT; script++) {
        const struct script_text *text = &script_texts[script];
        unsigned char digest[SHA_DIGEST_LENGTH];
        SHA_CTX context;
        SHA1_Init(&context);
        for (size_t i = 0; i < text->part_count; i++)
            SHA1_Update(&context, text->parts[i].ptr, text->parts[i].len);
        SHA1_Final(digest, &context);
        for (size_t i = 0; i < sizeof(digest); i++)
            snprintf(scripts[script].sha + 2 * i, 3, "%02x", digest[i]);
        buffer_fini(&scripts[script].keys);
        command_add_number(&scripts[script].keys, (long long)text->key_count);
        for (size_t i = 0; i < text->key_count; i++)
            command_add(&scripts[script].keys, key_name(text->keys[i]));
    }
}

void script_begin(struct buffer *out, enum script script, const struct str *args, size_t rest)
{
    const struct script_text *text = &script_texts[script];
    command_begin(out, 3 + text->key_count + text->arg_count + rest);
    command_add(out, STR("EVALSHA"));
    command_add(out, (struct str){scripts[script].sha, 2 * SHA_DIGEST_LENGTH});
    buffer_append(out, buffer_str(&scripts[script].keys));
    for (size_t i = 0; i < text->arg_count; i++)
        command_add(out, args[i]);
}

void script_load_command(struct buffer *out, enum script script)
{
    struct buffer text = BUFFER_INIT;
    script_write(&text, script);
    command_begin(out, 3);
    command_add(out, STR("SCRIPT"));
    command_add(out, STR("LOAD"));
    command_add(out, buffer_str(&text));
    buffer_fini(&text);
}
