-- Who made a version is told by id, which is in the column actor, name and kind.
ALTER TABLE pulse_definition_versions
    ADD COLUMN actor_name text,
    ADD COLUMN actor_kind text;
