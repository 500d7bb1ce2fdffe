-- For DuckDB and SQLite. Stages by number as in chdb/transitions.sql. To join each customer's first purchase is faster
-- than to number the purchases by a second window.
WITH first_purchases AS (
    SELECT customer, min(time) AS first_purchase FROM events WHERE touchpoint = 'purchase' GROUP BY customer
),
staged AS (
    SELECT customer, time, CASE
        WHEN touchpoint IN ('ad_click', 'email_open', 'home', 'search') THEN 1
        WHEN touchpoint IN ('product_view', 'add_to_cart', 'checkout', 'store_visit') THEN 2
        WHEN touchpoint = 'purchase' THEN CASE WHEN time = first_purchase THEN 3 ELSE 4 END
        WHEN touchpoint = 'renewal' THEN 4
        ELSE 5
    END AS stage
    FROM events LEFT JOIN first_purchases USING (customer)
    WHERE touchpoint != 'support'
)
SELECT was, stage, count(*)
FROM (SELECT stage, coalesce(lag(stage) OVER (PARTITION BY customer ORDER BY time), 0) AS was FROM staged) AS moves
WHERE was != stage
GROUP BY was, stage
