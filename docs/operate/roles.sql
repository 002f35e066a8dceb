-- What an application role and a read-only role need of Pulse's tables. Both must exist. Run this
-- as the role that owns the tables, after each migration: new tables need their grants.
DO $$
DECLARE
    app constant text := 'pulse_app';
    reader constant text := 'pulse_reader';
    home constant text := 'public';
    prefix constant text := 'pulse_';
    each record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', home, app, reader);
    FOR each IN
        SELECT c.relname::text AS name, c.relkind AS kind
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = home AND starts_with(c.relname::text, prefix)
            AND c.relkind IN ('r', 'p', 'S')
    LOOP
        IF each.kind = 'S' THEN
            EXECUTE format('GRANT USAGE ON SEQUENCE %I.%I TO %I', home, each.name, app);
            CONTINUE;
        END IF;
        EXECUTE format('GRANT SELECT ON TABLE %I.%I TO %I, %I', home, each.name, app, reader);
        IF each.name <> prefix || 'migrations' THEN
            EXECUTE format(
                'GRANT INSERT, UPDATE, DELETE ON TABLE %I.%I TO %I', home, each.name, app
            );
        END IF;
    END LOOP;
    FOR each IN
        SELECT p.oid::regprocedure::text AS name
        FROM pg_proc AS p
        JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = home AND starts_with(p.proname::text, prefix)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', each.name, app);
    END LOOP;
END $$;
