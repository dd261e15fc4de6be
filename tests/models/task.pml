/*
 * One task, as lua/KEYS.md has it under "Tasks", with two workers that ask for it and three instances, each with one poll.
 *
 * What it assumes:
 *   - A script is one step, and Redis does not lose what a script has written.
 *   - An instance may die at any point, DEATHS times in all, and is started again. What it was about to say is lost, and its
 *     clients see that the connection is gone. What is published meanwhile is heard by nobody; any message may be lost on its
 *     way.
 *   - A worker asks for one task at a time, and asks anew where it got no answer. It may leave a poll at any time. TROUBLES times
 *     in all a worker falls silent for a while, or dies; it may also leave for good.
 *   - Time passes in ticks, no sooner than an answer that can come has come. In each, the workers beat that are not silent, and
 *     name what they work on; a lease runs out whose worker is silent.
 *
 * What must hold:
 *   - At most one worker holds the task, by the last lease that was given. One lease completes it, and who holds that one is told
 *     so as often as it asks; nobody else is.
 *   - It is taken from a worker that is silent, that has started anew, or that does not name it; from no other.
 *   - It is not left queued while a poll waits (is_served), and nobody keeps it for ever (comes_back).
 *   - Where a worker stays, it is completed (is_done).
 *
 * Changed rules, and the property that must be seen to break (see run.sh):
 *   broken PARK_LATER is_served: an ask looks in one step and is parked in the next one; and nobody looks after parked polls
 *   broken NO_LOOK is_served: nobody looks after parked polls
 *   broken ANY_LEASE assert: a result counts whatever lease it names
 *   broken GIVE_ANY_BACK assert: what a poll was given in vain goes back whatever lease it names
 *   broken EARLY assert: a lease runs out although its worker beats
 *   broken NO_TAKE_BACK comes_back: what a worker does not name in its heartbeats stays with it
 *   broken NO_SWEEP comes_back: nobody sweeps
 *   broken NO_SECOND_WAKE is_done: a thread that is woken for a poll that is over says nothing, and nobody looks after polls
 */
#define INSTANCES 3
#define DEATHS 1
#define TROUBLES 1

mtype = { NEW, QUEUED, LEASED, DONE };          /* the task */
mtype = { NO, CALL, LOOKED, PARKED, GIVEN };    /* the poll of an instance: CALL: its script has not run */
mtype = { FREE, WAITS, WORKS, SILENT, LEFT };   /* a worker */

mtype task = NEW;
bit holder;
bool ran_out;                                   /* the lease: its worker has not beaten */

mtype poll[INSTANCES] = NO;
bool down[INSTANCES], is_parked[INSTANCES];     /* is_parked: in Redis */
bool message[INSTANCES], woken[INSTANCES], left[INSTANCES]; /* left: the client has gone */
bit owner[INSTANCES];
bool newest_given[INSTANCES];                   /* what the poll was given is the last lease of the task */

mtype worker[2] = FREE;
byte at[2];
bool newest[2];                                 /* what the worker works on is the last lease of the task */
bool late[2], late_newest[2]; /* late: a result of an earlier start of the worker is on its way */
byte deaths, troubles;

#define is_coming(which) (poll[which] == GIVEN && !left[which] && !down[which])
#define is_free(i) (poll[i] == NO && !down[i])
#define waits_here(i) (poll[i] == PARKED && !down[i] && !left[i])
#define somebody_waits (waits_here(0) || waits_here(1) || waits_here(2))
#define somebody_stays (worker[0] != LEFT || worker[1] != LEFT)

/* Tells the first poll that waits, unless its instance is down: then the next one. */
inline wake()
{
    i = 0;
    do
    :: i < INSTANCES && is_parked[i] && !down[i] ->
        is_parked[i] = false;
        if :: message[i] = true :: skip fi;     /* it may be lost */
        break
    :: i < INSTANCES && is_parked[i] && down[i] -> is_parked[i] = false; i++
    :: i < INSTANCES && !is_parked[i] -> i++
    :: i == INSTANCES -> break
    od;
    i = 0
}

inline queue_again()
{
    task = QUEUED; ran_out = false; wake()
}

inline give(which)
{
    task = LEASED; holder = owner[which];
    newest[0] = false; newest[1] = false; late_newest[0] = false; late_newest[1] = false;
    newest_given[0] = false; newest_given[1] = false; newest_given[2] = false;
    newest_given[which] = true
}

/* A result of worker `who`. is_newest: whether it names the last lease. */
inline complete(who, is_newest)
{
    if
#ifdef ANY_LEASE
    :: task == LEASED && holder == who -> assert(is_newest); task = DONE
#else
    :: task == LEASED && holder == who && is_newest -> task = DONE
#endif
    :: task == DONE && is_newest -> assert(holder == who)
    :: else                                     /* it has lost it */
    fi
}

proctype instance(byte me)
{
    byte i;
end:
    do
    /* the script of an ask */
    :: atomic { poll[me] == CALL && !down[me] ->
        is_parked[me] = false;
        if
        :: task == QUEUED -> give(me); poll[me] = GIVEN
        :: task != QUEUED && !left[me] ->
#ifdef PARK_LATER
            poll[me] = LOOKED
#else
            is_parked[me] = true; poll[me] = PARKED
#endif
        :: task != QUEUED && left[me] -> poll[me] = NO; left[me] = false; woken[me] = false
        fi
       }
#ifdef PARK_LATER
    :: atomic { poll[me] == LOOKED && !down[me] -> is_parked[me] = true; poll[me] = PARKED }
#endif
    :: atomic { poll[me] == PARKED && woken[me] && !down[me] -> woken[me] = false; poll[me] = CALL }
    /* its answer */
    :: atomic { is_coming(me) ->
        assert(worker[owner[me]] == WAITS && at[owner[me]] == me);
        worker[owner[me]] = WORKS; newest[owner[me]] = newest_given[me]; newest_given[me] = false;
        poll[me] = NO
       }
    :: atomic { poll[me] == GIVEN && left[me] && !down[me] ->
        if
#ifdef GIVE_ANY_BACK
        :: task == LEASED && holder == owner[me] -> assert(newest_given[me]); queue_again()
#else
        :: task == LEASED && holder == owner[me] && newest_given[me] -> queue_again()
#endif
        :: else
        fi;
        newest_given[me] = false; poll[me] = NO; left[me] = false
       }
    /* the client has left */
    :: atomic { poll[me] == PARKED && left[me] && !down[me] ->
        is_parked[me] = false; poll[me] = NO; left[me] = false; woken[me] = false }
    /* it is woken */
    :: atomic { message[me] && !down[me] ->
        message[me] = false;
        if
        :: poll[me] == PARKED && !left[me] -> poll[me] = CALL
        :: poll[me] == CALL || poll[me] == LOOKED -> woken[me] = true
        :: else ->
#ifndef NO_SECOND_WAKE
            if
            :: task == QUEUED -> wake()
            :: else
            fi
#endif
        fi
       }
    /* it dies */
    :: atomic { !down[me] && deaths < DEATHS ->
        deaths++; down[me] = true; message[me] = false; woken[me] = false; newest_given[me] = false;
        if
        :: poll[me] != NO && !left[me] -> poll[me] = NO; worker[owner[me]] = FREE
        :: else -> poll[me] = NO
        fi;
        left[me] = false
       }
    :: atomic { down[me] -> down[me] = false }
    od
}

#if !defined(NO_LOOK) && !defined(PARK_LATER) && !defined(NO_SECOND_WAKE)
#define LOOKS
#endif

/* What an instance does now and then: it looks after its polls, and sweeps. */
proctype house_keeping(byte me)
{
    byte i;
end:
    do
#ifdef LOOKS
    :: atomic { poll[me] == PARKED && !down[me] && !left[me] && task == QUEUED -> poll[me] = CALL }
#endif
#ifndef NO_SWEEP
#ifdef EARLY
    :: atomic { task == LEASED && !down[me] -> assert(ran_out); queue_again() }
#else
    :: atomic { task == LEASED && ran_out && !down[me] -> queue_again() }
#endif
#endif
    :: atomic { me == 0 && task == NEW -> queue_again() }
    od
}

proctype agent(bit me)
{
    byte i;
    do
    :: atomic { worker[me] == FREE && (is_free(0) || is_free(1) || is_free(2)) ->
        if                                      /* instances are alike: the first one that is free */
        :: is_free(0) -> at[me] = 0
        :: !is_free(0) && is_free(1) -> at[me] = 1
        :: !is_free(0) && !is_free(1) -> at[me] = 2
        fi;
        worker[me] = WAITS; poll[at[me]] = CALL; owner[at[me]] = me; left[at[me]] = false
       }
    :: atomic { worker[me] == WORKS -> complete(me, newest[me]); newest[me] = false; worker[me] = FREE }
    /* the answer is lost: it says it again */
    :: atomic { worker[me] == WORKS && deaths < DEATHS -> deaths++; complete(me, newest[me]) }
    :: atomic { worker[me] == WAITS && troubles < TROUBLES -> troubles++; left[at[me]] = true; worker[me] = FREE }
    :: atomic { worker[me] == WORKS && troubles < TROUBLES -> troubles++; worker[me] = SILENT }
    :: atomic { worker[me] == SILENT -> worker[me] = WORKS }
    /* it is started anew */
    :: atomic { worker[me] == WORKS && troubles < TROUBLES ->
        troubles++; late[me] = true; late_newest[me] = newest[me]; newest[me] = false; worker[me] = FREE;
        if
        :: task == LEASED && holder == me -> queue_again()
        :: else
        fi
       }
    :: atomic { late[me] -> late[me] = false; complete(me, late_newest[me]); late_newest[me] = false }
    :: atomic { worker[me] == WAITS && task == DONE -> left[at[me]] = true; worker[me] = LEFT; break }
    /* it leaves for good */
    :: atomic { worker[me] == FREE || worker[me] == WORKS || worker[me] == SILENT -> worker[me] = LEFT; newest[me] = false; break }
    od
}

proctype time()
{
    byte i;
end:
    do
    :: atomic { task == LEASED && !is_coming(0) && !is_coming(1) && !is_coming(2) ->
        if
        :: worker[holder] == SILENT || worker[holder] == LEFT -> ran_out = true
#ifndef NO_TAKE_BACK
        :: worker[holder] != SILENT && worker[holder] != LEFT && !newest[holder] -> queue_again()
#endif
        :: else -> ran_out = false
        fi
       }
    od
}

init {
    atomic {
        run instance(0); run instance(1); run instance(2);
        run house_keeping(0); run house_keeping(1); run house_keeping(2);
        run agent(0); run agent(1); run time()
    }
}

ltl is_served { [] ((task == QUEUED && somebody_waits) -> <> !(task == QUEUED && somebody_waits)) }
ltl comes_back { [] (task == LEASED -> <> (task != LEASED)) }
ltl is_done { <> (task == DONE || !somebody_stays) }
