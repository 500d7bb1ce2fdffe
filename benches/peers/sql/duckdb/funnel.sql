-- The fastest form found: from each event of a step back to the latest event of the step before it. That one's chain
-- began last of all chains up to there, so if it is too long, every chain is. No two events share an instant, so that
-- ASOF's "not later" is "earlier".
WITH views AS (SELECT {keys}, time, time AS since FROM events WHERE touchpoint = 'product_view' {and}),
carts AS (
    SELECT {keys}, time, since
    FROM (SELECT {keys}, time FROM events WHERE touchpoint = 'add_to_cart' {and})
    ASOF JOIN views USING ({keys}, time)
),
checkouts AS (
    SELECT {keys}, time, since
    FROM (SELECT {keys}, time FROM events WHERE touchpoint = 'checkout' {and})
    ASOF JOIN carts USING ({keys}, time)
),
purchases AS (
    SELECT {keys}, time, since
    FROM (SELECT {keys}, time FROM events WHERE touchpoint = 'purchase' {and})
    ASOF JOIN checkouts USING ({keys}, time)
),
reached AS (
    SELECT {keys}, 1 AS level FROM views
    UNION ALL SELECT {keys}, 2 FROM carts WHERE time - since <= 604800000
    UNION ALL SELECT {keys}, 3 FROM checkouts WHERE time - since <= 604800000
    UNION ALL SELECT {keys}, 4 FROM purchases WHERE time - since <= 604800000
)
SELECT {by}
    count(*) FILTER (WHERE level >= 1), count(*) FILTER (WHERE level >= 2),
    count(*) FILTER (WHERE level >= 3), count(*) FILTER (WHERE level >= 4)
FROM (SELECT {keys}, max(level) AS level FROM reached GROUP BY {keys}) AS customers
{group}
