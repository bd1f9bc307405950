#include "server/store/jobs.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/job/keys.h"
#include "server/job/states.h"
#include "server/store/job_change.h"
#include "server/store/planning.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

// Tasks planned in the submitting transaction itself, for a short way from submit to start; the
// engine plans the rest.
constexpr int kPlanInline = 32;

absl::Status CheckBlobs(pqxx::transaction_base& tx, const std::vector<std::string>& digests) {
  if (digests.empty()) return absl::OkStatus();
  ArrayLiteral array;
  for (const auto& digest : digests) array.AddBytes(digest);
  const auto missing = tx.exec_params(
      "SELECT encode(d, 'hex') FROM unnest($1::bytea[]) AS d "
      "WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE digest = d) LIMIT 5",
      array.Finish());
  if (!missing.empty()) {
    std::string message = "blobs are missing, upload them first (FindMissingBlobs, UploadBlobs):";
    for (const auto& row : missing) absl::StrAppend(&message, " ", row[0].c_str());
    return absl::FailedPreconditionError(message);
  }
  return absl::OkStatus();
}

// Inserts the graph's tasks and edges. Tasks with nothing to wait for are inserted ready.
class TaskInserter {
 public:
  TaskInserter(JobChange& change, const job::ExpandedGraph& graph) : change_(change), graph_(graph) {}

  // Resolves paths of tasks already in the job; only for AddTasks. INVALID_ARGUMENT, or
  // FAILED_PRECONDITION when a group is sealed or a predecessor failed.
  absl::Status ResolveOuter() {
    std::vector<std::string> paths;
    for (const auto& task : graph_.tasks) {
      if (!task.outer_parent.empty()) paths.push_back(task.outer_parent);
      for (const auto& name : task.outer_after)
        for (auto& path : Candidates(task, name)) paths.push_back(std::move(path));
    }
    if (paths.empty()) return absl::OkStatus();
    const auto rows = change_.tx().exec_params(
        "SELECT path, task_id, kind, state, open FROM tasks "
        "WHERE job_id = $1 AND path = ANY($2::text[]) FOR UPDATE",
        change_.job_id(), TextArray(paths));
    for (const auto& row : rows)
      outer_[row[0].c_str()] = {row[1].as<int64_t>(), row[2].c_str(),
                                static_cast<v1::State>(row[3].as<int>()), row[4].as<bool>()};
    for (const auto& task : graph_.tasks) {
      if (!task.outer_parent.empty()) {
        const auto it = outer_.find(task.outer_parent);
        if (it == outer_.end())
          return absl::InvalidArgumentError(absl::StrCat("tasks: the parent \"", absl::CHexEscape(task.outer_parent),
                                                         "\" of ", task.path, " is not in the job"));
        if (it->second.kind != "job" || !it->second.open)
          return absl::FailedPreconditionError(
              absl::StrCat("tasks: the parent \"", task.outer_parent, "\" of ", task.path,
                           " is not an open group; declare it with group { open: true }"));
      }
      for (const auto& name : task.outer_after) {
        const Outer* other = FindOuter(task, name);
        if (other == nullptr)
          return absl::InvalidArgumentError(absl::StrCat("tasks: ", task.path, " waits for \"",
                                                         absl::CHexEscape(name), "\", which is not in the job"));
        if (other->state == v1::FAILED || other->state == v1::CANCELLED)
          return absl::FailedPreconditionError(absl::StrCat(
              "tasks: ", task.path, " waits for ", name, ", which is ",
              job::StateWord(other->state)));
      }
    }
    return absl::OkStatus();
  }

  // Returns the ids, in the order of graph.tasks.
  std::vector<int64_t> Insert() {
    const int n = static_cast<int>(graph_.tasks.size());
    ReserveIds(n);
    CountWaits();
    ArrayLiteral ids, parents, paths, kinds, states, specs, priorities, attempts, waits, opens,
        children, deadlines;
    std::vector<int> child_count(n, 0);
    for (const auto& task : graph_.tasks)
      if (task.parent >= 0) ++child_count[task.parent];
    for (int i = 0; i < n; ++i) {
      const auto& task = graph_.tasks[i];
      ids.Add(ids_[i]);
      parents.Add(ParentId(i));
      paths.AddText(task.path);
      kinds.AddText(std::string(task.kind));
      states.Add(waits_[i] == 0 ? v1::READY : v1::WAITING);
      specs.AddBytes(task.spec->SerializeAsString());
      priorities.Add(task.spec->priority());
      attempts.Add(task.spec->max_attempts());
      waits.Add(waits_[i]);
      opens.AddText(task.spec->has_group() && task.spec->group().open() ? "t" : "f");
      children.Add(child_count[i]);
      deadlines.AddDouble(task.spec->deadline_s());
    }
    change_.tx().exec_params(
        "INSERT INTO tasks (task_id, job_id, parent_id, path, kind, state, spec, priority, "
        "  max_attempts, waiting_on, open, children_open, deadline_at) "
        "SELECT e.id, $1, nullif(e.parent, 0), e.path, e.kind, e.state, e.spec, e.priority, "
        "  e.attempts, e.waits, e.open, e.children, "
        "  CASE WHEN e.deadline > 0 THEN now() + e.deadline * interval '1 s' END "
        "FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::smallint[], "
        "  $7::bytea[], $8::integer[], $9::integer[], $10::integer[], $11::boolean[], "
        "  $12::integer[], $13::double precision[]) "
        "  AS e(id, parent, path, kind, state, spec, priority, attempts, waits, open, children, "
        "       deadline)",
        change_.job_id(), ids.Finish(), parents.Finish(), paths.Finish(), kinds.Finish(),
        states.Finish(), specs.Finish(), priorities.Finish(), attempts.Finish(), waits.Finish(),
        opens.Finish(), children.Finish(), deadlines.Finish());
    InsertEdges();
    change_.Added(n);
    return ids_;
  }

  // Groups and externals start, and the first few others are planned at once.
  void Start() {
    std::vector<JobChange::ReadyTask> ready;
    std::vector<TaskToPlan> to_plan;
    std::vector<int> child_count(graph_.tasks.size(), 0);
    for (const auto& task : graph_.tasks)
      if (task.parent >= 0) ++child_count[task.parent];
    for (size_t i = 0; i < graph_.tasks.size(); ++i) {
      if (waits_[i] != 0) continue;
      const auto& task = graph_.tasks[i];
      ready.push_back({ids_[i], task.path, std::string(task.kind),
                       task.spec->has_group() && task.spec->group().open(), child_count[i]});
      if (task.kind != "job" && task.kind != "external" && to_plan.size() < kPlanInline)
        to_plan.push_back({ids_[i], task.path, task.spec->priority(), *task.spec});
    }
    change_.BecameReady(std::move(ready));
    if (!to_plan.empty()) PlanTasks(change_, KnownWorkers(change_.tx()), std::move(to_plan));
  }

 private:
  struct Outer {
    int64_t task_id = 0;
    std::string kind;
    v1::State state = v1::WAITING;
    bool open = false;
  };

  static std::vector<std::string> Candidates(const job::ExpandedTask& task, const std::string& name) {
    if (task.spec->parent().empty()) return {name};
    return {absl::StrCat(task.spec->parent(), "/", name), name};
  }
  const Outer* FindOuter(const job::ExpandedTask& task, const std::string& name) const {
    for (const auto& path : Candidates(task, name))
      if (auto it = outer_.find(path); it != outer_.end()) return &it->second;
    return nullptr;
  }

  void ReserveIds(int n) {
    const auto rows = change_.tx().exec_params(
        "SELECT nextval(pg_get_serial_sequence('tasks', 'task_id')) FROM generate_series(1, $1)", n);
    for (const auto& row : rows) ids_.push_back(row[0].as<int64_t>());
  }

  int64_t ParentId(int i) const {
    const auto& task = graph_.tasks[i];
    if (task.parent >= 0) return ids_[task.parent];
    if (!task.outer_parent.empty()) return outer_.at(task.outer_parent).task_id;
    return 0;
  }

  void CountWaits() {
    waits_.assign(graph_.tasks.size(), 0);
    for (size_t i = 0; i < graph_.tasks.size(); ++i) {
      const auto& task = graph_.tasks[i];
      waits_[i] = static_cast<int>(task.after.size());
      for (const auto& name : task.outer_after)
        waits_[i] += FindOuter(task, name)->state != v1::DONE;
      if (task.parent >= 0) ++waits_[i];  // until the group starts
      if (!task.outer_parent.empty())
        waits_[i] += outer_.at(task.outer_parent).state == v1::WAITING;
    }
  }

  void InsertEdges() {
    ArrayLiteral from, to, parents, counts;
    bool any = false;
    for (size_t i = 0; i < graph_.tasks.size(); ++i) {
      const auto& task = graph_.tasks[i];
      for (int other : task.after) {
        any = true;
        from.Add(ids_[other]);
        to.Add(ids_[i]);
      }
      for (const auto& name : task.outer_after) {
        const Outer* other = FindOuter(task, name);
        if (other->state == v1::DONE) continue;
        any = true;
        from.Add(other->task_id);
        to.Add(ids_[i]);
      }
      if (!task.outer_parent.empty())
        change_.tx().exec_params(
            "UPDATE tasks SET children_open = children_open + 1 WHERE task_id = $1",
            outer_.at(task.outer_parent).task_id);
    }
    if (any)
      change_.tx().exec_params(
          "INSERT INTO task_edges (from_task, to_task) "
          "SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING",
          from.Finish(), to.Finish());
  }

  JobChange& change_;
  const job::ExpandedGraph& graph_;
  absl::flat_hash_map<std::string, Outer> outer_;
  std::vector<int64_t> ids_;
  std::vector<int> waits_;
};

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
                                                    const v1::ServiceLimits& limits) {
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
    const auto inserted = tx.exec_params(
        "INSERT INTO jobs (submitter, request_id, graph_digest, name, state, open, priority, fresh, "
        "  keep, salt, labels, deadline_s, deadline_at) "
        "VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, jsonb_object($10::text[]), $11::float8, "
        "  CASE WHEN $11::float8 > 0 THEN now() + $11::float8 * interval '1 s' END) "
        "ON CONFLICT (submitter, request_id) DO NOTHING RETURNING job_id",
        submitter, request.request_id(), Bytes(digest), spec.name(), spec.open(), spec.priority(),
        spec.fresh(), spec.keep(), spec.salt(), LabelsJson(spec), spec.deadline_s());
    if (inserted.empty()) {
      const auto rows = tx.exec_params(
          "SELECT job_id, graph_digest FROM jobs WHERE submitter = $1 AND request_id = $2",
          submitter, request.request_id());
      if (rows.empty()) return absl::AbortedError("the job was removed meanwhile; repeat the call");
      if (FieldBytes(rows[0][1]) != digest)
        return absl::AlreadyExistsError(
            absl::StrCat("request_id \"", absl::CHexEscape(request.request_id()), "\" was used for job ",
                         rows[0][0].as<int64_t>(), " with another graph; take a new one"));
      accepted = {rows[0][0].as<int64_t>(), true};
      return absl::OkStatus();
    }
    accepted.job_id = inserted[0][0].as<int64_t>();
    RETURN_IF_ERROR(CheckBlobs(tx, graph.blob_digests));
    JobChange change(tx, accepted.job_id);
    RETURN_IF_ERROR(change.Lock());
    v1::Event event;
    event.set_what("accepted");
    event.set_state(v1::WAITING);
    event.set_message(absl::StrCat(graph.tasks.size(), " tasks"));
    change.Note(std::move(event));
    TaskInserter inserter(change, graph);
    inserter.Insert();
    inserter.Start();
    change.Save();
    return absl::OkStatus();
  }));
  return accepted;
}

absl::StatusOr<v1::AddTasksResponse> JobStore::AddTasks(const v1::AddTasksRequest& request,
                                                        const job::ExpandedGraph& graph,
                                                        const v1::ServiceLimits& limits) {
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
    RETURN_IF_ERROR(CheckBlobs(tx, graph.blob_digests));
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
    inserter.Start();
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

absl::Status JobStore::CompleteExternal(const v1::CompleteTaskRequest& request) {
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
    RETURN_IF_ERROR(CheckBlobs(tx, digests));
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
