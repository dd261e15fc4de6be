/*
 * What the strict scanner lets pass, cJSON must read; and the text of a member must be what the tree has under its name.
 */
#include "base/buffer.h"
#include "model/json.h"
#include "must.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text stands by itself as JSON, and means the same as `item`. */
static void check_text(struct str text, const cJSON *item)
{
    struct buffer wrapped = BUFFER_INIT;
    buffer_append(&wrapped, STR("{\"x\":"));
    buffer_append(&wrapped, text);
    buffer_append(&wrapped, STR("}"));
    cJSON *document;
    const char *why;
    must(json_parse_object(buffer_str(&wrapped), &document, &why) == ERR_NONE);
    must(cJSON_GetArraySize(document) == 1);
    char *found = cJSON_PrintUnformatted(document->child);
    char *expected = cJSON_PrintUnformatted(item);
    must(found != NULL && expected != NULL && strcmp(found, expected) == 0);
    cJSON_free(found);
    cJSON_free(expected);
    cJSON_Delete(document);
    buffer_fini(&wrapped);
}

static void check_member(struct str text, const cJSON *document, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(document, name);
    struct str found = json_member_text(text, name);
    bool is_ascii = true;
    for (const char *c = name; *c != '\0'; c++)
        is_ascii = is_ascii && (unsigned char)*c < 0x80;
    if (!is_ascii)
        return;
    must((found.ptr == NULL) == (item == NULL));
    if (item != NULL) {
        must(found.ptr >= text.ptr && found.len > 0 && found.ptr + found.len <= text.ptr + text.len);
        check_text(found, item);
    }
}

/* The items of an array or object stand in the text as they do in the tree. */
static void check_items(struct str text, const cJSON *parent)
{
    struct json_items items = json_items(text);
    struct json_item item;
    int checked = 0;
    const cJSON *child = parent->child;
    for (; json_next(&items, &item); child = child->next, checked++) {
        must(child != NULL && item.value.len > 0 && item.value.ptr >= text.ptr);
        must(item.value.ptr + item.value.len < text.ptr + text.len);
        must((item.name.ptr != NULL) == cJSON_IsObject(parent));
        if (checked < 16)
            check_text(item.value, child);
        if (cJSON_IsObject(child) || cJSON_IsArray(child))
            check_items(item.value, child);
    }
    must(child == NULL);
}

/* What is read with patience is exact JSON once it is mended; what is exact JSON needs no mending. */
static void check_patience(enum json_patience patience, struct str text, bool is_exact)
{
    struct str body = text;
    struct buffer room = BUFFER_INIT;
    struct faults ignored = FAULTS_INIT;
    cJSON *document = NULL;
    const char *why = NULL;
    enum err err = json_parse_body(patience, &body, &room, &document, &ignored, &why);
    must(!is_exact || (err == ERR_NONE && room.len == 0 && ignored.count == 0 && body.ptr == text.ptr));
    if (err != ERR_NONE) {
        must(err == ERR_BAD_REQUEST && why != NULL && room.ptr == NULL && ignored.items == NULL);
        return;
    }
    must((room.len > 0) == (ignored.count > 0));
    must(json_check_object(body, &why) == ERR_NONE);
    for (size_t i = 0; i < ignored.count; i++)
        must(ignored.items[i].message[0] != '\0' && json_is_utf8(str_from(ignored.items[i].field)));
    check_items(body, document);
    cJSON_Delete(document);
    buffer_fini(&room);
    faults_fini(&ignored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    const char *place = NULL, *fault = NULL;
    bool is_faulty = size > 0 && json_find_fault(text, &place, &fault);
    must((fault != NULL) == is_faulty && (!is_faulty || (place >= text.ptr && place <= text.ptr + text.len)));
    cJSON *document = NULL;
    const char *why = NULL;
    enum err err = json_parse_object(text, &document, &why);
    must(size == 0 || (err != ERR_NONE) == is_faulty);
    for (int patience = JSON_NAN; patience <= JSON_PATIENT; patience++)
        check_patience((enum json_patience)patience, text, err == ERR_NONE);
    struct str body = text;
    const char *patient_why = NULL;
    must((json_check_body(&body, &patient_why) != ERR_NONE) == (patient_why != NULL));
    if (err != ERR_NONE) {
        must(err == ERR_BAD_REQUEST && document == NULL && why != NULL && why[strlen(why) - 1] == '.');
        return 0;
    }
    must(cJSON_IsObject(document) && why == NULL);
    check_items(text, document);
    int checked = 0;
    for (const cJSON *item = document->child; item != NULL && checked < 16; item = item->next, checked++)
        check_member(text, document, item->string);
    check_member(text, document, "a");
    check_member(text, document, "capabilities");
    cJSON_Delete(document);
    return 0;
}
