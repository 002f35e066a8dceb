-- Tables and rows as the TypeScript Pulse leaves them.
CREATE TABLE pulse_triggers (
    id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL,
    resource_type TEXT, resource_id TEXT, environment TEXT, payload JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE TABLE pulse_workflow_definitions (
    id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT,
    trigger_type TEXT NOT NULL, environment_filter TEXT, resource_type_filter TEXT,
    steps JSONB NOT NULL, config JSONB NOT NULL DEFAULT '{}',
    is_enabled BOOLEAN NOT NULL DEFAULT TRUE, cron_expression TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE TABLE pulse_workflow_runs (
    id TEXT PRIMARY KEY, definition_id TEXT NOT NULL REFERENCES pulse_workflow_definitions (id),
    tenant_id TEXT NOT NULL, trigger_id TEXT NOT NULL REFERENCES pulse_triggers (id),
    status TEXT NOT NULL, context JSONB NOT NULL DEFAULT '{}',
    current_step_index INTEGER NOT NULL DEFAULT 0, is_replay BOOLEAN NOT NULL DEFAULT FALSE,
    definition_snapshot JSONB NOT NULL, started_at TIMESTAMPTZ, completed_at TIMESTAMPTZ,
    failed_at TIMESTAMPTZ, canceled_at TIMESTAMPTZ, cancel_reason TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE TABLE pulse_workflow_step_runs (
    id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES pulse_workflow_runs (id),
    tenant_id TEXT NOT NULL, step_index INTEGER NOT NULL, step_type TEXT NOT NULL,
    step_name TEXT NOT NULL, status TEXT NOT NULL, scheduled_for TIMESTAMPTZ,
    started_at TIMESTAMPTZ, completed_at TIMESTAMPTZ, result JSONB, error_message TEXT,
    branch_index INTEGER, parent_step_run_id TEXT, created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE TABLE pulse_execution_logs (
    id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES pulse_workflow_runs (id),
    step_run_id TEXT REFERENCES pulse_workflow_step_runs (id), tenant_id TEXT NOT NULL,
    level TEXT NOT NULL, message TEXT NOT NULL, data JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

INSERT INTO pulse_triggers VALUES
    ('trg_1', 'workspace_1', 'billing', 'invoice.due', 'invoice', 'inv-7', NULL,
     '{"amount": 12}', '2026-01-02T03:00:00Z'),
    ('trg_2', 'workspace_1', 'billing', 'invoice.due', NULL, NULL, NULL, NULL,
     '2026-01-02T04:00:00Z');
INSERT INTO pulse_workflow_definitions (id, tenant_id, name, trigger_type, steps, config) VALUES
    ('wfd_1', 'workspace_1', 'Dunning', 'invoice.due',
     '[{"type": "action", "name": "remind", "retryPolicy": {"maxAttempts": 2, "backoffMs": 100},
        "label": "a field of another version"},
       {"type": "parallel", "name": "notify", "branches": [
          [{"type": "action", "name": "mail"}], [{"type": "action", "name": "sms"}]]}]',
     '{"tone": "kind"}'),
    ('wfd_2', 'workspace_1', 'Unreadable', 'invoice.due', '[{"type": "poem", "name": "x"}]', '{}');
INSERT INTO pulse_workflow_runs (
    id, definition_id, tenant_id, trigger_id, status, context, definition_snapshot, started_at,
    completed_at, created_at, updated_at
) VALUES
    ('run_1', 'wfd_1', 'workspace_1', 'trg_1', 'completed', '{"remind": {"sent": true}}',
     '{"name": "Dunning", "steps": [{"type": "action", "name": "remind"}], "config": {}}',
     '2026-01-02T03:00:01Z', '2026-01-02T03:00:09Z', '2026-01-02T03:00:00Z',
     '2026-01-02T03:00:09Z'),
    ('run_2', 'wfd_1', 'workspace_1', 'trg_2', 'waiting', '{}',
     '{"name": "Dunning", "steps": [], "config": {}}',
     '2026-01-02T04:00:01Z', NULL, '2026-01-02T04:00:00Z', '2026-01-02T04:00:01Z');
INSERT INTO pulse_workflow_step_runs (
    id, run_id, tenant_id, step_index, step_type, step_name, status, started_at, completed_at,
    result, error_message, branch_index, parent_step_run_id, created_at
) VALUES
    ('stp_1', 'run_1', 'workspace_1', 0, 'action', 'remind', 'completed', '2026-01-02T03:00:02Z',
     '2026-01-02T03:00:04Z', '{"sent": true}', NULL, NULL, NULL, '2026-01-02T03:00:00Z'),
    ('stp_2', 'run_1', 'workspace_1', 1, 'parallel', 'notify', 'completed',
     '2026-01-02T03:00:05Z', '2026-01-02T03:00:08Z', NULL, NULL, NULL, NULL,
     '2026-01-02T03:00:00Z'),
    ('stp_3', 'run_1', 'workspace_1', 0, 'action', 'mail', 'completed', '2026-01-02T03:00:06Z',
     '2026-01-02T03:00:07Z', NULL, NULL, 0, 'stp_2', '2026-01-02T03:00:05Z'),
    ('stp_4', 'run_1', 'workspace_1', 0, 'action', 'sms', 'skipped', NULL, NULL, NULL, NULL, 1,
     'stp_2', '2026-01-02T03:00:06.5Z');
INSERT INTO pulse_execution_logs VALUES
    ('log_1', 'run_1', 'stp_1', 'workspace_1', 'info', 'Reminder sent', '{"to": "a"}',
     '2026-01-02T03:00:03Z');
