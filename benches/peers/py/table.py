"""The table: what was measured, beside what was aimed at. Targets are those for 10 million events."""

import statistics

MIB = 2**20
HEAD = ["what", "journeylog", "peer", "peer's", "ratio", "at least", "hoped for", "verdict"]
AT_LEAST = HEAD.index("at least")
# Questions with a target against one peer: what, question, {peer's question: (at least, hoped for)}.
QUESTIONS = [
    ("ordered funnel, 4 steps, 7 days", "funnel", "chdb", "funnel", 15, 30),
    ("ordered funnel (chdb without its WHERE)", "funnel", "chdb", "funnel_plain", None, None),
    ("ordered funnel (DuckDB by window functions over all rows)", "funnel", "duckdb", "funnel_windows_all", 150, 400),
    ("ordered funnel (DuckDB by window functions)", "funnel", "duckdb", "funnel_windows", None, None),
    ("ordered funnel (DuckDB by ASOF joins, its fastest)", "funnel", "duckdb", "funnel", None, None),
    ("ordered funnel (SQLite by window functions)", "funnel", "sqlite", "funnel_windows", None, None),
    ("transition matrix", "transitions", "chdb", "transitions", 15, 40),
    ("transition matrix", "transitions", "duckdb", "transitions", None, None),
    ("transition matrix", "transitions", "sqlite", "transitions", None, None),
    ("stages now", "stages", "chdb", "stages", None, None),
    ("stages now", "stages", "duckdb", "stages", None, None),
    ("stages now", "stages", "sqlite", "stages", None, None),
    ("funnel filtered on a property", "filtered", "chdb", "filtered", 8, 15),
    ("funnel filtered on a property", "filtered", "duckdb", "filtered", None, None),
    ("funnel filtered on a property", "filtered", "sqlite", "filtered", None, None),
    ("a funnel for each channel", "by_channel", "chdb", "by_channel", 8, 15),
    ("a funnel for each channel", "by_channel", "duckdb", "by_channel", None, None),
]
PEER = {"chdb": "chdb", "duckdb": "DuckDB", "sqlite": "SQLite"}
IN_NUMBERS = {"chdb_numbers": "chdb, in numbers", "duckdb_numbers": "DuckDB, in numbers"}


def time_text(seconds):
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"


def bytes_text(count):
    return f"{count / MIB:.3g} MiB" if count < 1000 * MIB else f"{count / MIB / 1024:.3g} GiB"


def in_turns(ones, others):
    """How many times more the one takes than the other, by what both took in each turn: the median of all turns."""
    both = zip(ones["turns"], others["turns"])
    return statistics.median(statistics.median(one) / statistics.median(other) for one, other in both if one and other)


def against(what, ours, peer, theirs, at_least=None, hoped=None, text=time_text, ratio=None):
    """A row that compares with a peer: the ratio says how many times less journeylog takes, if it is not given."""
    ratio = ratio or theirs / ours
    verdict = [] if at_least is None else [judged(ratio >= at_least, ratio >= hoped)]
    if ratio < 1:
        verdict.append("loses")
    aims = [f"{aim:g} x" if aim else "" for aim in (at_least, hoped)]
    return [what, text(ours), peer, text(theirs), f"{ratio:.3g} x", *aims, ", ".join(verdict)]


def alone(what, ours, at_least=None, hoped=None, text=time_text):
    """A row that stands alone: the figure must be at most so much."""
    verdict = "" if at_least is None else judged(ours <= at_least, ours <= hoped)
    aims = [f"at most {text(aim)}" if aim else "" for aim in (at_least, hoped)]
    return [what, text(ours), "", "", "", *aims, verdict]


def within(what, ours, other, its, at_least, hoped, ratio=None):
    """A row that compares journeylog with itself: the ratio, if it is not given, must be at most so much."""
    ratio = ratio or ours / its
    aims = [f"at most {aim:g} x" for aim in (at_least, hoped)]
    return [what, time_text(ours), other, time_text(its), f"{ratio:.3g} x", *aims,
            judged(ratio <= at_least, ratio <= hoped)]


def up_to_ten_million(figures, *aims):
    """Aims that are for so many events: what grows with their number."""
    return aims if figures["events"] <= 10_000_000 else ()


def judged(met, hoped):
    return "as hoped" if hoped else "met" if met else "MISSED"


def loading(figures):
    load, rows = figures["load"], []
    ours = load["journeylog"]
    aims = {"sqlite": (3, 8)}
    at_end = {"duckdb": (0.5, 1), "chdb": (None, None), "duckdb_numbers": (None, None)}
    how = {
        "sqlite": "SQLite, a transaction a batch",
        "duckdb": "DuckDB, appender and sort, unsafe until the end",
        "duckdb_batches": "DuckDB, appender committing each batch, and sort",
        "chdb": "chdb, one insert from a file",
        "duckdb_numbers": "DuckDB, in numbers, appender and sort, unsafe until the end",
        "chdb_numbers": "chdb, in numbers, one insert from a file",
    }
    for peer, text in how.items():
        if peer in load:
            rows.append(against("loading, batches of 1,000, each synced, to queryable", ours["load_s"], text,
                                load[peer]["load_s"], *aims.get(peer, (None, None))))
    for peer, aim in at_end.items():
        if peer in load and "journeylog_at_end" in load:
            rows.append(against("loading, batches of 1,000, synced at the end, to queryable",
                                load["journeylog_at_end"]["load_s"], how[peer], load[peer]["load_s"], *aim))
    for peer, text in how.items():
        if peer in load:
            settled = load[peer]["load_s"] + load[peer]["settle_s"]
            rows.append(against("loading and settling (seal, merge; checkpoint; one part)", ours["load_s"] + ours["settle_s"],
                                text, settled))
    rows.append(alone("of that, settling after the last append", ours["settle_s"]))
    rows.append(alone("slowest append of a batch", ours["slowest_append_s"]))
    rows.append(alone("making the event structs (in no row above)", ours["make_s"]))
    rows.append(alone("peak memory of loading", ours["peak_memory"], text=bytes_text))
    rows += [against("peak memory of loading", ours["peak_memory"], PEER[peer], load[peer]["peak_memory"],
                     text=bytes_text) for peer in PEER if peer in load]
    rows.append(alone("open, first after loading", ours["opens"][0], *up_to_ten_million(figures, 1, 0.2)))
    rows.append(alone("open, again", ours["opens"][1], *up_to_ten_million(figures, 1, 0.2)))
    rows += [against("open, again", ours["opens"][1], PEER[peer], load[peer]["opens"][1]) for peer in PEER
             if peer in load]
    return rows


def disk(figures):
    events, rows = figures["events"], []
    each = lambda count: f"{count / events:.3g} bytes an event"
    if bare := figures.get("bare"):
        stats = bare["stats"]
        rows.append(alone("disk without properties, log and index", stats["log_bytes"] + stats["index_bytes"],
                          40 * events, 15 * events, each))
        rows.append(alone("of that, log", stats["log_bytes"], text=each))
        rows.append(alone("of that, index", stats["index_bytes"], text=each))
        rows.append(alone("the same by the sizes of files", bare["disk"]["bytes"], text=each))
    if load := figures.get("load"):
        stats = load["journeylog"]["stats"]
        rows.append(alone("disk with a property, log", stats["log_bytes"], text=each))
        rows.append(alone("disk with a property, index", stats["index_bytes"], text=each))
        rows += [against("disk with a property, all files", load["journeylog"]["disk"]["bytes"], name,
                         load[peer]["disk"]["counts"], text=each)
                 for peer, name in {**PEER, **IN_NUMBERS}.items() if peer in load]
    return rows


def questions(figures):
    asked, rows = figures["questions"], []
    for what, question, peer, form, at_least, hoped in QUESTIONS:
        if peer in asked[form]:
            ours = asked[question]["journeylog"]
            # A slower form of a question is asked at another time.
            compare = lambda name, its, *aims: against(
                what, ours["median"], name, its["median"], *aims, ratio=in_turns(its, ours) if form == question else None)
            rows.append(compare(PEER[peer], asked[form][peer], at_least, hoped))
            numbers = f"{peer}_numbers"
            if numbers in asked[form]:
                rows.append(compare(IN_NUMBERS[numbers], asked[form][numbers]))
    three, alone = asked["three"]["journeylog"], asked["three"]["alone"]
    slowest = max(alone, key=lambda part: alone[part]["median"])
    rows.append(within("funnel, transitions and stages in one scan", three["median"], f"journeylog, {slowest} alone",
                       alone[slowest]["median"], 1.6, 1.2, in_turns(three, alone[slowest])))
    return rows


def look_ups(figures):
    found, rows = figures["look_ups"], []
    ours = found["journeylog"]
    what = "one customer's journey and stage by id"
    rows.append(alone(f"{what}, median", ours["median"], 100e-6, 10e-6))
    rows.append(alone(f"{what}, 99th percentile", ours["p99"]))
    rows += [against(f"{what}, median", ours["median"], PEER[peer], found[peer]["median"]) for peer in PEER
             if peer in found]
    return rows


def cold(figures):
    asked = figures["cold"]
    ours = asked["journeylog"]
    # Each cold one against its own warm ones.
    rows = [within("funnel, first question, cold", ours["ask"], "journeylog, warm", ours["warm"], 3, 1.5, ours["ratio"])]
    rows += [against("funnel, first question, cold", ours["ask"], f"{PEER[peer]}, cold", asked[peer]["ask"]) for peer in PEER
             if peer in asked]
    rows.append(alone("open, cold", ours["open"]))
    rows += [against("open, cold", ours["open"], f"{PEER[peer]}, cold", asked[peer]["open"]) for peer in PEER
             if peer in asked]
    return rows


def memory(figures):
    seen, rows = figures["memory"], []
    peak = lambda name: max(seen[name]["peaks_beyond_open"].values(), default=0)
    ours = seen["journeylog"]
    rows.append(alone("peak memory of a question beyond the open store", peak("journeylog"), 64 * MIB, 16 * MIB,
                      bytes_text))
    rows += [against("peak memory of a question", max(peak("journeylog"), 1), PEER[peer], peak(peer), text=bytes_text) for peer in PEER
             if peer in seen and seen[peer]["peaks_beyond_open"]]
    aims = up_to_ten_million(figures, 200 * MIB, 80 * MIB)
    rows.append(alone("resident memory of the open store", ours["open"], *aims, text=bytes_text))
    rows.append(alone("resident memory after all questions", ours["asked"], *aims, text=bytes_text))
    rows += [against("resident memory after all questions", ours["asked"], PEER[peer], seen[peer]["asked"], text=bytes_text)
             for peer in PEER if peer in seen]
    return rows


def appends(figures):
    timed, rows = figures["appends"], []
    one, many = timed["1"], timed["8"]
    rows.append(alone("a single append, synced, 1 thread", one["journeylog"]["median"]))
    rows.append(alone("a single append, synced, 8 threads, time per append", many["journeylog"]["median"]))
    if "sqlite" in one:
        def row(threads, ours, peer, its, *aims):
            what = f"single appends, synced, {threads}"
            return against(what, ours["median"], peer, its["median"], *aims, ratio=in_turns(its, ours))
        rows = [
            row("1 thread", one["journeylog"], "SQLite, 1 thread", one["sqlite"], 0.5, 1),
            row("8 threads", many["journeylog"], "SQLite, 1 thread", one["sqlite"], 3, 10),
            row("8 threads", many["journeylog"], "SQLite, 8 threads", many["sqlite"]),
        ]
    return rows


def growth(figures):
    """Time per event against that of the run of 10 million."""
    smaller, rows = figures["smaller"], []
    times = figures["events"] / smaller["events"]
    other = "journeylog, 10m, times 10"
    if "load" in figures:
        ours, its = (figures["load"][name]["load_s"] for name in ("journeylog", "smaller"))
        rows.append(within("loading", ours, f"{other}, loaded before and after", its * times, 1.3, 1.0))
    for question, by in figures.get("questions", {}).items():
        if question != "answers" and "smaller" in by:
            ours, its = by["journeylog"], by["smaller"]
            rows.append(within(question, ours["median"], f"{other}, asked in turns", its["median"] * times, 1.3, 1.0,
                               in_turns(ours, its) / times))
    return rows


PARTS = [
    ("Loading and opening", "load", loading),
    ("Warm questions", "questions", questions),
    ("One customer", "look_ups", look_ups),
    ("Cold questions", "cold", cold),
    ("Single appends", "appends", appends),
    ("Memory", "memory", memory),
    ("Growth: time per event against 10 million", "smaller", growth),
]


def markdown(figures):
    machine, versions = figures["machine"], figures["versions"]
    lines = [
        f"## {figures['events']:,} events of {figures['customers']:,} customers",
        "",
        f"`{figures['command']}`, {figures['threads']} threads, {machine['date']}",
        "",
        f"{machine['cores']} cores, {machine['cpu']}, {machine['memory_gib']} GiB, {machine['file_system']},"
        f" Linux {machine['kernel']}. " + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f". Built by {figures['build']}.",
        "",
    ]
    if "questions" in figures:
        lines += ["All engines gave equal answers to all questions.", ""]
    if "cold" in figures:
        lines += [f"Cold: {figures['cold']['journeylog']['how']}.", ""]
    lines += ["Times are medians. Ratio: the peer's figure divided by journeylog's, so that more is better and less than"
              " 1 is a loss; where an aim is \"at most\", journeylog's divided by the other, and less is better. Of what is"
              " done in turns, questions and single appends, and of a cold question against warm ones, it is the median of the"
              " ratios of all turns, for a machine's speed changes. Aims are those for 10m.", ""]
    sections = [(title, rows_of(figures)) for title, part, rows_of in PARTS if part in figures]
    sections.append(("Disk", disk(figures)))
    aims = [row for _, rows in sections for row in rows if row[AT_LEAST]]
    for title, rows in [("What is aimed at", aims), *sections]:
        if rows:
            lines += section(title, rows)
    return "\n".join(lines)


def section(title, rows):
    cells = [HEAD, ["---"] * len(HEAD), *rows]
    return [f"### {title}", "", *("| " + " | ".join(row) + " |" for row in cells), ""]
