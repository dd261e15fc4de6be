/*
 * The link of one thread to the Redis that takes its writes: src/redis/link.c with sentinel.c. There are two servers and two
 * Sentinels; one of the settings, Sentinels or not, is chosen at the start.
 *
 * What it assumes:
 *   - Servers and Sentinels do CHANGES things at most, at any moment: they die, fall mute, come back, become primaries and
 *     replicas, or name another primary.
 *   - One that is mute may take a connection and never answers. A connection to one that is dead breaks, or is refused.
 *   - Time passes in ticks. The loop runs when its time has come or something happened, before the next tick.
 *   - Where all is well, what can be answered is answered before the next tick; else an answer may come at any time.
 *   - A greeting has two steps, the last one asks for the role. FLIGHT commands are in flight at most.
 *
 * What must hold:
 *   - A command is sent while the link is up, and no other time; its callback runs once (call_ends for one of them).
 *   - The loop never sleeps over a deadline.
 *   - Where there is one primary that answers, and a Sentinel that knows it, the link comes up, and stays so (comes_up, stays_up).
 *   - It leaves a server that is mute, dead or no primary, also when it has nothing to do (leaves).
 *
 * Changed rules, and the property that must be seen to break (see run.sh):
 *   broken NO_PATIENCE call_ends: a connection that is silent while commands wait is kept
 *   broken SLEEP_OVER assert: link_tick leaves the next watch out of what it returns
 *   broken NO_WATCH leaves: nobody asks whether this still is the primary
 *   broken FORGET_CALLS assert: the callbacks of what is in flight don't run when a connection is dropped
 *   broken NO_DOUBT comes_up: the same Sentinel is asked again, although it named a server that is no primary
 *   broken NO_GIVE_UP comes_up: an attempt has no deadline
 *   broken NO_SENTINEL_TIMEOUT comes_up: a question to a Sentinel has none
 */
#ifndef CHANGES
#define CHANGES 1
#endif
#define FLIGHT 2
#define RETRY 1 /* ticks */
#define GIVE_UP 2
#define WATCH 1
#define PATIENCE 2
#define SENTINEL_TIMEOUT 1
#define IDLE 3

mtype = { DOWN, SEEKING, CONNECTING, GREETING, UP };
mtype = { PRIMARY, REPLICA, MUTE, DEAD }; /* a server; a Sentinel is DEAD, MUTE or names server 0 or 1 */
mtype = { COMMAND, MARKED, ROLE };        /* in flight */

mtype server[2], sentinel[2];
byte names[2];
byte changes;
bool settled, has_sentinels;

mtype state = DOWN;
byte endpoint, steps;
byte retry, give_up, watch, patience, asked_for, wake;
bool is_over;                             /* the connection, or the attempt */
bool connected;                           /* the connection is made: what is sent on it arrives */
bool asking, doubted;
byte at, left;                            /* the Sentinel that is asked, and how many may still be */
chan flight = [FLIGHT] of { mtype };
byte marked;                              /* 0: not sent, 1: in flight, 2: its callback has run */

#define dialling (state == CONNECTING)
#define under_way (state == CONNECTING || state == GREETING)
#define speaks(which) (server[which] == PRIMARY || server[which] == REPLICA)
#define well_0 (server[0] == PRIMARY && (!has_sentinels || server[1] != PRIMARY && \
    (sentinel[0] == PRIMARY && names[0] == 0 || sentinel[1] == PRIMARY && names[1] == 0)))
#define well_1 (server[1] == PRIMARY && has_sentinels && server[0] != PRIMARY && \
    (sentinel[0] == PRIMARY && names[0] == 1 || sentinel[1] == PRIMARY && names[1] == 1))
#define is_well (well_0 || well_1)
#define is_up (state == UP)
#define is_bad (server[endpoint] != PRIMARY)
#define can_answer (speaks(endpoint) && (under_way || state == UP && len(flight) > 0) || asking && sentinel[at] == PRIMARY)

inline finish(call)
{
    if
    :: call == MARKED -> assert(marked == 1); marked = 2
    :: else
    fi
}

/* Gives up the attempt or the connection that was found to be over. */
inline drop()
{
    if
    :: is_over && state != DOWN ->
#ifndef NO_DOUBT
        doubted = doubted || (has_sentinels && under_way);
#endif
        state = DOWN; retry = RETRY; connected = false;
        do
        :: flight ? call -> 
#ifndef FORGET_CALLS
            finish(call)
#endif
        :: (len(flight) == 0) -> break
        od
    :: else
    fi;
    is_over = false
}

inline connect()
{
    state = CONNECTING; give_up = GIVE_UP; watch = WATCH
}

inline ask_this_one()
{
    asked_for = SENTINEL_TIMEOUT
}

inline ask_sentinel()
{
    if
    :: asking
    :: !asking ->
        asking = true; left = 2;
        if
        :: doubted -> doubted = false; at = 1 - at
        :: else
        fi;
        ask_this_one()
    fi
}

/* What the Sentinels say: that server `primary` is it, or that they don't know (2). */
inline on_primary(primary)
{
    if
    :: state == SEEKING && primary == 2 -> is_over = true
    :: state == SEEKING && primary != 2 -> endpoint = primary; connect()
    :: state != SEEKING && state != DOWN && primary != 2 && primary != endpoint -> is_over = true
    :: else
    fi
}

inline ask_the_next()
{
    at = 1 - at; left--;
    if
    :: left > 0 -> ask_this_one()
    :: left == 0 -> asking = false; on_primary(2)
    fi
}

inline send(call)
{
    assert(state == UP || call == ROLE);
    if
    :: (len(flight) == 0) -> patience = PATIENCE
    :: else
    fi;
    flight ! call
}

inline keep()
{
    if
    :: state != DOWN && state != SEEKING && watch == 0 ->
        watch = WATCH;
#ifndef NO_WATCH
        if
        :: has_sentinels -> ask_sentinel()
        :: else
        fi;
        if
        :: state == UP && (len(flight) < FLIGHT) -> send(ROLE)
        :: else
        fi
#endif
    :: else
    fi;
    if
    :: state == DOWN && retry == 0 ->
        if
        :: has_sentinels -> state = SEEKING; ask_sentinel()
        :: else -> endpoint = 0; connect()
        fi
#ifndef NO_PATIENCE
    :: state == UP && (len(flight) > 0) && patience == 0 -> is_over = true
#endif
#ifndef NO_GIVE_UP
    :: under_way && give_up == 0 -> is_over = true
#endif
    :: else
    fi
}

#define earliest(armed, ticks) if :: (armed) && ticks < wake -> wake = ticks :: else fi

/* Does what the time has come for, and says when to come back. */
inline tick()
{
    keep();
#ifndef NO_SENTINEL_TIMEOUT
    if
    :: asking && asked_for == 0 -> ask_the_next()
    :: else
    fi;
#endif
    drop();
    wake = IDLE;
    earliest(asking, asked_for);
    earliest(state == DOWN, retry);
#ifndef SLEEP_OVER
    earliest(state != DOWN && state != SEEKING, watch);
#endif
    earliest(under_way, give_up);
    earliest(state == UP && (len(flight) > 0), patience)
}

proctype loop()
{
    mtype call;
    do
    :: atomic {
        if
        :: wake == 0
        /* what comes in */
        :: state == CONNECTING && server[endpoint] != DEAD -> connected = true; state = GREETING; steps = 2; give_up = GIVE_UP
        :: state == CONNECTING && server[endpoint] == DEAD -> is_over = true
        :: state == GREETING && speaks(endpoint) && steps == 2 -> steps = 1
        :: state == GREETING && server[endpoint] == PRIMARY && steps == 1 -> state = UP
        :: state == GREETING && server[endpoint] == REPLICA && steps == 1 -> is_over = true
        :: state == UP && speaks(endpoint) && (len(flight) > 0) ->
            flight ? call; patience = PATIENCE; finish(call);
            is_over = (server[endpoint] == REPLICA) /* READONLY, or what it says to ROLE */
        :: connected && server[endpoint] == DEAD -> is_over = true
        :: asking && sentinel[at] == PRIMARY -> asking = false; on_primary(names[at])
        :: asking && sentinel[at] == DEAD -> ask_the_next()
        /* what a handler sends */
        :: state == UP && (len(flight) < FLIGHT) -> send(COMMAND)
        :: state == UP && (len(flight) < FLIGHT) && marked == 0 -> send(MARKED); marked = 1
        fi;
        drop();
        tick()
    }
    od
}

#define pass(ticks) if :: ticks > 0 -> ticks-- :: else fi

proctype time()
{
    do
    :: atomic {
        wake > 0 && !(is_well && can_answer) ->
        assert(state != DOWN || retry > 0);
        assert(!under_way || give_up > 0);
        assert(state == DOWN || state == SEEKING || watch > 0);
        assert(state != UP || (len(flight) == 0) || patience > 0);
        assert(!asking || asked_for > 0);
        assert(marked != 1 || state == UP);
        pass(retry); pass(give_up); pass(watch); pass(patience); pass(asked_for); wake--
    }
    od
}

/* Servers and Sentinels. */
proctype world()
{
    byte which;
    do
    :: atomic { changes < CHANGES -> changes++; which = 0 };
       atomic {
           if :: which = 0 :: which = 1 fi;
           if
           :: server[which] = PRIMARY
           :: server[which] = REPLICA
           :: server[which] = MUTE
           :: server[which] = DEAD
           :: sentinel[which] = PRIMARY; names[which] = 0
           :: sentinel[which] = PRIMARY; names[which] = 1
           :: sentinel[which] = MUTE
           :: sentinel[which] = DEAD
           fi
       }
    :: settled = true; break
    od
}

#define begin(who) if :: who = PRIMARY :: who = MUTE :: who = DEAD fi

init {
    atomic {
        if :: has_sentinels = true :: skip fi;
        begin(server[0]); begin(server[1]); begin(sentinel[0]); begin(sentinel[1]); names[1] = 1;
        run loop(); run time(); run world()
    }
}

ltl call_ends { [] (marked == 1 -> <> (marked == 2)) }
ltl comes_up { [] ((settled && is_well) -> <> is_up) }
ltl stays_up { ([] <> (settled && is_well && is_up)) -> <> [] is_up }
ltl leaves { [] ((settled && is_bad && is_up) -> <> !is_up) }
