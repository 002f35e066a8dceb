-- name: candidates
-- Definitions that a signal might start, each as it was at a moment, and which part of matching
-- holds: those that waited for one of the types then, wait for the signal's type now, or have
-- started. First those that match, then those of the signal's type, oldest first.
-- at: the moment; NULL: now, by the rows themselves. types: the signal's own, and others like it.
-- owner: as of emit_signals. trigger_id: of a stored signal, whose runs count; is_replay: it was
-- emitted by a replayed run.
-- Per row too: how many candidates there are, how many of them match, and the steps of these.
WITH t AS (
    -- The signal.
    SELECT
        :type::text AS type, :environment::text AS environment,
        :resource_type::text AS resource_type
), started AS (
    -- The first run of each definition; later ones are replays.
    SELECT DISTINCT ON (r.definition_id)
        r.definition_id, r.id, (r.definition_snapshot ->> 'version')::int AS version
    FROM pulse_workflow_runs AS r
    WHERE r.trigger_id = :trigger_id AND r.tenant_id = :tenant_id
        AND (NOT r.is_replay OR :is_replay::bool)
    ORDER BY r.definition_id, r.id
), d AS (
    -- A definition that has not changed since is its row.
    SELECT
        c.id, c.name, c.created_at, c.step_plan, c.trigger_type AS present_type, c.version,
        c.is_enabled, c.deleted_at, c.trigger_type, c.environment_filter, c.resource_type_filter,
        c.cron_expression
    FROM pulse_workflow_definitions AS c
    WHERE c.tenant_id = :tenant_id AND c.trigger_type = ANY (:types::text[])
        AND (:at::timestamptz IS NULL OR c.updated_at <= :at::timestamptz)
    UNION ALL
    -- One that has is what its versions say; of nothing but NULL where they do not go back so far.
    SELECT
        c.id, c.name, c.created_at, c.step_plan, c.trigger_type, newest.version,
        CASE newest.kind
            WHEN 'enabled' THEN true
            WHEN 'disabled' THEN false
            WHEN 'deleted' THEN false
            ELSE was."isEnabled"
        END,
        CASE WHEN newest.kind = 'deleted' THEN newest.valid_from END,
        was."triggerType", was."environmentFilter", was."resourceTypeFilter", was."cronExpression"
    FROM pulse_workflow_definitions AS c
    LEFT JOIN LATERAL (
        SELECT v.version, v.kind, v.valid_from
        FROM pulse_definition_versions AS v
        WHERE v.definition_id = c.id AND v.tenant_id = c.tenant_id
            AND v.valid_from <= :at::timestamptz
        ORDER BY v.version DESC
        LIMIT 1
    ) AS newest ON true
    LEFT JOIN LATERAL (
        SELECT told.*
        FROM (
            SELECT v.content
            FROM pulse_definition_versions AS v
            WHERE v.definition_id = c.id AND v.tenant_id = c.tenant_id
                AND v.version <= newest.version AND v.content IS NOT NULL
            ORDER BY v.version DESC
            LIMIT 1
        ) AS last
        CROSS JOIN LATERAL jsonb_to_record(last.content) AS told (
            "isEnabled" bool, "triggerType" text, "environmentFilter" text,
            "resourceTypeFilter" text, "cronExpression" text
        )
    ) AS was ON true
    WHERE c.tenant_id = :tenant_id AND c.updated_at > :at::timestamptz
), judged AS (
    -- The parts of matching; what was not on record holds in none.
    SELECT
        d.*, s.id AS run_id, s.version AS run_version,
        coalesce(d.trigger_type = t.type, false) AS is_of_type,
        coalesce({{is_on_or_ticks(d)}}, false) AS is_on,
        {{is_planned(d)}} AS is_planned,
        coalesce({{fits_environment(d)}}, false) AS fits_environment,
        coalesce({{fits_resource_type(d)}}, false) AS fits_resource_type,
        coalesce({{heeds_the_tick(d)}}, false) AS heeds_the_tick
    FROM d
    CROSS JOIN t
    LEFT JOIN started AS s ON s.definition_id = d.id
    WHERE d.trigger_type = ANY (:types::text[]) OR d.present_type = t.type OR s.id IS NOT NULL
), found AS (
    -- And all of them together.
    SELECT
        j.*,
        j.is_of_type AND j.is_on AND j.is_planned AND j.fits_environment AND j.fits_resource_type
            AND j.heeds_the_tick AS fits
    FROM judged AS j
)
SELECT
    f.id, f.name, f.created_at, f.version, f.deleted_at, f.trigger_type, f.environment_filter,
    f.resource_type_filter, f.run_id, f.run_version, f.fits, f.is_of_type, f.is_on, f.is_planned,
    f.fits_environment, f.fits_resource_type, f.heeds_the_tick,
    count(*) OVER () AS candidates,
    count(*) FILTER (WHERE f.fits) OVER () AS matching,
    coalesce(sum(jsonb_array_length(f.step_plan)) FILTER (WHERE f.fits) OVER (), 0)::bigint AS steps,
    count(*) FILTER (WHERE f.run_id IS NOT NULL) OVER () AS started
FROM found AS f
ORDER BY f.run_id IS NULL, NOT f.fits, NOT f.is_of_type, f.created_at, f.id
LIMIT :row_limit;

-- name: types
-- The types of signals that definitions of a tenant wait for; at most so many.
SELECT DISTINCT trigger_type FROM pulse_workflow_definitions
WHERE tenant_id = :tenant_id AND deleted_at IS NULL
ORDER BY trigger_type
LIMIT :row_limit;
