"""Attribution of completejourney_slice.csv.gz to campaigns, worked out by DuckDB without journeylog.

Conversions are the events of the kind that is named, touches are campaigns received up to 60 days before. Prints for each campaign
[first, last, linear, time decay with a half-life of 14 days], each as [conversions, value], and [conversions, without a touch].
"""
import json, sys
import duckdb

rows = duckdb.sql(f"""
with events as (
    select row_number() over () as line, h, ts::timestamp as ts, kind, campaign::varchar as campaign,
           coalesce(v::decimal(18, 2), 0) as v
    from read_csv('{sys.argv[1]}', header = true, all_varchar = true)
),
pairs as (
    select c.line as conversion, c.v::double as v, t.campaign,
           row_number() over (partition by c.line order by t.ts, t.line) as place,
           count(*) over (partition by c.line) as touches,
           pow(0.5, epoch(c.ts - t.ts) / (14 * 86400.0)) as weight
    from events c join events t on t.h = c.h and t.kind = 'campaign_received'
        and t.ts <= c.ts and t.ts >= c.ts - interval 60 day
    where c.kind = '{sys.argv[2]}'
),
shares as (
    select *, weight / sum(weight) over (partition by conversion) as decay from pairs
)
select campaign,
    sum((place = 1)::int), sum((place = 1)::int * v),
    sum((place = touches)::int), sum((place = touches)::int * v),
    sum(1.0 / touches), sum(v / touches), sum(decay), sum(decay * v),
    (select count(*) from events where kind = '{sys.argv[2]}'), (select count(distinct conversion) from pairs)
from shares group by campaign order by campaign
""").fetchall()
campaigns = {row[0]: [[float(row[i]), float(row[i + 1])] for i in (1, 3, 5, 7)] for row in rows}
print(json.dumps({"campaigns": campaigns, "counts": [rows[0][9], rows[0][9] - rows[0][10]]}))
