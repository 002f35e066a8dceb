-- What is known of handlers and signal types.

-- name: publish
-- Say what a process knows. In one order, so that no two processes wait for each other.
-- kinds, names, details: one element an entry; details: JSON objects.
INSERT INTO pulse_catalog (task_queue, kind, name, detail, published_by)
SELECT :task_queue, entry.kind, entry.name, entry.detail::json, :worker_id
FROM unnest(:kinds::text[], :names::text[], :details::text[]) AS entry (kind, name, detail)
ORDER BY entry.kind, entry.name
ON CONFLICT (task_queue, kind, name) DO UPDATE
SET detail = excluded.detail, published_by = excluded.published_by, seen_at = now();

-- name: forget
-- Drop what no process on record knows any more.
DELETE FROM pulse_catalog AS c
WHERE c.task_queue = :task_queue AND NOT EXISTS (
    SELECT 1 FROM pulse_workers AS w
    WHERE w.task_queue = c.task_queue AND c.name = ANY (
        CASE c.kind WHEN 'action' THEN w.actions WHEN 'condition' THEN w.conditions
            ELSE w.signals END
    )
);

-- name: entries
-- What live processes know, with what was said of it; detail is NULL for an older release's.
-- silence: after which a process counts as gone.
SELECT live.kind, live.name, live.workers, c.detail::text AS detail
FROM (
    SELECT a.kind, a.name, count(*) AS workers FROM pulse_workers AS w
    CROSS JOIN LATERAL (
        SELECT 'action' AS kind, unnest(w.actions) AS name
        UNION ALL
        SELECT 'condition', unnest(w.conditions)
        UNION ALL
        SELECT 'signal', unnest(w.signals)
    ) AS a
    WHERE w.task_queue = :task_queue AND w.seen_at > now() - :silence::interval
    GROUP BY a.kind, a.name
) AS live
LEFT JOIN pulse_catalog AS c
    ON c.task_queue = :task_queue AND c.kind = live.kind AND c.name = live.name
ORDER BY live.kind, live.name;
