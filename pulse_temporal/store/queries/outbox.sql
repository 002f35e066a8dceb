-- name: lease
-- Take due commands for a while; whoever dies with them loses the lease. Tenants take turns: of
-- each that has due commands, as far as the limit goes, an equal share. The walk jumps from tenant
-- to tenant along the index, from the one that was served last round to the beginning, and ends
-- when it has found enough; nobody's commands are read but those that are taken. Commands of one
-- run are taken in the order they were given. They are found first and then looked up by id:
-- joined, a long outbox would be read as a whole.
-- Each dialect that the process knows is asked for by itself: a comparison would read past the
-- commands of newer ones. Who has due commands of several shares its share between them.
-- dialect: the newest that the process knows; subject: runs or schedules; after_tenant: the walk
-- begins after it; passed_over: tenants that have no turn now.
WITH RECURSIVE walk (tenant_id, is_turn, is_second_half) AS (
    -- What is left over of unknown definitions belongs to the tenant '', which comes first.
    SELECT :after_tenant::text, :after_tenant = '', false
    UNION ALL
    SELECT next.tenant_id, true, next.is_second_half
    FROM walk AS w
    CROSS JOIN LATERAL (
        (
            SELECT d.tenant_id, w.is_second_half FROM pulse_outbox AS d
            WHERE d.task_queue = :task_queue AND d.subject = :subject AND d.tenant_id > w.tenant_id
                AND (NOT w.is_second_half OR d.tenant_id <= :after_tenant)
            ORDER BY d.tenant_id
            LIMIT 1
        )
        UNION ALL
        SELECT '', true WHERE NOT w.is_second_half AND :after_tenant <> ''
        ORDER BY 2
        LIMIT 1
    ) AS next (tenant_id, is_second_half)
), turn AS MATERIALIZED (
    SELECT walk.tenant_id, due.dialects, row_number() OVER () AS number
    FROM walk
    CROSS JOIN LATERAL (
        SELECT array_agg(known.dialect ORDER BY head.leased_until, head.id) AS dialects
        FROM generate_series(1, :dialect) AS known (dialect)
        CROSS JOIN LATERAL (
            SELECT d.leased_until, d.id FROM pulse_outbox AS d
            WHERE d.task_queue = :task_queue AND d.subject = :subject
                AND d.tenant_id = walk.tenant_id AND d.dialect = known.dialect
            ORDER BY d.leased_until, d.id
            LIMIT 1
        ) AS head
        WHERE head.leased_until < now()
    ) AS due
    WHERE walk.is_turn AND due.dialects IS NOT NULL
        AND walk.tenant_id <> ALL (:passed_over::text[])
    LIMIT :command_limit
), share AS MATERIALIZED (
    SELECT greatest(1, :command_limit / greatest(1, count(*))) AS size FROM turn
)
UPDATE pulse_outbox AS o
SET leased_until = now() + :length, tries = o.tries + 1
WHERE o.id = ANY (ARRAY(
    SELECT found.id FROM turn CROSS JOIN share
    -- Of more dialects than the share has room for, those whose first command is due longest.
    CROSS JOIN LATERAL unnest(turn.dialects[1:share.size]) AS known (dialect)
    CROSS JOIN LATERAL (
        SELECT d.id FROM pulse_outbox AS d
        WHERE d.task_queue = :task_queue AND d.subject = :subject AND d.tenant_id = turn.tenant_id
            AND d.dialect = known.dialect AND d.leased_until < now()
            AND NOT EXISTS (
                SELECT 1 FROM pulse_outbox AS earlier
                WHERE earlier.run_id = d.run_id AND earlier.id < d.id
            )
        ORDER BY d.leased_until, d.id
        LIMIT greatest(1, share.size / cardinality(turn.dialects))
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS found
))
RETURNING
    o.id, o.kind, o.tenant_id, coalesce(o.run_id, o.definition_id) AS subject_id,
    o.generation, o.dialect, o.tries, (SELECT size FROM share) AS share,
    (SELECT tenant_id FROM turn ORDER BY number DESC LIMIT 1) AS last_turn;

-- name: lease_new
-- Take commands that nobody has leased yet, of some tenants, from an id of each on. What is behind
-- that id is not read: rows that are deleted and that vacuum cannot remove yet.
-- share: commands of each tenant and dialect; dialect: the newest that the process knows;
-- after_ids: the id to go on after, of each of the tenants.
UPDATE pulse_outbox AS o
SET leased_until = now() + :length, tries = o.tries + 1
WHERE o.id = ANY (ARRAY(
    SELECT found.id FROM unnest(:tenants::text[], :after_ids::bigint[]) AS turn (tenant_id, after)
    CROSS JOIN generate_series(1, :dialect) AS known (dialect)
    CROSS JOIN LATERAL (
        SELECT d.id FROM pulse_outbox AS d
        WHERE d.task_queue = :task_queue AND d.subject = :subject AND d.tenant_id = turn.tenant_id
            AND d.dialect = known.dialect AND d.leased_until = '-infinity' AND d.id > turn.after
            AND NOT EXISTS (
                SELECT 1 FROM pulse_outbox AS earlier
                WHERE earlier.run_id = d.run_id AND earlier.id < d.id
            )
        ORDER BY d.id
        LIMIT :share
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS found
))
RETURNING
    o.id, o.kind, o.tenant_id, coalesce(o.run_id, o.definition_id) AS subject_id,
    o.generation, o.dialect, o.tries, :share AS share, '' AS last_turn;

-- name: newest
-- The newest id that was given out; NULL: this role may not read the sequence.
SELECT CASE
    WHEN has_sequence_privilege(sequence, 'USAGE, SELECT')
        THEN coalesce(pg_sequence_last_value(sequence), 0)
END AS id
FROM (SELECT pg_get_serial_sequence('pulse_outbox', 'id')::regclass AS sequence) AS s;

-- name: newcomers
-- Tenants whose commands, after an id, nobody has leased yet; and after which id theirs begin.
-- dialect: the newest that the process knows.
SELECT tenant_id, min(id) - 1 AS after FROM pulse_outbox
WHERE id > :after_id AND task_queue = :task_queue AND subject = :subject
    AND leased_until = '-infinity' AND dialect <= :dialect
GROUP BY tenant_id;

-- name: done
-- ids: of executed commands.
DELETE FROM pulse_outbox WHERE id = ANY (:ids::bigint[]);

-- name: standings
-- How runs stand that were started; those that have not begun are missing.
-- busy: a handler that has worked for so long asks nothing of workflow workers for a while.
SELECT
    r.id AS run_id,
    -- One that was canceled before it began has no such moment.
    extract(epoch FROM now() - coalesce(r.started_at, now()))::float8 AS begun_for_s,
    r.status <> 'running' OR EXISTS (
        SELECT 1 FROM pulse_step_attempts AS a
        WHERE a.run_id = r.id AND a.status = 'open' AND a.started_at < now() - :busy::interval
    ) AS is_at_rest
FROM pulse_workflow_runs AS r
WHERE r.id = ANY (:run_ids::text[]) AND r.status <> 'pending';

-- name: postpone
-- Give a command back after a failure.
UPDATE pulse_outbox SET leased_until = now() + :pause, last_error = :error WHERE id = :id;

-- name: put
-- A start needs a process that knows the run's dialect; every process can cancel.
INSERT INTO pulse_outbox (kind, tenant_id, run_id, generation, task_queue, dialect)
SELECT :kind, r.tenant_id, r.id, :generation, :task_queue,
    CASE WHEN :kind = 'start' THEN r.dialect ELSE 1 END
FROM pulse_workflow_runs AS r WHERE r.id = :run_id AND r.tenant_id = :tenant_id
RETURNING id;

-- name: put_schedule
-- Ask for a schedule to follow its definition, unless a command that does so waits and nobody has
-- taken it yet: one that was taken may have read the row before this change. The lock lets
-- nobody take it before the change is committed. A newer dialect may give the cron another meaning.
WITH needed AS (
    SELECT coalesce((
        SELECT d.dialect FROM pulse_workflow_definitions AS d
        WHERE d.id = :definition_id AND d.tenant_id = :tenant_id AND d.deleted_at IS NULL
    ), 1) AS dialect
), waiting AS (
    SELECT o.id FROM pulse_outbox AS o JOIN needed ON o.dialect = needed.dialect
    WHERE o.kind = 'schedule' AND o.task_queue = :task_queue AND o.definition_id = :definition_id
        AND o.tries = 0
    LIMIT 1
    FOR NO KEY UPDATE OF o SKIP LOCKED
)
INSERT INTO pulse_outbox (kind, tenant_id, definition_id, task_queue, dialect)
SELECT 'schedule', :tenant_id, :definition_id, :task_queue, needed.dialect FROM needed
WHERE NOT EXISTS (SELECT 1 FROM waiting);

-- name: give_back
-- End the leases of a process that stops; another one goes on at once.
UPDATE pulse_outbox SET leased_until = '-infinity' WHERE id = ANY (:ids::bigint[]);

-- name: existing
-- An id that is missing from the answer was never committed, or is done.
SELECT id FROM pulse_outbox WHERE id = ANY (:ids::bigint[]);
