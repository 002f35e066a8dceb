-- People who have signed in to the pages. The token itself is nowhere: 256 random bits need no slow
-- hash. tenants: NULL for all of them.
CREATE TABLE pulse_sessions (
    id text PRIMARY KEY,
    token_sha256 bytea NOT NULL UNIQUE,
    user_id text NOT NULL,
    name text NOT NULL,
    tenants text[],
    scopes text[] NOT NULL,
    via text NOT NULL,
    address text,
    browser text,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX pulse_sessions_created ON pulse_sessions (created_at, id);
CREATE INDEX pulse_sessions_user ON pulse_sessions (user_id, created_at, id);

-- Links that sign somebody in, once.
CREATE TABLE pulse_login_links (
    id text PRIMARY KEY,
    token_sha256 bytea NOT NULL UNIQUE,
    name text NOT NULL,
    tenants text[],
    scopes text[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
