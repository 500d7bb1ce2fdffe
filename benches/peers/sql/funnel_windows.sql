-- The funnel by window functions, for DuckDB and SQLite. For each step, `sinceN` is the latest beginning of a chain
-- that reached it so far: of all chains of a level the one that began last lasts longest.
WITH one AS (
    SELECT {keys}, time, touchpoint,
        max(CASE WHEN touchpoint = 'product_view' THEN time END) OVER journey AS since1
    FROM events
    WHERE {rows} {and}
    WINDOW journey AS (PARTITION BY {keys} ORDER BY time ROWS UNBOUNDED PRECEDING)
),
two AS (
    SELECT *,
        max(CASE WHEN touchpoint = 'add_to_cart' AND time - since1 <= 604800000 THEN since1 END) OVER journey AS since2
    FROM one
    WINDOW journey AS (PARTITION BY {keys} ORDER BY time ROWS UNBOUNDED PRECEDING)
),
three AS (
    SELECT *,
        max(CASE WHEN touchpoint = 'checkout' AND time - since2 <= 604800000 THEN since2 END) OVER journey AS since3
    FROM two
    WINDOW journey AS (PARTITION BY {keys} ORDER BY time ROWS UNBOUNDED PRECEDING)
),
reached AS (
    SELECT {keys}, max(CASE
        WHEN touchpoint = 'purchase' AND time - since3 <= 604800000 THEN 4
        WHEN since3 IS NOT NULL THEN 3
        WHEN since2 IS NOT NULL THEN 2
        WHEN since1 IS NOT NULL THEN 1
        ELSE 0
    END) AS level
    FROM three
    GROUP BY {keys}
)
SELECT {by}
    count(*) FILTER (WHERE level >= 1), count(*) FILTER (WHERE level >= 2),
    count(*) FILTER (WHERE level >= 3), count(*) FILTER (WHERE level >= 4)
FROM reached
{group}
