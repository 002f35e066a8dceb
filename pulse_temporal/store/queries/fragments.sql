-- What several statements share. {{x}} in one of them stands for the fragment x, {{x(r)}} for x of
-- a row r. `python -m pulse_temporal.store.statements claims.claim` prints a statement written out.

-- Locks are taken in one order: the control row, the run, its steps, their attempts. Statements
-- lock the control row FOR SHARE, so that those of one run do not wait for each other and a
-- cancel or retry, which takes it alone, waits for all. Postgres carries out the parts of a WITH
-- in the order in which they are read: a part that reads (SELECT count(*) FROM run) AS run_first
-- has the lock of the run before its own.

-- fragment: control_is_open
-- Of a control row c: this generation of the run may still write. Locked FOR SHARE, so that a
-- cancel or a retry, which takes the row alone, waits for what it has let through.
c.run_id = :run_id AND c.tenant_id = :tenant_id AND c.generation = :generation
    AND c.closed_as IS NULL

-- fragment: speaks(l)
-- Of a lineage: this execution writes for the run or branch, and none has taken over from it.
l.run_id = :run_id AND l.generation = :generation AND l.branch = :branch
    AND l.temporal_run_id = :temporal_run_id

-- fragment: joins_context(s)
-- Of a step: its result is part of the run's context. A skipped one was passed over in a replay.
s.step_type = 'action' AND s.result IS NOT NULL
    AND s.status IN ('completed', 'skipped')

-- fragment: results
-- What a run's steps have added to its context so far, by their names.
coalesce((
    SELECT jsonb_object_agg(s.step_name, s.result) FROM pulse_workflow_step_runs AS s
    WHERE s.run_id = :run_id AND {{joins_context(s)}}
), '{}')

-- fragment: run_end
-- A run ends. What that means is said here alone; what else is to happen then is a further part,
-- for each row of ended. The part before it is called ending. It has one row when the run ends:
-- run_id; status: completed, failed or canceled; at: when; reason: why it failed or was canceled;
-- began_at: when it began, if that is not on record, NULL: it never did; result: of the step that
-- ends the run, which this statement writes and does not see; detail: of the event, but the reason.
-- It comes behind what writes the events of steps, and the run's row is locked before the steps.
ended AS (
    -- Only an open run: what has ended at the same moment stays as it has ended.
    UPDATE pulse_workflow_runs AS r
    SET
        status = e.status, updated_at = e.at, started_at = coalesce(r.started_at, e.began_at),
        completed_at = CASE WHEN e.status = 'completed' THEN e.at END,
        failed_at = CASE WHEN e.status = 'failed' THEN e.at END,
        canceled_at = CASE WHEN e.status = 'canceled' THEN e.at END,
        error_message = CASE WHEN e.status = 'failed' THEN e.reason END,
        cancel_reason = CASE WHEN e.status = 'canceled' THEN e.reason END,
        context = r.context || e.result || {{results}}
    FROM ending AS e
    WHERE r.id = e.run_id AND r.tenant_id = :tenant_id
        AND r.status IN ('pending', 'running', 'waiting')
    RETURNING r.id, r.tenant_id, r.generation, r.status, e.at, e.reason, e.detail
), ended_event AS (
    -- The last event of the timeline: ending comes behind those of the steps.
    INSERT INTO pulse_run_events ({{run_event}})
    SELECT id, tenant_id, generation, 'run_' || status, at,
        detail || jsonb_strip_nulls(jsonb_build_object(
            CASE status WHEN 'canceled' THEN 'reason' ELSE 'error' END, reason
        ))
    FROM ended
)

-- fragment: answer(s)
-- What a condition has answered. An older release has recorded it in the result alone.
coalesce(s.answer, CASE
    WHEN s.step_type <> 'condition' THEN NULL
    WHEN s.result @> '{"value": true}' THEN true
    WHEN s.result @> '{"value": false}' THEN false
END)

-- fragment: log_lines
-- Write the lines that a handler has logged, in their order.
-- log_…: one element a line; log_data: JSON texts.
INSERT INTO pulse_execution_logs (
    id, run_id, step_run_id, tenant_id, level, message, data, created_at
)
SELECT line.id, step.run_id, step.id, step.tenant_id, line.level, line.message,
    line.data::jsonb, line.at
FROM step, unnest(
    :log_ids::text[], :log_levels::text[], :log_messages::text[], :log_data::text[],
    :log_times::timestamptz[]
) WITH ORDINALITY AS line (id, level, message, data, at, position)
ORDER BY line.position
RETURNING 1

-- fragment: step_event
-- What is written of an event in the life of a step.
run_id, tenant_id, generation, kind, path, at, detail

-- fragment: run_event
-- What is written of an event in the life of a run.
run_id, tenant_id, generation, kind, at, detail

-- fragment: run_columns(r)
-- A run as it is read, without its context.
r.id, r.definition_id, r.tenant_id, r.trigger_id, r.status, r.current_step_index,
r.is_replay, r.is_dry_run, r.definition_snapshot::text AS definition_snapshot, r.generation,
r.error_message, r.started_at, r.completed_at, r.failed_at, r.canceled_at, r.cancel_reason,
r.created_at, r.updated_at

-- What makes a definition d match a signal t of its tenant and type, part by part: emit asks for
-- all of them, and explain tells of each whether it holds.

-- fragment: is_on(d)
-- Signals may start it.
d.is_enabled AND d.deleted_at IS NULL

-- fragment: is_on_or_ticks(d)
-- The same, for the tick of a cron. What a late tick's owner has become meanwhile is no matter: at
-- its time it was enabled.
({{is_on(d)}} OR d.id = :owner::text)

-- fragment: is_planned(d)
-- This engine has read its steps; the TypeScript Pulse has written it otherwise.
d.step_plan IS NOT NULL

-- fragment: fits_environment(d)
(d.environment_filter IS NULL OR d.environment_filter = t.environment)

-- fragment: fits_resource_type(d)
(d.resource_type_filter IS NULL OR d.resource_type_filter = t.resource_type)

-- fragment: heeds_the_tick(d)
-- The tick of a cron is for its owner, and for those that have no cron of their own.
(:owner::text IS NULL OR d.id = :owner::text OR d.cron_expression IS NULL)

-- fragment: definition_columns
-- A definition as it is read.
id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
key, schedule_error, version, created_at, updated_at

-- fragment: definition_content(d)
-- What the author of a definition has sent, as its versions keep it.
jsonb_strip_nulls(jsonb_build_object(
    'key', d.key, 'name', d.name, 'description', d.description, 'triggerType', d.trigger_type,
    'environmentFilter', d.environment_filter, 'resourceTypeFilter', d.resource_type_filter,
    'isEnabled', d.is_enabled, 'cronExpression', d.cron_expression, 'timezone', d.timezone
)) || jsonb_build_object('steps', d.steps, 'config', d.config)

-- fragment: told_versions
-- The versions of a definition, and the row itself where it is newer: the TypeScript Pulse keeps
-- none, and older releases have kept none.
-- tenant_id: NULL for any.
SELECT
    k.definition_id, k.version, k.tenant_id, k.kind, k.valid_from, k.actor, k.actor_name,
    k.actor_kind, k.note, k.content
FROM pulse_definition_versions AS k
WHERE k.definition_id = :definition_id
    AND (:tenant_id::text IS NULL OR k.tenant_id = :tenant_id)
UNION ALL
SELECT
    d.id, d.version, d.tenant_id, CASE WHEN d.deleted_at IS NULL THEN 'content' ELSE 'deleted' END,
    coalesce(d.deleted_at, d.updated_at), NULL, NULL, NULL, NULL, {{definition_content(d)}}
FROM pulse_workflow_definitions AS d
WHERE d.id = :definition_id AND (:tenant_id::text IS NULL OR d.tenant_id = :tenant_id)
    AND d.version > coalesce((
        SELECT max(newest.version) FROM pulse_definition_versions AS newest
        WHERE newest.definition_id = :definition_id
    ), 0)

-- fragment: last_change
-- Of a definition's row: its newest version that changed more than whether it is enabled, and who
-- made its newest one.
(
    SELECT max(v.version) FROM pulse_definition_versions AS v
    WHERE v.definition_id = pulse_workflow_definitions.id AND v.kind = 'content'
) AS content_version, (
    SELECT coalesce(v.actor_name, v.actor) FROM pulse_definition_versions AS v
    WHERE v.definition_id = pulse_workflow_definitions.id ORDER BY v.version DESC LIMIT 1
) AS changed_by

-- fragment: step_columns
-- A step run as it is read.
id, run_id, tenant_id, step_index, step_type, step_name, status, scheduled_for, started_at,
completed_at, result::text AS result, error_message, branch_index, parent_step_run_id,
created_at, path, handler, generation, attempt, max_attempts, next_attempt_at, skipped_by,
blocked_reason

-- fragment: is_open(r)
-- Of a run: it is not over; a status that only a newer release knows counts as open.
r.status NOT IN ('completed', 'failed', 'canceled')

-- fragment: is_held(s)
-- Of a step: it is tried again, or cannot start. The first three are those of its index.
(s.retrying_since IS NOT NULL OR s.next_attempt_at IS NOT NULL OR s.blocked_reason IS NOT NULL)
    AND s.status NOT IN ('completed', 'failed', 'skipped')

-- fragment: is_late(r)
-- Of a run: no worker has taken it for long.
r.status = 'pending' AND r.created_at < now() - :late_after::interval

-- fragment: within_page(r)
-- Of a run or a signal: it is in the span of time that is asked for, and behind the page before.
-- since: inclusive, NULL from the first; before_at, before_id: created_at and id that the page ends
-- before, NULL and '' from the newest.
r.created_at >= coalesce(:since::timestamptz, '-infinity')
    AND (r.created_at, r.id) < (coalesce(:before_at::timestamptz, 'infinity'), :before_id)

-- fragment: narrowed(r)
-- Of a run: the other fields of the filter; each NULL for any.
(:statuses::text[] IS NULL OR r.status = ANY (:statuses))
    AND (:definition_id::text IS NULL OR r.definition_id = :definition_id)
    AND (:trigger_id::text IS NULL OR r.trigger_id = :trigger_id)
    AND (
        coalesce(:resource_id::text, :signal_type::text) IS NULL
        OR EXISTS (
            SELECT 1 FROM pulse_triggers AS about
            WHERE about.id = r.trigger_id
                AND (:resource_id::text IS NULL OR about.resource_id = :resource_id)
                AND (:signal_type::text IS NULL OR about.type = :signal_type)
        )
    )

-- fragment: failed_step(r)
-- Joins the step at which a run has failed, as f.
LEFT JOIN LATERAL (
    SELECT
        s.step_name, coalesce(s.path, s.step_index::text) AS path,
        left(s.error_message, 500) AS error
    FROM pulse_workflow_step_runs AS s
    WHERE s.run_id = r.id AND s.status = 'failed' AND s.step_type <> 'parallel'
    ORDER BY s.path_numbers LIMIT 1
) AS f ON true

-- fragment: error_kind(r)
-- Of a failed run, with failed_step: its error, in which numbers and hexadecimal ids stand as #.
left(regexp_replace(
    coalesce(f.error, left(r.error_message, 500)),
    '\m(?:0x)?[0-9a-fA-F]*[0-9][0-9a-fA-F]*\M|[0-9]+', '#', 'g'
), 300)

-- fragment: step_summary(s)
-- A step as lists and pages show it.
s.id, coalesce(s.path, s.step_index::text) AS path, s.step_name AS name, s.step_type AS type,
s.handler, s.status, s.attempt, s.max_attempts, s.next_attempt_at, s.scheduled_for,
s.started_at, s.completed_at, left(s.error_message, 300) AS error_message, s.skipped_by,
left(s.blocked_reason, 300) AS blocked_reason, s.blocked_since, s.result_bytes, s.generation,
s.retrying_since

-- fragment: summary_columns(r)
-- A run as lists and pages show it; it stands with summary_joins.
r.id, r.tenant_id, r.definition_id, d.name AS definition_name, r.trigger_id AS signal_id,
t.type AS signal_type, t.resource_type, t.resource_id, t.environment, r.status,
{{is_late(r)}} AS is_late,
left(r.error_message, 500) AS error_message, r.is_replay, r.is_dry_run, r.generation,
r.created_at, r.started_at, coalesce(r.completed_at, r.failed_at, r.canceled_at) AS ended_at,
counted.steps, counted.steps_done,
cur.path AS current_path, cur.name AS current_name, cur.type AS current_type,
cur.status AS current_status, cur.attempt AS current_attempt,
cur.max_attempts AS current_max_attempts, cur.next_attempt_at AS current_next_attempt_at,
cur.scheduled_for AS current_scheduled_for, cur.error_message AS current_error_message,
cur.blocked_reason AS current_blocked_reason, cur.is_retrying AS current_is_retrying

-- fragment: summary_joins(r)
-- What summary_columns reads besides the run: cur is the step that says why the run stands where it
-- stands.
JOIN pulse_workflow_definitions AS d ON d.id = r.definition_id
JOIN pulse_triggers AS t ON t.id = r.trigger_id
CROSS JOIN LATERAL (
    SELECT
        count(*) AS steps,
        count(*) FILTER (WHERE s.status IN ('completed', 'skipped')) AS steps_done
    FROM pulse_workflow_step_runs AS s
    WHERE s.run_id = r.id
) AS counted
LEFT JOIN LATERAL (
    SELECT
        coalesce(s.path, s.step_index::text) AS path, s.step_name AS name, s.step_type AS type,
        s.status, s.attempt, s.max_attempts, s.next_attempt_at, s.scheduled_for,
        left(s.error_message, 300) AS error_message,
        left(s.blocked_reason, 300) AS blocked_reason,
        s.retrying_since IS NOT NULL OR s.next_attempt_at IS NOT NULL AS is_retrying
    FROM pulse_workflow_step_runs AS s
    WHERE s.run_id = r.id AND s.step_type <> 'parallel' AND CASE
        WHEN r.status = 'failed' THEN s.status = 'failed'
        WHEN {{is_open(r)}} THEN s.blocked_reason IS NOT NULL
            OR s.status NOT IN ('pending', 'completed', 'failed', 'skipped')
        ELSE false
    END
    ORDER BY
        s.blocked_reason IS NOT NULL DESC,
        (s.retrying_since IS NOT NULL OR s.next_attempt_at IS NOT NULL) DESC,
        s.path_numbers
    LIMIT 1
) AS cur ON true

-- fragment: bulk_columns
-- A bulk operation as it is read.
id, tenant_id, kind, name, reason, filter::text AS filter, repeats, status, rate, actor_id,
actor_name, actor_kind, items, done, failed, skipped, created_at, ended_at

-- fragment: is_meant(r)
-- Of a run of a page, with failed_step: something can be done to it, and it has failed as is asked.
r.status = ANY (:statuses::text[]) AND (NOT :is_ours::bool OR r.engine = 'temporal')
    AND (:failed_step::text IS NULL OR f.step_name = :failed_step)
    AND (:error::text IS NULL OR {{error_kind(r)}} = :error)
