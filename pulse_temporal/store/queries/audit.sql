-- Who has changed what.

-- name: record
-- Record a change, in its transaction.
-- tenant_id: NULL for what concerns all tenants; detail: a JSON object.
INSERT INTO pulse_audit (
    id, tenant_id, actor_id, actor_name, actor_kind, action, subject_id, reason, detail, request_id
)
VALUES (
    :id, :tenant_id, :actor_id, :actor_name, :actor_kind, :action, :subject_id, :reason,
    :detail::jsonb, :request_id
);

-- name: list_all
-- One page, of all tenants, newest first.
-- before_at, before_id: the place that it ends before, NULL from the newest; action: NULL for any.
SELECT
    a.id, a.tenant_id, a.created_at, a.actor_id, a.actor_name, a.actor_kind, a.action,
    a.subject_id, a.reason, a.detail::text AS detail, a.request_id
FROM pulse_audit AS a
WHERE
    (:before_at::timestamptz IS NULL OR (a.created_at, a.id) < (:before_at, :before_id::text))
    AND (:action::text IS NULL OR a.action = :action)
ORDER BY a.created_at DESC, a.id DESC
LIMIT :row_limit;

-- name: list_tenant
-- One page, of a tenant, newest first.
-- before_at, before_id: the place that it ends before, NULL from the newest; action: NULL for any.
SELECT
    a.id, a.tenant_id, a.created_at, a.actor_id, a.actor_name, a.actor_kind, a.action,
    a.subject_id, a.reason, a.detail::text AS detail, a.request_id
FROM pulse_audit AS a
WHERE
    a.tenant_id = :tenant_id
    AND (:before_at::timestamptz IS NULL OR (a.created_at, a.id) < (:before_at, :before_id::text))
    AND (:action::text IS NULL OR a.action = :action)
ORDER BY a.created_at DESC, a.id DESC
LIMIT :row_limit;

-- name: list_subject
-- One page, of what was done to one thing, newest first.
-- tenant_id, action: NULL for any; before_at, before_id: the place that it ends before, NULL from
-- the newest.
SELECT
    a.id, a.tenant_id, a.created_at, a.actor_id, a.actor_name, a.actor_kind, a.action,
    a.subject_id, a.reason, a.detail::text AS detail, a.request_id
FROM pulse_audit AS a
WHERE
    a.subject_id = :subject_id
    AND (:tenant_id::text IS NULL OR a.tenant_id = :tenant_id)
    AND (:before_at::timestamptz IS NULL OR (a.created_at, a.id) < (:before_at, :before_id::text))
    AND (:action::text IS NULL OR a.action = :action)
ORDER BY a.created_at DESC, a.id DESC
LIMIT :row_limit;
