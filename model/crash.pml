/*
 * The crash protocol as a model for spin: lease, intent, commit, ack, call, store,
 * result, commit, ack, and so on to publication; and going on after any process was
 * killed between any two of these, or an answer was lost. tests/scripts/check-model
 * lets spin try every order in which the processes can run.
 *
 * To read it with C in mind: `a -> b` is b once a is true, and waits until then. `if`
 * and `do` take any branch whose first statement can run, and wait when none can.
 * `atomic` lets nobody else run in between, unless a statement in it has to wait: there
 * others run, and there it can be killed. `c!x` sends, `c?x` receives. A sequence
 * `unless { x }` is left for good as soon as x is true: that is how a process dies.
 * Its variables are local, and gone with it; what is global is on disk, or the
 * kernel's, or on the way between two processes.
 *
 * "Stands for" names the code; check-model fails when it is not there any more.
 * LAW(n, ...) is number n of DESIGN.md's "What always holds". With each MISTAKE that is
 * defined one of them breaks.
 *
 * What is left out, and why it may be:
 * - Two of the three roles. They meet only where a round needs what all have said, and
 *   at the gate; `others` is how far the other two are, by what is committed.
 * - prepare_multisig: it writes nothing, and may be called again (MONERO.md). A wallet's
 *   state is the number of steps it has done: 1 create_wallet, 2 make_multisig, 3 and 4
 *   exchange_multisig_keys; then it is ready.
 * - Spare wallets and sessions; causes, pauses, strikes, further attempts: with so few
 *   faults an attempt has to end Ready.
 * - Endpoints elsewhere. A wallet-rpc that is killed is there again, with no wallet open.
 *
 * What it takes for granted: a wallet-rpc serves requests one by one in the order in
 * which they came, and goes on with one whose sender is gone (MONERO.md). The kernel
 * drops a lock when its holder dies. SQLite's commit is atomic and durable.
 */
#ifndef FAULTS
#define FAULTS 1                 /* so many things go wrong, or fewer */
#endif

#ifndef READY
#define READY 4
#endif

#define NONE 255
#define WORKERS (2 * FAULTS + 1) /* a fault ends two at most, when wallet-rpc dies with its msigd */
#define NAMES WORKERS            /* a worker gives its wallet one new name at most */
#define THEIRS NAMES             /* a wallet of another escrow */
#define ANOTHER 254              /* the generation of that escrow's worker */

/* The number is in what spin says when it finds the law broken. */
#define LAW(n, holds) assert(n == 0 || (holds))

/* --- what is on disk: the store ----------------------------------------------- */

/* Stands for: read_steps, read_keys in supervisor/store_recovery.c */
byte done;                  /* steps whose result is committed */
byte intent = NONE;         /* the step that is intended and has no result */
byte keys = NONE;           /* the state that the committed .keys holds */
byte wallet = NONE;         /* the wallet's name */
byte others;                /* as done, of the other two roles */
bool published;             /* the phase is Ready */

/* --- what is on disk: files in wallet-dir, by the wallet's name ----------------- */

byte keys_file[NAMES + 1] = NONE;    /* the state in it; NONE: no such file */
byte cache_file[NAMES + 1] = NONE;
bool stamp_in_cache[NAMES + 1];
byte names;                          /* given so far: names are random, none comes twice */

/* --- what the kernel has ----------------------------------------------------------- */

byte escrow_lock = NONE;    /* which worker holds it */
byte endpoint_lock = NONE;
byte supervisors;           /* started so far; only the last one lives */
byte workers;               /* started so far: the next one's generation */
byte parent[WORKERS];       /* which supervisor started it */
bool dead[WORKERS];         /* killed, or ended */
bool killed_rpc;

/* --- what is in memory of the supervisor, and what is on the way ------------------------ */

bool leased;                /* the endpoint, to this escrow */

mtype = {INTENT, CREATION, RESTORE, RESULT, RESULT_AND_INTENT, PUBLISH};
chan frames = [1] of {mtype, byte};       /* worker to supervisor: what, value */
byte acked = NONE;                        /* supervisor to worker: whose report */

mtype = {CREATE, CALL, STAMP, STORE, OPEN, CLOSE, LOOK};
/* worker to wallet-rpc: whose, method, which wallet is meant, and which step */
chan calls = [4] of {byte, mtype, byte, byte};
byte asking = NONE;                       /* the worker that waits for an answer */
chan answers = [1] of {bool, byte};       /* is it no error?, the wallet's state */
bool lost;                                /* its connection is */

/* --- monero-wallet-rpc ---------------------------------------------------------------- */

/* Who is not there any more gets none. */
inline answer(fine, value) {
	if
	:: asking == whose && !lost -> answers!fine, value
	:: asking != whose || lost
	fi;
	whose = 0; method = 0; name = 0; step = 0
}

/* What was open is stored when another is opened, even when that then fails. */
inline put_away() {
	if
	:: opened != NONE -> cache_file[opened] = memory; stamp_in_cache[opened] = stamped
	:: else
	fi
}

#define can_open(name) (keys_file[name] != NONE && \
    (cache_file[name] == NONE || cache_file[name] == keys_file[name]))

/* .keys is written by the call, the cache by store. Killed between the two it leaves
 * a torn wallet, which cannot be opened. With no cache at all it can, without stamp. */
proctype wallet_rpc() {
	byte whose, name, step;
	mtype method;
	byte opened = NONE;     /* the name of the wallet that is open, */
	byte memory;            /* its state, */
	bool stamped;           /* and whether it bears the stamp that was made for that name */

idle:	{
		do
		:: atomic {
				calls?whose, method, name, step ->
				if
				:: method == CREATE ->
					LAW(5, keys_file[name] == NONE);
					put_away();
					keys_file[name] = 1;
					goto create_cache
				:: method == CALL && opened != NONE ->
					LAW(3, opened == name && stamped);
					LAW(5, memory == step - 1);     /* not repeated on a wallet that has heard it */
					memory = step;
					keys_file[opened] = step;
					goto called
				:: method == STAMP && opened != NONE ->
					LAW(3, opened == name);
					stamped = true;
					answer(true, memory)
				:: method == STORE && opened != NONE ->
					put_away();
					answer(true, memory)
				:: (method == CALL || method == STAMP || method == STORE) && opened == NONE ->
					answer(false, 0)                /* -13: it was killed meanwhile */
				:: method == OPEN && can_open(name) ->
					put_away();
					opened = name;
					memory = keys_file[name];
					stamped = cache_file[name] != NONE && stamp_in_cache[name];
					answer(true, memory)
				:: method == OPEN && !can_open(name) ->
					put_away();
					answer(false, 0)
				:: method == CLOSE ->
					opened = NONE; memory = 0; stamped = false;
					answer(true, 0)
				:: method == LOOK -> answer(opened == name && stamped, memory)
				fi
			}
		od;
create_cache:	atomic {
			opened = name; memory = 1; stamped = false;
			cache_file[name] = 1;
			answer(true, 1);
			goto idle
		};
called:		atomic { answer(true, step); goto idle }
	} unless {
		atomic {
			killed_rpc -> killed_rpc = false;
			opened = NONE; memory = 0; stamped = false;
			do
			:: calls?_, _, _, _
			:: empty(calls) -> break
			od;
			if
			:: asking != NONE && empty(answers) -> lost = true
			:: asking == NONE || nempty(answers)
			fi;
			whose = 0; method = 0; name = 0; step = 0;
			goto idle
		}
	}
}

/* --- a worker ------------------------------------------------------------------------- */

/* What an orphan says, nobody hears.
 * Stands for: job_report in worker/job.c, on_ack in worker/main.c */
inline report(what, value) {
	if
	:: parent[g] == supervisors -> frames!what, value
	:: else
	fi;
	acked == g -> acked = NONE
}

/* Its last word is left out: the supervisor does the same when there is none.
 * Stands for: job_fail, job_end in worker/job.c */
inline fail_job() {
	dead[g] = true;
	false       /* goes on with what the kernel does, below */
}

/* When the answer does not come, the outcome is unknown: the job fails, and the next
 * worker looks. So does an error, but where the caller looks at `fine` himself.
 * Stands for: run_op, on_answer, fail_call in worker/wallet.c */
inline ask(method) {
	LAW(1, escrow_lock == g && endpoint_lock == g);
	atomic { asking = g; calls!g, method, name, step + 1 }
	if
	:: answers?fine, state -> asking = NONE
	:: lost -> lost = false; asking = NONE;
#ifdef MSIGD_MISTAKE_BLIND_REPEAT
		if
		:: method == CALL ->
			asking = g; calls!g, method, name, step + 1;
			answers?fine, state; asking = NONE
		:: else -> fail_job()
		fi
#else
		fail_job()
#endif
	fi
}

inline must(method) {
	ask(method);
	if
	:: fine
	:: !fine -> fail_job()
	fi
}

/* Stands for: wallet_new_name in worker/wallet.c */
inline new_name() {
	LAW(5, names < NAMES);
	name = names;
	names++
}

/* The wallet is open and ours, or can be opened and is.
 * Stands for: look_script, on_looked in worker/recovery.c */
inline look() {
	ask(LOOK);
#ifdef MISTAKE_NO_STAMP
	fine = state > 0;     /* whatever is open there is taken for ours */
#endif
	if
	:: fine
	:: !fine ->
		ask(OPEN);
		if
		:: fine -> ask(LOOK)
		:: !fine
		fi
	fi
}

/* Law 3: directly before the call.
 * Stands for: make_script, exchange_script in worker/steps.c, take_stamp in worker/wallet.c */
inline prove() {
#ifdef MISTAKE_NO_STAMP
	skip
#else
	must(LOOK)
#endif
}

/* One job: setup. What it knows is what the start frame said of the store then.
 * Stands for: job_take_locks in worker/job.c, setup_begin in worker/setup.c */
proctype worker(byte g; byte step; byte name; byte kept) {
	byte state;
	bool fine, intended;

	{
#ifdef MISTAKE_NO_LOCK
		atomic { escrow_lock = g; endpoint_lock = g }
#else
		atomic { escrow_lock == NONE -> escrow_lock = g }
		atomic { endpoint_lock == NONE -> endpoint_lock = g }
#endif
		/* Going on. Stands for: recovery_begin in worker/recovery.c */
		atomic {
			if
			:: step == 0 -> goto engine
			:: step > 0
			fi;
			look();
			if
			:: fine && state == step -> goto engine
			:: else
			fi;
			/* Stands for: intend_restore in worker/recovery.c */
#ifndef MSIGD_MISTAKE_RESTORE_OVER
			new_name();
#endif
			report(RESTORE, name)
		}
		/* Stands for: restore in worker/recovery.c, atomic_file_write in common/atomic_file.c */
		keys_file[name] = kept;
		/* Stands for: restore_script, on_restored in worker/recovery.c */
		atomic {
			ask(CLOSE);
			ask(OPEN);
			LAW(5, fine && state == step);
			must(STAMP);
			must(STORE);
			must(LOOK)
		}

		/* The round engine. Stands for: setup_go_on, run_step, end_round in worker/setup.c */
engine:		atomic {
			do
			:: step == READY -> break
			:: step < READY ->
				if
				:: intended     /* with the result before */
				:: !intended && step == 0 ->
					/* Stands for: create_intent in worker/report.c */
					new_name();
					report(CREATION, name)
				:: !intended && step > 0 ->
					others >= step;
					/* Stands for: intent_json in worker/report.c */
					report(INTENT, step + 1)
				fi;
				/* Persist, acknowledge, act. Stands for: setup_acked, begin_step in worker/setup.c */
				LAW(5, intent == step + 1 && wallet == name);
				if
				:: step == 0 ->
					/* Stands for: create_script in worker/steps.c */
					must(CREATE);
					must(STAMP)
				:: step > 0 ->
					prove();
					must(CALL)
				fi;
				must(STORE);
				/* Stands for: wallet_sealed_keys in worker/wallet_files.c, result_json in worker/report.c,
				 * on_step_done in worker/setup.c */
				intended = others > step && step > 0 && step + 1 < READY;
				if
				:: intended -> report(RESULT_AND_INTENT, keys_file[name])
				:: !intended -> report(RESULT, keys_file[name])
				fi;
				step++
			od;

			/* The gate. Stands for: gate_begin, on_proven, publish, gate_acked in worker/gate.c */
#ifndef MISTAKE_NO_GATE
			others == READY;
#endif
			must(LOOK);
			LAW(2, state == READY);
			report(PUBLISH, 0);
			/* Stands for: gate_close in worker/gate.c */
			must(CLOSE);
			fail_job()
		}
	} unless {
		/* What the kernel does. Stands for: on_channel_end, leave_process in worker/main.c */
		atomic {
			dead[g];
			if
			:: escrow_lock == g -> escrow_lock = NONE
			:: else
			fi;
			if
			:: endpoint_lock == g -> endpoint_lock = NONE
			:: else
			fi;
			if
			:: acked == g -> acked = NONE
			:: else
			fi;
			if
			:: asking == g ->
				asking = NONE; lost = false;
				do
				:: answers?_, _
				:: empty(answers) -> break
				od
			:: else
			fi;
			parent[g] = 0; step = 0; name = 0; kept = 0; state = 0; fine = false; intended = false
		}
	}
}

/* They process what this role has said in the step before. */
proctype the_others() {
	do
	:: atomic { others < READY && others <= done -> others++ }
	od
}

/* The endpoint is used by others, too: another escrow's worker, one that tends it, one of
 * another msigd. It opens a wallet of its own, and ends or is killed at any moment. */
proctype neighbour() {
	if
	:: true     /* or not */
	:: atomic { endpoint_lock == NONE -> endpoint_lock = ANOTHER; calls!ANOTHER, OPEN, THEIRS, 0 };
		endpoint_lock = NONE
	fi
}

/* --- the supervisor ----------------------------------------------------------------------- */

/* A frame is one transaction.
 * Stands for: setup_store_report, setup_store_publish in supervisor/setup_frames.c,
 *   add_intent, add_result in supervisor/store_journal.c, intend_again, intend_restore
 *   in supervisor/store_recovery.c, publish in supervisor/store_escrow.c */
inline commit() {
	if
	:: what == CREATION -> wallet = value; intent = 1
	:: what == INTENT ->
		assert(value == done + 1 && (intent == NONE || intent == value));
		intent = value
	:: what == RESTORE -> wallet = value; intent = NONE
	:: what == RESULT || what == RESULT_AND_INTENT ->
		LAW(5, intent == done + 1 && value == done + 1);
		done = value;
		keys = value;
		intent = (what == RESULT -> NONE : value + 1)
	:: what == PUBLISH ->
		LAW(2, !published);
		LAW(2, done == READY && keys == READY && others == READY);
		published = true
	fi
}

/* What follows from a write: the ack, or that the address is shown to whoever asks.
 * Stands for: acknowledge, done_report, done_publish in supervisor/setup_control.c,
 *   store_when_durable in supervisor/store.c */
inline follow() {
	LAW(2, what != PUBLISH || published);
	acked = (dead[last] -> NONE : last)
}

#define buried(g) (dead[g] && escrow_lock != g && endpoint_lock != g && asking != g)

/* The life of an attempt that is not terminal.
 * Stands for: setup_take_up, on_granted, done_start, on_message in supervisor/setup_control.c,
 *   setup_go_on, setup_on_gone in supervisor/setup_end.c, setup_journals in supervisor/setup_recovery.c */
proctype supervisor(byte self) {
	byte last, value;
	mtype what;

	{
		do
		:: published -> break
		:: !published ->
			atomic {
				leased = true;
				LAW(5, workers < WORKERS);
				last = workers;
				workers++;
				parent[last] = self;
				run worker(last, done, wallet, keys)
			};
			do
			:: frames?what, value ->
#ifdef MSIGD_MISTAKE_ACK_BEFORE_COMMIT
				atomic { follow() };
				atomic { commit(); what = 0; value = 0 }
#else
				atomic { commit() };
				atomic { follow(); what = 0; value = 0 }
#endif
			:: buried(last) -> break
			od;
			/* Stands for: setup_release_endpoints in supervisor/setup_control.c */
			atomic {
#ifndef MISTAKE_LEASE_STAYS
				leased = false;
#endif
				last = 0;
				do
				:: frames?_, _       /* it was not read any more */
				:: empty(frames) -> break
				od
			}
		od
	} unless { supervisors != self }
}

/* --- what goes wrong ---------------------------------------------------------------------- */

/* A worker sees some time after that its supervisor has gone, and ends.
 * Stands for: on_channel_end in worker/main.c */
proctype end_of_file(byte g) {
	dead[g] = true
}

/* Its memory is gone, and what was on the way to it; then it is started again. */
inline kill_supervisor() {
	supervisors++;
	leased = false;
	do
	:: frames?_, _
	:: empty(frames) -> break
	od;
	run supervisor(supervisors)
}

/* The last worker can be killed, or is left without supervisor: those before it are gone. */
#define a_worker (workers > 0 && !dead[workers - 1])
#define kill_worker() dead[workers - 1] = true
#define leave_worker() run end_of_file(workers - 1)

proctype faults() {
	byte left = FAULTS;

	do
	:: left == 0 -> break
	:: left > 0 -> left = 0     /* no more than there were */
	:: atomic { left > 0 -> left--;
			if
			:: a_worker -> kill_worker()
			:: killed_rpc = true
			:: !a_worker -> kill_supervisor()
			:: a_worker -> leave_worker(); kill_supervisor()
			:: asking != NONE && empty(answers) && !lost -> lost = true             /* an answer is lost */
#if FAULTS == 1     /* with two, these would be too many states */
			:: a_worker -> leave_worker(); kill_supervisor(); killed_rpc = true     /* a managed one dies with it */
			:: a_worker -> kill_worker(); kill_supervisor(); killed_rpc = true      /* the power is cut */
#endif
			fi
		}
	od
}

init {
	atomic {
		keys_file[THEIRS] = 1;
		cache_file[THEIRS] = 1;
		run wallet_rpc();
		run the_others();
#if FAULTS == 1
		run neighbour();
#endif
		run supervisor(0);
		run faults()
	}
	/* Law 5: when nothing can happen any more, it is Ready, and nothing is held or lost. */
	timeout ->
		LAW(5, published && !leased && escrow_lock == NONE && endpoint_lock == NONE);
		LAW(5, keys_file[wallet] == READY && cache_file[wallet] == READY && stamp_in_cache[wallet]);
		/* so that check-model sees that both happen */
		if
		:: wallet == 0 -> printf("Ready with the wallet that was created\n")
		:: wallet > 0 -> printf("Ready with a wallet that was restored\n")
		fi
}
