-- The stage of each customer's latest event that bears one; see transitions.sql.
SELECT stage, count()
FROM (
    SELECT
        argMax(touchpoint, time) AS latest,
        multiIf(
            latest IN ('ad_click', 'email_open', 'home', 'search'), 1,
            latest IN ('product_view', 'add_to_cart', 'checkout', 'store_visit'), 2,
            latest = 'purchase', if(countIf(touchpoint = 'purchase') = 1, 3, 4),
            latest = 'renewal', 4,
            5
        ) AS stage
    FROM events
    WHERE touchpoint != 'support'
    GROUP BY customer
)
GROUP BY stage
