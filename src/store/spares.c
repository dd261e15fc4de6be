#include "store/spares.h"

#include "base/clock.h"
#include "store/routing.h"

#define YOUNG_US 10000 /* how long after it was chosen a lease may pass on; also the window in which ended requests are counted */
#define BUSY 20        /* a thread that ends fewer requests in a window has time to ask Redis for each */
#define TICK_MS 10     /* not 1 ms: such short waits cost far more, since each one sets the machine's timer */
#define NEVER_MS 60000

static bool is_young(const struct spares *spares, const struct request_lease *lease, int64_t now)
{
    return now - lease->chosen_at < YOUNG_US && lease->chosen_at > spares->failed_at;
}

/* Ends the kept leases that are too old, or all of them. */
static void end_some(struct spares *spares, bool all, int64_t now)
{
    size_t left = 0;
    for (size_t i = 0; i < spares->count; i++) {
        if (!all && is_young(spares, spares->leases[i], now))
            spares->leases[left++] = spares->leases[i];
        else
            lease_end(spares->leases[i], REQUEST_SERVED);
    }
    spares->count = left;
}

/* Begins a new window if the last one is over. Returns the time, clock_us. */
static int64_t look(struct spares *spares)
{
    int64_t now = clock_us(), passed = now - spares->window_began;
    if (passed >= YOUNG_US) {
        spares->busy = passed < 2 * YOUNG_US && spares->ended >= BUSY;
        spares->window_began = now;
        spares->ended = 0;
        end_some(spares, !spares->busy, now);
    }
    return now;
}

bool spares_keep(struct requests *requests, struct request_lease *lease, enum request_outcome outcome)
{
    struct spares *spares = &requests->spares;
    int64_t now = look(spares);
    spares->ended++;
    if (outcome == REQUEST_FAILED || outcome == REQUEST_UNREACHABLE)
        spares->failed_at = now; /* leases that were chosen until now are not passed on any more */
    if (!spares->busy || outcome != REQUEST_SERVED || !lease->may_pass_on || spares->count == SPARES_MAX ||
        !is_young(spares, lease, now))
        return false;
    spares->leases[spares->count++] = lease;
    return true;
}

struct request_lease *spares_take(struct requests *requests, const struct request_wish *wish)
{
    struct spares *spares = &requests->spares;
    int64_t now = look(spares);
    for (size_t i = spares->count; i-- > 0;) {
        struct request_lease *lease = spares->leases[i];
        if (is_young(spares, lease, now) && lease_is_for(lease, wish)) {
            spares->leases[i] = spares->leases[--spares->count];
            return lease;
        }
    }
    return NULL;
}

int32_t spares_tick(struct requests *requests)
{
    struct spares *spares = &requests->spares;
    if (spares->count == 0)
        return NEVER_MS;
    (void)look(spares);
    return TICK_MS;
}

void spares_end(struct requests *requests)
{
    end_some(&requests->spares, true, 0);
}
