"""Questions about the purchases of CDNOW_sample.txt, answered in SQL by DuckDB, without journeylog.

Prints one JSON object; tests/public_data.rs compares all its numbers. A line is an order: ids, date, pieces, dollars. Each lies at
midnight UTC, so a customer's distinct dates are the days on which they bought.
"""

import json
import sys

import duckdb

db = duckdb.connect()
db.execute("set threads = 2")
with open(sys.argv[1]) as file:
    orders = [line.split() for line in file]
db.execute("create table purchase (who text, day date, dollars decimal(18, 2))")
db.executemany(
    "insert into purchase values (?, strptime(?, '%Y%m%d')::date, ?::decimal(18, 2))",
    [[who, day, dollars] for _, who, day, _, dollars in orders],
)
END = "(select max(day) from purchase)"
db.execute(f"""
create table buyer as
select who, count(distinct day) - 1 as repeats, max(day) as last, min(day) as first, sum(dollars) as spent,
    (array_agg(distinct day order by day))[2] as second, {END} - max(day) as recency
from purchase group by who""")

# Customers strictly worse are those of a lower rank, which rank() counts.
db.execute("""
create table scored as
select *, 1 + (5 * (rank() over (order by last) - 1)) // count(*) over () as r,
    1 + (5 * (rank() over (order by repeats) - 1)) // count(*) over () as f,
    1 + (5 * (rank() over (order by spent) - 1)) // count(*) over () as m
from buyer""")


def rows(sql):
    return [list(row) for row in db.execute(sql).fetchall()]


print(json.dumps({
    "repeat": rows("select count(*), count(*) filter (where repeats > 0) from buyer")[0],
    "within": rows(f"""
        select count(*) filter (where second - first <= 520),
            count(*) filter (where coalesce(second - first > 520, true) and {END} - first >= 520),
            count(*) filter (where coalesce(second - first > 520, true) and {END} - first < 520) from buyer""")[0],
    "orders": rows("select count(*), sum(dollars)::text, count(distinct (who, day)) from purchase")[0],
    "means": rows("select avg(dollars)::double, (select avg(repeats)::double from buyer) from purchase")[0],
    "recency": rows("select avg(recency)::double, quantile_disc(recency, 0.5), max(recency) from buyer")[0],
    "between": rows("""
        select count(*), avg(gap)::double, quantile_disc(gap, 0.5) from (
            select day - lag(day) over (partition by who order by day) as gap from (select distinct who, day from purchase))
        where gap is not null""")[0],
    "segments": rows("""
        select r, f, m, count(*), sum(spent)::text from scored group by r, f, m order by r desc, f desc, m desc"""),
}))
