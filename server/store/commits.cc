// QueueStore::Commit: the one way a pass's result enters the database.
#include <deque>
#include <map>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/job/hang.h"
#include "server/job/retry.h"
#include "server/store/holdings.h"
#include "server/store/job_change.h"
#include "server/store/pass_moves.h"
#include "server/store/pq.h"
#include "server/store/queue.h"

namespace sextant::store {
namespace {

using Outcome = v1::CommitPassesResponse::Outcome;
using CommitRequests = std::vector<const v1::CommitPassesRequest*>;

// What the database knows of a pass that somebody wants to commit.
struct Known {
  int64_t task_id = 0;
  int64_t job_id = 0;
  std::string path;
  int attempts = 0;
  int max_attempts = 0;
  bool optional = false;
};

// Several requests in one transaction. Every statement is for all of them.
class CommitBatch {
 public:
  // One response for each request.
  CommitBatch(pqxx::transaction_base& tx, const CommitRequests& requests,
              std::vector<v1::CommitPassesResponse>* responses, bool bounded, uint64_t stored_bytes)
      : tx_(tx), bounded_(bounded), stored_bytes_(stored_bytes) {
    for (size_t i = 0; i < requests.size(); ++i) {
      for (const auto& commit : requests[i]->commits()) {
        auto* outcome = (*responses)[i].add_outcomes();
        *outcome->mutable_pass() = commit.pass();
        items_.push_back({&commit, &requests[i]->worker(), outcome, nullptr, &commit.result()});
      }
    }
  }

  absl::Status Run() {
    std::vector<int64_t> ids;
    for (const auto& item : items_) ids.push_back(item.pass_id());
    JobChange change(tx_, JobsOfPasses(tx_, Int64Array(ids)));
    RETURN_IF_ERROR(change.Lock());
    FindHeld();
    CheckReferences();
    ExplainOthers();
    if (bounded_) RefuseOverQuota(change);
    WriteFinal(change);
    HoldResults(change);
    WriteRetries(change);
    CountSpoiled();
    CountPassEnds(change, ends_);
    change.Save();
    return absl::OkStatus();
  }

 private:
  struct Item {
    const v1::PassCommit* commit;
    const std::string* worker;
    Outcome* outcome;
    const Known* known;  // null: there is nothing to write for it
    const v1::PassResult* left;

    int64_t pass_id() const { return commit->pass().pass_id(); }
    const v1::PassResult& result() const { return *left; }
    bool Retries() const {
      return result().has_failure() &&
             job::RunsAgain(result().failure().cause(), known->attempts, known->max_attempts);
    }
  };

  // The passes these workers hold with the epochs they say, now that nobody can move them.
  void FindHeld() {
    ArrayLiteral ids, epochs, workers;
    for (const auto& item : items_) {
      ids.Add(item.pass_id());
      epochs.Add(item.commit->pass().epoch());
      workers.AddText(*item.worker);
    }
    const auto rows = ExecPrepared(
        tx_,
        "SELECT e.n, q.pass_id, q.task_id, q.job_id, t.path, q.attempts, t.max_attempts, p.spec "
        "FROM unnest($1::bigint[], $2::bigint[], $3::text[]) WITH ORDINALITY "
        "  AS e(pass_id, epoch, worker, n) "
        "JOIN queue q ON q.pass_id = e.pass_id AND q.epoch = e.epoch AND q.state = 3 "
        "  AND q.worker = e.worker JOIN tasks t ON t.task_id = q.task_id "
        "JOIN passes p ON p.pass_id = q.pass_id FOR UPDATE OF q",
        ids.Finish(), epochs.Finish(), workers.Finish());
    for (const auto& row : rows) {
      v1::PassSpec spec;
      spec.ParseFromString(FieldBytes(row[7]));
      auto& known = held_[row[1].as<int64_t>()];
      known = {row[2].as<int64_t>(), row[3].as<int64_t>(), row[4].c_str(),
               row[5].as<int>(),     row[6].as<int>(),     spec.optional()};
      items_[row[0].as<size_t>() - 1].known = &known;
    }
  }

  // A done pass has its whole trace and all its artifacts: what a result refers to must be there.
  void CheckReferences() {
    ArrayLiteral traces, blobs;
    bool any = false;
    for (const auto& item : items_) {
      any |= !item.result().trace_digest().empty() || item.result().artifacts_size() > 0;
      if (!item.result().trace_digest().empty()) traces.AddBytes(item.result().trace_digest());
      for (const auto& artifact : item.result().artifacts()) blobs.AddBytes(artifact.digest());
    }
    if (!any) return;
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
    for (auto& item : items_) {
      if (item.known == nullptr) continue;
      std::string what;
      if (missing.contains(item.result().trace_digest())) what = "its trace was not uploaded";
      for (const auto& artifact : item.result().artifacts())
        if (missing.contains(artifact.digest()))
          what = absl::StrCat("the blob of artifact \"", absl::CHexEscape(artifact.name()),
                              "\" was not uploaded");
      if (what.empty()) continue;
      item.known = nullptr;
      item.outcome->set_outcome(v1::REFUSED);
      item.outcome->set_message(what);
    }
  }

  // Commits that write nothing: done before, cancelled, given to somebody else, unknown.
  void ExplainOthers() {
    std::set<int64_t> seen;
    std::vector<int64_t> ids;
    int duplicates = 0, stale = 0;
    for (auto& item : items_) {
      if (item.outcome->outcome() == v1::REFUSED) continue;
      if (item.known == nullptr) {
        ids.push_back(item.pass_id());
        continue;
      }
      item.outcome->set_outcome(v1::COMMITTED);
      if (seen.insert(item.pass_id()).second) continue;
      item.known = nullptr;
      item.outcome->set_message("committed before");
      ++duplicates;
    }
    if (!ids.empty()) Explain(ids, &duplicates, &stale);
    for (const auto& [name, n] :
         {std::pair("duplicate_commits", duplicates), std::pair("stale_commits", stale)}) {
      if (n > 0)
        ExecPrepared(tx_,
                     "INSERT INTO counters (name, value) VALUES ($1, $2) ON CONFLICT (name) "
                     "DO UPDATE SET value = counters.value + EXCLUDED.value",
                     name, n);
    }
  }

  // Of passes that are not held by who commits them: what became of them.
  void Explain(const std::vector<int64_t>& ids, int* duplicates, int* stale) {
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
    for (auto& item : items_) {
      auto& outcome = *item.outcome;
      if (outcome.outcome() != v1::COMMIT_OUTCOME_UNSPECIFIED) continue;
      const auto it = past.find(item.pass_id());
      if (it == past.end()) {
        outcome.set_outcome(v1::UNKNOWN_PASS);
        outcome.set_message("there is no such pass");
      } else if (it->second.state == v1::CANCELLED) {
        outcome.set_outcome(v1::PASS_CANCELLED);
        outcome.set_message("the pass was cancelled");
      } else if (it->second.state > v1::RUNNING && it->second.epoch == outcome.pass().epoch() &&
                 it->second.worker == *item.worker) {
        ++*duplicates;
        outcome.set_outcome(v1::COMMITTED);
        outcome.set_message("committed before");
      } else {
        ++*stale;
        outcome.set_outcome(v1::STALE_EPOCH);
        outcome.set_message(absl::StrCat("epoch ", outcome.pass().epoch(),
                                         " is over: the pass was given to another worker"));
      }
    }
  }

  void WriteFinal(JobChange& change) {
    ArrayLiteral ids, states, results, traces, events, dropped, starts, ends, failed, well;
    bool any = false, any_failed = false;
    for (const auto& item : items_) {
      if (item.known == nullptr || item.Retries()) continue;
      any = true;
      const auto& result = item.result();
      const bool ok = !result.has_failure();
      if (!ok) {
        any_failed = true;
        failed.Add(item.pass_id());
      }
      if (ok) well.AddText(*item.worker);
      ids.Add(item.pass_id());
      states.Add(ok ? v1::DONE : v1::FAILED);
      results.AddBytes(result.SerializeAsString());
      if (result.trace_digest().empty()) {
        traces.AddNull();
      } else {
        traces.AddBytes(result.trace_digest());
      }
      events.Add(static_cast<int64_t>(result.events()));
      dropped.Add(static_cast<int64_t>(result.dropped()));
      starts.Add(static_cast<int64_t>(item.commit->started_unix_ns() / 1000));
      ends.Add(static_cast<int64_t>(item.commit->finished_unix_ns() / 1000));
      NoteEvent(change, item, ok ? "finished" : "failed", ok ? v1::DONE : v1::FAILED);
      ends_.push_back({item.known->task_id, ok, false, item.known->optional, result.failure(),
                       !ok && job::Hung(result.exit()) ? item.commit->pass().pass_id() : 0});
    }
    if (!any) return;
    // A planner that found a sample in flight holds it until its pass can be seen to follow.
    ExecPrepared(
        tx_,
        "WITH gone AS (DELETE FROM queue WHERE pass_id = ANY($1::bigint[]) "
        "  RETURNING pass_id, epoch, attempts, worker, device), "
        "ended AS (UPDATE passes p SET state = e.state, result = e.result, trace_digest = e.trace, "
        "    events = e.events, dropped = e.dropped, epoch = g.epoch, attempts = g.attempts, "
        "    worker = g.worker, device = g.device, "
        "    started_at = CASE WHEN e.started > 0 THEN to_timestamp(e.started / 1e6) END, "
        "    finished_at = CASE WHEN e.ended > 0 THEN to_timestamp(e.ended / 1e6) ELSE now() END "
        "  FROM gone g JOIN unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::bytea[], "
        "    $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) "
        "    AS e(pass_id, state, result, trace, events, dropped, started, ended) USING (pass_id) "
        "  WHERE p.pass_id = g.pass_id RETURNING p.pass_id, p.state, p.cache_key, p.sample), "
        "healthy AS (UPDATE workers SET spoiled_in_a_row = 0 "
        "  WHERE name = ANY($9::text[]) AND spoiled_in_a_row > 0) "
        "INSERT INTO samples (cache_key, sample, pass_id, done) "
        "SELECT DISTINCT ON (cache_key, sample) cache_key, sample, pass_id, true FROM ended "
        "WHERE state = 4 AND cache_key IS NOT NULL ORDER BY cache_key, sample, pass_id "
        "ON CONFLICT (cache_key, sample) DO UPDATE SET pass_id = EXCLUDED.pass_id, done = true",
        ids.Finish(), states.Finish(), results.Finish(), traces.Finish(), events.Finish(),
        dropped.Finish(), starts.Finish(), ends.Finish(), well.Finish());
    if (any_failed)
      ExecPrepared(tx_, "DELETE FROM samples WHERE pass_id = ANY($1::bigint[]) AND NOT done",
                   failed.Finish());
  }

  // (tenant, digest) of artifacts that the tenant of their job holds already: they take no more room.
  std::set<std::pair<std::string, std::string>> HeldArtifacts(const JobChange& change) {
    ArrayLiteral tenants, digests;
    bool any = false;
    for (const auto& item : items_) {
      if (item.known == nullptr || item.Retries()) continue;
      for (const auto& artifact : item.result().artifacts()) {
        any = true;
        tenants.AddText(change.tenant(item.known->job_id));
        digests.AddBytes(artifact.digest());
      }
    }
    std::set<std::pair<std::string, std::string>> held;
    if (!any) return held;
    for (const auto& row : ExecPrepared(tx_,
                                        "SELECT h.tenant, h.digest FROM unnest($1::text[], $2::bytea[]) "
                                        "  AS e(tenant, digest) "
                                        "JOIN holdings h ON h.tenant = e.tenant AND h.kind = 1 AND h.digest = e.digest",
                                        tenants.Finish(), digests.Finish()))
      held.emplace(row[0].c_str(), FieldBytes(row[1]));
    return held;
  }

  // What a tenant has no room for is not kept, and its pass fails for it.
  void RefuseOverQuota(const JobChange& change) {
    std::set<std::pair<std::string, std::string>> held = HeldArtifacts(change);
    std::map<std::string, StoreRoom> rooms;   // by tenant, with what this batch adds
    for (auto& item : items_) {
      if (item.known == nullptr || item.Retries()) continue;
      if (item.result().trace_digest().empty() && item.result().artifacts().empty()) continue;
      const std::string& tenant = change.tenant(item.known->job_id);
      uint64_t bytes = 0;
      std::set<std::pair<std::string, std::string>> added;
      for (const auto& artifact : item.result().artifacts())
        if (!held.contains({tenant, artifact.digest()}) && added.emplace(tenant, artifact.digest()).second)
          bytes += artifact.size_bytes();
      auto room = rooms.find(tenant);
      if (room == rooms.end()) room = rooms.emplace(tenant, FindStoreRoom(tx_, tenant, stored_bytes_)).first;
      const absl::Status status = CheckStored(room->second, tenant, bytes);
      if (status.ok()) {
        room->second.used += bytes;
        held.merge(added);
        continue;
      }
      v1::PassResult& without = refused_.emplace_back();
      *without.mutable_exit() = item.result().exit();
      *without.mutable_provenance() = item.result().provenance();
      *without.mutable_failure() = MakeFailure(v1::REJECTED, "commit", std::string(status.message()));
      item.left = &without;
    }
  }

  // What a pass left is its job's tenant's.
  void HoldResults(JobChange& change) {
    std::map<int64_t, NewHoldings> by_job;
    for (const auto& item : items_) {
      if (item.known == nullptr || item.Retries()) continue;
      if (item.result().trace_digest().empty() && item.result().artifacts().empty()) continue;
      auto& holdings = by_job[item.known->job_id];
      if (!item.result().trace_digest().empty()) holdings.traces.push_back(item.result().trace_digest());
      for (const auto& artifact : item.result().artifacts()) holdings.blobs.push_back(artifact.digest());
    }
    std::vector<NewHoldings> all;
    for (auto& [job_id, holdings] : by_job) {
      holdings.tenant = change.tenant(job_id);
      holdings.submitter = change.submitter(job_id);
      all.push_back(std::move(holdings));
    }
    Hold(tx_, all);
  }

  void WriteRetries(JobChange& change) {
    std::vector<int64_t> ids;
    for (const auto& item : items_) {
      if (item.known == nullptr || !item.Retries()) continue;
      ids.push_back(item.pass_id());
      NoteEvent(change, item, "retried", v1::READY);
    }
    if (ids.empty()) return;
    ExecPrepared(tx_,
                 "UPDATE queue SET state = 2, worker = NULL, device = NULL, claimed_at = NULL, "
                 "  started_at = NULL WHERE pass_id = ANY($1::bigint[])",
                 Int64Array(ids));
  }

  static void NoteEvent(JobChange& change, const Item& item, const char* what, v1::State state) {
    v1::Event event;
    event.set_pass_id(item.pass_id());
    event.set_task_id(item.known->task_id);
    event.set_task(item.known->path);
    event.set_what(what);
    event.set_state(state);
    event.set_message(item.result().failure().message());
    change.Note(item.known->job_id, std::move(event));
  }

  // A worker whose own tools fail pass after pass is given no more work. An unhealthy device is set
  // aside by itself.
  void CountSpoiled() {
    struct Spoiled {
      int passes = 0;
      std::string evidence;
    };
    std::map<std::string, Spoiled> by_worker;
    for (const auto& item : items_) {
      const auto& failure = item.result().failure();
      if (item.known == nullptr || failure.cause() != v1::TOOL_FAILED) continue;
      auto& spoiled = by_worker[*item.worker];
      ++spoiled.passes;
      spoiled.evidence = absl::StrCat("pass ", item.pass_id(), ": ", failure.message());
    }
    for (const auto& [worker, spoiled] : by_worker)
      ExecPrepared(tx_,
                   "UPDATE workers SET spoiled = spoiled + $2::integer, "
                   "  spoiled_in_a_row = spoiled_in_a_row + $2::integer, "
                   "  quarantine = CASE WHEN spoiled_in_a_row + $2::integer >= $3::integer THEN $4 "
                   "ELSE quarantine END "
                   "WHERE name = $1",
                   worker, spoiled.passes, kSpoiledToQuarantine,
                   absl::StrCat("spoiled ", kSpoiledToQuarantine, " passes in a row, last ",
                                spoiled.evidence, "; restart the worker once it is mended"));
  }

  static constexpr int kSpoiledToQuarantine = 10;

  pqxx::transaction_base& tx_;
  const bool bounded_;            // some tenant has a bound on what it holds
  const uint64_t stored_bytes_;   // of a tenant without a quota of its own; 0: none
  std::vector<Item> items_;
  std::deque<v1::PassResult> refused_;   // what is written instead
  std::map<int64_t, Known> held_;
  std::vector<PassEnd> ends_;
};

}  // namespace

absl::StatusOr<std::vector<v1::CommitPassesResponse>> QueueStore::CommitAll(
    const std::vector<const v1::CommitPassesRequest*>& requests) {
  for (const auto* request : requests)
    if (request->worker().empty())
      return absl::InvalidArgumentError("worker: must be the worker's name");
  ASSIGN_OR_RETURN(const Bounded bounded, FindBounded());
  std::vector<v1::CommitPassesResponse> responses;
  RETURN_IF_ERROR(database_->Transact("commit", [&](pqxx::transaction_base& tx) {
    responses.assign(requests.size(), {});
    return CommitBatch(tx, requests, &responses, bounded.stored, bounds_.stored_bytes).Run();
  }));
  return responses;
}

absl::StatusOr<v1::CommitPassesResponse> QueueStore::Commit(
    const v1::CommitPassesRequest& request) {
  ASSIGN_OR_RETURN(auto responses, CommitAll({&request}));
  return std::move(responses[0]);
}

}  // namespace sextant::store
