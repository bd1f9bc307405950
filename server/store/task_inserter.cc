#include "server/store/task_inserter.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/job/states.h"
#include "server/store/planning.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

// Tasks planned in the submitting transaction itself, for a short way from submit to start; the
// engine plans the rest.
constexpr size_t kPlanInline = 32;

}  // namespace

absl::Status TaskInserter::ResolveOuter() {
  std::vector<std::string> paths;
  for (const auto& task : graph_.tasks) {
    if (!task.outer_parent.empty()) paths.push_back(task.outer_parent);
    for (const auto& name : task.outer_after)
      for (auto& path : Candidates(task, name)) paths.push_back(std::move(path));
  }
  if (paths.empty()) return absl::OkStatus();
  const auto rows = ExecPrepared(change_.tx(),
                                 "SELECT path, task_id, kind, state, open FROM tasks "
                                 "WHERE job_id = $1 AND path = ANY($2::text[]) FOR UPDATE",
                                 change_.job_id(), TextArray(paths));
  for (const auto& row : rows)
    outer_[row[0].c_str()] = {row[1].as<int64_t>(), row[2].c_str(),
                              static_cast<v1::State>(row[3].as<int>()), row[4].as<bool>()};
  for (const auto& task : graph_.tasks) RETURN_IF_ERROR(CheckOuter(task));
  return absl::OkStatus();
}

absl::Status TaskInserter::CheckOuter(const job::ExpandedTask& task) const {
  if (!task.outer_parent.empty()) {
    const auto it = outer_.find(task.outer_parent);
    if (it == outer_.end())
      return absl::InvalidArgumentError(absl::StrCat("tasks: the parent \"",
                                                     absl::CHexEscape(task.outer_parent), "\" of ",
                                                     task.path, " is not in the job"));
    if (it->second.kind != "job" || !it->second.open)
      return absl::FailedPreconditionError(
          absl::StrCat("tasks: the parent \"", task.outer_parent, "\" of ", task.path,
                       " is not an open group; declare it with group { open: true }"));
  }
  for (const auto& name : task.outer_after) {
    const Outer* other = FindOuter(task, name);
    if (other == nullptr)
      return absl::InvalidArgumentError(absl::StrCat("tasks: ", task.path, " waits for \"",
                                                     absl::CHexEscape(name),
                                                     "\", which is not in the job"));
    if (other->state == v1::FAILED || other->state == v1::CANCELLED)
      return absl::FailedPreconditionError(absl::StrCat(
          "tasks: ", task.path, " waits for ", name, ", which is ", job::StateWord(other->state)));
  }
  return absl::OkStatus();
}

std::vector<int64_t> TaskInserter::Insert() {
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
  ExecPrepared(
      change_.tx(),
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

uint64_t TaskInserter::PassesAsked(const v1::TaskSpec& task) {
  if (!task.has_profile()) return 1;
  uint64_t passes = 0;
  for (const auto& pass : task.profile().passes()) passes += std::max<uint32_t>(1, pass.repeat());
  return passes;
}

uint64_t TaskInserter::PassesAsked(const job::ExpandedGraph& graph) {
  uint64_t passes = 0;
  for (const auto& task : graph.tasks)
    if (task.kind != "job" && task.kind != "external") passes += PassesAsked(*task.spec);
  return passes;
}

void TaskInserter::Start(const QueueRoom& room) {
  std::vector<JobChange::ReadyTask> ready;
  std::vector<TaskToPlan> to_plan;
  std::vector<int> child_count(graph_.tasks.size(), 0);
  for (const auto& task : graph_.tasks)
    if (task.parent >= 0) ++child_count[task.parent];
  for (size_t i = 0; i < graph_.tasks.size(); ++i) {
    if (waits_[i] != 0) continue;
    const auto& task = graph_.tasks[i];
    ready.push_back({change_.job_id(), ids_[i], task.path, std::string(task.kind),
                     task.spec->has_group() && task.spec->group().open(), child_count[i]});
    if (task.kind != "job" && task.kind != "external" && to_plan.size() < kPlanInline)
      to_plan.push_back({ids_[i], task.path, task.spec->priority(), *task.spec});
  }
  change_.BecameReady(std::move(ready));
  if (!to_plan.empty()) PlanTasks(change_, KnownWorkers(change_.tx()), room, std::move(to_plan));
}

std::vector<std::string> TaskInserter::Candidates(const job::ExpandedTask& task,
                                                  const std::string& name) {
  if (task.spec->parent().empty()) return {name};
  return {absl::StrCat(task.spec->parent(), "/", name), name};
}
const TaskInserter::Outer* TaskInserter::FindOuter(const job::ExpandedTask& task,
                                                   const std::string& name) const {
  for (const auto& path : Candidates(task, name))
    if (auto it = outer_.find(path); it != outer_.end()) return &it->second;
  return nullptr;
}

void TaskInserter::ReserveIds(int n) {
  const auto rows = ExecPrepared(
      change_.tx(),
      "SELECT nextval(pg_get_serial_sequence('tasks', 'task_id')) FROM generate_series(1, $1)", n);
  for (const auto& row : rows) ids_.push_back(row[0].as<int64_t>());
}

int64_t TaskInserter::ParentId(int i) const {
  const auto& task = graph_.tasks[i];
  if (task.parent >= 0) return ids_[task.parent];
  if (!task.outer_parent.empty()) return outer_.at(task.outer_parent).task_id;
  return 0;
}

void TaskInserter::CountWaits() {
  waits_.assign(graph_.tasks.size(), 0);
  for (size_t i = 0; i < graph_.tasks.size(); ++i) {
    const auto& task = graph_.tasks[i];
    waits_[i] = static_cast<int>(task.after.size());
    for (const auto& name : task.outer_after) waits_[i] += FindOuter(task, name)->state != v1::DONE;
    if (task.parent >= 0) ++waits_[i];  // until the group starts
    if (!task.outer_parent.empty()) waits_[i] += outer_.at(task.outer_parent).state == v1::WAITING;
  }
}

void TaskInserter::InsertEdges() {
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
      ExecPrepared(change_.tx(),
                   "UPDATE tasks SET children_open = children_open + 1 WHERE task_id = $1",
                   outer_.at(task.outer_parent).task_id);
  }
  if (any)
    ExecPrepared(change_.tx(),
                 "INSERT INTO task_edges (from_task, to_task) "
                 "SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING",
                 from.Finish(), to.Finish());
}

}  // namespace sextant::store
