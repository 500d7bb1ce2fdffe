"""Levels of ClickHouse's windowFunnel, as chdb works them out, in a random world dense in ties and in simple_shop.csv.gz.

python tests/window_funnel.py simple_shop.csv.gz > tests/golden/window_funnel.json, with `pip install chdb-core==26.9.0`. That
weighs a gigabyte, so its answers are kept and tests compare with them: tests/it/window_funnel.rs, and tests/public_data.rs for
the shop. A journey is written as events "a3" (touchpoint a in second 3), in the order of arrival.
"""

import json
import random
import sys

from chdb.session import Session

db = Session()
chance = random.Random(4)
journeys = [
    [(chance.choice("aabbccx"), chance.randrange(9)) for _ in range(chance.randint(1, 9))] for _ in range(400)
]
rows = ", ".join(f"({who}, {at}, '{place}')" for who, events in enumerate(journeys) for place, at in events)
db.query(f"create temporary table event as select * from values('who UInt32, at UInt64, place String', {rows})")
db.query(f"""create temporary table shop as select user_id as who, event as place,
    toUInt64(toUnixTimestamp64Micro(parseDateTime64BestEffort(timestamp, 6, 'UTC'))) as at from file('{sys.argv[1]}', CSVWithNames, 'user_id String, event String, timestamp String')""")


def levels(table, steps, window, mode=None):
    conditions = ", ".join(f"place in ({', '.join(repr(place) for place in step)})" for step in steps)
    mode = f", '{mode}'" if mode else ""
    sql = f"select windowFunnel({window}{mode})(at, {conditions}) from {table} group by who order by who"
    return [int(line) for line in str(db.query(sql, "TSV")).split()]


def reached(steps, seconds):
    found = levels("shop", [[step] for step in steps], seconds * 1_000_000)
    return [sum(level >= step for level in found) for step in range(1, len(steps) + 1)]


APART, ALIKE = [["a"], ["b"], ["c"]], [["a", "b"], ["a"], ["b", "c"]]
BUYING = ["catalog", "cart", "delivery_choice", "payment_choice", "payment_done"]
questions = [
    {"steps": steps, "window": window, "mode": mode, "levels": "".join(map(str, levels("event", steps, window, mode)))}
    for steps in (APART, ALIKE)
    for window in (1, 3, 100)
    for mode in (None, "strict_once", "strict_increase", "strict_order", "strict_deduplication")
]
print(json.dumps({
    "clickhouse": str(db.query("select version()", "TSV")).strip(),
    "journeys": [" ".join(f"{place}{at}" for place, at in events) for events in journeys],
    "questions": questions,
    "shop": {str(seconds): reached(BUYING, seconds) for seconds in (20, 60, 100_000_000)},
}, indent=0))
