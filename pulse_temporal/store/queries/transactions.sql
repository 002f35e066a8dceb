-- name: mark
-- What `SET LOCAL pulse.loan` said in this transaction; NULL or empty in any other.
SELECT current_setting('pulse.loan', true) AS mark;

-- name: default_setting
-- What a setting is in this session when nobody has changed it.
SELECT reset_val AS value FROM pg_settings WHERE name = :setting;
