-- What every completion pays: guards that cost nothing while nobody breaks them.

-- After the row is written, because a BEFORE trigger makes PostgreSQL lock, and log the lock of, every
-- row first; and with the rule in WHEN, so that the function is called for forbidden moves alone.
CREATE FUNCTION sextant_refuse_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'forbidden move of % from state % to %', TG_TABLE_NAME, OLD.state, NEW.state
    USING ERRCODE = 'check_violation';
END $$;

DROP TRIGGER jobs_move ON jobs;
CREATE TRIGGER jobs_move AFTER UPDATE OF state ON jobs FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state AND NOT (
           (OLD.state = 1 AND NEW.state IN (2, 3, 4, 5, 6))
        OR (OLD.state = 2 AND NEW.state IN (3, 5, 6))
        OR (OLD.state = 3 AND NEW.state IN (2, 4, 5, 6))))
  EXECUTE FUNCTION sextant_refuse_move();
DROP TRIGGER tasks_move ON tasks;
CREATE TRIGGER tasks_move AFTER UPDATE OF state ON tasks FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state AND NOT (
           (OLD.state = 1 AND NEW.state IN (2, 3, 4, 5, 6))
        OR (OLD.state = 2 AND NEW.state IN (3, 5, 6))
        OR (OLD.state = 3 AND NEW.state IN (2, 4, 5, 6))))
  EXECUTE FUNCTION sextant_refuse_move();
-- A pass in the queue stays 2 here; that it runs is the queue's to say.
DROP TRIGGER passes_move ON passes;
CREATE TRIGGER passes_move AFTER UPDATE OF state ON passes FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state AND NOT (
           (OLD.state = 1 AND NEW.state IN (2, 4, 5, 6))
        OR (OLD.state = 2 AND NEW.state > 3)))
  EXECUTE FUNCTION sextant_refuse_move();
DROP FUNCTION sextant_check_move();
DROP FUNCTION sextant_check_pass_move();

-- Events are written by transactions that hold their job's lock, and removed with it by retention.
ALTER TABLE events DROP CONSTRAINT events_job_id_fkey;
