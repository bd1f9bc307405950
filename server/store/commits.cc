// QueueStore::Commit: the one way a pass's result enters the database.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/job/retry.h"
#include "server/store/job_change.h"
#include "server/store/pass_moves.h"
#include "server/store/pq.h"
#include "server/store/queue.h"

namespace sextant::store {
namespace {

using Outcome = v1::CommitPassesResponse::Outcome;

// What the database knows of a pass that somebody wants to commit.
struct Known {
  int64_t task_id = 0;
  int64_t job_id = 0;
  std::string path;
  int attempts = 0;
  int max_attempts = 0;
  bool optional = false;
};

class CommitBatch {
 public:
  CommitBatch(pqxx::transaction_base& tx, const v1::CommitPassesRequest& request,
              v1::CommitPassesResponse* response)
      : tx_(tx), request_(request), response_(response) {
    for (const auto& commit : request.commits()) {
      auto* outcome = response->add_outcomes();
      *outcome->mutable_pass() = commit.pass();
    }
  }

  absl::Status Run() {
    RETURN_IF_ERROR(LockJobs());
    FindHeld();
    ExplainOthers();
    CheckReferences();
    WriteFinal();
    WriteRetries();
    for (auto& [job_id, change] : changes_) {
      CountPassEnds(*change, ends_[job_id]);
      change->Save();
    }
    return absl::OkStatus();
  }

 private:
  absl::Status LockJobs() {
    std::vector<int64_t> ids;
    for (const auto& commit : request_.commits()) ids.push_back(commit.pass().pass_id());
    std::set<int64_t> job_ids;
    for (const auto& row :
         ExecPrepared(tx_, "SELECT DISTINCT job_id FROM queue WHERE pass_id = ANY($1::bigint[])",
                      Int64Array(ids)))
      job_ids.insert(row[0].as<int64_t>());
    for (int64_t job_id : job_ids) {
      auto change = std::make_unique<JobChange>(tx_, job_id);
      RETURN_IF_ERROR(change->Lock());
      changes_[job_id] = std::move(change);
    }
    return absl::OkStatus();
  }

  // The passes this worker holds with the epoch it says, now that nobody can move them.
  void FindHeld() {
    ArrayLiteral ids, epochs;
    for (const auto& commit : request_.commits()) {
      ids.Add(commit.pass().pass_id());
      epochs.Add(commit.pass().epoch());
    }
    const auto rows =
        ExecPrepared(tx_,
                     "SELECT q.pass_id, q.task_id, q.job_id, t.path, q.attempts, t.max_attempts, p.spec "
                     "FROM unnest($1::bigint[], $2::bigint[]) AS e(pass_id, epoch) "
                     "JOIN queue q ON q.pass_id = e.pass_id AND q.epoch = e.epoch AND q.state = 3 "
                     "  AND q.worker = $3 JOIN tasks t ON t.task_id = q.task_id "
                     "JOIN passes p ON p.pass_id = q.pass_id FOR UPDATE OF q",
                     ids.Finish(), epochs.Finish(), request_.worker());
    for (const auto& row : rows) {
      v1::PassSpec spec;
      spec.ParseFromString(FieldBytes(row[6]));
      held_[row[0].as<int64_t>()] = {row[1].as<int64_t>(), row[2].as<int64_t>(), row[3].c_str(),
                                     row[4].as<int>(),     row[5].as<int>(),     spec.optional()};
    }
    std::set<int64_t> seen;
    for (int i = 0; i < request_.commits_size(); ++i) {
      const int64_t id = request_.commits(i).pass().pass_id();
      if (!held_.contains(id)) continue;
      auto* outcome = response_->mutable_outcomes(i);
      outcome->set_outcome(v1::COMMITTED);
      if (!seen.insert(id).second) outcome->set_message("twice in one request");
    }
  }

  // Commits without a held pass: done before, cancelled, given to somebody else, unknown.
  void ExplainOthers() {
    std::vector<int64_t> ids;
    for (const auto& outcome : response_->outcomes())
      if (outcome.outcome() != v1::COMMITTED) ids.push_back(outcome.pass().pass_id());
    if (ids.empty()) return;
    struct Past {
      int state = 0;
      int64_t epoch = 0;
      std::string worker;
    };
    std::map<int64_t, Past> past;
    for (const auto& row :
         ExecPrepared(tx_,
                      "SELECT pass_id, state, epoch, coalesce(worker, '') FROM passes "
                      "WHERE pass_id = ANY($1::bigint[])",
                      Int64Array(ids)))
      past[row[0].as<int64_t>()] = {row[1].as<int>(), row[2].as<int64_t>(), row[3].c_str()};
    int duplicates = 0, stale = 0;
    for (auto& outcome : *response_->mutable_outcomes()) {
      if (outcome.outcome() == v1::COMMITTED) continue;
      const auto it = past.find(outcome.pass().pass_id());
      if (it == past.end()) {
        outcome.set_outcome(v1::UNKNOWN_PASS);
        outcome.set_message("there is no such pass");
      } else if (it->second.state == v1::CANCELLED) {
        outcome.set_outcome(v1::PASS_CANCELLED);
        outcome.set_message("the pass was cancelled");
      } else if (it->second.state > v1::RUNNING && it->second.epoch == outcome.pass().epoch() &&
                 it->second.worker == request_.worker()) {
        ++duplicates;
        outcome.set_outcome(v1::COMMITTED);
        outcome.set_message("committed before");
      } else {
        ++stale;
        outcome.set_outcome(v1::STALE_EPOCH);
        outcome.set_message(absl::StrCat("epoch ", outcome.pass().epoch(),
                                         " is over: the pass was given to another worker"));
      }
    }
    for (const auto& [name, n] :
         {std::pair("duplicate_commits", duplicates), std::pair("stale_commits", stale)}) {
      if (n > 0)
        ExecPrepared(tx_,
                     "INSERT INTO counters (name, value) VALUES ($1, $2) ON CONFLICT (name) "
                     "DO UPDATE SET value = counters.value + EXCLUDED.value",
                     name, n);
    }
  }

  // A done pass has its whole trace and all its artifacts: what a result refers to must be there.
  void CheckReferences() {
    ArrayLiteral traces, blobs;
    for (const auto& commit : request_.commits()) {
      if (!commit.result().trace_digest().empty()) traces.AddBytes(commit.result().trace_digest());
      for (const auto& artifact : commit.result().artifacts()) blobs.AddBytes(artifact.digest());
    }
    std::set<std::string> missing;
    for (const auto& row :
         ExecPrepared(tx_,
                      "SELECT d FROM unnest($1::bytea[]) AS d WHERE NOT EXISTS "
                      "  (SELECT 1 FROM traces WHERE trace_digest = d) "
                      "UNION ALL SELECT d FROM unnest($2::bytea[]) AS d WHERE NOT EXISTS "
                      "  (SELECT 1 FROM blobs WHERE digest = d)",
                      traces.Finish(), blobs.Finish()))
      missing.insert(FieldBytes(row[0]));
    if (missing.empty()) return;
    for (int i = 0; i < request_.commits_size(); ++i) {
      const auto& result = request_.commits(i).result();
      std::string what;
      if (missing.contains(result.trace_digest())) what = "its trace was not uploaded";
      for (const auto& artifact : result.artifacts())
        if (missing.contains(artifact.digest()))
          what = absl::StrCat("the blob of artifact \"", absl::CHexEscape(artifact.name()),
                              "\" was not uploaded");
      if (what.empty()) continue;
      auto* outcome = response_->mutable_outcomes(i);
      if (outcome->outcome() != v1::COMMITTED) continue;
      outcome->set_outcome(v1::REFUSED);
      outcome->set_message(what);
      held_.erase(outcome->pass().pass_id());
    }
  }

  bool Retries(const v1::PassCommit& commit, const Known& known) const {
    return commit.result().has_failure() &&
           job::RunsAgain(commit.result().failure().cause(), known.attempts, known.max_attempts);
  }

  void WriteFinal() {
    ArrayLiteral ids, states, results, traces, events, dropped, starts, ends;
    std::vector<int64_t> done, failed;
    std::set<int64_t> seen;
    for (const auto& commit : request_.commits()) {
      const auto it = held_.find(commit.pass().pass_id());
      if (it == held_.end() || Retries(commit, it->second) || !seen.insert(it->first).second)
        continue;
      const auto& result = commit.result();
      const bool ok = !result.has_failure();
      (ok ? done : failed).push_back(it->first);
      ids.Add(it->first);
      states.Add(ok ? v1::DONE : v1::FAILED);
      results.AddBytes(result.SerializeAsString());
      if (result.trace_digest().empty()) {
        traces.AddNull();
      } else {
        traces.AddBytes(result.trace_digest());
      }
      events.Add(static_cast<int64_t>(result.events()));
      dropped.Add(static_cast<int64_t>(result.dropped()));
      starts.Add(static_cast<int64_t>(commit.started_unix_ns() / 1000));
      ends.Add(static_cast<int64_t>(commit.finished_unix_ns() / 1000));
      v1::Event event;
      event.set_pass_id(it->first);
      event.set_task_id(it->second.task_id);
      event.set_task(it->second.path);
      event.set_what(ok ? "finished" : "failed");
      event.set_state(ok ? v1::DONE : v1::FAILED);
      event.set_message(result.failure().message());
      changes_[it->second.job_id]->Note(std::move(event));
      ends_[it->second.job_id].push_back({it->second.task_id, ok, false, it->second.optional, result.failure()});
    }
    if (seen.empty()) return;
    ExecPrepared(
        tx_,
        "WITH gone AS (DELETE FROM queue WHERE pass_id = ANY($1::bigint[]) "
        "  RETURNING pass_id, epoch, attempts, worker, device) "
        "UPDATE passes p SET state = e.state, result = e.result, trace_digest = e.trace, "
        "  events = e.events, dropped = e.dropped, epoch = g.epoch, attempts = g.attempts, "
        "  worker = g.worker, device = g.device, "
        "  started_at = CASE WHEN e.started > 0 THEN to_timestamp(e.started / 1e6) END, "
        "  finished_at = CASE WHEN e.ended > 0 THEN to_timestamp(e.ended / 1e6) ELSE now() END "
        "FROM gone g JOIN unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::bytea[], "
        "  $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) "
        "  AS e(pass_id, state, result, trace, events, dropped, started, ended) USING (pass_id) "
        "WHERE p.pass_id = g.pass_id",
        ids.Finish(), states.Finish(), results.Finish(), traces.Finish(), events.Finish(),
        dropped.Finish(), starts.Finish(), ends.Finish());
    // A planner that found the sample in flight holds it until its pass can be seen to follow.
    if (!done.empty())
      ExecPrepared(
          tx_,
          "INSERT INTO samples (cache_key, sample, pass_id, done) "
          "SELECT cache_key, sample, pass_id, true FROM passes "
          "WHERE pass_id = ANY($1::bigint[]) AND cache_key IS NOT NULL ORDER BY cache_key, sample "
          "ON CONFLICT (cache_key, sample) DO UPDATE SET pass_id = EXCLUDED.pass_id, done = true",
          Int64Array(done));
    if (!failed.empty())
      ExecPrepared(tx_, "DELETE FROM samples WHERE pass_id = ANY($1::bigint[]) AND NOT done",
                   Int64Array(failed));
    CountHealth(static_cast<int>(done.size()), failed);
  }

  void WriteRetries() {
    std::vector<int64_t> ids;
    for (const auto& commit : request_.commits()) {
      const auto it = held_.find(commit.pass().pass_id());
      if (it == held_.end() || !Retries(commit, it->second)) continue;
      ids.push_back(it->first);
      v1::Event event;
      event.set_pass_id(it->first);
      event.set_task_id(it->second.task_id);
      event.set_task(it->second.path);
      event.set_what("retried");
      event.set_state(v1::READY);
      event.set_message(commit.result().failure().message());
      changes_[it->second.job_id]->Note(std::move(event));
    }
    if (ids.empty()) return;
    ExecPrepared(tx_,
                 "UPDATE queue SET state = 2, worker = NULL, device = NULL, claimed_at = NULL, "
                 "  started_at = NULL WHERE pass_id = ANY($1::bigint[])",
                 Int64Array(ids));
    CountHealth(0, ids);
  }

  // A worker whose own tools fail pass after pass is given no more work.
  void CountHealth(int done, const std::vector<int64_t>& failed) {
    int spoiled = 0;
    std::string evidence;
    for (const auto& commit : request_.commits()) {
      const auto cause = commit.result().failure().cause();
      if (cause != v1::TOOL_FAILED) continue;  // an unhealthy device is set aside by itself
      if (std::find(failed.begin(), failed.end(), commit.pass().pass_id()) == failed.end())
        continue;
      ++spoiled;
      evidence =
          absl::StrCat("pass ", commit.pass().pass_id(), ": ", commit.result().failure().message());
    }
    if (spoiled == 0 && done == 0) return;
    if (spoiled == 0) {
      ExecPrepared(
          tx_, "UPDATE workers SET spoiled_in_a_row = 0 WHERE name = $1 AND spoiled_in_a_row > 0",
          request_.worker());
      return;
    }
    ExecPrepared(tx_,
                 "UPDATE workers SET spoiled = spoiled + $2::integer, "
                 "  spoiled_in_a_row = spoiled_in_a_row + $2::integer, "
                 "  quarantine = CASE WHEN spoiled_in_a_row + $2::integer >= $3::integer THEN $4 "
                 "ELSE quarantine END "
                 "WHERE name = $1",
                 request_.worker(), spoiled, kSpoiledToQuarantine,
                 absl::StrCat("spoiled ", kSpoiledToQuarantine, " passes in a row, last ", evidence,
                              "; restart the worker once it is mended"));
  }

  static constexpr int kSpoiledToQuarantine = 10;

  pqxx::transaction_base& tx_;
  const v1::CommitPassesRequest& request_;
  v1::CommitPassesResponse* const response_;
  std::map<int64_t, std::unique_ptr<JobChange>> changes_;
  std::map<int64_t, Known> held_;
  std::map<int64_t, std::vector<PassEnd>> ends_;
};

}  // namespace

absl::StatusOr<v1::CommitPassesResponse> QueueStore::Commit(
    const v1::CommitPassesRequest& request) {
  if (request.worker().empty())
    return absl::InvalidArgumentError("worker: must be the worker's name");
  v1::CommitPassesResponse response;
  RETURN_IF_ERROR(database_->Transact("commit", [&](pqxx::transaction_base& tx) {
    response.Clear();
    return CommitBatch(tx, request, &response).Run();
  }));
  return response;
}

}  // namespace sextant::store
