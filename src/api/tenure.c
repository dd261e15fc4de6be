#include "api/tenure.h"

#include "api/admit.h"
#include "api/api.h"
#include "base/clock.h"

#define ROUND_MS 2000 /* how often all are checked while the directory does not change, since tokens expire */
#define PER_TURN 500  /* checks in one turn, so that ten thousand open requests don't block the loop */

void tenures_init(struct tenures *tenures)
{
    tenures->ring.previous = tenures->ring.next = &tenures->ring;
}

static void tenure_append(struct tenure *ring, struct tenure *tenure)
{
    tenure->previous = ring->previous;
    tenure->next = ring;
    ring->previous->next = tenure;
    ring->previous = tenure;
}

void tenure_begin(struct tenure *tenure, const struct request *request, tenure_over *over, void *data)
{
    struct api *api = request_app(request);
    const struct principal *principal = admit_principal(request);
    if (!admit_is_enforced(request) || principal->kind == PRINCIPAL_NONE)
        return;
    *tenure = (struct tenure){.api = api,
                              .principal = *principal,
                              .access = request->route->access,
                              .checked = api->tenures.round,
                              .over = over,
                              .data = data};
    tenure_append(&api->tenures.ring, tenure);
}

void tenure_end(struct tenure *tenure)
{
    if (tenure->next == NULL)
        return;
    tenure->previous->next = tenure->next;
    tenure->next->previous = tenure->previous;
    tenure->previous = tenure->next = NULL;
}

static void tenure_look(struct api *api, struct tenure *tenure)
{
    enum err err = admit_check_again(api, &tenure->principal, tenure->access);
    tenure_end(tenure);
    tenure->checked = api->tenures.round;
    if (err == ERR_NONE)
        tenure_append(&api->tenures.ring, tenure);
    else
        tenure->over(tenure->data, err);
}

int32_t tenure_tick(void *data)
{
    struct api *api = data;
    struct tenures *tenures = &api->tenures;
    if (tenures->ring.next == &tenures->ring)
        return 1000;
    (void)directory_is_fresh(api->directory); /* reads the directory again if it is stale */
    unsigned generation = directory_generation(api->directory);
    if (generation != tenures->generation || clock_ms() - tenures->began_at >= ROUND_MS) {
        tenures->generation = generation;
        tenures->began_at = clock_ms();
        tenures->round++;
    }
    for (int i = 0; i < PER_TURN; i++) {
        struct tenure *first = tenures->ring.next;
        if (first == &tenures->ring || first->checked == tenures->round)
            return 1000;
        tenure_look(api, first);
    }
    return 0;
}
