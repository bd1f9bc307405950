-- Functions of PostgreSQL that everybody may call, and that whoever writes SQL for Query must not:
-- * they change the session he runs in, hold locks, reach other sessions, or write although the
--   transaction only reads;
-- * they run text as SQL, which gives statement-level control where one SELECT was allowed;
-- * they count what was read, or how large, full and busy tables are: rows that a comparison touches before
--   the filter by tenant are counted, so each is an oracle for what other tenants have.
-- Taken from PUBLIC, the owner of the schema keeps them, monitoring keeps what counts. Nothing but this
-- block: a superuser runs this file by hand where the service's own user is none (docs/security.md), and it is
-- run in template1 of the private cluster.
DO $$
DECLARE
  f record;
  owner name := coalesce((SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'sextant'), current_user);
  owner_needs boolean := NOT (SELECT rolsuper FROM pg_roles WHERE rolname = owner);
BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN RETURN; END IF;
  FOR f IN
    SELECT p.oid::regprocedure AS name, counts FROM pg_proc p,
      LATERAL (SELECT p.proname LIKE 'pg\_stat\_get\_%' OR p.proname LIKE 'pg\_%\_size'
                   OR p.proname LIKE 'pg\_control\_%' OR p.proname LIKE 'pg\_current\_wal\_%'
                   OR p.proname IN ('pg_stat_have_stats', 'pg_lock_status', 'pg_blocking_pids',
                        'pg_safe_snapshot_blocking_pids', 'pg_prepared_xact', 'pg_get_multixact_members')
              AS counts) c
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
      AND p.prorettype <> 'trigger'::regtype
      AND p.proname <> 'pg_column_size'   -- of a value at hand
      AND (counts
           OR p.proname IN ('set_config', 'pg_notify', 'pg_export_snapshot', 'pg_cancel_backend',
                'pg_terminate_backend', 'pg_logical_emit_message', 'pg_sleep', 'pg_sleep_for', 'pg_sleep_until',
                'pg_stat_clear_snapshot', 'lowrite', 'loread', 'setval', 'nextval', 'pg_current_xact_id',
                'txid_current', 'ts_rewrite', 'ts_stat')
           OR p.proname LIKE 'lo\_%' OR p.proname LIKE 'pg\_advisory\_%' OR p.proname LIKE 'pg\_try\_advisory\_%'
           OR p.proname LIKE '%\_to\_xml%' OR p.proname LIKE 'pg\_ls\_%' OR p.proname LIKE 'pg\_read\_%')
      -- An earlier step took some without leaving them to the owner. What PUBLIC never had is nobody's to give.
      AND (has_function_privilege('public', p.oid, 'EXECUTE')
           OR owner_needs AND p.proname IN ('set_config', 'pg_stat_get_activity'))
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f.name);
    IF owner_needs THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f.name, owner);
    END IF;
    IF f.counts THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO pg_monitor', f.name);
    END IF;
  END LOOP;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sextant_reader') THEN
    ALTER ROLE sextant_reader SET track_activities = off;
  END IF;
END $$;
