-- Who may call, what they may use, and what they did.

-- `id` is public; of the secret only its SHA-256 is here: it is random, long, and shown once.
-- Scopes are v1::TokenScope: 1 read, 2 submit, 3 admin, 4 worker. A tenant of '': of all.
CREATE TABLE tokens (
  id             text PRIMARY KEY,
  secret_sha256  bytea NOT NULL CHECK (length(secret_sha256) = 32),
  tenant         text NOT NULL,
  name           text NOT NULL,
  scopes         smallint[] NOT NULL CHECK (cardinality(scopes) > 0),
  created_at     timestamptz NOT NULL DEFAULT now(),
  expires_at     timestamptz,
  revoked_at     timestamptz,
  last_used_at   timestamptz
);

-- Bounds that differ from the service's; 0: the service's.
CREATE TABLE tenant_quotas (
  tenant           text PRIMARY KEY,
  queued_passes    bigint NOT NULL CHECK (queued_passes >= 0),
  running_devices  integer NOT NULL CHECK (running_devices >= 0),
  stored_bytes     bigint NOT NULL CHECK (stored_bytes >= 0),
  calls_per_s      double precision NOT NULL CHECK (calls_per_s >= 0)
);

CREATE TABLE audit (
  at        timestamptz NOT NULL,
  tenant    text NOT NULL,
  token_id  text NOT NULL,
  method    text NOT NULL,
  subject   text NOT NULL,
  outcome   text NOT NULL,
  peer      text NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_tenant ON audit (tenant, at);
