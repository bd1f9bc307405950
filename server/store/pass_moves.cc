#include "server/store/pass_moves.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/job/hang.h"
#include "server/job/plan.h"
#include "server/job/retry.h"
#include "server/store/pass_writer.h"
#include "server/store/planning.h"
#include "server/store/pq.h"

namespace sextant::store {

std::vector<int64_t> JobsOfPasses(pqxx::transaction_base& tx, const std::string& pass_ids) {
  std::vector<int64_t> job_ids;
  for (const auto& row : ExecPrepared(
           tx, "SELECT DISTINCT job_id FROM queue WHERE pass_id = ANY($1::bigint[])", pass_ids))
    job_ids.push_back(row[0].as<int64_t>());
  return job_ids;
}

namespace {

constexpr int kMaxWitnesses = 256;

// What the other passes of the task say of one that hung.
std::string JudgeHang(JobChange& change, int64_t task_id, int64_t pass_id) {
  const auto rows = ExecPrepared(
      change.tx(),
      "SELECT pass_id, state, spec, result FROM passes WHERE task_id = $1 AND state IN (4, 5) "
      "AND (pass_id = $2 OR backend IN ('run', 'activity')) ORDER BY pass_id LIMIT $3",
      task_id, pass_id, kMaxWitnesses);
  job::EndedPass stuck;
  std::vector<job::EndedPass> others;
  for (const auto& row : rows) {
    job::EndedPass pass;
    pass.done = row[1].as<int>() == static_cast<int>(v1::DONE);
    pass.spec.ParseFromString(FieldBytes(row[2]));
    v1::PassResult result;
    result.ParseFromString(FieldBytes(row[3]));
    pass.exit = result.exit();
    if (row[0].as<int64_t>() == pass_id) stuck = std::move(pass);
    else others.push_back(std::move(pass));
  }
  return job::JudgeHang(stuck, others);
}

}  // namespace

void CountPassEnds(JobChange& change, const std::vector<PassEnd>& ends) {
  if (ends.empty()) return;
  struct Counts {
    int done = 0, failed = 0, shared = 0;
    bool fails = false;   // one that was not optional failed
    v1::Failure failure;
    int64_t hung_pass_id = 0;   // where that failure was a hang
  };
  std::map<int64_t, Counts> by_task;
  for (const auto& end : ends) {
    auto& counts = by_task[end.task_id];
    if (!end.done && !counts.fails) {
      counts.fails = !end.optional;
      counts.failure = end.failure;
      counts.hung_pass_id = end.hung_pass_id;
    }
    ++(end.done ? counts.done : counts.failed);
    counts.shared += end.shared;
  }
  ArrayLiteral ids, done, failed, shared, may_end;
  for (const auto& [task_id, counts] : by_task) {
    ids.Add(task_id);
    done.Add(counts.done);
    failed.Add(counts.failed);
    shared.Add(counts.shared);
    may_end.AddText(counts.fails ? "f" : "t");
  }
  // A running task whose passes have all ended is done in the same stroke.
  const auto rows = ExecPrepared(
      change.tx(),
      "UPDATE tasks t SET passes_done = t.passes_done + e.done, "
      "  passes_failed = t.passes_failed + e.failed, passes_cached = t.passes_cached + e.shared, "
      "  state = CASE WHEN t.state = 2 THEN 3 WHEN t.state = 3 AND e.may_end "
      "      AND t.passes_done + e.done + t.passes_failed + e.failed = t.passes "
      "      AND t.passes_done + e.done > 0 THEN 4 ELSE t.state END, "
      "  finished_at = CASE WHEN t.state = 3 AND e.may_end "
      "      AND t.passes_done + e.done + t.passes_failed + e.failed = t.passes "
      "      AND t.passes_done + e.done > 0 THEN now() ELSE t.finished_at END, "
      "  started_at = coalesce(t.started_at, now()), "
      "  artifacts = CASE WHEN t.passes_done + e.done + t.passes_failed + e.failed = t.passes THEN "
      "    (SELECT result FROM passes p WHERE p.task_id = t.task_id AND p.ordinal = 0) END "
      "FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::boolean[]) "
      "  AS e(id, done, failed, shared, may_end) WHERE t.task_id = e.id "
      "RETURNING t.job_id, t.task_id, coalesce(t.parent_id, 0), t.path, t.state, "
      "  t.passes = t.passes_done + t.passes_failed, t.passes_done",
      ids.Finish(), done.Finish(), failed.Finish(), shared.Finish(), may_end.Finish());
  std::vector<JobChange::Ended> are_done;
  std::vector<TaskEnd> task_ends;
  for (const auto& row : rows) {
    const int64_t job_id = row[0].as<int64_t>(), task_id = row[1].as<int64_t>();
    change.MarkStarted(job_id);
    auto& counts = by_task[task_id];
    const bool ended = row[5].as<bool>(), nothing_done = row[6].as<int>() == 0;
    if (row[4].as<int>() == v1::DONE) {
      are_done.push_back({job_id, task_id, row[2].as<int64_t>(), row[3].c_str(), v1::DONE, {}});
    } else if (counts.fails || (ended && nothing_done)) {
      if (counts.hung_pass_id != 0) {
        counts.failure.set_message(absl::StrCat(counts.failure.message(), "; ",
                                                JudgeHang(change, task_id, counts.hung_pass_id)));
      }
      task_ends.push_back({task_id, v1::FAILED, counts.failure});
    } else if (ended) {
      task_ends.push_back({task_id, v1::DONE, {}});
    }
  }
  if (!are_done.empty()) change.AreDone(std::move(are_done));
  if (!task_ends.empty()) change.End(std::move(task_ends));
}

void GiveBack(JobChange& change, const std::vector<int64_t>& pass_ids, const std::string& why) {
  const auto rows = ExecPrepared(
      change.tx(),
      "SELECT q.pass_id, q.task_id, q.attempts, t.max_attempts, t.path, q.worker "
      "FROM queue q JOIN tasks t USING (task_id) "
      "WHERE q.pass_id = ANY($1::bigint[]) AND q.state = 3 ORDER BY q.pass_id FOR UPDATE OF q",
      Int64Array(pass_ids));
  std::vector<int64_t> again, over;
  std::vector<PassEnd> ends;
  ArrayLiteral results;
  for (const auto& row : rows) {
    v1::Event event;
    event.set_pass_id(row[0].as<int64_t>());
    event.set_task_id(row[1].as<int64_t>());
    event.set_task(row[4].c_str());
    if (job::RunsAgain(v1::WORKER_LOST, row[2].as<int>(), row[3].as<int>())) {
      again.push_back(event.pass_id());
      event.set_what("retried");
      event.set_state(v1::READY);
      event.set_message(absl::StrCat("worker ", row[5].c_str(), " ", why));
    } else {
      over.push_back(event.pass_id());
      PassEnd end;
      end.task_id = event.task_id();
      end.done = false;
      end.failure = MakeFailure(v1::WORKER_LOST, "run",
                                absl::StrCat("worker ", row[5].c_str(), " ", why, ", attempt ",
                                             row[2].as<int>(), " of ", row[3].as<int>()),
                                "see that worker's log; submit again when it is well");
      v1::PassResult result;
      *result.mutable_failure() = end.failure;
      results.AddBytes(result.SerializeAsString());
      event.set_what("failed");
      event.set_state(v1::FAILED);
      event.set_message(end.failure.message());
      ends.push_back(std::move(end));
    }
    change.Note(std::move(event));
  }
  ExecPrepared(change.tx(),
               "UPDATE queue SET state = 2, worker = NULL, device = NULL, claimed_at = NULL, "
               "  started_at = NULL WHERE pass_id = ANY($1::bigint[])",
               Int64Array(again));
  if (over.empty()) return;
  const std::string ids = Int64Array(over);
  ExecPrepared(
      change.tx(),
      "UPDATE passes p SET state = 5, finished_at = now(), result = e.result, epoch = q.epoch, "
      "  attempts = q.attempts, worker = q.worker, device = q.device "
      "FROM unnest($1::bigint[], $2::bytea[]) AS e(pass_id, result) JOIN queue q USING (pass_id) "
      "WHERE p.pass_id = e.pass_id",
      ids, results.Finish());
  ExecPrepared(change.tx(), "DELETE FROM queue WHERE pass_id = ANY($1::bigint[])", ids);
  ExecPrepared(change.tx(), "DELETE FROM samples WHERE pass_id = ANY($1::bigint[]) AND NOT done",
               ids);
  CountPassEnds(change, ends);
}

namespace {

struct Follower {
  int64_t pass_id = 0;
  int64_t task_id = 0;
  std::string cache_key;
  int sample = 0;
};

// The source was cancelled: run instead of it, or follow whoever does meanwhile.
void Inherit(JobChange& change, const std::vector<Follower>& orphans) {
  const auto workers = KnownWorkers(change.tx());
  std::vector<PassToQueue> queue;
  for (const auto& orphan : orphans) {
    const auto own =
        ExecPrepared(change.tx(),
                     "INSERT INTO samples (cache_key, sample, pass_id) VALUES ($1, $2, $3) "
                     "ON CONFLICT (cache_key, sample) DO NOTHING RETURNING sample",
                     Bytes(orphan.cache_key), orphan.sample, orphan.pass_id);
    if (own.empty()) {
      ExecPrepared(
          change.tx(),
          "UPDATE passes SET source_pass_id = s.pass_id FROM "
          "  (SELECT pass_id FROM samples WHERE cache_key = $1 AND sample = $2 FOR SHARE) s "
          "WHERE passes.pass_id = $3",
          Bytes(orphan.cache_key), orphan.sample, orphan.pass_id);
      continue;
    }
    const auto rows =
        ExecPrepared(change.tx(),
                     "SELECT t.spec, t.priority, p.spec FROM tasks t JOIN passes p USING (task_id) "
                     "WHERE p.pass_id = $1",
                     orphan.pass_id);
    v1::TaskSpec task;
    task.ParseFromString(FieldBytes(rows[0][0]));
    v1::PassSpec wanted;
    wanted.ParseFromString(FieldBytes(rows[0][2]));
    const auto planned = job::PlanTask({workers, change.salt(), change.tenant()}, task);
    if (!planned.ok()) {
      // No worker now: the sample is given up, the pass stays and is looked at again.
      ExecPrepared(change.tx(), "DELETE FROM samples WHERE pass_id = $1", orphan.pass_id);
      continue;
    }
    for (const auto& group : *planned) {
      if (group.spec.backend() != wanted.backend()) continue;
      queue.push_back({orphan.pass_id, orphan.task_id, group.pool, group.needs,
                       change.priority() + rows[0][1].as<int>()});
      break;
    }
    ExecPrepared(
        change.tx(),
        "UPDATE passes SET state = 2, source = 1, source_pass_id = NULL WHERE pass_id = $1",
        orphan.pass_id);
  }
  if (!queue.empty()) Enqueue(change, queue);
}

}  // namespace

void SettleFollowers(JobChange& change, const std::vector<int64_t>& pass_ids) {
  const auto rows = ExecPrepared(
      change.tx(),
      "SELECT f.pass_id, f.task_id, f.cache_key, f.sample, s.state, s.result, t.path, s.pass_id, "
      "  f.spec FROM passes f JOIN passes s ON s.pass_id = f.source_pass_id "
      "JOIN tasks t ON t.task_id = f.task_id "
      "WHERE f.pass_id = ANY($1::bigint[]) AND f.state = 1 AND s.state > 3 ORDER BY f.pass_id",
      Int64Array(pass_ids));
  std::vector<Follower> orphans;
  std::vector<int64_t> settled;
  std::vector<PassEnd> ends;
  for (const auto& row : rows) {
    const int64_t pass_id = row[0].as<int64_t>();
    const auto source_state = static_cast<v1::State>(row[4].as<int>());
    if (source_state == v1::CANCELLED) {
      orphans.push_back({pass_id, row[1].as<int64_t>(), FieldBytes(row[2]), row[3].as<int>()});
      continue;
    }
    settled.push_back(pass_id);
    PassEnd end;
    end.task_id = row[1].as<int64_t>();
    end.done = source_state == v1::DONE;
    end.shared = true;
    if (!end.done) {
      v1::PassSpec spec;
      spec.ParseFromString(FieldBytes(row[8]));
      end.optional = spec.optional();
      v1::PassResult result;
      result.ParseFromString(FieldBytes(row[5]));
      end.failure = result.failure();
    }
    v1::Event event;
    event.set_pass_id(pass_id);
    event.set_task_id(end.task_id);
    event.set_task(row[6].c_str());
    event.set_what(end.done ? "finished" : "failed");
    event.set_state(source_state);
    event.set_message(absl::StrCat("merged with pass ", row[7].as<int64_t>()));
    change.Note(std::move(event));
    ends.push_back(std::move(end));
  }
  ExecPrepared(
      change.tx(),
      "UPDATE passes f SET state = s.state, result = s.result, trace_digest = s.trace_digest, "
      "  events = s.events, dropped = s.dropped, worker = s.worker, device = s.device, "
      "  started_at = s.started_at, finished_at = now() "
      "FROM passes s WHERE f.pass_id = ANY($1::bigint[]) AND s.pass_id = f.source_pass_id",
      Int64Array(settled));
  CountPassEnds(change, ends);
  if (!orphans.empty()) Inherit(change, orphans);
}

}  // namespace sextant::store
