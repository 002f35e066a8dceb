-- Lists of a tenant's signals go by (created_at, id), as those of runs do; those of one type too.
CREATE INDEX pulse_triggers_tenant ON pulse_triggers (tenant_id, created_at, id);
DROP INDEX pulse_triggers_tenant_type;
CREATE INDEX pulse_triggers_tenant_type ON pulse_triggers (tenant_id, type, created_at, id);
