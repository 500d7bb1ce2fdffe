-- The stage of each customer's latest event that bears one; stages by number as in chdb/transitions.sql.
SELECT CASE
    WHEN latest IN ('ad_click', 'email_open', 'home', 'search') THEN 1
    WHEN latest IN ('product_view', 'add_to_cart', 'checkout', 'store_visit') THEN 2
    WHEN latest = 'purchase' THEN CASE WHEN purchases = 1 THEN 3 ELSE 4 END
    WHEN latest = 'renewal' THEN 4
    ELSE 5
END AS stage, count(*)
FROM (
    SELECT arg_max(touchpoint, time) AS latest, count(*) FILTER (WHERE touchpoint = 'purchase') AS purchases
    FROM events
    WHERE touchpoint != 'support'
    GROUP BY customer
) AS customers
GROUP BY stage
