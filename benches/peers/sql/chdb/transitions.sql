-- Stages of the standard model by number, 0 for the start: 1 awareness, 2 consideration, 3 purchase, 4 retention,
-- 5 advocacy. `support` bears none. The first purchase of a customer is 3, all further ones are 4; the number of
-- purchases so far tells them apart, for this event and the one before, so that one window is enough.
SELECT was, is, count()
FROM (
    SELECT
        multiIf(
            touchpoint IN ('ad_click', 'email_open', 'home', 'search'), 1,
            touchpoint IN ('product_view', 'add_to_cart', 'checkout', 'store_visit'), 2,
            touchpoint = 'purchase', if(purchases = 1, 3, 4),
            touchpoint = 'renewal', 4,
            5
        ) AS is,
        multiIf(
            before IN ('ad_click', 'email_open', 'home', 'search'), 1,
            before IN ('product_view', 'add_to_cart', 'checkout', 'store_visit'), 2,
            before = 'purchase', if(purchases - (touchpoint = 'purchase') = 1, 3, 4),
            before = 'renewal', 4,
            before = 'review', 5,
            0
        ) AS was
    FROM (
        SELECT
            touchpoint,
            lagInFrame(touchpoint, 1, CAST('support', toTypeName(touchpoint))) OVER journey AS before,
            countIf(touchpoint = 'purchase') OVER journey AS purchases
        FROM events
        WHERE touchpoint != 'support'
        WINDOW journey AS (PARTITION BY customer ORDER BY time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
)
WHERE was != is
GROUP BY was, is
