-- The same without the WHERE, as it stands in the manual.
SELECT {by} countIf(level >= 1), countIf(level >= 2), countIf(level >= 3), countIf(level >= 4)
FROM (
    SELECT {keys}, windowFunnel(604800000)(
        time,
        touchpoint = 'product_view', touchpoint = 'add_to_cart', touchpoint = 'checkout', touchpoint = 'purchase'
    ) AS level
    FROM events
    GROUP BY {keys}
)
{group}
