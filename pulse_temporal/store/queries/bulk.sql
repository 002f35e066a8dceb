-- Bulk operations and their items.

-- name: insert_operation
-- Store a new operation. No row: the tenant has used its idempotency key before.
-- filter: a JSON object, NULL for runs that were named; status: collecting, or running for those.
INSERT INTO pulse_bulk_operations (
    id, tenant_id, kind, name, reason, filter, repeats, status, rate, task_queue,
    actor_id, actor_name, actor_kind, request_id, idempotency_key, request_hash
)
VALUES (
    :id, :tenant_id, :kind, :name, :reason,
    -- Frozen: what is created from now on is not meant.
    :filter::jsonb || jsonb_build_object(
        'createdBefore', least(now(), (:filter::jsonb ->> 'createdBefore')::timestamptz)
    ),
    :repeats, :status, :rate::float8, :task_queue,
    :actor_id, :actor_name, :actor_kind, :request_id, :idempotency_key, :request_hash
)
ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING {{bulk_columns}};

-- name: find_by_key
-- The operation of an idempotency key, and the hash of what was asked for.
SELECT {{bulk_columns}}, request_hash FROM pulse_bulk_operations
WHERE tenant_id = :tenant_id AND idempotency_key = :idempotency_key;

-- name: get_operation
-- One operation.
-- tenant_id: NULL for any.
SELECT {{bulk_columns}} FROM pulse_bulk_operations
WHERE id = :id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id);

-- name: list_operations
-- also: list_operations_of_all
-- One page of a tenant's operations, newest first.
-- before_at, before_id: the place that it ends before, NULL from the newest.
SELECT {{bulk_columns}} FROM pulse_bulk_operations
WHERE (:before_at::timestamptz IS NULL OR (created_at, id) < (:before_at, :before_id::text))
    AND tenant_id = :tenant_id  -- not list_operations_of_all
ORDER BY created_at DESC, id DESC
LIMIT :row_limit;

-- name: name_items
-- Add the runs that were named.
INSERT INTO pulse_bulk_items (operation_id, run_id, tenant_id)
SELECT :operation_id, named.id, :tenant_id FROM unnest(:run_ids::text[]) AS named (id)
ON CONFLICT DO NOTHING;

-- name: repeat_items
-- Add the runs with which another operation has failed.
INSERT INTO pulse_bulk_items (operation_id, run_id, tenant_id)
SELECT :operation_id, i.run_id, i.tenant_id FROM pulse_bulk_items AS i
WHERE i.operation_id = :repeats AND i.outcome = 'failed' AND i.tenant_id = :tenant_id;

-- name: collect_items
-- Add those of a page of runs to which something can be done.
-- run_ids: the page; statuses: that can; failed_step, error: of failed runs, NULL for any; is_ours:
-- leave out runs of the TypeScript Pulse, which can only be read.
INSERT INTO pulse_bulk_items (operation_id, run_id, tenant_id)
SELECT :operation_id, r.id, r.tenant_id FROM pulse_workflow_runs AS r
{{failed_step(r)}}
WHERE r.id = ANY (:run_ids::text[]) AND r.tenant_id = :tenant_id
    AND {{is_meant(r)}}
ON CONFLICT DO NOTHING;

-- name: meant
-- Which of a page of runs would be collected; otherwise as collect_items.
SELECT r.id FROM pulse_workflow_runs AS r
{{failed_step(r)}}
WHERE r.id = ANY (:run_ids::text[]) AND r.tenant_id = :tenant_id
    AND {{is_meant(r)}}
ORDER BY r.created_at DESC, r.id DESC;

-- name: failed_as
-- What a failed run has in common with those that failed alike.
SELECT r.definition_id, f.step_name, {{error_kind(r)}} AS error
FROM pulse_workflow_runs AS r
{{failed_step(r)}}
WHERE r.id = :run_id AND r.tenant_id = :tenant_id AND r.status = 'failed';

-- name: statuses
-- How runs stand that were named; unreadable: those that can only be read.
SELECT r.id, r.status, r.engine IS DISTINCT FROM 'temporal' AS is_foreign
FROM pulse_workflow_runs AS r
WHERE r.id = ANY (:run_ids::text[]) AND r.tenant_id = :tenant_id
ORDER BY r.created_at DESC, r.id DESC;

-- name: set_items
-- Count the items of a new operation of named runs; one without any is over at once.
UPDATE pulse_bulk_operations
SET items = :items, status = CASE WHEN :items = 0 THEN 'completed' ELSE status END,
    ended_at = CASE WHEN :items = 0 THEN now() END
WHERE id = :id AND tenant_id = :tenant_id
RETURNING {{bulk_columns}};

-- name: due
-- For each tenant, the open operation that is due longest; those of them that are due longest.
-- kinds: that this release knows.
SELECT turn.id, turn.tenant_id FROM (
    SELECT DISTINCT ON (o.tenant_id) o.id, o.tenant_id, o.due_at FROM pulse_bulk_operations AS o
    WHERE o.task_queue = :task_queue AND o.status IN ('collecting', 'running')
        AND o.due_at <= now() AND o.kind = ANY (:kinds::text[])
    ORDER BY o.tenant_id, o.due_at, o.id
) AS turn
ORDER BY turn.due_at, turn.id
LIMIT :row_limit;

-- name: next_due
-- In how many seconds the next open operation is due; NULL: there is none.
SELECT extract(epoch FROM min(o.due_at) - now())::float8 AS seconds FROM pulse_bulk_operations AS o
WHERE o.task_queue = :task_queue AND o.status IN ('collecting', 'running')
    AND o.kind = ANY (:kinds::text[]);

-- name: take_turn
-- Hold an open operation that is due. No row: another process has it, or it was aborted.
SELECT {{bulk_columns}}, walked_at, walked_id, place, request_id FROM pulse_bulk_operations
WHERE id = :id AND tenant_id = :tenant_id AND status IN ('collecting', 'running')
    AND due_at <= now()
FOR NO KEY UPDATE SKIP LOCKED;

-- name: walk_on
-- Say how far collecting has come, under the lock of the operation.
-- added: items; is_end: there are no more runs.
UPDATE pulse_bulk_operations
SET items = items + :added::int, walked_at = :walked_at, walked_id = :walked_id,
    status = CASE
        WHEN NOT :is_end::bool THEN status
        WHEN items + :added::int = 0 THEN 'completed'
        ELSE 'running'
    END,
    ended_at = CASE WHEN :is_end::bool AND items + :added::int = 0 THEN now() END
WHERE id = :id AND tenant_id = :tenant_id;

-- name: next_item
-- The item after the one that was done last, with the signal of its run; no row: there is none.
-- trigger_id: NULL: the tenant has no such run.
SELECT i.run_id, (
    SELECT r.trigger_id FROM pulse_workflow_runs AS r
    WHERE r.id = i.run_id AND r.tenant_id = i.tenant_id
) AS trigger_id
FROM pulse_bulk_items AS i
WHERE i.operation_id = :id AND i.run_id > :place AND i.tenant_id = :tenant_id
ORDER BY i.run_id
LIMIT 1;

-- name: end_item
-- Say how an item has ended, in the transaction of its effect, under the lock of the operation.
-- pause: until the next item may have its turn.
WITH ended AS (
    UPDATE pulse_bulk_items
    SET outcome = :outcome, code = :code, error = :error, generation = :generation::int,
        run_ids = :run_ids::text[], ended_at = clock_timestamp()
    WHERE operation_id = :id AND run_id = :run_id AND tenant_id = :tenant_id
        AND outcome = 'pending'
    RETURNING outcome
)
UPDATE pulse_bulk_operations AS o
SET
    done = o.done + (ended.outcome = 'done')::int,
    failed = o.failed + (ended.outcome = 'failed')::int,
    skipped = o.skipped + (ended.outcome = 'skipped')::int,
    place = :run_id,
    -- What was missed is made up for, but not what was missed for more than a second.
    due_at = greatest(o.due_at, now() - interval '1 second') + :pause::interval,
    status = CASE
        WHEN o.done + o.failed + o.skipped + 1 >= o.items THEN 'completed' ELSE o.status
    END,
    ended_at = CASE WHEN o.done + o.failed + o.skipped + 1 >= o.items THEN clock_timestamp() END
FROM ended
WHERE o.id = :id AND o.tenant_id = :tenant_id;

-- name: postpone
-- Let an operation rest that cannot go on now.
UPDATE pulse_bulk_operations SET due_at = now() + :pause::interval
WHERE id = :id AND tenant_id = :tenant_id AND status IN ('collecting', 'running');

-- name: lock_operation
-- An operation, which nobody works on until the transaction ends.
-- tenant_id: NULL for any.
SELECT {{bulk_columns}} FROM pulse_bulk_operations
WHERE id = :id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
FOR NO KEY UPDATE;

-- name: abort
-- End a locked operation; its other items stay as they are.
UPDATE pulse_bulk_operations SET status = 'aborted', ended_at = clock_timestamp()
WHERE id = :id AND tenant_id = :tenant_id
RETURNING {{bulk_columns}};

-- name: list_items
-- also: list_items_of_outcome
-- One page of an operation's items, in the order in which they have their turn.
-- after_id: the run after which it begins.
SELECT
    i.operation_id, i.run_id, i.tenant_id, i.outcome, i.code, i.error, i.generation, i.run_ids,
    i.ended_at
FROM pulse_bulk_items AS i
WHERE i.operation_id = :operation_id AND i.run_id > :after_id AND i.tenant_id = :tenant_id
    AND i.outcome = :outcome  -- only list_items_of_outcome
ORDER BY i.run_id
LIMIT :row_limit;
