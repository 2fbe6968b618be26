/* The life of an execution: what PostgreSQL holds, and what workers do to it.
 *
 * Each `atomic` is one transaction of one SQL function (models/functions/); everything between two of
 * them can take as long as it likes, which is what a paused, cut off or slow worker is. A worker can
 * die anywhere between two transactions and comes back knowing nothing; one can freeze for ever. The
 * answer to a COMMIT can be lost, whether or not it went through. Leases have no clock: one runs out
 * at any moment at which nobody renews it, so no proof rests on how long anything takes.
 *
 * Left out: what never touches the row (Redis, hints), when a pending execution is due (any time will
 * do), and numbers of versions (one lock a document, tested on the real database).
 *
 * The switches at the top each take one guarantee away; docs/model/check shows that it is missed.
 */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef EXECUTIONS
#define EXECUTIONS 1
#endif
#ifndef MAX_ATTEMPTS        /* bounds failures: agent_executions.max_attempts */
#define MAX_ATTEMPTS 2
#endif
#ifndef RELEASES            /* drains and snoozes in all: deploys end some day */
#define RELEASES 1
#endif
#ifndef LOST_ANSWERS        /* transactions whose answer is lost, in all: outages end some day */
#define LOST_ANSWERS 2
#endif
#ifndef BEATS               /* heartbeats an attempt lives through: an agent has a time limit */
#define BEATS 2
#endif
#ifndef FROZEN              /* workers that stop for ever without dying */
#define FROZEN 1
#endif

/* A worker's name is its own. ONE_NAME gives all of them the same, so that the attempt is the only
 * fence there is; only repeating a claim rests on the name, and is left out then. */
#ifdef ONE_NAME
#define NAME(w) 1
#else
#define NAME(w) (w + 1)
#endif
#if defined(ONE_NAME) && !defined(CLAIM_OF_ANYBODY)
#define OPENED(e, w) false
#else
#define OPENED(e, w) (row[e].status == RUNNING && row[e].worker == w)
#endif

/* The row's states. */
#define PENDING   0
#define RUNNING   1
#define COMPLETED 2
#define FAILED    3
#define CANCELLED 4
#define FINAL(s)  (s >= COMPLETED)

/* What an attempt came to, and so the move that records it. */
#define NOTHING   0
#define COMPLETE  1
#define RETRY     2
#define FAIL      3
#define RELEASE   4
#define CANCEL    5

typedef Row {
	byte status;
	byte attempt;
	byte failures;
	byte worker;                /* 0 until the first claim */
	bool lease;                 /* not run out yet; only running rows have one */
	bool cancel;                /* cancel_requested_at */
	byte versions;              /* rows in document_versions, and the attempt in the last one */
	byte version_attempt;
	/* What no column tells, for the properties: */
	byte author;                /* the attempt whose draft the version really is */
	byte counted;               /* attempts that failed or were rescued */
	byte started;               /* bit a: attempt a runs, or has run */
	byte ended;                 /* bit a: attempt a was ended by its own worker: its event */
	byte files;                 /* bit a: the export file of attempt a is on disk */
};

Row row[EXECUTIONS];
byte releases = RELEASES;
byte lost_answers = LOST_ANSWERS;
byte frozen = FROZEN;

/* The row as it was when somebody last looked. */
byte was_status[EXECUTIONS];
byte was_attempt[EXECUTIONS];

/* ---- what has to hold after every transaction ---- */

inline look(e) {
	/* Final is final, and attempts only go up. */
	assert(!FINAL(was_status[e]) || row[e].status == was_status[e]);
	assert(!FINAL(was_status[e]) || row[e].attempt == was_attempt[e]);
	assert(row[e].attempt >= was_attempt[e]);
	/* One version of a completed execution, none of any other. */
	assert(row[e].versions == (row[e].status == COMPLETED -> 1 : 0));
	/* It is the draft of the attempt that won, and says so. */
	assert(row[e].versions == 0 || row[e].author == row[e].attempt);
	assert(row[e].versions == 0 || row[e].version_attempt == row[e].attempt);
	/* The file it speaks of is there. */
	assert(row[e].status != COMPLETED || (row[e].files >> row[e].attempt) & 1);
	/* Releases are not failures; no attempt fails twice; attempts are bounded all the same. */
	assert(row[e].failures == row[e].counted);
	assert(row[e].failures <= row[e].attempt && row[e].failures <= MAX_ATTEMPTS);
	assert(row[e].attempt <= MAX_ATTEMPTS + RELEASES);
	/* What somebody asked to cancel does not wait for another attempt. */
	assert(row[e].status != PENDING || !row[e].cancel);
	was_status[e] = row[e].status;
	was_attempt[e] = row[e].attempt;
}

/* ---- the moves, as the SQL functions make them ---- */

/* A move is accepted (yes) where the attempt is mine, and where it repeats what I have done. */

#ifdef NO_FENCE             /* without `r.attempt = e.attempt`; ONE_NAME takes the other half away */
#define MINE(e, a, w) (row[e].status == RUNNING && row[e].worker == w)
#else
#define MINE(e, a, w) (row[e].status == RUNNING && row[e].attempt == a && row[e].worker == w)
#endif

inline claim(e, w, again, a) {      /* a: the attempt that is now mine, 0 where it is not */
	if
	:: again && OPENED(e, w) ->
		row[e].lease = true;        /* the first one opened it, and its answer was lost */
		a = row[e].attempt
#ifdef CLAIM_UNCHECKED      /* claim_executions without `e.status = 'pending'` */
	:: !(again && OPENED(e, w)) ->
#else
	:: row[e].status == PENDING ->
#endif
		row[e].status = RUNNING;
		row[e].attempt++;
		row[e].worker = w;
		row[e].lease = true;
		a = row[e].attempt;
		printf("claim: attempt %d is worker %d's\n", a, w);
		look(e)
#ifndef CLAIM_UNCHECKED
	:: else -> a = 0
#endif
	fi
}

inline extend(e, a, w, gone) {
	gone = !MINE(e, a, w);
	if
	:: !gone -> row[e].lease = true
	:: else
	fi
}

inline ended_by_itself(e) {
	row[e].ended = row[e].ended | (1 << row[e].attempt)
}

inline repeated(e, a, yes) {        /* find_repeats; complete_executions looks at the row itself */
#ifdef REPEAT_REFUSED       /* nothing is written twice, but the answer to a repeat is "not yours" */
	yes = false
#else
	yes = (row[e].ended >> a) & 1
#endif
}

inline leave(e, s) {
	row[e].status = s;
	row[e].lease = false
}

inline give_back(e) {
#ifdef CANCEL_FORGOTTEN     /* release_executions and rescue_executions without a look at the flag */
	leave(e, PENDING)
#else
	leave(e, (row[e].cancel -> CANCELLED : PENDING))
#endif
}

inline count_failure(e) {
	row[e].failures++;
	row[e].counted++
}

inline file_version(e, a) {
	row[e].versions++;
	row[e].version_attempt = row[e].attempt;
	row[e].author = a
}

inline complete(e, a, w, yes) {
#ifdef NO_REPEAT_CHECK      /* a repeat is neither recognised nor stopped by the unique key */
	yes = (row[e].attempt == a && row[e].worker == w
		&& (row[e].status == RUNNING || row[e].status == COMPLETED));
#else
	yes = MINE(e, a, w);
#endif
	if
	:: yes ->
		printf("complete: by attempt %d of worker %d\n", a, w);
		file_version(e, a);
		ended_by_itself(e);
		leave(e, COMPLETED);
		look(e)
	:: else ->
		repeated(e, a, yes)
	fi
}

inline fail(e, a, w, final, yes) {
	yes = MINE(e, a, w);
	if
	:: yes ->
		printf("fail: by attempt %d of worker %d\n", a, w);
		count_failure(e);
		ended_by_itself(e);
		if
		:: final || row[e].failures >= MAX_ATTEMPTS -> leave(e, FAILED)
		:: else -> leave(e, (row[e].cancel -> CANCELLED : PENDING))
		fi;
		look(e)
	:: else -> repeated(e, a, yes)
	fi
}

inline release(e, a, w, yes) {
	yes = MINE(e, a, w);
	if
	:: yes ->
		printf("release: by attempt %d of worker %d\n", a, w);
#ifdef RELEASE_COUNTS       /* release_executions with `failures + 1` */
		row[e].failures++;
#endif
		ended_by_itself(e);
		give_back(e);
		look(e)
	:: else -> repeated(e, a, yes)
	fi
}

inline cancel_attempt(e, a, w, yes) {
	yes = MINE(e, a, w);
	if
	:: yes ->
		printf("cancelled: by attempt %d of worker %d\n", a, w);
		ended_by_itself(e);
		leave(e, CANCELLED);
		look(e)
	:: else -> repeated(e, a, yes)
	fi
}

inline rescue(e) {
#ifdef RESCUE_UNCHECKED     /* rescue_executions that trusts what find_expired saw */
	if
	:: true ->
#else
	if
	:: row[e].status != RUNNING || row[e].lease -> skip
	:: else ->
#endif
#ifdef RESCUE_UNCOUNTED     /* rescue_executions without `failures + 1` */
		skip;
#else
		count_failure(e);
#endif
		printf("rescue: from attempt %d\n", row[e].attempt);
		if
		:: !row[e].cancel && row[e].failures >= MAX_ATTEMPTS -> leave(e, FAILED)
		:: else -> give_back(e)
		fi;
		look(e)
	fi
}

inline request_cancel(e) {
	printf("cancel: asked for\n");
	if
#ifdef CANCEL_UNCHECKED     /* cancel_executions without `e.status IN ('pending', 'running')` */
	:: row[e].status != RUNNING ->
#else
	:: row[e].status == PENDING ->
#endif
		row[e].cancel = true;
		leave(e, CANCELLED);
		look(e)
	:: row[e].status == RUNNING ->
		row[e].cancel = true;
		look(e)
	:: else
	fi
}

/* ---- who makes them ---- */

/* One slot of a worker: claim, run the agent under a heartbeat, record what it came to. */
proctype Worker(byte me) {
	byte e, mine, beats;                /* mine: the attempt this worker holds */
	byte outcome;
	bool again, lost;                   /* again: a claim was not answered; lost: a heartbeat said so */
	bool answered, accepted, done;      /* done: the move went through, whatever I was told */

end_idle:
	if                                  /* a hint, or find_due: what it saw may have changed since */
	:: row[0].status == PENDING
#if EXECUTIONS > 1
	:: row[1].status == PENDING -> e = 1
#endif
	fi;

	do                                  /* worker/claimer.py: again until answered, or given up */
	:: atomic {
		claim(e, NAME(me), again, mine);
		if
		:: mine == 0 -> goto over
		:: mine ->
			again = false;
			assert(!((row[e].started >> mine) & 1));        /* no attempt runs twice */
			row[e].started = row[e].started | (1 << mine);
			break
		:: lost_answers ->
			printf("... its answer is lost\n");
			lost_answers--; mine = 0; again = true
		fi }
	:: atomic { lost_answers -> lost_answers--; again = true }      /* rolled back, not known */
	:: atomic { again -> goto over }                                /* given up, or killed */
	od;

	do                                  /* the agent runs; no transaction is open */
	:: atomic { beats < BEATS ->
		beats++;
		extend(e, mine, NAME(me), lost);
		if
		:: lost -> goto over            /* "no longer yours": nothing is recorded */
		:: !lost && row[e].cancel -> outcome = CANCEL; break
		:: !lost                        /* also with a cancellation: the agent may ignore it */
		fi }
	:: atomic { true ->
		if
		:: outcome = COMPLETE;
			row[e].files = row[e].files | (1 << mine)               /* the file before its row */
		:: outcome = RETRY
		:: outcome = FAIL
		:: outcome = CANCEL
		:: releases -> releases--; outcome = RELEASE
		fi;
		break }
	:: atomic { true -> goto over }                                 /* killed */
	:: atomic { frozen -> frozen--; goto gone }
	od;

	do                                  /* worker/recording.py: again until answered, or lost */
	:: atomic { true ->
		done = (done || MINE(e, mine, NAME(me)));
		if
		:: outcome == COMPLETE -> complete(e, mine, NAME(me), accepted)
		:: outcome == RETRY    -> fail(e, mine, NAME(me), false, accepted)
		:: outcome == FAIL     -> fail(e, mine, NAME(me), true, accepted)
		:: outcome == RELEASE  -> release(e, mine, NAME(me), accepted)
		:: outcome == CANCEL   -> cancel_attempt(e, mine, NAME(me), accepted)
		fi;
		if
		:: answered = true; break
		:: lost_answers ->
			printf("... its answer is lost\n");
			lost_answers--; accepted = false
		fi }
	:: atomic { lost_answers -> lost_answers-- }        /* rolled back, and nobody said so */
	:: atomic { beats < BEATS ->
		beats++;
		extend(e, mine, NAME(me), lost);
		if
		:: lost -> break
		:: !lost
		fi }
	:: atomic { true -> goto over }                                 /* killed */
	:: atomic { frozen -> frozen--; goto gone }
	od;

	atomic {
		/* What went through is not reported as thrown away, nor the other way round. */
		assert(!answered || accepted == done);
		if
#ifdef DISCARD_UNKNOWN      /* the file goes unless the completion is known to be recorded */
		:: outcome == COMPLETE && !accepted ->
#else
		:: outcome == COMPLETE && !accepted && answered ->
#endif
			row[e].files = row[e].files & ~(1 << mine);
			look(e)
		:: else
		fi;
over:                                   /* whatever it was, the next round knows nothing of it */
		e = 0; mine = 0; beats = 0; outcome = NOTHING; answered = false;
		again = false; lost = false; done = false; accepted = false;
		goto end_idle
	}

gone:
	atomic {
		e = 0; mine = 0; beats = 0; outcome = NOTHING; answered = false;
		again = false; lost = false; done = false; accepted = false
	}
end_frozen:
	false
}

/* Any worker's sweep: it looks, and then moves what still is as it looked. */
proctype Sweep() {
	byte e;
end:
	do
	:: atomic { row[0].status == RUNNING && !row[0].lease -> e = 0 };
		atomic { rescue(e) }
#if EXECUTIONS > 1
	:: atomic { row[1].status == RUNNING && !row[1].lease -> e = 1 };
		atomic { rescue(e) }
#endif
	od
}

/* The database's clock: a lease that nobody renews runs out. */
proctype Clock() {
end:
	do
	:: atomic { row[0].status == RUNNING && row[0].lease ->
		printf("the lease of attempt %d runs out\n", row[0].attempt);
		row[0].lease = false }
#if EXECUTIONS > 1
	:: atomic { row[1].status == RUNNING && row[1].lease -> row[1].lease = false }
#endif
	od
}

/* Somebody who may want an execution cancelled, at any moment, or not at all. */
proctype Caller(byte e) {
	if
	:: atomic { request_cancel(e) }
	:: true
	fi
}

init {
	byte i;
	atomic {
		for (i : 0 .. WORKERS - 1) { run Worker(i) }
		for (i : 0 .. EXECUTIONS - 1) { run Caller(i) }
		run Clock();
#ifndef NO_RESCUE
		run Sweep()
#endif
	}
}

#if EXECUTIONS > 1
#define ALL_ENDED (FINAL(row[0].status) && FINAL(row[1].status))
#else
#define ALL_ENDED FINAL(row[0].status)
#endif

#ifdef LIVE                 /* every accepted execution reaches a final state */
ltl ends { <> (ALL_ENDED) }
#endif
