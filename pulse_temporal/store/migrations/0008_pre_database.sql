-- Who this database is: an id of its own, which travels with every run, so that workers of another
-- database on the same task queue leave the run alone. A copy of a database has the same id.
CREATE TABLE pulse_database (
    id text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    is_only boolean NOT NULL DEFAULT true UNIQUE CHECK (is_only)
);
INSERT INTO pulse_database (id) VALUES ('dbs_' || replace(gen_random_uuid()::text, '-', ''));
