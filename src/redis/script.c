#include "redis/script.h"

#include "redis/command.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>

static struct {
    char sha[2 * SHA_DIGEST_LENGTH + 1];
    struct buffer keys; /* the count of keys and the keys, as they stand in every EVALSHA */
} scripts[SCRIPT_COUNT];

void scripts_init(void)
{
    for (int script = 0; script < SCRIPT_COUNT; script++) {
        const struct script_text *text = &script_texts[script];
        unsigned char digest[SHA_DIGEST_LENGTH];
        SHA1((const unsigned char *)text->text.ptr, text->text.len, digest);
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
    command_begin(out, 3);
    command_add(out, STR("SCRIPT"));
    command_add(out, STR("LOAD"));
    command_add(out, script_texts[script].text);
}
