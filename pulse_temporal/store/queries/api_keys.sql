-- Keys of programs.

-- name: insert_key
-- Store a new key.
-- tenant_id: NULL for all tenants; secret_sha256: hash of its secret.
INSERT INTO pulse_api_keys (id, tenant_id, name, scopes, secret_sha256, created_by, expires_at)
VALUES (
    :id, :tenant_id, :name, :scopes::text[], :secret_sha256::bytea, :created_by,
    :expires_at::timestamptz
)
RETURNING
    id, tenant_id, name, scopes, created_at, created_by, expires_at, last_used_at, revoked_at,
    replaced_by;

-- name: find_key
-- A key with the hash of its secret, for whoever shows it.
SELECT
    k.id, k.tenant_id, k.name, k.scopes, k.created_at, k.created_by, k.expires_at, k.last_used_at,
    k.revoked_at, k.replaced_by, k.secret_sha256
FROM pulse_api_keys AS k
WHERE k.id = :id;

-- name: lock_key
-- A key, which others cannot change until the transaction ends.
-- tenant_id: NULL for any.
SELECT
    k.id, k.tenant_id, k.name, k.scopes, k.created_at, k.created_by, k.expires_at, k.last_used_at,
    k.revoked_at, k.replaced_by
FROM pulse_api_keys AS k
WHERE k.id = :id AND (:tenant_id::text IS NULL OR k.tenant_id = :tenant_id)
FOR NO KEY UPDATE;

-- name: list_page
-- One page of keys, newest first.
-- tenant_id: NULL for any; before_at, before_id: the place that it ends before, NULL from the
-- newest.
SELECT
    k.id, k.tenant_id, k.name, k.scopes, k.created_at, k.created_by, k.expires_at, k.last_used_at,
    k.revoked_at, k.replaced_by
FROM pulse_api_keys AS k
WHERE
    (:tenant_id::text IS NULL OR k.tenant_id = :tenant_id)
    AND (:before_at::timestamptz IS NULL OR (k.created_at, k.id) < (:before_at, :before_id::text))
ORDER BY k.created_at DESC, k.id DESC
LIMIT :row_limit;

-- name: revoke_key
-- Take a locked key away.
UPDATE pulse_api_keys SET revoked_at = now()
WHERE id = :id
RETURNING
    id, tenant_id, name, scopes, created_at, created_by, expires_at, last_used_at, revoked_at,
    replaced_by;

-- name: replace_key
-- Say which key comes after a locked one, which still works for a while.
-- grace: how long.
UPDATE pulse_api_keys
SET replaced_by = :replaced_by, expires_at = least(expires_at, now() + :grace::interval)
WHERE id = :id;

-- name: note_use
-- Say that a key was shown, at most once a minute.
UPDATE pulse_api_keys SET last_used_at = now()
WHERE id = :id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');
