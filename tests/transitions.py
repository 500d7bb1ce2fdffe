"""The transition matrix of simple_shop.csv.gz under tests/data/shop_model.json, worked out without journeylog.

Prints {"from>to": [transitions, customers]} with "start" for the first stage, and the customers now in each stage.
"""
import collections, csv, gzip, json, sys

STAGE = {"main": "visiting", "catalog": "visiting", "product1": "visiting", "product2": "visiting", "cart": "choosing",
         "delivery_choice": "buying", "payment_choice": "buying", "payment_done": "buying"}

journeys = collections.defaultdict(list)
with gzip.open(sys.argv[1], "rt", newline="") as file:
    for row in csv.DictReader(file):
        journeys[row["user_id"]].append((row["timestamp"], row["event"]))

moves, movers, now = collections.Counter(), collections.defaultdict(set), collections.Counter()
for customer, events in journeys.items():
    here, paid = "start", 0
    for _, event in sorted(events, key=lambda e: e[0]):  # stable: lines of one instant stay in order
        stage = STAGE.get(event)
        if event == "payment_done":
            paid += 1
            stage = "loyal" if paid >= 2 else stage
        if stage and stage != here:
            moves[f"{here}>{stage}"] += 1
            movers[f"{here}>{stage}"].add(customer)
            here = stage
    now[here] += 1

print(json.dumps({"moves": {m: [n, len(movers[m])] for m, n in moves.items()}, "now": now}))
