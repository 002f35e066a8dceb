-- Emit a signal from SQL, inside the caller's transaction: trigger, runs and start commands are
-- stored by the statement with which the engine emits, which is put in the place of the line
-- that names it. The relay starts the runs. Returns the id of the trigger.
--
-- An idempotency key counts as with the engine: the same content gives the first trigger, other
-- content is refused. What only the engine's process knows is not checked: registered types,
-- sources, resource types and payload schemas.
--
-- SQLSTATE PU001: an argument is refused; PU002: the key was used for other content; PU003: the
-- key was given back meanwhile, repeat. The rights are the caller's.
--
-- Without a queue the runs go to that of the engine that has migrated, or to the only one that has
-- workers.
CREATE OR REPLACE FUNCTION pulse_emit(
    tenant_id text,
    source text,
    type text,
    payload jsonb DEFAULT '{}',
    resource_type text DEFAULT NULL,
    resource_id text DEFAULT NULL,
    environment text DEFAULT NULL,
    idempotency_key text DEFAULT NULL,
    queue text DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql
-- Whatever the caller's search path is, and whoever may create functions on it.
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_variable
DECLARE
    migrated_by CONSTANT text := 'pulse';
    living text[];
    -- UUIDv7, as the engine makes them.
    new_id text := 'trg_'
        || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14);
    refusal text;
    stored record;
    earlier record;
BEGIN
    SELECT f.name || CASE
        WHEN f.value IS NULL THEN ' is missing'
        WHEN char_length(f.value) NOT BETWEEN 1 AND f.longest THEN
            format(' must have 1 to %s characters, not %s', f.longest, char_length(f.value))
        ELSE ' must not contain control characters'
    END INTO refusal
    FROM (
        VALUES
            ('tenant_id', tenant_id, 200, true),
            ('source', source, 200, true),
            ('type', type, 200, true),
            ('resource_type', resource_type, 200, false),
            ('resource_id', resource_id, 400, false),
            ('environment', environment, 200, false),
            ('idempotency_key', idempotency_key, 200, false),
            ('queue', queue, 200, false)
    ) AS f (name, value, longest, is_required)
    WHERE (f.value IS NULL AND f.is_required)
        OR char_length(f.value) NOT BETWEEN 1 AND f.longest
        OR f.value ~ '[\u0001-\u001f\u007f-\u009f]'
    LIMIT 1;
    refusal := coalesce(refusal, CASE
        WHEN idempotency_key ~ '^(cron|chain|replay):' THEN
            'idempotency_key must not begin with cron:, chain:, replay:; those keys are reserved'
        WHEN payload IS NULL OR jsonb_typeof(payload) <> 'object' THEN
            'payload must be a JSON object'
        WHEN octet_length(payload::text) > 262144 THEN
            format('payload must have at most 262144 bytes, not %s', octet_length(payload::text))
        WHEN jsonb_path_exists(
            payload, 'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")'
        ) THEN
            'payload must have at most 64 levels of objects and lists'
        WHEN jsonb_path_exists(
            payload,
            'strict $.** ? (@.type() == "number"
                && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))'
        ) THEN
            'payload must have numbers that fit into 64 bits'
    END);
    IF refusal IS NOT NULL THEN
        RAISE EXCEPTION 'The signal is refused: %.', refusal USING ERRCODE = 'PU001';
    END IF;

    IF queue IS NULL THEN
        SELECT array_agg(DISTINCT w.task_queue) INTO living
        FROM pulse_workers AS w WHERE w.seen_at > now() - interval '1 minute';
        queue := CASE WHEN cardinality(living) = 1 THEN living[1] ELSE migrated_by END;
        IF cardinality(living) > 1 AND migrated_by <> ALL (living) THEN
            RAISE EXCEPTION 'The signal is refused: queue must be one of %.',
                array_to_string(living, ', ') USING ERRCODE = 'PU001';
        END IF;
    END IF;

    EXECUTE $statement$
-- statement: triggers.emit_signal
    $statement$ INTO stored USING
        ids => ARRAY[new_id],
        tenant_ids => ARRAY[tenant_id],
        sources => ARRAY[source],
        types => ARRAY[type],
        resource_types => ARRAY[resource_type],
        resource_ids => ARRAY[resource_id],
        environments => ARRAY[environment],
        payloads => ARRAY[payload::text],
        idempotency_keys => ARRAY[idempotency_key],
        -- No hash, which Python makes of its own form of the content: contents are compared.
        request_hashes => ARRAY[NULL::text],
        caused_by_run_id => NULL::text,
        root_trigger_id => NULL::text,
        depth => 0,
        is_replay => false,
        -- No lease, so that the relay may begin at once.
        lease => NULL::interval,
        owner => NULL::text,
        replayed => false,
        is_dry_run => false,
        task_queue => queue,
        -- No dialect, for nothing is started here.
        dialect => 0,
        -- limits.runs_per_signal and limits.steps_per_signal as they are without a setting.
        most_runs => 1000,
        most_steps => 50000;
    IF stored.id IS NOT NULL THEN
        RETURN stored.id;
    END IF;

    -- The key is taken. Here the statement sees what the insert has waited for; in a stricter
    -- isolation the insert has failed already, with a serialization failure.
    SELECT
        t.id,
        ROW(t.source, t.type, t.resource_type, t.resource_id, t.environment, t.payload)
            IS NOT DISTINCT FROM
            ROW(source, type, resource_type, resource_id, environment, payload) AS is_same
    INTO earlier
    FROM pulse_triggers AS t
    WHERE t.tenant_id = tenant_id AND t.idempotency_key = idempotency_key;
    IF earlier.id IS NULL THEN
        RAISE EXCEPTION 'The idempotency key was taken and given back; emit again.'
            USING ERRCODE = 'PU003';
    END IF;
    IF NOT earlier.is_same THEN
        RAISE EXCEPTION
            'The idempotency key % belongs to trigger %, whose content differs from this signal''s.',
            quote_literal(idempotency_key), earlier.id
            USING ERRCODE = 'PU002';
    END IF;
    RETURN earlier.id;
END
$function$;
