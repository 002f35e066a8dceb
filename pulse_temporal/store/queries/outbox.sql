-- name: lease
-- Take due commands about runs for a while; whoever dies with them loses the lease. Commands of
-- one run are taken in the order they were given. They are found first and then looked up by id:
-- joined, a long outbox would be read as a whole.
-- $1 length of the lease, $2 commands, $3 task_queue, $4 newest dialect that the process knows
UPDATE pulse_outbox AS o
SET leased_until = now() + $1, tries = o.tries + 1
WHERE o.id = ANY (ARRAY(
    SELECT d.id FROM pulse_outbox AS d
    WHERE d.task_queue = $3 AND d.leased_until < now() AND d.kind <> 'schedule'
        AND d.dialect <= $4
        AND NOT EXISTS (
            SELECT 1 FROM pulse_outbox AS earlier
            WHERE earlier.run_id = d.run_id AND earlier.id < d.id
        )
    ORDER BY d.leased_until, d.id
    LIMIT $2
    FOR NO KEY UPDATE SKIP LOCKED
))
RETURNING
    o.id, o.kind, o.tenant_id, coalesce(o.run_id, o.definition_id) AS subject_id,
    o.generation, o.tries;

-- name: lease_schedules
-- Take due commands about schedules for a while. They are few, and slower than those about runs.
-- $1 … $4 as in lease
UPDATE pulse_outbox AS o
SET leased_until = now() + $1, tries = o.tries + 1
WHERE o.id = ANY (ARRAY(
    SELECT d.id FROM pulse_outbox AS d
    WHERE d.task_queue = $3 AND d.leased_until < now() AND d.kind = 'schedule'
        AND d.dialect <= $4
    ORDER BY d.leased_until, d.id
    LIMIT $2
    FOR NO KEY UPDATE SKIP LOCKED
))
RETURNING o.id, o.kind, o.tenant_id, o.definition_id AS subject_id, o.generation, o.tries;

-- name: done
-- $1 ids of executed commands
DELETE FROM pulse_outbox WHERE id = ANY ($1::bigint[]);

-- name: postpone
-- Give a command back after a failure.
-- $1 id, $2 pause, $3 error
UPDATE pulse_outbox SET leased_until = now() + $2, last_error = $3 WHERE id = $1;

-- name: put
-- A start needs a process that knows the run's dialect; every process can cancel.
-- $1 kind, $2 tenant_id, $3 run_id, $4 generation, $5 task_queue
INSERT INTO pulse_outbox (kind, tenant_id, run_id, generation, task_queue, dialect)
SELECT $1, r.tenant_id, r.id, $4, $5, CASE WHEN $1 = 'start' THEN r.dialect ELSE 1 END
FROM pulse_workflow_runs AS r WHERE r.id = $3 AND r.tenant_id = $2
RETURNING id;

-- name: put_schedule
-- Ask for a schedule to follow its definition, unless a command that does so waits and nobody has
-- taken it yet: one that was taken may have read the row before this change. The lock lets
-- nobody take it before the change is committed. A newer dialect may give the cron another meaning.
-- $1 tenant_id, $2 definition_id, $3 task_queue
WITH needed AS (
    SELECT coalesce((
        SELECT d.dialect FROM pulse_workflow_definitions AS d
        WHERE d.id = $2 AND d.tenant_id = $1 AND d.deleted_at IS NULL
    ), 1) AS dialect
), waiting AS (
    SELECT o.id FROM pulse_outbox AS o JOIN needed ON o.dialect = needed.dialect
    WHERE o.kind = 'schedule' AND o.task_queue = $3 AND o.definition_id = $2 AND o.tries = 0
    LIMIT 1
    FOR NO KEY UPDATE OF o SKIP LOCKED
)
INSERT INTO pulse_outbox (kind, tenant_id, definition_id, task_queue, dialect)
SELECT 'schedule', $1, $2, $3, needed.dialect FROM needed
WHERE NOT EXISTS (SELECT 1 FROM waiting);

-- name: give_back
-- End the leases of a process that stops; another one goes on at once.
-- $1 ids
UPDATE pulse_outbox SET leased_until = '-infinity' WHERE id = ANY ($1::bigint[]);

-- name: existing
-- $1 ids; an id that is missing from the answer was never committed, or is done
SELECT id FROM pulse_outbox WHERE id = ANY ($1::bigint[]);
