ALTER TABLE pulse_definition_versions ADD CONSTRAINT pulse_definition_versions_kind_known
    CHECK (kind IN ('content', 'enabled', 'disabled', 'deleted')) NOT VALID;
