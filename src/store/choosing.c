/*
 * Chooses workers for requests. If the answer of Redis is lost, Redis may have leased a worker all the same: the lease is then
 * ended, although its worker is not known here.
 */
#include "base/clock.h"
#include "model/catalogue.h"
#include "store/batch.h"
#include "store/routing.h"

#include <stdlib.h>

#define SLOTS 16384     /* of sessions, see lua/route.lua */
#define PLACELESS_MAX 3 /* chosen workers without a known address that are passed over for one request */

static void choosing_free(struct choosing *choosing)
{
    buffer_fini(&choosing->services);
    buffer_fini(&choosing->model);
    buffer_fini(&choosing->excluded);
    free(choosing);
}

void choosing_end(struct choosing *choosing, enum err err, const struct request_choice *choice, enum request_refusal refusal)
{
    choosing->callback(choosing->data, err, choice, refusal);
    choosing_free(choosing);
}

void choosing_refuse(struct choosing *choosing, struct str word)
{
    enum request_refusal refusal = choosing->placeless > 0       ? REQUEST_NO_ADDRESS
                                   : str_eq(word, STR("closed")) ? REQUEST_NONE_TAKES
                                   : str_eq(word, STR("tried"))  ? REQUEST_ALL_TRIED
                                   : str_eq(word, STR("open"))   ? REQUEST_ALL_OPEN
                                                                 : REQUEST_NO_WORKERS;
    choosing_end(choosing, ERR_NO_WORKER, NULL, refusal);
}

void choosing_add(struct buffer *out, const struct choosing *choosing)
{
    command_add(out, buffer_str(&choosing->services));
    command_add(out, buffer_str(&choosing->model));
    command_add(out, choosing->silent ? STR("silent") : STR(""));
}

/* Excludes the chosen worker, whose address is not known, and chooses another one. */
static void choose_another(struct choosing *choosing)
{
    if (choosing->placeless++ == PLACELESS_MAX) {
        choosing_end(choosing, ERR_NO_WORKER, NULL, REQUEST_NO_ADDRESS);
        return;
    }
    if (choosing->excluded.len > 0)
        buffer_append(&choosing->excluded, STR(" "));
    buffer_append(&choosing->excluded, (struct str){choosing->id, choosing->id_len});
    enum err err = choosing_ask(choosing);
    if (err != ERR_NONE)
        choosing_end(choosing, err, NULL, REQUEST_NO_WORKERS);
}

static void on_site(void *data, enum err err, const struct site *site)
{
    struct choosing *choosing = data;
    struct request_choice choice = {
        .worker_id = {choosing->id, choosing->id_len},
        .service = {choosing->service, choosing->service_len},
        .has_model = choosing->lease->has_model,
        .lease = choosing->lease,
    };
    bool placeless = err == ERR_WORKER_NOT_FOUND || (err == ERR_NONE && site->url.len == 0);
    if (placeless || err != ERR_NONE) {
        store_release(choosing->store, choosing->lease, REQUEST_NOT_SENT);
        choosing->lease = NULL;
    }
    if (placeless) {
        choose_another(choosing);
    } else if (err != ERR_NONE) {
        choosing_end(choosing, err, NULL, REQUEST_NO_WORKERS);
    } else {
        choice.url = site->url;
        choice.other_url = site->other;
        choice.tls_fingerprint = site->tls_fingerprint;
        choosing_end(choosing, ERR_NONE, &choice, REQUEST_NO_WORKERS);
    }
}

static size_t copy_id(char room[ID_MAX], struct str id)
{
    size_t len = id.len < ID_MAX ? id.len : ID_MAX;
    if (id.ptr != NULL)
        memcpy(room, id.ptr, len);
    return id.ptr != NULL ? len : 0;
}

/* Finds where the worker of the lease is. */
static void find_site(struct choosing *choosing)
{
    struct str text = buffer_str(&choosing->lease->text), id = str_cut(&text, ' '), service = str_cut(&text, ' ');
    str_cut(&text, ' ');
    choosing->id_len = copy_id(choosing->id, id);
    choosing->service_len = copy_id(choosing->service, service);
    uint64_t turn = choosing->slot >= 0 ? (uint64_t)choosing->slot : choosing->unleased ? store_random() : choosing->lease->number;
    sites_find(choosing->store, (struct str){choosing->id, choosing->id_len},
               (struct str){choosing->service, choosing->service_len}, text, turn, on_site, choosing);
}

void choosing_take(struct choosing *choosing, struct str text)
{
    struct str id = str_cut(&text, ' '), service = str_cut(&text, ' ');
    struct request_lease *lease = choosing->lease;
    lease->has_model = str_eq(str_cut(&text, ' '), STR("1")) && choosing->model.len > 0;
    const struct str parts[] = {id, service, lease->has_model ? buffer_str(&choosing->model) : STR("-"), str_cut(&text, ' ')};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (i > 0)
            buffer_append(&lease->text, STR(" "));
        buffer_append(&lease->text, parts[i]);
    }
    find_site(choosing);
}

static void on_chosen(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct choosing *choosing = data;
    struct str text = reply_text(reply_element(reply, index)), rest = text;
    struct str first = str_cut(&rest, ' ');
    if (err == ERR_NONE && str_eq(first, STR("!"))) {
        lease_free(choosing->lease);
        choosing_refuse(choosing, rest);
        return;
    }
    if (err == ERR_NONE && !id_is_valid(first)) /* the data was changed by hand */
        err = ERR_INTERNAL;
    if (err != ERR_NONE) {
        lease_end(choosing->lease, REQUEST_NOT_SENT); /* Redis may have leased it */
        choosing_end(choosing, err, NULL, REQUEST_NO_WORKERS);
        return;
    }
    struct request_lease *lease = choosing->lease;
    lease->state = LEASE_HELD;
    lease->mark = text.ptr[text.len - 1];
    lease->chosen_at = clock_us();
    lease->may_pass_on = lease->mark == '-' && choosing->slot < 0 && choosing->excluded.len == 0;
    if (lease->may_pass_on) {
        buffer_append(&lease->services, buffer_str(&choosing->services));
        buffer_append(&lease->model, buffer_str(&choosing->model));
    }
    choosing_take(choosing, text);
}

bool lease_is_for(const struct request_lease *lease, const struct request_wish *wish)
{
    return str_eq(buffer_str(&lease->services), wish->services) && str_eq(buffer_str(&lease->model), wish->model);
}

enum err choosing_ask(struct choosing *choosing)
{
    struct requests *requests = requests_of(choosing->store);
    if (choosing->unleased)
        return lists_choose(choosing);
    struct buffer *out = batch_begin(choosing->store, SCRIPT_route);
    if (out == NULL)
        return store_check(choosing->store);
    choosing->lease = lease_new(choosing->store, ++requests->next_number, LEASE_ASKED);
    command_add(out, STR("choose"));
    lease_add(out, choosing->lease);
    choosing_add(out, choosing);
    if (choosing->slot >= 0)
        command_add_number(out, choosing->slot);
    else
        command_add(out, STR(""));
    command_add(out, buffer_str(&choosing->excluded));
    command_add_number(out, (long long)(store_random() >> 34)); /* 30 bits: the seed for the script's random choices */
    batch_add(choosing->store, SCRIPT_route, 8, true, on_chosen, choosing);
    return ERR_NONE;
}

/*
 * Returns the slot of a session, -1: there is no session. Sessions that share a slot share a worker. The slot depends on the
 * model, too, since a worker's memory of a conversation belongs to one model.
 */
static int slot_of(struct str session, struct str model)
{
    if (session.len == 0)
        return -1;
    return (int)((str_hash(session) ^ str_hash(model) * 31) % SLOTS);
}

enum err store_choose(struct store *store, const struct request_wish *wish, store_choice_callback *callback, void *data)
{
    struct choosing *choosing = store_alloc(sizeof(*choosing));
    *choosing = (struct choosing){.store = store, .callback = callback, .data = data};
    choosing->slot = slot_of(wish->session, wish->model);
    choosing->unleased = wish->unleased;
    choosing->silent = wish->silent;
    buffer_append(&choosing->services, wish->services);
    buffer_append(&choosing->model, wish->model);
    buffer_append(&choosing->excluded, wish->excluded);
    if (!wish->unleased && choosing->slot < 0 && wish->excluded.len == 0)
        choosing->lease = spares_take(requests_of(store), wish);
    if (choosing->lease != NULL) {
        choosing->lease->uses++;
        find_site(choosing);
        return ERR_NONE;
    }
    enum err err = choosing_ask(choosing);
    if (err != ERR_NONE)
        choosing_free(choosing);
    return err;
}
