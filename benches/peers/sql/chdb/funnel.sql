-- ClickHouse's own funnel. The WHERE is not needed for the answer, but makes it faster: fewer rows are grouped.
-- The window is inclusive, in milliseconds. A customer's level counts for all steps up to it.
SELECT {by} countIf(level >= 1), countIf(level >= 2), countIf(level >= 3), countIf(level >= 4)
FROM (
    SELECT {keys}, windowFunnel(604800000)(
        time,
        touchpoint = 'product_view', touchpoint = 'add_to_cart', touchpoint = 'checkout', touchpoint = 'purchase'
    ) AS level
    FROM events
    WHERE touchpoint IN ('product_view', 'add_to_cart', 'checkout', 'purchase') {and}
    GROUP BY {keys}
)
{group}
