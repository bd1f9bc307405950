-- Traces: chunks, what each trace is made of, rollups. A trace is named by its digest; passes refer
-- to it by that (passes.trace_digest), nothing here knows of them.

-- Content-addressed within a day: sending a chunk twice stores it once. A table a day, made when the
-- first chunk of the day comes (trace_chunks_pYYYYMMDD), so that retention drops tables.
CREATE TABLE trace_chunks (
  day       date NOT NULL,
  digest    bytea NOT NULL CHECK (length(digest) = 32),
  sequence  integer NOT NULL,
  events    integer NOT NULL,
  first_ns  bigint NOT NULL,
  last_ns   bigint NOT NULL,
  regions   integer[] NOT NULL,   -- that occur, as indices into traces.regions
  data      bytea NOT NULL,       -- a serialized Chunk: docs/trace_format.md
  PRIMARY KEY (day, digest)
) PARTITION BY RANGE (day);
ALTER TABLE trace_chunks ALTER COLUMN data SET STORAGE EXTERNAL;  -- compressed already

CREATE TABLE traces (
  trace_digest  bytea PRIMARY KEY CHECK (length(trace_digest) = 32),
  day           date NOT NULL,            -- where its chunks are
  chunks        integer NOT NULL,
  events        bigint NOT NULL,
  dropped       bigint NOT NULL,
  bytes         bigint NOT NULL,          -- of the chunks
  first_ns      bigint NOT NULL,
  last_ns       bigint NOT NULL,
  unit          smallint NOT NULL,        -- v1::TimeUnit
  kernel        text NOT NULL,
  regions       text[] NOT NULL,
  roles         text[] NOT NULL,
  chunk_digests bytea NOT NULL,           -- 32 bytes each, in order
  rollup        bytea NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now(),
  CHECK (length(chunk_digests) = 32 * chunks)
);
ALTER TABLE traces ALTER COLUMN rollup SET STORAGE EXTERNAL;
ALTER TABLE traces ALTER COLUMN chunk_digests SET STORAGE EXTERNAL;
CREATE INDEX traces_day ON traces (day);

-- Rollups merged over the passes of a task. `passes` is the set that is in: merging one of them
-- again changes nothing. `series` tells rollups of one task apart that never mix (the backend).
CREATE TABLE task_rollups (
  task_id     bigint NOT NULL,
  series      text NOT NULL,
  passes      bigint[] NOT NULL DEFAULT '{}',
  rollup      bytea NOT NULL DEFAULT '',
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (task_id, series)
);
ALTER TABLE task_rollups ALTER COLUMN rollup SET STORAGE EXTERNAL;
