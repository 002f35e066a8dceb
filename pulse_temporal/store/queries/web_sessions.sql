-- People who have signed in to the pages.

-- name: begin
-- Store a new session; those that were over for 30 days are forgotten.
-- tenants: NULL for all; lifetime: how long it lasts at most.
WITH forgotten AS (
    DELETE FROM pulse_sessions WHERE expires_at < now() - interval '30 days'
)
INSERT INTO pulse_sessions (
    id, token_sha256, user_id, name, tenants, scopes, via, address, browser, expires_at
)
VALUES (
    :id, :token_sha256::bytea, :user_id, :name, :tenants::text[], :scopes::text[], :via, :address,
    :browser, now() + :lifetime::interval
)
RETURNING
    id, user_id, name, tenants, scopes, via, address, browser, created_at, seen_at, expires_at,
    ended_at;

-- name: find
-- The session of a token, if it goes on.
-- idle: how long it may not be used.
SELECT
    s.id, s.user_id, s.name, s.tenants, s.scopes, s.via, s.address, s.browser, s.created_at,
    s.seen_at, s.expires_at, s.ended_at
FROM pulse_sessions AS s
WHERE
    s.token_sha256 = :token_sha256::bytea
    AND s.ended_at IS NULL
    AND s.expires_at > now()
    AND s.seen_at > now() - :idle::interval;

-- name: note_use
-- Say that a session was used, at most once a minute.
UPDATE pulse_sessions SET seen_at = now()
WHERE id = :id AND seen_at < now() - interval '1 minute';

-- name: list_all
-- One page of sessions that go on, newest first.
-- before_at, before_id: the place that it ends before, NULL from the newest; idle: how long one may
-- not be used.
SELECT
    s.id, s.user_id, s.name, s.tenants, s.scopes, s.via, s.address, s.browser, s.created_at,
    s.seen_at, s.expires_at, s.ended_at
FROM pulse_sessions AS s
WHERE
    (:before_at::timestamptz IS NULL OR (s.created_at, s.id) < (:before_at, :before_id::text))
    AND s.ended_at IS NULL
    AND s.expires_at > now()
    AND s.seen_at > now() - :idle::interval
ORDER BY s.created_at DESC, s.id DESC
LIMIT :row_limit;

-- name: list_user
-- One page of a person's sessions that go on, newest first.
-- before_at, before_id: the place that it ends before, NULL from the newest; idle: how long one may
-- not be used.
SELECT
    s.id, s.user_id, s.name, s.tenants, s.scopes, s.via, s.address, s.browser, s.created_at,
    s.seen_at, s.expires_at, s.ended_at
FROM pulse_sessions AS s
WHERE
    s.user_id = :user_id
    AND (:before_at::timestamptz IS NULL OR (s.created_at, s.id) < (:before_at, :before_id::text))
    AND s.ended_at IS NULL
    AND s.expires_at > now()
    AND s.seen_at > now() - :idle::interval
ORDER BY s.created_at DESC, s.id DESC
LIMIT :row_limit;

-- name: end_session
-- End a session; no row when there is none, or it is over.
-- user_id: NULL for anybody's.
UPDATE pulse_sessions SET ended_at = now()
WHERE
    id = :id
    AND ended_at IS NULL
    AND (:user_id::text IS NULL OR user_id = :user_id)
RETURNING
    id, user_id, name, tenants, scopes, via, address, browser, created_at, seen_at, expires_at,
    ended_at;

-- name: is_anybody_known
-- Whether somebody has a key that works, a session that goes on, or a link that can be used.
-- idle: how long a session may not be used.
SELECT
    EXISTS (
        SELECT FROM pulse_api_keys AS k
        WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
    )
    OR EXISTS (
        SELECT FROM pulse_sessions AS s
        WHERE
            s.ended_at IS NULL AND s.expires_at > now() AND s.seen_at > now() - :idle::interval
    )
    OR EXISTS (
        SELECT FROM pulse_login_links AS l WHERE l.used_at IS NULL AND l.expires_at > now()
    ) AS found;
