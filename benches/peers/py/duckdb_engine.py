"""DuckDB: a table in a file, sorted by customer and time.

It is given ids and names as text, as journeylog is; or, called with "numbers", as numbers that somebody made of them
before: integers and ENUM."""

import sys
from pathlib import Path

import duckdb
import numpy

from duckdb_appender import Appender, Database
from engine import about, answer, customer_id, looked_up, serve, sql, timed

RECORD = numpy.dtype(
    [("customer", "<u4"), ("time", "<i8"), ("touchpoint", "u1"), ("channel", "u1"), ("plan", "u1")]
)
# Rows that are brought from the file's records into columns at once.
SLAB = 1_000_000
QUESTIONS = {
    "funnel": ("duckdb/funnel.sql", {}),
    "funnel_windows": ("funnel_windows.sql", {}),
    "funnel_windows_all": ("funnel_windows.sql", {"rows": "true"}),
    "transitions": ("transitions.sql", {}),
    "stages": ("duckdb/stages.sql", {}),
    "filtered": ("duckdb/funnel.sql", {"only": "AND plan = 'pro'"}),
    "by_channel": ("duckdb/funnel.sql", {"by_channel": True}),
}


NAMES = {"touchpoint": "touchpoints", "channel": "channels", "plan": "plans"}
# A text of DuckDB in memory: its length, and up to 12 bytes that stand there themselves.
TEXT = numpy.dtype([("length", "<u4"), ("bytes", "S12")])


def columns_of(world, in_numbers):
    """The world as columns, slab by slab."""
    rows, names = numpy.memmap(world, dtype=RECORD, mode="r"), about(world)
    texts = {column: as_texts(names[key]) for column, key in NAMES.items()}
    for first in range(0, len(rows), SLAB):
        slab = rows[first : first + SLAB]
        if in_numbers:
            yield [numpy.ascontiguousarray(slab[name]) for name in RECORD.names]
        else:
            named = [texts[column][slab[column]] for column in NAMES]
            yield [ids(slab["customer"]), numpy.ascontiguousarray(slab["time"]), *named]


def as_texts(names):
    assert max(map(len, names)) <= 12
    return numpy.array([(len(name), name.encode()) for name in names], TEXT)


def ids(customers):
    """The ids of many customers."""
    assert customers.max() < 10**7
    made = numpy.zeros((len(customers), TEXT.itemsize), "u1")
    made[:, 0] = len(customer_id(0))
    made[:, 4:6] = tuple(b"c-")
    for place in range(7):
        made[:, 12 - place] = customers // 10**place % 10 + ord("0")
    return made.view(TEXT).ravel()


class Duckdb:
    def __init__(self, in_numbers):
        self.in_numbers = in_numbers

    def load(self, world, folder, batch):
        """Appends to a temporary table, then writes the sorted table and syncs. Nothing is safe before that is done;
        it is the fastest way for DuckDB. `load_batches` is the other one."""
        return self.load_by(world, folder, "temp", None)

    def load_batches(self, world, folder, batch):
        """Appends to a table in the file and commits each batch, then sorts: what has been appended is safe."""
        return self.load_by(world, folder, "duckdb", batch)

    def load_by(self, world, folder, catalog, batch):
        Path(folder).mkdir(parents=True, exist_ok=True)
        database = Database(Path(folder) / "duckdb.db")
        columns = "customer VARCHAR, time BIGINT, touchpoint VARCHAR, channel VARCHAR, plan VARCHAR"
        if self.in_numbers:
            names = about(world)
            for name, key in NAMES.items():
                listed = ", ".join(f"'{value}'" for value in names[key])
                database.execute(f"CREATE TYPE {name}_name AS ENUM ({listed})")
            columns = (
                "customer UINTEGER, time BIGINT, touchpoint touchpoint_name, channel channel_name, plan plan_name"
            )
        temporary = "TEMP" if catalog == "temp" else ""
        database.execute(f"CREATE {temporary} TABLE arrived ({columns})")
        appender = Appender(database, catalog, "arrived")
        make_s = append_s = 0
        slabs = columns_of(world, self.in_numbers)
        while True:
            seconds, columns = timed(lambda: next(slabs, None))
            make_s += seconds
            if columns is None:
                break
            append_s += timed(lambda: append(appender, columns, batch))[0]
        append_s += timed(appender.close)[0]

        def sort():
            database.execute("CREATE TABLE events AS SELECT * FROM arrived ORDER BY customer, time")
            database.execute("DROP TABLE arrived")
            database.execute("CHECKPOINT")

        sort_s, _ = timed(sort)
        database.close()
        self.open(folder)
        events = self.connection.execute("SELECT count(*) FROM events").fetchone()[0]
        return {
            "events": events, "load_s": append_s + sort_s, "append_s": append_s, "make_s": make_s, "settle_s": 0,
        }

    def open(self, folder):
        seconds, self.connection = timed(lambda: duckdb.connect(str(Path(folder) / "duckdb.db")))
        return {"seconds": seconds}

    def close(self):
        return {"seconds": timed(self.connection.close)[0]}

    def ask(self, question, threads):
        name, options = QUESTIONS[question]
        self.connection.execute(f"SET threads = {threads}")
        seconds, rows = timed(lambda: self.connection.execute(sql(name, **options)).fetchall())
        return {"seconds": seconds, "answer": answer(question, rows)}

    def look_up(self, customers):
        text = "SELECT time, touchpoint, channel, plan FROM events WHERE customer = ? ORDER BY time"
        return looked_up(customers, lambda customer: self.connection.execute(text, [customer_id(customer)]).fetchall())

    def stats(self):
        return {"duckdb": duckdb.__version__}


def append(appender, columns, batch):
    if batch is None:
        appender.append(columns)
        return
    for first in range(0, len(columns[0]), batch):
        appender.append([column[first : first + batch] for column in columns])
        appender.flush()


serve(Duckdb(in_numbers="numbers" in sys.argv))
