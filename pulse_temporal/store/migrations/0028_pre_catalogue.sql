-- What the processes of a task queue say about the handlers and signal types that they know; which
-- of them are alive, and so which entries count, is in pulse_workers. detail is json and not jsonb,
-- which would lose the order of a schema's fields: forms are made of them.
CREATE TABLE pulse_catalog (
    task_queue text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    detail json NOT NULL,
    published_by text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_queue, kind, name),
    CONSTRAINT pulse_catalog_kind_known CHECK (kind IN ('signal', 'action', 'condition'))
);
