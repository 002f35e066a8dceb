-- name: mark
-- What `SET LOCAL pulse.borrowed` said in this transaction; NULL or empty in any other.
SELECT current_setting('pulse.borrowed', true) AS mark;

-- name: default_setting
-- What a setting is in this session when nobody has changed it.
SELECT reset_val AS value FROM pg_settings WHERE name = :setting;
