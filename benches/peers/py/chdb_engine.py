"""ClickHouse, as chdb: a MergeTree ordered by customer and time.

It is given ids and names as text, as journeylog is; or, called with "numbers", as numbers that somebody made of them
before: integers and Enum8."""

import json
import sys
from pathlib import Path

from chdb import session

from engine import about, answer, customer_id, looked_up, serve, sql, timed

QUESTIONS = {
    "funnel": ("chdb/funnel.sql", {}),
    "funnel_plain": ("chdb/funnel_plain.sql", {}),
    "transitions": ("chdb/transitions.sql", {}),
    "stages": ("chdb/stages.sql", {}),
    "filtered": ("chdb/funnel.sql", {"only": "AND plan = 'pro'"}),
    "by_channel": ("chdb/funnel.sql", {"by_channel": True}),
}
# Settings with which a question is faster: the table's order is used, customer by customer.
SETTINGS = {"stages": "optimize_aggregation_in_order = 1"}
PLAIN = "output_format_json_quote_64bit_integers = 0"
TEXT = (
    "customer String, time UInt64, touchpoint LowCardinality(String), channel LowCardinality(String),"
    " plan LowCardinality(String)"
)
# The id of src/world.rs.
AS_TEXT = "concat('c-', leftPad(toString(customer), 7, '0')), time, touchpoint, channel, plan"


def numbers(names):
    """The columns of a world's file, whose records are ClickHouse's RowBinary."""
    enum = lambda key: "Enum8(" + ", ".join(f"'{name}' = {code}" for code, name in enumerate(names[key])) + ")"
    return (
        f"customer UInt32, time UInt64, touchpoint {enum('touchpoints')}, channel {enum('channels')},"
        f" plan {enum('plans')}"
    )


class Chdb:
    def __init__(self, in_numbers):
        self.in_numbers = in_numbers

    def load(self, world, folder, batch):
        """All at once from a file, then into one part."""
        self.open(folder)
        columns, source = numbers(about(world)), file(world, numbers(about(world)))
        if not self.in_numbers:
            # What is loaded is a file with text; making it is the application's work, and not timed.
            text = Path(folder).with_suffix(".text")
            text.unlink(missing_ok=True)
            self.session.query(f"INSERT INTO FUNCTION {file(text, TEXT)} SELECT {AS_TEXT} FROM {source}")
            columns, source = TEXT, file(text, TEXT)
        self.session.query("CREATE DATABASE IF NOT EXISTS peers")
        self.session.query("USE peers")
        self.session.query(
            f"CREATE TABLE events ({columns}) ENGINE = MergeTree ORDER BY (customer, time)"
            " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
        )
        load_s, _ = timed(lambda: self.session.query(f"INSERT INTO events SELECT * FROM {source}"))
        settle_s, _ = timed(lambda: self.session.query("OPTIMIZE TABLE events FINAL"))
        if not self.in_numbers:
            text.unlink()
        events = self.rows("SELECT count() FROM events")[0][0]
        return {"events": events, "load_s": load_s, "settle_s": settle_s}

    def open(self, folder):
        def work():
            self.session = session.Session(folder)
            self.session.query("CREATE DATABASE IF NOT EXISTS peers")
            self.session.query("USE peers")

        return {"seconds": timed(work)[0]}

    def close(self):
        return {"seconds": timed(self.session.close)[0]}

    def rows(self, text):
        out = self.session.query(text, "JSONCompactEachRow")
        return [json.loads(line) for line in str(out).splitlines() if line]

    def ask(self, question, threads):
        name, options = QUESTIONS[question]
        settings = ", ".join(filter(None, [f"max_threads = {threads}", PLAIN, SETTINGS.get(question)]))
        seconds, rows = timed(lambda: self.rows(f"{sql(name, **options)}\nSETTINGS {settings}"))
        return {"seconds": seconds, "answer": answer(question, rows)}

    def look_up(self, customers):
        text = (
            "SELECT time, touchpoint, channel, plan FROM events WHERE customer = '{}' ORDER BY time"
            f" SETTINGS max_threads = 1, {PLAIN}"
        )
        return looked_up(customers, lambda customer: self.rows(text.format(customer_id(customer))))

    def stats(self):
        """The parts that count. Parts that were merged stay in the folder for some minutes more."""
        text = f"SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'events' AND active SETTINGS {PLAIN}"
        return {"clickhouse": self.rows("SELECT version()")[0][0], "bytes": self.rows(text)[0][0]}


def file(path, columns):
    quoted = columns.replace("'", "\\'")
    return f"file('{Path(path).resolve()}', 'RowBinary', '{quoted}')"


serve(Chdb(in_numbers="numbers" in sys.argv))
