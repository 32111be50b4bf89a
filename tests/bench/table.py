"""The bench's report as people read it, and as figures to compare with."""
import statistics

OTHERS_MAX = 0.05


class Table:
    """A line for each figure: what it is, what is to be reached, what it was
    when the last change landed."""

    def __init__(self, landed):
        self.landed, self.figures = landed.get("figures", {}), {}

    def row(self, text, value, unit="", limit=None, at_least=False, digits=3):
        self.figures[text] = value
        reached = ""
        if limit is not None:
            good = value >= limit if at_least else value <= limit
            reached = f"{'at least' if at_least else 'at most'} {limit:g}: {'yes' if good else 'NO'}"
        before = self.landed.get(text)
        was = f"{before:{14}.{digits}f}" if isinstance(before, (int, float)) else " " * 14
        print(f"  {text:62}{value:12.{digits}f} {unit:4}{reached:22}{was}")


def _show_series(table, title, series, name, chance):
    s = series["summary"]
    print(f"\n{title}")
    print(f"  {'':48}{'median':>9}{'least':>9}{'most':>9}{'wallets CPU':>13}   seconds")
    for case, runs in series["runs"].items():
        walls = [r["wall_s"] for r in runs]
        print(f"  {case}  {series['cases'][case]:45}{s['wall_s'][case]:9.3f}{min(walls):9.3f}{max(walls):9.3f}"
              f"{statistics.median(r['rpc_cpu_s'] for r in runs):13.2f}")
    table.row(f"{name}: p/e, primed open / raw key exchange", s["p/e"], limit=1.05)
    table.row(f"{name}: p/e on the same wallet times", s["p/e, same wallets"], limit=1.05)
    table.row(f"{name}: c/b, cold open / raw parallel set-up", s["c/b"], limit=None if chance else 1.05)
    table.row(f"{name}: c/b on the same wallet times", s["c/b, same wallets"], limit=1.05)
    table.row(f"{name}: g / (CPU of 12 raw set-ups / cores = {s['floor_g_s']:.1f} s)".split(" = ")[0] + ")", s["g/floor"],
              limit=None if chance else 1.05)
    table.row(f"{name}: g / (CPU its own wallets took / cores)", s["g/floor, own CPU"], limit=1.05)
    table.row(f"{name}: a/p, script call by call / primed open", s["a/p"], limit=4, at_least=True)
    print("  not in a main call, ms: " + ", ".join(f"{case} {ms:.1f}" for case, ms in s["overhead_ms"].items()))


def _show_own_cost(table, report):
    print("\nOwn cost of an escrow, the tending, probing and verifying not counted")
    for case, (own, workers) in report["cpu_ms"].items():
        print(f"  CPU in {case}: msigd {own:.1f} ms, its worker {workers:.1f} ms")
        table.row(f"CPU of msigd and worker in {case}", own + workers, "ms", 15, digits=1)
    dirty, private = report["worker_kib"]
    table.row("worker in mid-setup, Private_Dirty", dirty, "KiB", 2048, digits=0)
    for kind, (count, ms, busy) in report["locks"].items():
        print(f"  waited {ms:.0f} ms in all for {count} locks of kind {kind}; {busy} tries found one busy")
    if report["others_share"] > OTHERS_MAX:
        print(f"  Other processes had {report['others_share'] * 100:.0f} % of the CPU: do it again when the machine is idle.")


def _show_sessions(table, s):
    print("\nA request to the three wallets of a Ready escrow")
    print(f"  raw calls {s['raw_ms']:.2f} ms, warm session {s['warm_ms']:.2f} ms, one that must open first {s['cold_ms']:.0f} ms")
    table.row("warm session / raw calls", s["warm_ms"] / s["raw_ms"], limit=1.5)
    table.row("warm session more than raw calls", s["warm_ms"] - s["raw_ms"], "ms", 5)
    table.row("opened first / warm session", s["cold_ms"] / s["warm_ms"], digits=0)


def _show_recovery(table, r):
    alone, killed, msigd = r["worker"]["alone"], r["worker"]["killed"], r["msigd"]
    count = msigd["escrows"]
    print("\nAn escrow whose worker is killed in the second exchange, real wallet-rpcs, every RSA key at its fixed cost")
    print(f"  open to Ready: left alone {alone['wall_s']:.3f} s, with {alone['rpc_cpu_s']:.2f} s of CPU in the wallet-rpcs; "
          f"killed {killed['wall_s']:.3f} s")
    print(f"  SIGKILL to Ready: {killed['after_s']:.3f} s, with {killed['rpc_cpu_s']:.2f} s of CPU in the wallet-rpcs; "
          f"{killed['lost']:.0f} of 3 answers were lost")
    table.row("worker killed: SIGKILL to Ready / open to Ready left alone", killed["after_s"] / alone["wall_s"])
    table.row("worker killed: open to Ready / open to Ready left alone", killed["wall_s"] / alone["wall_s"])
    print(f"\nmsigd killed with {count} escrows in their first exchange, on {count * 3} endpoints of a stand-in; every answer was lost")
    print(f"  from its start: {msigd['first_s']:.2f} s until the first is taken up by a worker, {msigd['resumed_s']:.2f} s until all have "
          "their endpoints")
    print(f"  up to {msigd['workers_at_once']:.0f} workers at once, {msigd['restored']:.0f} wallets restored; CPU for each escrow: "
          f"msigd {msigd['msigd_cpu_ms']:.2f} ms, worker {msigd['workers_cpu_ms']:.2f} ms, probing {msigd['probing_cpu_ms']:.2f} ms")
    table.row(f"start of msigd to all {count} taken up by workers", msigd["taken_up_s"], "s", digits=2)
    table.row(f"start of msigd to all {count} Ready", msigd["ready_s"], "s", digits=2)
    if msigd["dirty_kib"]:
        table.row(f"msigd, Private_Dirty, when these {count} are Ready", msigd["dirty_kib"] / 1024, "MiB", digits=1)


def _show_traces(table, t):
    off, on, crowd = t["one"]["off"], t["one"]["on"], t["crowd"]
    print("\nAn escrow with a trace beside one without, real wallet-rpcs, every RSA key at its fixed cost")
    print(f"  open to Ready: without {off['wall_s']:.3f} s, with {on['wall_s']:.3f} s; not in a main call {off['overhead_s'] * 1000:.1f} ms "
          f"and {on['overhead_s'] * 1000:.1f} ms; CPU of msigd and worker {off['cpu_ms']:.1f} ms and {on['cpu_ms']:.1f} ms")
    print(f"  files: without {off['files']:.0f}, with {on['files']:.0f}, of {on['bytes'] / 1024:.0f} KiB")
    table.row("trace: CPU that it takes / time of the escrow", (on["cpu_ms"] - off["cpu_ms"]) / 10 / on["wall_s"], "%", 1, digits=2)
    table.row("trace: open to Ready on the same wallet times, with / without",
              on["wall_s"] / (on["wall_s"] - on["overhead_s"] + off["overhead_s"]))
    print(f"  {crowd['escrows']} at once on a stand-in: msigd has {crowd['kib'][0] / 1024:.1f} MiB without, {crowd['kib'][1] / 1024:.1f} MiB with; "
          f"CPU for each {crowd['cpu_ms'][0]:.1f} ms and {crowd['cpu_ms'][1]:.1f} ms")
    table.row("trace: memory of msigd for each escrow at work", crowd["kib_each"], "KiB", 50, digits=1)
    table.row("trace: more CPU for an escrow, wallets that answer at once", crowd["more_cpu_ms"], "ms", digits=2)


def _show_crowd(table, c):
    quick, slow, status = c["quick"], c["slow_fsync"], c["status"]
    print(f"\nOn a stand-in that answers at once, {c['endpoints']} endpoints, a worker executed for each escrow")
    for name, runs in (("", quick), ("8 ms more an fsync: ", slow)):
        r = runs["most"]
        print(f"  {name}{r['escrows']} escrows in {r['wall_s']:.1f} s: {r['per_s']:.0f} a second; CPU for each: "
              f"msigd {r['msigd_cpu_ms']:.2f} ms, worker {r['workers_cpu_ms']:.2f} ms")
    table.row("escrows a second", quick["most"]["per_s"], "1/s", 120, at_least=True, digits=1)
    table.row("escrows a second, 8 ms more an fsync", slow["most"]["per_s"], "1/s", 60, at_least=True, digits=1)
    young, old = ([r["msigd_cpu_ms"] + r["workers_cpu_ms"] for r in runs] for runs in zip(*quick["pairs"]))
    print(f"  CPU for each of a hundred on a new store {statistics.median(young):.2f} ms, on that of {quick['most']['escrows']} {statistics.median(old):.2f} ms")
    table.row("CPU for an escrow, a large store / a new one", statistics.median(b / a for a, b in zip(young, old)), limit=1.1)
    if quick["most"]["private_kib"]:
        table.row(f"msigd, private, {quick['most']['escrows']} escrows in its store", quick["most"]["private_kib"][1] / 1024,
                  "MiB", 12, digits=1)
    print(f"  {status['answers']} answers while up to {status['workers_at_once']} workers were at work: median "
          f"{status['median_ms']:.2f} ms, most {status['most_ms']:.1f} ms")
    table.row("status answered meanwhile, p99", status["p99_ms"], "ms", 15, digits=2)


def show(report, landed):
    """Prints it; returns {what: value}."""
    where, table = report["machine"], Table(landed)
    print(f"{where['cores']} cores, {where['cpu']}, Linux {where['kernel']}; {where['monero']}; {where['msigd']}; "
          f"load at start {where['load_at_start']:.2f}; medians of {report['runs']}")
    if landed:
        print(f"The last column is what it was when the last change landed: {landed['machine']['at']}, {landed['machine']['cpu']}, "
              f"{landed['machine']['cores']} cores")
    titles = {"real": "Real RSA-4096 keys: create_wallet takes 0.4 to 5 s, as chance will have it",
              "fixed": f"The chance taken out: every RSA key costs {report.get('rsa_s', 0):.3f} s, the median here"}
    for name, title in titles.items():
        if name in report:
            _show_series(table, title, {**report[name], "cases": report["cases"]}, name, name == "real")
    if "cpu_ms" in report:
        _show_own_cost(table, report)
    if "sessions" in report:
        _show_sessions(table, report["sessions"])
    if "recovery" in report:
        _show_recovery(table, report["recovery"])
    if "traces" in report:
        _show_traces(table, report["traces"])
    if "crowd" in report:
        _show_crowd(table, report["crowd"])
    return table.figures
