-- Links that sign somebody in, once.

-- name: create_link
-- Store a new link; those that were over for 30 days are forgotten.
-- tenants: NULL for all; lifetime: how long it can be used.
WITH forgotten AS (
    DELETE FROM pulse_login_links WHERE expires_at < now() - interval '30 days'
)
INSERT INTO pulse_login_links (id, token_sha256, name, tenants, scopes, created_by, expires_at)
VALUES (
    :id, :token_sha256::bytea, :name, :tenants::text[], :scopes::text[], :created_by,
    now() + :lifetime::interval
)
RETURNING id, name, tenants, scopes, created_by, created_at, expires_at, used_at;

-- name: spend
-- Use a link up; no row when it was used before, is too old, or never was.
UPDATE pulse_login_links SET used_at = now()
WHERE token_sha256 = :token_sha256::bytea AND used_at IS NULL AND expires_at > now()
RETURNING id, name, tenants, scopes, created_by, created_at, expires_at, used_at;
