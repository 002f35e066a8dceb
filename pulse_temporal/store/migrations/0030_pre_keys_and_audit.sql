-- Keys of programs that call the API. The secret itself is nowhere: 256 random bits need no slow
-- hash. tenant_id: NULL for a key of all tenants.
CREATE TABLE pulse_api_keys (
    id text PRIMARY KEY,
    tenant_id text,
    name text NOT NULL,
    scopes text[] NOT NULL,
    secret_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    replaced_by text
);
CREATE INDEX pulse_api_keys_tenant ON pulse_api_keys (tenant_id, created_at, id);

-- Who has changed what, written in the transaction of the change. It refers to nothing, so that it
-- outlives what it is about. tenant_id: NULL for what concerns all tenants.
CREATE TABLE pulse_audit (
    id text PRIMARY KEY,
    tenant_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    actor_kind text NOT NULL,
    action text NOT NULL,
    subject_id text NOT NULL,
    reason text,
    detail jsonb NOT NULL DEFAULT '{}',
    request_id text
);
CREATE INDEX pulse_audit_created ON pulse_audit (created_at, id);
CREATE INDEX pulse_audit_tenant ON pulse_audit (tenant_id, created_at, id);
CREATE INDEX pulse_audit_subject ON pulse_audit (subject_id, created_at, id);
