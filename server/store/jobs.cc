#include "server/store/jobs.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/job/keys.h"
#include "server/job/states.h"
#include "server/store/holdings.h"
#include "server/store/job_change.h"
#include "server/store/pq.h"
#include "server/store/quotas.h"
#include "server/store/task_inserter.h"

namespace sextant::store {
namespace {

// Blobs that a job uses: within reach, and from now on held by the job's tenant.
absl::Status UseBlobs(const JobChange& change, const Reach& reach, pqxx::transaction_base& tx,
                      const std::vector<std::string>& digests) {
  if (digests.empty()) return absl::OkStatus();
  ArrayLiteral array;
  for (const auto& digest : digests) array.AddBytes(digest);
  const auto missing = tx.exec_params(
      "SELECT encode(d, 'hex') FROM unnest($1::bytea[]) AS d "
      "WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE digest = d) OR ($2 <> '' AND NOT EXISTS "
      "  (SELECT 1 FROM holdings WHERE tenant = $2 AND kind = 1 AND digest = d)) LIMIT 5",
      array.Finish(), reach.sql());
  if (!missing.empty()) {
    std::string message = "blobs are missing, upload them first (FindMissingBlobs, UploadBlobs):";
    for (const auto& row : missing) absl::StrAppend(&message, " ", row[0].c_str());
    return absl::FailedPreconditionError(message);
  }
  Hold(tx, {{change.tenant(), change.submitter(), digests, {}}});
  return absl::OkStatus();
}

std::string LabelsJson(const v1::JobGraph& graph) {
  // A two-column text array becomes a jsonb object in SQL: no JSON is built by hand.
  ArrayLiteral pairs;
  for (const auto& [name, value] : graph.labels()) {
    pairs.AddText(name);
    pairs.AddText(value);
  }
  return pairs.Finish();
}

}  // namespace

absl::StatusOr<JobStore::Accepted> JobStore::Submit(const v1::SubmitJobRequest& request,
                                                    const job::ExpandedGraph& graph,
                                                    const v1::ServiceLimits& limits,
                                                    const Owner& owner) {
  if (request.request_id().empty() || request.request_id().size() > 128)
    return absl::InvalidArgumentError(
        "request_id: 1 to 128 bytes; a new one for each job, the same when the call is repeated");
  if (request.submitter().size() > limits.max_name_bytes())
    return absl::InvalidArgumentError(absl::StrCat("submitter: at most max_name_bytes = ",
                                                   limits.max_name_bytes()));
  const std::string submitter = request.submitter().empty() ? "anonymous" : request.submitter();
  const auto& spec = request.graph();
  const std::string digest = job::GraphDigest(spec);
  Accepted accepted;
  RETURN_IF_ERROR(database_->Transact("submit", [&](pqxx::transaction_base& tx) {
    accepted = {};
    const auto inserted = ExecPrepared(
        tx,
        "INSERT INTO jobs (submitter, request_id, graph_digest, name, state, open, priority, fresh, "
        "  keep, salt, labels, deadline_s, deadline_at, tenant) "
        "VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, jsonb_object($10::text[]), $11::float8, "
        "  CASE WHEN $11::float8 > 0 THEN now() + $11::float8 * interval '1 s' END, $12) "
        "ON CONFLICT (tenant, submitter, request_id) DO NOTHING RETURNING job_id, "
        // As FindQueueRoom where the room is ample, without a round trip of its own.
        "  coalesce((SELECT nullif(queued_passes, 0) FROM tenant_quotas q WHERE q.tenant = $12), $13::bigint), "
        "  CASE WHEN $13::bigint = 0 AND NOT EXISTS (SELECT 1 FROM tenant_quotas q WHERE q.tenant = $12) THEN 0 "
        "  ELSE (SELECT count(*) FROM (SELECT 1 FROM queue WHERE tenant = $12 AND state = 2 LIMIT "
        "    nullif(coalesce((SELECT nullif(queued_passes, 0) FROM tenant_quotas q WHERE q.tenant = $12), "
        "      $13::bigint), 0)) c) END",
        submitter, request.request_id(), Bytes(digest), spec.name(), spec.open(), spec.priority(),
        spec.fresh(), spec.keep(), spec.salt(), LabelsJson(spec), spec.deadline_s(),
        owner.tenant, static_cast<int64_t>(limits.max_queued_passes_per_tenant()));
    if (inserted.empty()) {
      const auto rows = tx.exec_params(
          "SELECT job_id, graph_digest FROM jobs WHERE submitter = $1 AND request_id = $2 AND tenant = $3",
          submitter, request.request_id(), owner.tenant);
      if (rows.empty()) return absl::AbortedError("the job was removed meanwhile; repeat the call");
      if (FieldBytes(rows[0][1]) != digest)
        return absl::AlreadyExistsError(
            absl::StrCat("request_id \"", absl::CHexEscape(request.request_id()), "\" was used for job ",
                         rows[0][0].as<int64_t>(), " with another graph; take a new one"));
      accepted = {rows[0][0].as<int64_t>(), true};
      return absl::OkStatus();
    }
    accepted.job_id = inserted[0][0].as<int64_t>();
    JobChange change(tx, accepted.job_id);
    JobRow row;
    row.tenant = owner.tenant;
    row.open = spec.open();
    row.fresh = spec.fresh();
    row.submitter = submitter;
    row.salt = spec.salt();
    row.priority = spec.priority();
    change.Inserted(std::move(row));
    const uint64_t passes = TaskInserter::PassesAsked(graph);
    QueueRoom room{inserted[0][1].as<uint64_t>(), inserted[0][2].as<uint64_t>()};
    if (!room.IsAmple(passes))
      room = FindQueueRoom(tx, owner.tenant, limits.max_queued_passes_per_tenant(), passes);
    RETURN_IF_ERROR(UseBlobs(change, owner.blobs, tx, graph.blob_digests));
    v1::Event event;
    event.set_what("accepted");
    event.set_state(v1::WAITING);
    event.set_message(absl::StrCat(graph.tasks.size(), " tasks"));
    change.Note(std::move(event));
    RETURN_IF_ERROR(CheckQueued(room, owner.tenant, passes));
    TaskInserter inserter(change, graph);
    inserter.Insert();
    inserter.Start(room);
    change.Save();
    return absl::OkStatus();
  }));
  return accepted;
}

absl::StatusOr<v1::AddTasksResponse> JobStore::AddTasks(const v1::AddTasksRequest& request,
                                                        const job::ExpandedGraph& graph,
                                                        const v1::ServiceLimits& limits,
                                                    const Reach& blobs) {
  if (request.request_id().empty() || request.request_id().size() > 128)
    return absl::InvalidArgumentError("request_id: 1 to 128 bytes; the same when the call is repeated");
  const std::string digest = job::TasksDigest(request.tasks());
  v1::AddTasksResponse response;
  RETURN_IF_ERROR(database_->Transact("add", [&](pqxx::transaction_base& tx) {
    response.Clear();
    JobChange change(tx, request.job_id());
    RETURN_IF_ERROR(change.Lock());
    const auto before = tx.exec_params(
        "SELECT digest, unnest(task_ids) FROM job_requests WHERE job_id = $1 AND request_id = $2",
        request.job_id(), request.request_id());
    if (!before.empty()) {
      if (FieldBytes(before[0][0]) != digest)
        return absl::AlreadyExistsError("request_id: was used to add other tasks; take a new one");
      response.set_existing(true);
      for (const auto& row : before) response.add_task_ids(row[1].as<int64_t>());
      return absl::OkStatus();
    }
    if (job::IsFinal(change.state()))
      return absl::FailedPreconditionError(absl::StrCat("job ", request.job_id(), " is ",
                                                        job::StateWord(change.state())));
    bool all_in_groups = true;
    for (const auto& task : graph.tasks)
      all_in_groups &= task.parent >= 0 || !task.outer_parent.empty();
    if (!change.open() && !all_in_groups)
      return absl::FailedPreconditionError(
          absl::StrCat("job ", request.job_id(), " is sealed; submit it with graph.open to add tasks"));
    const auto count = tx.exec_params("SELECT tasks FROM jobs WHERE job_id = $1", request.job_id());
    if (count[0][0].as<uint64_t>() + graph.tasks.size() > limits.max_tasks_per_job())
      return absl::ResourceExhaustedError(
          absl::StrCat("tasks: the job has ", count[0][0].as<int>(), ", with these it passes "
                       "max_tasks_per_job = ", limits.max_tasks_per_job()));
    const uint64_t passes = TaskInserter::PassesAsked(graph);
    const QueueRoom room = FindQueueRoom(tx, change.tenant(), limits.max_queued_passes_per_tenant(), passes);
    RETURN_IF_ERROR(UseBlobs(change, blobs, tx, graph.blob_digests));
    RETURN_IF_ERROR(CheckQueued(room, change.tenant(), passes));
    TaskInserter inserter(change, graph);
    RETURN_IF_ERROR(inserter.ResolveOuter());
    const auto ids = inserter.Insert();
    // The answer is in the order given, which sorting parents first may have changed.
    absl::flat_hash_map<const v1::TaskSpec*, int64_t> id_of;
    for (size_t i = 0; i < ids.size(); ++i) id_of[graph.tasks[i].spec] = ids[i];
    for (const auto& task : request.tasks()) response.add_task_ids(id_of[&task]);
    v1::Event event;
    event.set_what("added");
    event.set_message(absl::StrCat(ids.size(), " tasks"));
    change.Note(std::move(event));
    inserter.Start(room);
    change.Save();
    tx.exec_params(
        "INSERT INTO job_requests (job_id, request_id, digest, task_ids) "
        "VALUES ($1, $2, $3, $4::bigint[])",
        request.job_id(), request.request_id(), Bytes(digest), Int64Array(response.task_ids()));
    return absl::OkStatus();
  }));
  return response;
}

absl::Status JobStore::Seal(const v1::SealJobRequest& request) {
  return database_->Transact("seal", [&](pqxx::transaction_base& tx) {
    JobChange change(tx, request.job_id());
    RETURN_IF_ERROR(change.Lock());
    int64_t group = 0;
    if (!request.group().empty()) {
      const auto rows = tx.exec_params(
          "SELECT task_id, kind FROM tasks WHERE job_id = $1 AND path = $2", request.job_id(),
          request.group());
      if (rows.empty() || std::string(rows[0][1].c_str()) != "job")
        return absl::NotFoundError(absl::StrCat("group: job ", request.job_id(), " has no group \"",
                                                absl::CHexEscape(request.group()), "\""));
      group = rows[0][0].as<int64_t>();
    }
    change.Seal(group);
    change.Save();
    return absl::OkStatus();
  });
}

absl::Status JobStore::Cancel(const v1::CancelJobRequest& request) {
  return database_->Transact("cancel", [&](pqxx::transaction_base& tx) {
    JobChange change(tx, request.job_id());
    RETURN_IF_ERROR(change.Lock());
    if (job::IsFinal(change.state())) return absl::OkStatus();
    const v1::Failure failure = MakeFailure(
        v1::CAUSE_UNSPECIFIED, "cancel",
        request.reason().empty() ? "cancelled" : absl::StrCat("cancelled: ", request.reason()));
    std::vector<TaskEnd> ends;
    if (request.task().empty()) {
      change.Seal(0);
      change.MarkCancelled();
      tx.exec_params("UPDATE tasks SET open = false WHERE job_id = $1 AND open", request.job_id());
      const auto rows = tx.exec_params(
          "SELECT task_id FROM tasks WHERE job_id = $1 AND state < 4 ORDER BY task_id",
          request.job_id());
      for (const auto& row : rows)
        ends.push_back({row[0].as<int64_t>(), v1::CANCELLED, failure});
    } else {
      const auto rows = tx.exec_params(
          "SELECT task_id FROM tasks WHERE job_id = $1 AND path = $2", request.job_id(),
          request.task());
      if (rows.empty())
        return absl::NotFoundError(absl::StrCat("task: job ", request.job_id(), " has no task \"",
                                                absl::CHexEscape(request.task()), "\""));
      ends.push_back({rows[0][0].as<int64_t>(), v1::CANCELLED, failure});
    }
    change.End(std::move(ends));
    change.Save();
    return absl::OkStatus();
  });
}

absl::Status JobStore::CompleteExternal(const v1::CompleteTaskRequest& request, const Reach& blobs) {
  return database_->Transact("complete", [&](pqxx::transaction_base& tx) {
    JobChange change(tx, request.job_id());
    RETURN_IF_ERROR(change.Lock());
    const auto rows = tx.exec_params(
        "SELECT task_id, kind, state, artifacts FROM tasks WHERE job_id = $1 AND path = $2",
        request.job_id(), request.task());
    if (rows.empty())
      return absl::NotFoundError(absl::StrCat("task: job ", request.job_id(), " has no task \"",
                                              absl::CHexEscape(request.task()), "\""));
    const std::string kind = rows[0][1].c_str();
    const auto state = static_cast<v1::State>(rows[0][2].as<int>());
    if (kind != "external")
      return absl::FailedPreconditionError(absl::StrCat("task ", request.task(), " is of kind ", kind,
                                                        "; only external tasks are completed by clients"));
    std::vector<std::string> digests;
    v1::PassResult result;
    for (const auto& artifact : request.artifacts()) {
      if (artifact.digest().size() != 32 || artifact.name().empty())
        return absl::InvalidArgumentError("artifacts: each needs a name and the digest of a blob");
      digests.push_back(artifact.digest());
      *result.add_artifacts() = artifact;
    }
    const std::string artifacts = result.SerializeAsString();
    TaskEnd end{rows[0][0].as<int64_t>(), request.failed() ? v1::FAILED : v1::DONE, {}};
    if (state == end.state && FieldBytes(rows[0][3]) == artifacts) return absl::OkStatus();
    if (state != v1::RUNNING)
      return absl::FailedPreconditionError(
          absl::StrCat("task ", request.task(), " is ", job::StateWord(state),
                       state == v1::WAITING ? "; its predecessors are not done" : ""));
    RETURN_IF_ERROR(UseBlobs(change, blobs, tx, digests));
    tx.exec_params("UPDATE tasks SET artifacts = $2 WHERE task_id = $1", end.task_id,
                   Bytes(artifacts));
    if (request.failed())
      end.failure = MakeFailure(v1::PROGRAM_FAILED, "external", request.message());
    change.End({end});
    change.Save();
    return absl::OkStatus();
  });
}

absl::StatusOr<int> JobStore::FailOverdue() {
  std::vector<int64_t> jobs;
  RETURN_IF_ERROR(database_->Read("overdue-find", [&](pqxx::transaction_base& tx) {
    jobs.clear();
    const auto rows = tx.exec(
        "SELECT job_id FROM jobs WHERE deadline_at < now() AND state < 4 "
        "UNION SELECT job_id FROM tasks WHERE deadline_at < now() AND state < 4 LIMIT 100");
    for (const auto& row : rows) jobs.push_back(row[0].as<int64_t>());
    return absl::OkStatus();
  }));
  int failed = 0;
  for (int64_t job_id : jobs) {
    RETURN_IF_ERROR(database_->Transact("overdue", [&](pqxx::transaction_base& tx) {
      JobChange change(tx, job_id);
      RETURN_IF_ERROR(change.Lock());
      const auto job = tx.exec_params(
          "SELECT deadline_at < now(), deadline_s FROM jobs WHERE job_id = $1 AND state < 4", job_id);
      if (job.empty()) return absl::OkStatus();
      const bool whole = !job[0][0].is_null() && job[0][0].as<bool>();
      const auto rows = tx.exec_params(
          "SELECT task_id, path, plan_note FROM tasks WHERE job_id = $1 AND state < 4 "
          "AND ($2 OR deadline_at < now()) ORDER BY plan_note = '', task_id",
          job_id, whole);
      std::string message =
          whole ? absl::StrCat("the job's deadline_s = ", job[0][1].as<double>(), " has passed")
                : std::string("the task's deadline_s has passed");
      if (!rows.empty() && rows[0][2].size() > 0)
        absl::StrAppend(&message, "; task ", rows[0][1].c_str(), " waited because ",
                        rows[0][2].c_str());
      const v1::Failure failure = MakeFailure(
          v1::DEADLINE_PASSED, "run", message,
          "submit again with a later deadline; finished passes are answered from the cache");
      std::vector<TaskEnd> ends;
      for (const auto& row : rows) ends.push_back({row[0].as<int64_t>(), v1::FAILED, failure});
      failed += static_cast<int>(ends.size());
      if (whole) {
        change.Seal(0);
        change.FailJob(failure);
      }
      change.End(std::move(ends));
      change.Save();
      return absl::OkStatus();
    }));
  }
  return failed;
}

}  // namespace sextant::store
