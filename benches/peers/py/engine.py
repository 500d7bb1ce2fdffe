"""What the engines of Python have in common: they serve the driver as src/engine.rs says."""

import json
import sys
import time
from pathlib import Path

SQL = Path(__file__).parent.parent / "sql"
STAGES = ["start", "awareness", "consideration", "purchase", "retention", "advocacy"]
STAGE_OF = {
    **dict.fromkeys(["ad_click", "email_open", "home", "search"], "awareness"),
    **dict.fromkeys(["product_view", "add_to_cart", "checkout", "store_visit"], "consideration"),
    "purchase": "purchase",
    "renewal": "retention",
    "review": "advocacy",
}


def serve(engine):
    """Runs commands, one JSON object a line, until there are no more."""
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(engine, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)


def about(world):
    """What the numbers of a world mean."""
    return json.loads(Path(world).with_suffix(".json").read_text())


def customer_id(customer):
    """The id of src/world.rs."""
    return f"c-{customer:07}"


def timed(what):
    start = time.perf_counter()
    made = what()
    return time.perf_counter() - start, made


OF_STEPS = "touchpoint IN ('product_view', 'add_to_cart', 'checkout', 'purchase')"


def sql(name, only="", by_channel=False, rows=OF_STEPS):
    """The text of a question."""
    text = (SQL / name).read_text()
    parts = {
        "rows": rows,
        "and": only,
        "keys": "customer, channel" if by_channel else "customer",
        "by": "channel," if by_channel else "",
        "group": "GROUP BY channel" if by_channel else "",
    }
    for part, becomes in parts.items():
        text = text.replace("{" + part + "}", becomes)
    return text


def answer(question, rows):
    """Rows of a database as the answer that all engines give."""
    if question == "transitions":
        return {f"{STAGES[was]} > {STAGES[to]}": count for was, to, count in rows}
    if question == "stages":
        return {STAGES[stage]: count for stage, count in rows}
    if question == "by_channel":
        return {channel: list(steps) for channel, *steps in rows}
    return list(rows[0])


def looked_up(customers, journey):
    """Looks customers up one by one. `journey` gives (time, touchpoint, ...) in order; only it is timed."""
    seconds, answers = [], []
    for customer in customers:
        took, rows = timed(lambda: journey(customer))
        seconds.append(took)
        stages = [row[1] for row in rows if row[1] in STAGE_OF]
        stage = STAGE_OF[stages[-1]] if stages else None
        if stage == "purchase" and stages.count("purchase") > 1:
            stage = "retention"
        answers.append([len(rows), sum(row[0] for row in rows), stage] if rows else None)
    return {"seconds": seconds, "answer": answers}
