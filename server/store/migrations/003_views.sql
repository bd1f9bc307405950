-- What Query shows: schema `sextant`, read by the role sextant_reader alone (docs/query.md). And what
-- blobs and retention need.
--
-- Views read tables with their owner's rights, so the reader has no right on any table.

CREATE SCHEMA sextant;

-- Messages are stored serialized; views pick single fields out of them. `wanted` is a field's number;
-- one row for each of its occurrences: bytes of a string, message or fixed number, or the varint.
-- (Columns would cost every completion; this costs who asks.)

CREATE FUNCTION sextant.pb_scan(message bytea, wanted integer, OUT bytes bytea, OUT number bigint)
RETURNS SETOF record LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  m bytea := message || ''::bytea;  -- one flat copy instead of one for every byte read
  at integer := 0;
  size integer := octet_length(message);
  b integer;
  shift integer;
  key bigint := NULL;
  v bigint;
BEGIN
  WHILE at < size LOOP
    v := 0;
    shift := 0;
    LOOP
      b := get_byte(m, at);
      at := at + 1;
      v := v | ((b & 127)::bigint << shift);
      EXIT WHEN b < 128;
      shift := shift + 7;
    END LOOP;
    IF key IS NULL THEN
      key := v;
      CONTINUE WHEN (key & 7) IN (0, 2);
      v := CASE key & 7 WHEN 1 THEN 8 WHEN 5 THEN 4 END;
    END IF;
    IF (key & 7) = 0 THEN
      bytes := NULL;
      number := v;
    ELSE
      IF (key >> 3) = wanted THEN bytes := substring(m FROM at + 1 FOR v::integer); END IF;
      number := NULL;
      at := at + v::integer;
    END IF;
    IF (key >> 3) = wanted THEN RETURN NEXT; END IF;
    key := NULL;
  END LOOP;
END $$;

-- The field at a path of numbers; of repeated ones the last. NULL when absent.
CREATE FUNCTION sextant.pb_bytes(message bytea, VARIADIC path integer[])
RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  at bytea := message;
  step integer;
BEGIN
  FOREACH step IN ARRAY path LOOP
    at := (SELECT s.bytes FROM sextant.pb_scan(at, step) WITH ORDINALITY AS s ORDER BY s.ordinality DESC LIMIT 1);
  END LOOP;
  RETURN at;
END $$;

CREATE FUNCTION sextant.pb_int(message bytea, wanted integer)
RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT s.number FROM sextant.pb_scan(message, wanted) WITH ORDINALITY AS s
  ORDER BY s.ordinality DESC LIMIT 1
$$;

-- Stored text is checked, but a view must never fail for a byte.
CREATE FUNCTION sextant.pb_text(message bytea, VARIADIC path integer[])
RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  found bytea := sextant.pb_bytes(message, VARIADIC path);
BEGIN
  RETURN convert_from(found, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  RETURN encode(found, 'escape');
END $$;

-- A little-endian IEEE 754 double.
CREATE FUNCTION sextant.pb_double(message bytea, wanted integer)
RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  raw bytea := sextant.pb_bytes(message, wanted);
  fraction bigint := 0;
  exponent integer;
BEGIN
  IF raw IS NULL OR octet_length(raw) <> 8 THEN RETURN NULL; END IF;
  FOR i IN REVERSE 5..0 LOOP fraction := (fraction << 8) | get_byte(raw, i); END LOOP;
  fraction := fraction | ((get_byte(raw, 6) & 15)::bigint << 48);
  exponent := ((get_byte(raw, 7) & 127) << 4) | (get_byte(raw, 6) >> 4);
  IF exponent = 2047 THEN
    RETURN CASE WHEN fraction <> 0 THEN 'NaN' WHEN get_byte(raw, 7) < 128 THEN 'Infinity'
           ELSE '-Infinity' END;
  END IF;
  IF exponent = 0 THEN
    IF fraction = 0 THEN RETURN 0; END IF;
    exponent := 1;
  ELSE
    fraction := fraction | (1::bigint << 52);
  END IF;
  -- In two steps, because 2^-1074 alone would be rounded away from what it multiplies.
  RETURN (CASE WHEN get_byte(raw, 7) < 128 THEN 1 ELSE -1 END) *
         (fraction::double precision * 2.0::double precision ^ greatest(exponent - 1075, -1000)) *
         2.0::double precision ^ least(exponent - 1075 + 1000, 0);
END $$;

-- A serialized Failure's cause in words.
CREATE FUNCTION sextant.cause_word(failure bytea)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT (ARRAY['program_failed', 'tool_failed', 'worker_lost', 'device_unhealthy',
                'deadline_passed', 'input_failed', 'verify_failed', 'empty_capture', 'rejected',
                'internal'])[sextant.pb_int(failure, 1)]
$$;

CREATE FUNCTION sextant.state_word(state integer)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT ('{waiting,ready,running,done,failed,cancelled}'::text[])[state]
$$;

-- The command of a serialized TaskSpec, its words joined by spaces.
CREATE FUNCTION sextant.program_of(spec bytea)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT string_agg(convert_from(a.bytes, 'UTF8'), ' ' ORDER BY a.ordinality)
  FROM sextant.pb_scan(coalesce(sextant.pb_bytes(spec, 11, 1), sextant.pb_bytes(spec, 10, 1),
                                sextant.pb_bytes(spec, 13, 1), sextant.pb_bytes(spec, 14, 1),
                                sextant.pb_bytes(spec, 12, 3)), 2) WITH ORDINALITY AS a
$$;

CREATE VIEW sextant.jobs AS
SELECT job_id, name, submitter, sextant.state_word(state) AS state, open, priority, labels, tasks,
       tasks_done, tasks_failed, tasks_cancelled,
       sextant.cause_word(failure) AS failure_cause,
       sextant.pb_text(failure, 3) AS failure_message,
       created_at, started_at, finished_at, deadline_at
FROM jobs;

CREATE VIEW sextant.tasks AS
SELECT task_id, job_id, path, kind, sextant.state_word(state) AS state, waiting_on, priority,
       passes, passes_done, passes_failed, passes_cancelled, passes_cached,
       sextant.program_of(spec) AS program,
       sextant.cause_word(failure) AS failure_cause,
       sextant.pb_text(failure, 3) AS failure_message,
       created_at, started_at, finished_at
FROM tasks;

CREATE VIEW sextant.passes AS
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
FROM passes p LEFT JOIN queue q ON q.pass_id = p.pass_id;

CREATE VIEW sextant.counters AS
SELECT p.pass_id, p.task_id, p.job_id, p.backend,
       sextant.pb_text(c.bytes, 1) AS name,
       sextant.pb_text(c.bytes, 2) AS unit,
       coalesce(sextant.pb_text(c.bytes, 3), '') AS region,
       coalesce(sextant.pb_text(c.bytes, 4), '') AS role,
       coalesce(sextant.pb_double(c.bytes, 5), 0) AS value,
       coalesce(sextant.pb_int(c.bytes, 6), 0) AS instances
FROM passes p CROSS JOIN LATERAL sextant.pb_scan(p.result, 4) AS c;

CREATE VIEW sextant.artifacts AS
SELECT p.pass_id, p.task_id, p.job_id,
       sextant.pb_text(a.bytes, 1) AS name,
       sextant.pb_text(a.bytes, 2) AS kind,
       encode(sextant.pb_bytes(a.bytes, 3), 'hex') AS digest,
       coalesce(sextant.pb_int(a.bytes, 4), 0) AS size_bytes
FROM passes p CROSS JOIN LATERAL sextant.pb_scan(p.result, 3) AS a;

CREATE VIEW sextant.notes AS
SELECT p.pass_id, p.task_id, p.job_id, convert_from(n.bytes, 'UTF8') AS note
FROM passes p CROSS JOIN LATERAL sextant.pb_scan(p.result, 8) AS n;

CREATE VIEW sextant.queue AS
SELECT pass_id, task_id, job_id, submitter, ('{cpu,device,coordinator}'::text[])[pool + 1] AS pool,
       needs, priority, sextant.state_word(state) AS state, worker, device, epoch, attempts,
       claimed_at, started_at
FROM queue;

CREATE VIEW sextant.events AS
SELECT job_id, seq,
       sextant.pb_int(event, 3) AS task_id,
       sextant.pb_int(event, 4) AS pass_id,
       coalesce(sextant.pb_text(event, 5), '') AS task,
       sextant.pb_text(event, 6) AS what,
       sextant.state_word(sextant.pb_int(event, 7)::integer) AS state,
       sextant.pb_double(event, 8) AS percent,
       coalesce(sextant.pb_text(event, 9), '') AS message,
       at
FROM events;

CREATE VIEW sextant.workers AS
SELECT name, lease_until > now() AS live,
       sextant.pb_text(info, 3) AS hostname,
       sextant.pb_text(info, 4) AS version,
       sextant.pb_text(info, 10) AS machine_class,
       coalesce(sextant.pb_int(info, 6), 0) AS cpu_slots,
       sextant.pb_text(info, 8) AS sandbox,
       lease_until, last_seen, spoiled, quarantine
FROM workers;

CREATE VIEW sextant.blobs AS
SELECT encode(digest, 'hex') AS digest, size_bytes, submitter, created_at, used_at FROM blobs;

CREATE VIEW sextant.traces AS
SELECT encode(trace_digest, 'hex') AS trace_digest, day, chunks, events, dropped,
       bytes AS size_bytes, first_ns, last_ns, ('{ns,cycles}'::text[])[unit] AS unit, kernel,
       regions, roles, created_at
FROM traces;

CREATE VIEW sextant.regions AS
SELECT p.job_id, p.task_id, p.pass_id, r.region
FROM passes p JOIN traces t ON t.trace_digest = p.trace_digest
CROSS JOIN LATERAL unnest(t.regions) AS r(region);

CREATE VIEW sextant.service_counters AS SELECT name, value FROM counters;

-- The reader logs in as itself. The embedded cluster makes it with limits only a superuser can set.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sextant_reader') THEN
    CREATE ROLE sextant_reader LOGIN NOINHERIT CONNECTION LIMIT 8;
    ALTER ROLE sextant_reader SET default_transaction_read_only = on;
    ALTER ROLE sextant_reader SET statement_timeout = '60s';
    ALTER ROLE sextant_reader SET work_mem = '16MB';
  END IF;
EXCEPTION
  WHEN duplicate_object THEN NULL;
  WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'the role sextant_reader is missing, and % may not create roles', current_user
      USING HINT = 'as a superuser: CREATE ROLE sextant_reader LOGIN NOINHERIT CONNECTION LIMIT 8';
END $$;
GRANT USAGE ON SCHEMA sextant TO sextant_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA sextant TO sextant_reader;

-- What each submitter's whole blobs take.
CREATE TABLE blob_usage (
  submitter  text PRIMARY KEY,
  bytes      bigint NOT NULL CHECK (bytes >= 0)
) WITH (fillfactor = 50);

-- Retention: finds passes that other jobs were answered with, and finished jobs by age. Tables that
-- it empties in bulk are vacuumed early.
CREATE INDEX passes_source ON passes (source_pass_id) WHERE source_pass_id IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX task_edges_to ON task_edges (to_task);
ALTER TABLE passes SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE events SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE blob_chunks SET (autovacuum_vacuum_scale_factor = 0.05,
                             toast.autovacuum_vacuum_scale_factor = 0.05);
