"""The numbers that examples/shop_report.rs prints of rete_ecom.csv.gz, worked out without journeylog: a line of the page each."""
import collections, csv, datetime, gzip, math, sys

ADVOCACY = {"referral", "recommendation", "review", "share"}
BUYING = {"purchase", "payment", "payment_done", "order", "checkout_complete"}
CONSIDERATION = {"product_view", "product", "catalog", "add_to_cart", "cart", "checkout", "wishlist", "compare"}
AWARENESS = {"page_view", "home", "main", "landing", "search"}
STAGES = ["awareness", "consideration", "purchase", "retention", "advocacy"]
STEPS = ["product_view", "cart", "shipping_details", "payment_details", "purchase"]
DAY = datetime.timedelta(days=1)

journeys, channel, seen = collections.defaultdict(list), {}, set()
with gzip.open(sys.argv[1], "rt", newline="") as file:
    for row in csv.DictReader(file):
        if tuple(row.values()) not in seen:  # rows that are equal in all columns have one id
            seen.add(tuple(row.values()))
            at = datetime.datetime.fromisoformat(row["timestamp"])
            journeys[row["user_id"]].append((at, row["event"]))
            channel[row["user_id"]] = row["acquisition_channel"]
for events in journeys.values():
    events.sort(key=lambda event: event[0])  # stable: lines of one instant stay in order
end = max(events[-1][0] for events in journeys.values())


def percent(some, of):
    return f"{100 * some / of:.1f} %"


def stages_of(events):
    bought = 0
    for _, what in events:
        bought += what in BUYING
        if what in ADVOCACY:
            yield "advocacy"
        elif what in BUYING:
            yield "retention" if bought > 1 else "purchase"
        elif what in CONSIDERATION:
            yield "consideration"
        elif what in AWARENESS:
            yield "awareness"


def level(events):
    """For each first step, the soonest of each next step: the order of equal times is free, and one event is one step only."""
    best = 0
    for start in (at for at, what in events if what == STEPS[0]):
        now, reached = start, 1
        for step in STEPS[1:]:
            later = [at for at, what in events if what == step and now <= at <= start + 7 * DAY]
            if not later:
                break
            now, reached = min(later), reached + 1
        best = max(best, reached)
    return best


now, moves, movers = collections.Counter(), collections.Counter(), collections.defaultdict(set)
for customer, events in journeys.items():
    here = None
    for stage in stages_of(events):
        if here not in (None, stage):
            moves[here, stage] += 1
            movers[here, stage].add(customer)
        here = stage
    now[here] += 1
for stage in STAGES:
    print(f"| {stage} | {now[stage]} | {percent(now[stage], sum(now.values()))} |")
for move, times in moves.most_common(5):
    print(f"| {move[0]} | {move[1]} | {times} | {len(movers[move])} |")

levels = [level(events) for events in journeys.values()]
reached = [sum(level >= step for level in levels) for step in range(1, len(STEPS) + 1)]
for step, customers, before in zip(STEPS, reached, reached[:1] + reached):
    print(f"| {step} | {customers} | {percent(customers, reached[0])} | {percent(customers, before)} |")


def month(at):
    return 12 * at.year + at.month


months = {customer: {month(at) for at, _ in events} for customer, events in journeys.items()}
for later in range(1, 5):
    old = [active for active in months.values() if min(active) + later < month(end)]  # the last month is not over
    back = sum(min(active) + later in active for active in old)
    print(f"| {later} | {len(old)} | {back} | {percent(back, len(old))} |")

base = retained = 0
for later in range(min(map(min, months.values())) + 1, month(end)):  # the last month is not over
    before = [active for active in months.values() if later - 1 in active]
    base, retained = base + len(before), retained + sum(later in active for active in before)
lost = base - retained
print(f"Of {base} customers of a month {retained} came in the next, and {lost} did not ({percent(lost, base)}).")

bought = {customer: [at for at, what in events if what == "purchase"] for customer, events in journeys.items()}
purchases = collections.Counter()
for customer, times in bought.items():
    purchases[channel[customer]] += len(times)
print(f"{sum(purchases.values())} purchases, shared")
for name, count in purchases.items():  # somebody came by one channel only, so all models agree
    print(f"| {name} | {count} | {count} | {count} | {count} |")

buyers = [times for times in bought.values() if times]
several = sum(len({at.date() for at in times}) > 1 for times in buyers)
print(f"{len(buyers)} customers bought, {several} of them on several days")

days = [sorted(min(at for at in times if at.date() == day) for day in {at.date() for at in times}) for times in buyers]
between = sorted(later - at for firsts in days for at, later in zip(firsts, firsts[1:]))
print(f"Between two such days lie {between[(len(between) - 1) // 2] / DAY:.1f} days, by the median.")
ranks = [(max(times), len(firsts)) for times, firsts in zip(buyers, days)]
best = [one for one in ranks if all(5 * sum(other[i] < one[i] for other in ranks) >= 3 * len(ranks) for i in (0, 1))]
print(f"{len(best)} of them are among the best: they bought lately, and often.")

carts = [
    any(at <= then <= at + 3 * DAY for then in bought[customer])
    for customer, events in journeys.items() for at, what in events if what == "add_to_cart" and at + 3 * DAY <= end
]
left = carts.count(False)
print(f"{left} of {len(carts)} times something was put in the cart nothing was bought within 3 days ({percent(left, len(carts))}).")


def p_value(a, b, c, d):
    """Of a table: Fisher's exact test if fewer than five are expected in a cell, else the z-test of two shares."""
    n = a + b + c + d
    if min(a + b, c + d) * min(a + c, b + d) < 5 * n:
        ways = lambda k: math.comb(a + c, k) * math.comb(b + d, a + b - k) if 0 <= a + b - k <= b + d else 0
        return sum(ways(k) for k in range(a + c + 1) if ways(k) <= ways(a)) / math.comb(n, a + b)
    z = (a / (a + b) - c / (c + d)) / math.sqrt((a + c) * (b + d) / n**2 * (1 / (a + b) + 1 / (c + d)))
    return math.erfc(abs(z) / math.sqrt(2))


cases = []
for customer, events in journeys.items():
    first = min(bought[customer], default=None)
    met = {f"touchpoint {what}" for at, what in events if first is None or at < first}
    cases.append((met | {f"channel {channel[customer]}"} if met else met, first is not None))
tests = []
for factor in set().union(*(met for met, _ in cases)):
    table = [sum((factor in met) == has and is_buyer == buys for met, is_buyer in cases) for has in (1, 0) for buys in (1, 0)]
    if table[2] + table[3]:
        tests.append((p_value(*table), factor, table))
tests.sort()
q = [min(p * len(tests) / (i + 1) for i, (p, _, _) in enumerate(tests) if i >= rank) for rank in range(len(tests))]
found = [test for test, q in zip(tests, q) if q <= 0.05 and test[2][0] * test[2][3] > test[2][1] * test[2][2]]
for _, factor, (a, b, c, d) in found[:5]:
    print(f"| {factor} | {a + b} | {percent(a, a + b)} | {percent(c, c + d)} |")


def left_cart(customer):
    def is_left(at):
        return at + 3 * DAY < end and not any(at <= then <= at + 3 * DAY for then in bought[customer])

    late = [at for at, what in journeys[customer] if what == "add_to_cart" and at >= end - 30 * DAY]
    return any(map(is_left, late)) and not any(at >= end - 30 * DAY for at in bought[customer])


for who, is_so in [
    ("left a cart in the last 30 days, nothing bought since: remind them", left_cart),
    ("bought before, not seen for 60 days: win them back", lambda c: bought[c] and journeys[c][-1][0] < end - 60 * DAY),
    ("bought three times or more: thank them", lambda c: len(bought[c]) >= 3),
]:
    count = sum(map(bool, map(is_so, journeys)))
    print(f"| {who} | {count} | {percent(count, len(journeys))} |")
