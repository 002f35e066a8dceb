-- In which order statements lock is said in fragments.sql.

-- name: claim
-- Take a step that nobody works on, and load all that its handler needs. No row: it is being
-- worked on, has ended, is canceled, this execution does not speak for the run, or the run needs a
-- newer release.
-- timeout: time until the attempt's deadline. waited_after: failed attempt whose pause Temporal's
-- timer has let pass, 0 for none. first_execution_run_id: of an execution that begins with this
-- step, as the first to speak for its run or branch and generation; NULL: it has begun.
-- known_depth, known_index: place before which the results are known to the caller, its depth in
-- path_numbers and index there, 1 and 0 for none; known_mark: of the rows they were read from.
-- dialect: the newest that the process knows.
-- context: the results that are not known, or all of them when the known ones are others by now.
WITH control AS (
    -- The run is open, and this release knows its dialect. FOR SHARE: a cancel or a retry, which
    -- takes the row alone, waits for this claim; after it none is made.
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE {{control_is_open}}
        AND EXISTS (
            SELECT 1 FROM pulse_workflow_runs AS r
            WHERE r.id = :run_id AND r.dialect <= :dialect
                AND (:first_execution_run_id::text IS NULL
                    OR r.status IN ('pending', 'running', 'waiting'))
        )
    FOR SHARE
), run AS (
    -- The run starts, or goes on to this step. Written only where that changes the row, so that
    -- deliveries of one run do not wait for each other here.
    UPDATE pulse_workflow_runs AS r
    SET
        current_step_index = split_part(:path, '/', 1)::int, updated_at = now(),
        status = CASE WHEN r.status = 'pending' THEN 'running' ELSE r.status END,
        started_at = coalesce(r.started_at, now())
    FROM control
    WHERE r.id = :run_id AND r.tenant_id = :tenant_id AND :branch = '' AND (
        r.status = 'pending'
        OR :first_execution_run_id::text IS NULL
            AND r.current_step_index <> split_part(:path, '/', 1)::int
            -- What a late claim would set back has gone on.
            AND EXISTS (
                SELECT 1 FROM pulse_workflow_step_runs AS s
                WHERE s.run_id = :run_id AND s.path = :path AND s.status IN ('pending', 'scheduled')
            )
            AND EXISTS (
                SELECT 1 FROM pulse_run_lineages AS l
                WHERE {{speaks(l)}}
            )
    )
    RETURNING r.id
), begun AS (
    -- An execution that begins with this step writes for its list from now on. When two begin, the
    -- later one gets no row, and so no step.
    INSERT INTO pulse_run_lineages (
        run_id, tenant_id, generation, branch, first_execution_run_id, temporal_run_id
    )
    SELECT control.run_id, :tenant_id, :generation, :branch, :first_execution_run_id,
        :temporal_run_id
    FROM control, (SELECT count(*) FROM run) AS run_first
    WHERE :first_execution_run_id::text IS NOT NULL
    ON CONFLICT (run_id, generation, branch) DO NOTHING
    RETURNING epoch
), speaker AS (
    -- The lineage of this execution, and its epoch. None: another one writes by now, and a claim
    -- would take the step from it.
    SELECT epoch FROM begun
    UNION ALL
    SELECT epoch FROM pulse_run_lineages
    WHERE :first_execution_run_id::text IS NULL
        AND run_id = :run_id AND generation = :generation AND branch = :branch
        AND temporal_run_id = :temporal_run_id
    LIMIT 1  -- never more; told so, the planner keeps its plan
), step AS (
    -- Take the step. A delivery that comes at the same moment waits for the row and finds it
    -- running.
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = 'running', claim = s.claim + 1, epoch = l.epoch, attempt = s.attempt + 1,
        started_at = coalesce(s.started_at, now()), next_attempt_at = NULL,
        blocked_reason = NULL, blocked_since = NULL
    FROM control
    CROSS JOIN (SELECT count(*) FROM run) AS run_first
    CROSS JOIN speaker AS l
    WHERE s.run_id = :run_id AND s.path = :path AND s.tenant_id = :tenant_id
        AND s.generation = :generation
        AND s.status IN ('pending', 'scheduled')
        -- The timer's word counts for this pause only, not when an old attempt comes again.
        AND (s.attempt = :waited_after
            OR coalesce(s.next_attempt_at, now()) <= now() + interval '1 s')
    RETURNING s.*
), attempt AS (
    -- What is left of a worker that dies: an open attempt, given up after its deadline.
    INSERT INTO pulse_step_attempts (
        step_run_id, claim, run_id, tenant_id, generation, epoch, attempt, worker_id,
        started_at, deadline_at
    )
    SELECT id, claim, run_id, tenant_id, generation, epoch, attempt, :worker_id, now(),
        now() + :timeout
    FROM step
), event AS (
    -- Told with the claim, so that no attempt is without its beginning.
    INSERT INTO pulse_run_events ({{step_event}})
    SELECT run_id, tenant_id, generation, 'step_started', path, now(),
        jsonb_build_object('attempt', attempt)
    FROM step
), earlier AS MATERIALIZED (
    -- What a handler may see: the earlier siblings in each list that its path goes through,
    -- and all below them; never a step of a sibling branch, so never the run's own context,
    -- which takes in all branches while the run waits and when it has failed.
    -- A result is not read here: one of more than 2 KiB lies elsewhere, and is named only.
    SELECT
        e.step_name, e.result, lists.is_new,
        hashtextextended(
            e.id, coalesce(extract(epoch FROM e.completed_at) * 1000000, 0)::bigint
        ) AS mark
    FROM step AS s
    JOIN pulse_workflow_step_runs AS e ON e.run_id = :run_id
    CROSS JOIN LATERAL (
        SELECT bool_or(d.depth > :known_depth OR d.depth = :known_depth
            AND e.path_numbers[d.depth] >= :known_index) AS is_new
        FROM generate_series(1, cardinality(s.path_numbers), 2) AS d (depth)
        WHERE e.path_numbers[1:d.depth - 1] = s.path_numbers[1:d.depth - 1]
            AND e.path_numbers[d.depth] < s.path_numbers[d.depth]
    ) AS lists
    WHERE {{joins_context(e)}} AND lists.is_new IS NOT NULL
), known AS (
    -- Whether the results that the caller knows are those on record; if not, all are sent again.
    SELECT
        coalesce(sum(mark), 0)::text AS context_mark,
        coalesce(sum(mark) FILTER (WHERE NOT is_new), 0)::text = :known_mark::text AS is_known
    FROM earlier
)
SELECT
    s.id AS s_id, s.step_index AS s_step_index, s.step_type AS s_step_type,
    s.step_name AS s_step_name, s.handler AS s_handler, s.status AS s_status,
    s.path AS s_path, s.started_at AS s_started_at, s.branch_index AS s_branch_index,
    s.parent_step_run_id AS s_parent_step_run_id, s.attempt AS s_attempt,
    s.max_attempts AS s_max_attempts, s.created_at AS s_created_at, s.claim, s.epoch,
    r.definition_id AS r_definition_id,
    -- This statement's own change of the run is not seen here.
    CASE WHEN r.status = 'pending' THEN 'running' ELSE r.status END AS r_status,
    r.is_replay AS r_is_replay,
    r.is_dry_run AS r_is_dry_run, r.definition_snapshot::text AS r_definition_snapshot,
    coalesce(r.started_at, now()) AS r_started_at, r.created_at AS r_created_at,
    r.updated_at AS r_updated_at,
    r.current_step_index AS r_current_step_index,
    t.id AS t_id, t.source AS t_source, t.type AS t_type, t.resource_type AS t_resource_type,
    t.resource_id AS t_resource_id, t.environment AS t_environment,
    t.payload::text AS t_payload, t.idempotency_key AS t_idempotency_key,
    t.caused_by_run_id AS t_caused_by_run_id, t.root_trigger_id AS t_root_trigger_id,
    t.depth AS t_depth, t.is_replay AS t_is_replay, t.created_at AS t_created_at,
    known.context_mark, known.is_known,
    coalesce((
        SELECT jsonb_object_agg(e.step_name, e.result) FROM earlier AS e
        WHERE e.is_new OR NOT known.is_known
    ), '{}')::text AS context
FROM step AS s
CROSS JOIN known
JOIN pulse_workflow_runs AS r ON r.id = s.run_id
JOIN pulse_triggers AS t ON t.id = r.trigger_id;

-- name: unclaim
-- Take a claim back as if it had not been made: this release cannot read what it has claimed.
-- Nobody else knows the claim, so its number is free again. What began with it has not begun.
-- temporal_run_id: of the execution that began with it; NULL: it had begun.
WITH run AS (
    -- Pending again, when nothing but this claim has started it.
    UPDATE pulse_workflow_runs AS r
    SET status = 'pending', started_at = NULL
    WHERE r.id = :run_id AND r.status = 'running' AND r.generation = 1 AND :generation = 1
        AND :branch = ''
        AND EXISTS (
            SELECT 1 FROM pulse_run_lineages AS l
            WHERE {{speaks(l)}} AND l.epoch = 1
        )
    RETURNING r.id
), begun AS (
    -- An execution of a worker of the newer release is the first one then.
    DELETE FROM pulse_run_lineages AS l
    WHERE {{speaks(l)}} AND l.epoch = 1
), step AS (
    -- As before the claim; the run first, as everywhere.
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = CASE WHEN s.claim = 1 THEN 'pending' ELSE 'scheduled' END,
        started_at = CASE WHEN s.claim > 1 THEN s.started_at END,
        claim = s.claim - 1, attempt = s.attempt - 1
    FROM (SELECT count(*) FROM run) AS run_first
    WHERE s.id = :step_run_id AND s.claim = :claim AND s.status = 'running'
    RETURNING s.id, s.run_id, s.path
), attempt AS (
    -- No attempt: it would count as one whose worker was lost.
    DELETE FROM pulse_step_attempts AS a USING step
    WHERE a.step_run_id = step.id AND a.claim = :claim
)
DELETE FROM pulse_run_events AS e USING step
WHERE e.run_id = step.run_id AND e.seq = (
    SELECT max(l.seq) FROM pulse_run_events AS l
    WHERE l.run_id = step.run_id AND l.path = step.path AND l.kind = 'step_started'
);

-- name: give_back
-- Give a step back whose delivery takes too long for where it runs; it costs no attempt.
WITH control AS (
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE c.run_id = :run_id AND c.tenant_id = :tenant_id
    FOR SHARE
), step AS (
    UPDATE pulse_workflow_step_runs AS s
    SET status = 'scheduled', attempt = s.attempt - 1
    FROM control JOIN pulse_step_attempts AS a ON a.run_id = control.run_id
    WHERE s.id = :step_run_id AND s.claim = :claim AND s.status = 'running'
        AND a.step_run_id = :step_run_id AND a.claim = :claim AND a.status = 'open'
    RETURNING s.id
)
UPDATE pulse_step_attempts AS a
SET status = 'released', ended_at = now(), error_message = :reason
FROM step WHERE a.step_run_id = step.id AND a.claim = :claim;
