/*
 * The life of one worker in Redis, as lua/KEYS.md has it under "The life of a worker": its two keys with a TTL, its registration,
 * its ledger entry, its place in the indexes `online` and `offline`, and what those hear who hear all events.
 *
 * What it assumes:
 *   - A script is one step, and Redis does not lose what a script has written.
 *   - Redis's clock goes on, and is not set. Time passes in ticks; anything may happen any number of times between two of them.
 *   - A request is carried out once or not at all. Its answer gets lost when the instance that serves it dies.
 *   - Instances die at most DEATHS times in all. Each is started again.
 *   - A worker that is told 404 registers. It may fall silent at any time, for a while or for good.
 *
 * What must hold:
 *   - After each script, whoever has heard all events knows what the ledger says; no change is told twice, none is left out.
 *   - Nobody is told offline whose online key is there, and nobody removed whose hash is there.
 *   - The indexes agree with the ledger, and no moment in `online` is later than the end of the online key.
 *   - No deadline stays unnoticed (offline_noticed, removal_noticed, registration_ends).
 *   - From every state a worker that goes on beating comes back (comes_back).
 *
 * Changed rules, and the property that must be seen to break (see run.sh):
 *   broken SWEEP_IN_TWO assert: the sweep looks in one step and writes in the next one
 *   broken BELIEVE_INDEX assert: the sweep does not ask for the online key
 *   broken INDEX_LATE assert: the index may learn of a later moment than the end of the online key
 *   broken TELL_AFTER assert: the instance writes the event when the script has answered
 *   broken NO_SWEEP offline_noticed: nobody sweeps `online`
 *   broken KEEP_TTL assert: a worker that is brought back keeps the TTL of its registration
 *   broken KEEP_OFFLINE removal_noticed: nobody sweeps `offline`
 *   broken NEVER_REGISTER comes_back: a worker that is told 404 goes on with heartbeats
 */
#define TIMEOUT 2 /* ticks */
#define REMOVAL 2
#define REVIVE 2
#define LONG_AGO -(REMOVAL + REVIVE)
#define DEATHS 2

mtype = { NONE, LIVE, SILENT };    /* what the ledger says, and what is heard */
mtype = { GONE, KEPT, ENDING };    /* the registration: KEPT has no TTL */
mtype = { TAKEN, UNKNOWN, LOST };  /* what a worker hears of its request */

short online, hash;                /* ticks until the keys end; 0: they are gone */
mtype registration = GONE;
short registration_left;
mtype ledger = NONE, heard = NONE;
bool in_online, in_offline;
short online_at, offline_at;       /* ticks until the moment in the index */
byte deaths;
bool steady;                       /* from now on the worker beats, and does nothing else */
bool untold;                       /* TELL_AFTER: an event that is still to be written */

/* The online key, or the hash, has ended, and the ledger does not say so yet. */
#define is_silent (ledger == LIVE && online == 0)
#define is_over (ledger == SILENT && hash == 0)

#define set_online(ticks, noted) online = ticks; hash = ticks + REMOVAL; in_online = true; in_offline = false; \
    online_at = noted; ledger = LIVE
#define set_offline(at) online = 0; in_online = false; in_offline = true; offline_at = at; ledger = SILENT

inline check()
{
    assert(untold || heard == ledger);
    assert(in_online == (ledger == LIVE) && in_offline == (ledger == SILENT));
    assert(!in_online || online == 0 || online_at <= online);
    assert((ledger == NONE) == (registration != KEPT));
}

inline tell_offline()
{
    assert(heard == LIVE && online == 0);
    heard = SILENT
}

inline tell_removed()
{
    assert(heard != NONE);
    heard = NONE
}

inline tell_online()
{
    assert(heard != LIVE);
    heard = LIVE
}

/* Takes it out of the fleet. keep_left: ticks until its registration ends. */
inline take_out(keep_left)
{
    if
    :: keep_left > 0 -> registration = ENDING; registration_left = keep_left
    :: else -> registration = GONE; registration_left = 0
    fi;
    online = 0; hash = 0; in_online = false; in_offline = false; ledger = NONE
}

/* What the TTL has removed, or what is due to be. */
inline archive()
{
    assert(hash == 0);
    if
    :: in_offline -> take_out(offline_at + REVIVE)
    :: else -> take_out(online_at + REMOVAL + REVIVE)
    fi
}

/* A heartbeat that reports the worker alive. */
inline beat()
{
    if
    :: hash > 0 && ledger != NONE ->
        if
        :: ledger == SILENT -> set_online(TIMEOUT, TIMEOUT); tell_online()
        :: ledger == LIVE ->
            online = TIMEOUT; hash = TIMEOUT + REMOVAL;
            if
            :: online_at = TIMEOUT
            :: skip                /* the index learns of it once in a while */
#ifdef INDEX_LATE
            :: online_at = TIMEOUT + 1
#endif
            fi
        fi;
        answer = TAKEN
    :: hash == 0 ->
        if
        :: ledger != NONE -> archive(); tell_removed()
        :: else
        fi;
        if
        :: registration == ENDING ->
#ifndef KEEP_TTL
            registration = KEPT; registration_left = 0;
#endif
            set_online(TIMEOUT, TIMEOUT); tell_online(); answer = TAKEN
        :: else -> answer = UNKNOWN
        fi
    fi;
    check()
}

/* A heartbeat that says "offline". */
inline beat_offline()
{
    if
    :: hash > 0 && ledger != NONE ->
        hash = TIMEOUT + REMOVAL;
        if
        :: ledger == LIVE -> set_offline(hash); heard = SILENT
        :: else -> set_offline(hash)
        fi;
        answer = TAKEN
    :: else -> answer = UNKNOWN    /* what is removed comes back with a status that counts, see beat() */
    fi;
    check()
}

inline register()
{
    if
    :: ledger != NONE && hash == 0 -> archive(); tell_removed()
    :: else
    fi;
    registration = KEPT; registration_left = 0;
    set_online(TIMEOUT, TIMEOUT);
    heard = LIVE; answer = TAKEN;
    check()
}

inline unregister()
{
    if
    :: ledger != NONE -> take_out(0); tell_removed()
    :: else -> take_out(0)
    fi;
    answer = TAKEN;
    check()
}

/* The worker, by whatever instance serves it: the script and its answer, or one of them, or neither. */
active proctype worker()
{
    mtype answer = TAKEN;
    do
#ifdef NEVER_REGISTER
    :: atomic { answer == UNKNOWN -> beat() }
#else
    :: atomic { answer == UNKNOWN -> register() }
#endif
    :: atomic { answer != UNKNOWN -> beat() }
    :: atomic { answer != UNKNOWN && !steady -> beat_offline() }
    :: atomic { !steady -> register() }
    :: atomic { !steady -> unregister() }
    :: atomic { answer != UNKNOWN && deaths < DEATHS -> beat(); deaths++; answer = LOST }
    :: atomic { deaths < DEATHS -> register(); deaths++; answer = LOST }
    :: atomic { deaths < DEATHS -> deaths++; answer = LOST }
    :: !steady -> steady = true
    :: !steady -> break            /* silent for good */
    od
}

/* Moves on a worker whose moment in `online` has come. */
inline sweep_online()
{
    if
#ifndef BELIEVE_INDEX
    :: online > 0 -> online_at = online          /* it has beaten since the index learned of it */
    :: online == 0 && hash > 0 -> set_offline(hash); tells = SILENT
#else
    :: hash > 0 -> assert(online == 0); set_offline(hash); tells = SILENT
#endif
    :: hash == 0 -> archive(); tells = NONE
    fi
}

inline tell_swept()
{
    if
    :: tells == SILENT -> tell_offline()
    :: tells == NONE -> tell_removed()
    :: else
    fi;
    tells = LIVE
}

/* The end of the script. */
inline end_sweep()
{
#ifdef TELL_AFTER
    untold = (tells != LIVE);
#else
    tell_swept();
#endif
    assert(!is_silent && !is_over);
    check()
}

/* An instance: it calls the script each second. It may die between any two steps, also when the script has run. */
active [3] proctype instance()
{
    mtype tells = LIVE; /* what the sweep is to tell; LIVE: nothing */
    do
#ifdef SWEEP_IN_TWO
    :: atomic { in_online && online_at <= 0 && online == 0 && hash > 0 };
       atomic { set_offline(hash); tells = SILENT; end_sweep() }
#elif !defined(NO_SWEEP)
    :: atomic { in_online && online_at <= 0 -> sweep_online(); end_sweep() }
#endif
#ifndef KEEP_OFFLINE
    :: atomic { in_offline && offline_at <= 0 -> archive(); tells = NONE; end_sweep() }
#endif
#ifdef TELL_AFTER
    :: atomic { untold && tells != LIVE -> tell_swept(); untold = false; check() }
#endif
    :: atomic { deaths < DEATHS -> deaths++; tells = LIVE; untold = false }
    od
}

#define pass(left, least) if :: left > least -> left-- :: else fi

active proctype time()
{
    do
    :: atomic {
        pass(online, 0); pass(hash, 0); pass(online_at, LONG_AGO); pass(offline_at, LONG_AGO);
        if
        :: registration == ENDING && registration_left <= 1 -> registration = GONE; registration_left = 0
        :: registration == ENDING && registration_left > 1 -> registration_left--
        :: else
        fi
    }
    od
}

ltl offline_noticed { [] (is_silent -> <> !is_silent) }
ltl removal_noticed { [] (is_over -> <> !is_over) }
ltl registration_ends { [] (registration == ENDING -> <> (registration != ENDING)) }
ltl comes_back { [] (steady -> <> (ledger == LIVE)) }
