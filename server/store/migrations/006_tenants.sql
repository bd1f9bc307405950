-- Whose what is.

ALTER TABLE jobs ADD COLUMN tenant text NOT NULL DEFAULT 'default';
ALTER TABLE jobs DROP CONSTRAINT jobs_submitter_request_id_key;
ALTER TABLE jobs ADD UNIQUE (tenant, submitter, request_id);
ALTER TABLE queue ADD COLUMN tenant text NOT NULL DEFAULT 'default';
DROP INDEX queue_submitter;
CREATE INDEX queue_submitter ON queue (tenant, submitter) WHERE state = 2;

-- Bytes are stored once, whoever brought them. Whose they are, by tenant: what it uploaded, what its jobs
-- use, and what its passes left. kind: 1 a blob, 2 a trace. Nobody's yet: files that workers or
-- administrators uploaded, until a job uses them.
CREATE TABLE holdings (
  tenant      text NOT NULL,
  kind        smallint NOT NULL CHECK (kind IN (1, 2)),
  digest      bytea NOT NULL CHECK (length(digest) = 32),
  size_bytes  bigint NOT NULL,
  submitter   text NOT NULL,
  added_at    timestamptz NOT NULL DEFAULT now(),
  used_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, kind, digest)
);
CREATE INDEX holdings_digest ON holdings (digest);

-- The sum of each tenant's holdings.
CREATE TABLE tenant_usage (
  tenant  text PRIMARY KEY,
  bytes   bigint NOT NULL CHECK (bytes >= 0)
) WITH (fillfactor = 50);

CREATE FUNCTION sextant_count_holdings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO tenant_usage AS u (tenant, bytes)
    SELECT tenant, sum(size_bytes) FROM changed GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant) DO UPDATE SET bytes = u.bytes + EXCLUDED.bytes;
  ELSE
    UPDATE tenant_usage u SET bytes = u.bytes - c.bytes
    FROM (SELECT tenant, sum(size_bytes) AS bytes FROM changed GROUP BY tenant) c
    WHERE u.tenant = c.tenant;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER holdings_added AFTER INSERT ON holdings REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION sextant_count_holdings();
CREATE TRIGGER holdings_gone AFTER DELETE ON holdings REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION sextant_count_holdings();

INSERT INTO holdings (tenant, kind, digest, size_bytes, submitter, added_at, used_at)
SELECT 'default', 1, digest, size_bytes, submitter, created_at, used_at FROM blobs;
INSERT INTO holdings (tenant, kind, digest, size_bytes, submitter, added_at, used_at)
SELECT DISTINCT ON (t.trace_digest) 'default', 2, t.trace_digest, t.bytes, j.submitter, t.created_at, t.created_at
FROM traces t JOIN passes p ON p.trace_digest = t.trace_digest JOIN jobs j USING (job_id);

-- What Query shows is of the tenant that the session was opened for, `*`: of all. A session that was
-- opened for nobody sees nothing. The reader cannot change the setting: `set_config` is not its to call,
-- and its statement is a cursor's. security_barrier keeps what the reader's statement computes away
-- from rows that are not its own.
CREATE VIEW visible_jobs WITH (security_barrier) AS
SELECT * FROM jobs WHERE current_setting('sextant.tenant', true) IN ('*', tenant);
CREATE VIEW visible_passes WITH (security_barrier) AS
SELECT p.* FROM passes p JOIN visible_jobs j ON j.job_id = p.job_id;

CREATE OR REPLACE VIEW sextant.jobs WITH (security_barrier) AS
SELECT job_id, name, submitter, sextant.state_word(state) AS state, open, priority, labels, tasks,
       tasks_done, tasks_failed, tasks_cancelled,
       sextant.cause_word(failure) AS failure_cause,
       sextant.pb_text(failure, 3) AS failure_message,
       created_at, started_at, finished_at, deadline_at, tenant
FROM visible_jobs;

CREATE OR REPLACE VIEW sextant.tasks WITH (security_barrier) AS
SELECT t.task_id, t.job_id, t.path, t.kind, sextant.state_word(t.state) AS state, t.waiting_on, t.priority,
       t.passes, t.passes_done, t.passes_failed, t.passes_cancelled, t.passes_cached,
       sextant.program_of(t.spec) AS program,
       sextant.cause_word(t.failure) AS failure_cause,
       sextant.pb_text(t.failure, 3) AS failure_message,
       t.created_at, t.started_at, t.finished_at
FROM tasks t JOIN visible_jobs j ON j.job_id = t.job_id;

CREATE OR REPLACE VIEW sextant.passes WITH (security_barrier) AS
SELECT p.pass_id, p.task_id, p.job_id, p.ordinal, p.backend,
       sextant.state_word(coalesce(q.state, p.state)) AS state,
       ('{executed,cached,merged}'::text[])[p.source] AS source,
       p.source_pass_id,
       coalesce(q.worker, p.worker) AS worker,
       coalesce(q.device, p.device) AS device,
       coalesce(q.attempts, p.attempts) AS attempts,
       ('{exited,signalled,timed_out,out_of_memory,hang,violation,output_limit,killed,not_started}'
         ::text[])[sextant.pb_int(sextant.pb_bytes(p.result, 1), 1)] AS exit_verdict,
       CASE WHEN sextant.pb_int(sextant.pb_bytes(p.result, 1), 1) = 1
            THEN coalesce(sextant.pb_int(sextant.pb_bytes(p.result, 1), 2), 0) END AS exit_code,
       sextant.pb_int(sextant.pb_bytes(p.result, 1), 3) AS exit_signal,
       sextant.pb_double(sextant.pb_bytes(p.result, 1), 5) AS wall_s,
       sextant.pb_double(sextant.pb_bytes(p.result, 1), 6) AS cpu_s,
       sextant.pb_int(sextant.pb_bytes(p.result, 1), 7) AS peak_memory_bytes,
       sextant.pb_text(p.result, 2, 1) AS machine_class,
       sextant.pb_text(p.result, 2, 3) AS cpu_model,
       coalesce(sextant.pb_int(p.result, 11), 0) = 1 AS partial,
       sextant.cause_word(sextant.pb_bytes(p.result, 9)) AS failure_cause,
       sextant.pb_text(p.result, 9, 3) AS failure_message,
       p.events, p.dropped,
       encode(p.trace_digest, 'hex') AS trace_digest,
       p.created_at, coalesce(q.started_at, p.started_at) AS started_at, p.finished_at
FROM visible_passes p LEFT JOIN queue q ON q.pass_id = p.pass_id;

CREATE OR REPLACE VIEW sextant.counters WITH (security_barrier) AS
SELECT p.pass_id, p.task_id, p.job_id, p.backend,
       sextant.pb_text(c.bytes, 1) AS name,
       sextant.pb_text(c.bytes, 2) AS unit,
       coalesce(sextant.pb_text(c.bytes, 3), '') AS region,
       coalesce(sextant.pb_text(c.bytes, 4), '') AS role,
       coalesce(sextant.pb_double(c.bytes, 5), 0) AS value,
       coalesce(sextant.pb_int(c.bytes, 6), 0) AS instances
FROM visible_passes p CROSS JOIN LATERAL sextant.pb_scan(p.result, 4) AS c;

CREATE OR REPLACE VIEW sextant.artifacts WITH (security_barrier) AS
SELECT p.pass_id, p.task_id, p.job_id,
       sextant.pb_text(a.bytes, 1) AS name,
       sextant.pb_text(a.bytes, 2) AS kind,
       encode(sextant.pb_bytes(a.bytes, 3), 'hex') AS digest,
       coalesce(sextant.pb_int(a.bytes, 4), 0) AS size_bytes
FROM visible_passes p CROSS JOIN LATERAL sextant.pb_scan(p.result, 3) AS a;

CREATE OR REPLACE VIEW sextant.notes WITH (security_barrier) AS
SELECT p.pass_id, p.task_id, p.job_id, convert_from(n.bytes, 'UTF8') AS note
FROM visible_passes p CROSS JOIN LATERAL sextant.pb_scan(p.result, 8) AS n;

CREATE OR REPLACE VIEW sextant.queue WITH (security_barrier) AS
SELECT q.pass_id, q.task_id, q.job_id, q.submitter, ('{cpu,device,coordinator}'::text[])[q.pool + 1] AS pool,
       q.needs, q.priority, sextant.state_word(q.state) AS state, q.worker, q.device, q.epoch, q.attempts,
       q.claimed_at, q.started_at
FROM queue q WHERE current_setting('sextant.tenant', true) IN ('*', q.tenant);

CREATE OR REPLACE VIEW sextant.events WITH (security_barrier) AS
SELECT e.job_id, e.seq,
       sextant.pb_int(e.event, 3) AS task_id,
       sextant.pb_int(e.event, 4) AS pass_id,
       coalesce(sextant.pb_text(e.event, 5), '') AS task,
       sextant.pb_text(e.event, 6) AS what,
       sextant.state_word(sextant.pb_int(e.event, 7)::integer) AS state,
       sextant.pb_double(e.event, 8) AS percent,
       coalesce(sextant.pb_text(e.event, 9), '') AS message,
       e.at
FROM events e JOIN visible_jobs j ON j.job_id = e.job_id;

-- Workers are everybody's; the evidence against one comes from somebody's pass.
CREATE OR REPLACE VIEW sextant.workers WITH (security_barrier) AS
SELECT name, lease_until > now() AS live,
       sextant.pb_text(info, 3) AS hostname,
       sextant.pb_text(info, 4) AS version,
       sextant.pb_text(info, 10) AS machine_class,
       coalesce(sextant.pb_int(info, 6), 0) AS cpu_slots,
       sextant.pb_text(info, 8) AS sandbox,
       lease_until, last_seen, spoiled,
       CASE WHEN quarantine = '' OR current_setting('sextant.tenant', true) = '*' THEN quarantine
            ELSE 'set aside; administrators see why' END AS quarantine
FROM workers WHERE current_setting('sextant.tenant', true) <> '';

CREATE OR REPLACE VIEW sextant.blobs WITH (security_barrier) AS
SELECT encode(digest, 'hex') AS digest, size_bytes, submitter, added_at AS created_at, used_at, tenant
FROM holdings WHERE kind = 1 AND current_setting('sextant.tenant', true) IN ('*', tenant);

CREATE OR REPLACE VIEW sextant.traces WITH (security_barrier) AS
SELECT encode(t.trace_digest, 'hex') AS trace_digest, t.day, t.chunks, t.events, t.dropped,
       t.bytes AS size_bytes, t.first_ns, t.last_ns, ('{ns,cycles}'::text[])[t.unit] AS unit, t.kernel,
       t.regions, t.roles, t.created_at
FROM traces t
WHERE current_setting('sextant.tenant', true) = '*'
   OR EXISTS (SELECT 1 FROM holdings h WHERE h.kind = 2 AND h.digest = t.trace_digest
              AND h.tenant = current_setting('sextant.tenant', true));

CREATE OR REPLACE VIEW sextant.regions WITH (security_barrier) AS
SELECT p.job_id, p.task_id, p.pass_id, r.region
FROM visible_passes p JOIN traces t ON t.trace_digest = p.trace_digest
CROSS JOIN LATERAL unnest(t.regions) AS r(region);

CREATE OR REPLACE VIEW sextant.service_counters WITH (security_barrier) AS
SELECT name, value FROM counters WHERE current_setting('sextant.tenant', true) = '*';

-- Sessions of the reader are one role's, and would see each other's statements.
DO $$
DECLARE f regprocedure;
BEGIN
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    ALTER ROLE sextant_reader SET track_activities = off;
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p
             WHERE p.pronamespace = 'pg_catalog'::regnamespace
               AND (p.proname IN ('pg_stat_get_activity', 'set_config')
                    OR p.proname LIKE 'pg\_stat\_get\_backend\_%')
    LOOP
      EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
  END IF;
END $$;
