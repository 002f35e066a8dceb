-- name: begin
-- Let an interpreter begin, when it is the first to speak for its run or branch and generation;
-- a pending run starts running. No row: it is not the first, the run is over, or it needs a newer
-- release.
-- dialect: the newest that the process knows.
WITH control AS (
    SELECT c.run_id FROM pulse_run_control AS c
    JOIN pulse_workflow_runs AS r
        ON r.id = c.run_id AND r.status IN ('pending', 'running', 'waiting')
            AND r.dialect <= :dialect
    WHERE {{control_is_open}}
    FOR SHARE OF c
), run AS (
    UPDATE pulse_workflow_runs AS r
    SET status = 'running', started_at = coalesce(r.started_at, now()), updated_at = now()
    FROM control
    WHERE r.id = :run_id AND r.tenant_id = :tenant_id AND :branch = '' AND r.status = 'pending'
    RETURNING r.id
)
INSERT INTO pulse_run_lineages (
    run_id, tenant_id, generation, branch, first_execution_run_id, temporal_run_id
)
SELECT control.run_id, :tenant_id, :generation, :branch, :first_execution_run_id, :temporal_run_id
FROM control, (SELECT count(*) FROM run) AS run_first
ON CONFLICT (run_id, generation, branch) DO NOTHING
RETURNING epoch, (
    SELECT r.definition_snapshot::text FROM pulse_workflow_runs AS r WHERE r.id = :run_id
) AS definition_snapshot;

-- name: read
-- Read a lineage for a change; it needs no lock, because only who holds the control row writes one.
SELECT first_execution_run_id, temporal_run_id, earlier_run_ids, epoch
FROM pulse_run_lineages
WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation AND branch = :branch;

-- name: advance
-- Another Temporal execution speaks from now on; what the one before still writes is refused.
UPDATE pulse_run_lineages
SET
    earlier_run_ids = earlier_run_ids || temporal_run_id,
    first_execution_run_id = :first_execution_run_id,
    temporal_run_id = :temporal_run_id, epoch = epoch + 1
WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation AND branch = :branch
RETURNING epoch;
