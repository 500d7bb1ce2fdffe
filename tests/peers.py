"""Questions about simple_shop.csv.gz, answered in SQL by DuckDB, Kaplan-Meier medians and tests by SciPy, and Markov chains by NumPy,
without journeylog.

Prints one JSON object, a key for each question; tests/public_data.rs compares all its numbers. Times are UTC. The file has no two
events of a customer at one instant, so nothing here depends on ties. The stages are those of tests/data/shop_model.json.
"""

import collections
import json
import math
import sys

import duckdb
import numpy as np
from scipy import stats

db = duckdb.connect()
db.execute("set threads = 2")
db.execute("create table event as select user_id as who, event as place, timestamp::timestamp as moment from read_csv(?)", [sys.argv[1]])
END = "(select max(moment) from event)"


def rows(sql):
    return db.execute(sql).fetchall()


def one(sql):
    return list(rows(sql)[0])


def funnel(steps, within):
    """For each event of the first step the earliest chain that goes on from it, by a join for each step."""
    chain = f"select who, moment as t0 from event where place = '{steps[0]}'"
    for i, step in enumerate(steps[1:], 1):
        chain = f"""select chain.*, next.moment as t{i} from ({chain}) chain
                    asof left join (select who, moment from event where place = '{step}') next
                    on chain.who = next.who and chain.t{i - 1} <= next.moment"""
    limit = f"interval '{within} seconds'" if within else "interval '1000 years'"
    reached = ", ".join(f"count(distinct who) filter (where t{i} - t0 <= {limit})" for i in range(len(steps)))
    return one(f"select {reached} from ({chain})")


db.execute("""
create table visit as
with bearing as (
    select who, moment, case
        when place in ('main', 'catalog', 'product1', 'product2') then 'visiting'
        when place = 'cart' then 'choosing'
        when place = 'payment_done' and count(*) filter (where place = 'payment_done') over (
            partition by who order by moment) >= 2 then 'loyal'
        when place in ('delivery_choice', 'payment_choice', 'payment_done') then 'buying' end as stage
    from event),
changing as (
    select *, lag(stage) over (partition by who order by moment) as before from bearing where stage is not null)
select who, moment as since, before, stage, lead(moment) over (partition by who order by moment) as until
from changing where before is null or before <> stage""")


def median(stage):
    """The first length with S(t) <= 0.5, in microseconds."""
    lengths = rows(f"""select epoch_us(coalesce(until, {END})) - epoch_us(since), until is not null
                       from visit where stage = '{stage}'""")
    over = [length for length, is_over in lengths if is_over]
    still = [length for length, is_over in lengths if not is_over]
    if not lengths:
        return None
    curve = stats.ecdf(stats.CensoredData(uncensored=over, right=still)).sf
    return next((int(t) for t, share in zip(curve.quantiles, curve.probabilities) if share <= 0.5), None)


db.execute("""
create table session as
with numbered as (
    select *, sum(begins) over (partition by who order by moment) as nth from (
        select *, (coalesce(moment - lag(moment) over (partition by who order by moment) > interval 30 minutes, true))::int as begins
        from event))
select who, nth, count(*) as events, min(moment) as begin, max(moment) as last,
    list(place order by moment)[1:3] as steps from numbered group by who, nth""")

db.execute("create table active as select distinct who, date_trunc('month', moment)::date as month from event")
lifecycle = rows("""
with month as (select distinct month from active),
was as (select *, lag(month) over (partition by who order by month) as before,
               lead(month) over (partition by who order by month) as after from active),
gone as (select (month + interval 1 month)::date as month, count(*) as dormant from was
         where after is null or after > month + interval 1 month group by 1)
select month::text, count(*) filter (where before is null),
    count(*) filter (where before + interval 1 month = month), count(*) filter (where before + interval 1 month < month),
    coalesce(any_value(dormant), 0)
from was left join gone using (month) group by month order by month""")

# Those active in one of the two months before: all, still active, and lost as the second month without activity ends.
churn = rows("""
with base as (
    select month.month, active.who, max(active.month) as last
    from (select distinct month from active) month
    join active on active.month < month.month and active.month + interval 2 month >= month.month group by 1, 2)
select base.month::text, count(*), count(now.who), count(*) filter (where now.who is null and last + interval 2 month = base.month)
from base left join active now on now.who = base.who and now.month = base.month group by 1 order by 1""")

retention = rows("""
with start as (select who, min(month) as cohort from active group by who)
select cohort::text, date_diff('month', cohort, month) as k, count(*) from active join start using (who)
group by 1, 2 order by 1, 2""")

# Of those with a cart, who paid within three days of one, and who still may.
conversion = one(f"""
    select count(*), count(*) filter (where paid), count(*) filter (where not paid and last + interval 3 days > {END})
    from (select who, max(moment) as last, bool_or(exists (
            select 1 from event paid where paid.who = cart.who and paid.place = 'payment_done'
            and paid.moment between cart.moment and cart.moment + interval 3 days)) as paid
        from event cart where place = 'cart' group by who)""")


def drivers():
    """Each touchpoint met before the first payment, or ever by who did not pay: four counts, odds ratio with interval, p-values."""
    tables = rows("""
        with paid as (select who, min(moment) as first from event where place = 'payment_done' group by who),
        case_ as (select distinct who, first from event left join paid using (who)),
        met as (select distinct event.who, place from event join case_ using (who) where first is null or moment < first)
        select place, count(*) filter (where first is not null), count(*) filter (where first is null),
            (select count(first) from case_), (select count(*) from case_)
        from met join case_ using (who) group by place order by place""")
    found = []
    for place, bought, not_bought, buyers, customers in tables:
        table = [[bought, not_bought], [buyers - bought, customers - buyers - not_bought]]
        is_small = stats.contingency.expected_freq(table).min() < 5
        test = stats.fisher_exact(table) if is_small else stats.chi2_contingency(table, correction=False)
        half = 0.5 if 0 in table[0] + table[1] else 0
        (a, b), (c, d) = [[count + half for count in row] for row in table]
        spread = stats.norm.ppf(0.975) * (1 / a + 1 / b + 1 / c + 1 / d) ** 0.5
        ratio = a * d / (b * c)
        found.append([place, table[0] + table[1], [ratio, ratio * math.exp(-spread), ratio * math.exp(spread)], test.pvalue])
    p_values = [test[3] for test in found]
    order, holm, worst = sorted(range(len(found)), key=p_values.__getitem__), [0.0] * len(found), 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(found) - rank) * p_values[place]))
        holm[place] = worst
    q_values = stats.false_discovery_control(p_values, method="bh")
    return {one[0]: one[1:] + [holm[i], q_values[i]] for i, one in enumerate(found)}


def walks(within):
    """What led to each payment within so many microseconds before it, and what was done in vain, from the last of it backwards."""
    journeys = collections.defaultdict(list)
    for who, place, at in rows("select who, place, epoch_us(moment) from event order by who, moment"):
        journeys[who].append((place, at))
    for events in journeys.values():
        touches = [(place, at) for place, at in events if place != "payment_done"]
        in_vain = set(range(len(touches)))
        for at in (at for place, at in events if place == "payment_done"):
            serving = [i for i, (_, then) in enumerate(touches) if at - within <= then <= at]
            in_vain -= set(serving)
            yield [touches[i][0] for i in serving], True
        while in_vain:
            last = touches[max(in_vain)][1]
            walk = sorted(i for i in in_vain if touches[i][1] >= last - within)
            in_vain -= set(walk)
            yield [touches[i][0] for i in walk], False


def markov(order, within):
    """Removal effects and credits, by a dense system of equations for the chain and one for it without each touchpoint."""
    moves, paid, null = collections.Counter(), 0, 0
    for walk, has_paid in walks(within):
        if not walk:
            continue
        paid, null = paid + has_paid, null + (not has_paid)
        for i in range(len(walk) + 1):
            came_from = tuple(walk[max(0, i - order):i])
            moves[came_from, walk[i] if i < len(walk) else has_paid] += 1
    states = sorted({state for state, _ in moves})
    number, left = {state: i for i, state in enumerate(states)}, collections.Counter()
    for (state, _), count in moves.items():
        left[state] += count

    def pays(without):
        among, to_paid = np.zeros((len(states), len(states))), np.zeros(len(states))
        for (state, to), count in moves.items():
            share = count / left[state]
            if to is True:
                to_paid[number[state]] += share
            elif to is not False and to != without:
                among[number[state], number[(state + (to,))[-order:]]] += share
        return np.linalg.solve(np.eye(len(states)) - among, to_paid)[number[()]]

    whole = pays(None)
    effects = {place: 1 - pays(place) / whole for place in sorted({place for state in states for place in state})}
    total = sum(effects.values())
    return [paid, null, {place: [effect, paid * effect / total] for place, effect in effects.items()}]


BUYING = ["catalog", "cart", "delivery_choice", "payment_choice", "payment_done"]
print(json.dumps({
    "funnel": [funnel(BUYING, None), funnel(BUYING, 60), funnel(BUYING, 20)],
    "moves": {f"{a or 'start'}>{b}": [n, customers] for a, b, n, customers in rows(
        "select before, stage, count(*), count(distinct who) from visit group by 1, 2")},
    "now": dict(rows("select stage, count(*) from visit where until is null group by 1")),
    "dwell": {stage: median(stage) for stage in ["visiting", "choosing", "buying", "loyal"]},
    "retention": [list(row) for row in retention],
    "lifecycle": [list(row) for row in lifecycle],
    "churn": churn,
    "conversion": conversion,
    "drivers": drivers(),
    "markov": [markov(order, 3_600_000_000) for order in (1, 2)],
    "stickiness": dict(rows(f"""
        select days, count(*) from (
            select who, count(distinct moment::date) as days from event
            where moment::date > {END}::date - 28 group by who) group by 1""")),
    "sessions": one(f"""
        select count(*), count(distinct who), sum(events)::bigint, count(*) filter (where events = 1),
            count(*) filter (where last >= {END} - interval 30 minutes) from session"""),
    "sessions_by_month": [list(row) for row in rows("""
        select date_trunc('month', begin)::date::text, count(*), count(distinct who), sum(events)::bigint from session
        group by 1 order by 1""")],
    "paths": {" > ".join(steps): [n, customers] for steps, n, customers in rows(
        "select steps, count(*), count(distinct who) from session group by 1")},
    "segment": one(f"""
        select count(distinct who) from event cart where place = 'cart' and moment + interval 3 days <= {END}
        and not exists (select 1 from event paid where paid.who = cart.who and paid.place = 'payment_done'
            and paid.moment between cart.moment and cart.moment + interval 3 days)"""),
    "pattern": one("""
        select count(distinct who), count(*) from (
            select who, place, moment, lead(place) over life as next, lead(moment) over life as next_at
            from event window life as (partition by who order by moment))
        where place = 'catalog' and next = 'cart' and next_at - moment <= interval 10 seconds"""),
}))
