-- Who asks why a signal did or did not start something looks at the definitions of its tenant that
-- wait for its type, disabled and deleted ones too, and at what has changed since.
CREATE INDEX pulse_workflow_definitions_type
    ON pulse_workflow_definitions (tenant_id, trigger_type);
CREATE INDEX pulse_workflow_definitions_changed
    ON pulse_workflow_definitions (tenant_id, updated_at);
