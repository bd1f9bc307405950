#include "server/store/planning.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/job/auto_plan.h"
#include "server/job/graph.h"
#include "server/store/pass_writer.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

constexpr size_t kPassesAtOnce = 10'000;   // written by one statement, about

// The artifacts other tasks of the job left, by path.
using ArtifactsByTask = std::map<std::string, v1::PassResult>;

ArtifactsByTask LoadArtifacts(JobChange& change, const std::vector<TaskToPlan>& tasks) {
  std::vector<std::string> paths;
  for (const auto& task : tasks)
    for (const auto& input : task.spec.inputs()) {
      paths.push_back(input.task());
      if (!task.spec.parent().empty())
        paths.push_back(absl::StrCat(task.spec.parent(), "/", input.task()));
    }
  ArtifactsByTask found;
  if (paths.empty()) return found;
  const auto rows = change.tx().exec_params(
      "SELECT path, artifacts FROM tasks WHERE job_id = $1 AND path = ANY($2::text[])",
      change.job_id(), TextArray(paths));
  for (const auto& row : rows) found[row[0].c_str()].ParseFromString(FieldBytes(row[1]));
  return found;
}

// Adds the task's inputs to its workload's files. Empty string, or what is missing.
std::string ResolveInputs(const ArtifactsByTask& artifacts, v1::TaskSpec* spec) {
  auto* workload = job::MutableWorkloadOf(spec);
  if (workload == nullptr) return "";
  for (const auto& input : spec->inputs()) {
    auto it = artifacts.find(absl::StrCat(spec->parent(), "/", input.task()));
    if (it == artifacts.end()) it = artifacts.find(input.task());
    const v1::Artifact* found = nullptr;
    if (it != artifacts.end())
      for (const auto& artifact : it->second.artifacts())
        if (artifact.name() == input.artifact()) found = &artifact;
    if (found == nullptr)
      return absl::StrCat("task ", input.task(), " left no artifact \"", input.artifact(), "\"");
    v1::File* file = nullptr;
    for (auto& existing : *workload->mutable_files())
      if (existing.path() == input.path()) file = &existing;
    if (file == nullptr) file = workload->add_files();
    file->set_path(input.path());
    file->set_digest(found->digest());
    file->set_size_bytes(found->size_bytes());
    file->set_mode(0755);
  }
  return "";
}

// Tasks that no known worker can run: the note says why, and those whose note is new are told of in
// one event.
class Unplanned {
 public:
  explicit Unplanned(JobChange& change) : change_(change) {}

  void Add(const TaskToPlan& task, const std::string& note) { tasks_.push_back({&task, note}); }

  void Write() {
    if (tasks_.empty()) return;
    ArrayLiteral ids, notes;
    std::map<int64_t, const Task*> by_id;
    for (const auto& task : tasks_) {
      ids.Add(task.task->task_id);
      notes.AddText(task.note);
      by_id[task.task->task_id] = &task;
    }
    const auto rows = ExecPrepared(
        change_.tx(),
        "UPDATE tasks t SET plan_note = e.note, plan_after = now() + interval '3 s' "
        "FROM unnest($1::bigint[], $2::text[]) AS e(id, note) "
        "JOIN tasks old ON old.task_id = e.id WHERE t.task_id = e.id "
        "RETURNING t.task_id, old.plan_note <> e.note",
        ids.Finish(), notes.Finish());
    std::map<std::string, std::pair<const TaskToPlan*, int>> by_note;
    std::set<int64_t> changed;
    for (const auto& row : rows)
      if (row[1].as<bool>()) changed.insert(row[0].as<int64_t>());
    for (int64_t id : changed) {
      auto& [first, count] = by_note[by_id[id]->note];
      if (count++ == 0) first = by_id[id]->task;
    }
    for (const auto& [note, tasks] : by_note) {
      v1::Event event;
      event.set_task_id(tasks.first->task_id);
      event.set_task(tasks.first->path);
      event.set_what("waiting");
      event.set_state(v1::READY);
      event.set_message(tasks.second == 1
                            ? note
                            : absl::StrCat(note, " (and so ", tasks.second - 1, " more tasks)"));
      change_.Note(std::move(event));
    }
  }

 private:
  struct Task {
    const TaskToPlan* task;
    std::string note;
  };
  JobChange& change_;
  std::vector<Task> tasks_;
};

}  // namespace

std::vector<v1::WorkerInfo> KnownWorkers(pqxx::transaction_base& tx) {
  const auto rows = ExecPrepared(
      tx,
      "SELECT info FROM (SELECT DISTINCT ON (offers) info, lease_until FROM workers "
      "  WHERE quarantine = '' ORDER BY offers, lease_until DESC) w ORDER BY lease_until DESC");
  std::vector<v1::WorkerInfo> workers;
  for (const auto& row : rows) workers.emplace_back().ParseFromString(FieldBytes(row[0]));
  return workers;
}

std::vector<v1::WorkerInfo> LiveWorkers(pqxx::transaction_base& tx) {
  const auto rows = tx.exec(
      "SELECT DISTINCT ON (offers) info FROM workers "
      "WHERE quarantine = '' AND lease_until > now() ORDER BY offers");
  std::vector<v1::WorkerInfo> workers;
  for (const auto& row : rows) workers.emplace_back().ParseFromString(FieldBytes(row[0]));
  return workers;
}

double MeanPassSeconds(pqxx::transaction_base& tx, const std::string& tenant, const std::string& program,
                       const std::string& backend, const std::string& kind) {
  const auto rows = ExecPrepared(
      tx,
      "SELECT avg(extract(epoch FROM p.finished_at - p.started_at))::float8 FROM "
      "  (SELECT cache_key FROM cache_keys WHERE subject = $1 ORDER BY created_at DESC LIMIT 20) k "
      "JOIN samples s USING (cache_key) JOIN passes p ON p.pass_id = s.pass_id WHERE p.state = 4",
      job::KeySubject(tenant, program, backend, kind));
  return rows[0][0].is_null() ? 0 : rows[0][0].as<double>();
}

double RunSeconds(pqxx::transaction_base& tx, const std::string& tenant, const v1::TaskSpec& task) {
  const v1::Workload* workload = job::WorkloadOf(task);
  if (workload == nullptr || workload->argv().empty()) return job::kTypicalRunS;
  for (const char* backend : {"run", "activity", "host", "scopes", "proton"}) {
    const double mean_s =
        MeanPassSeconds(tx, tenant, workload->argv(0), backend, std::string(job::KindOf(task)));
    if (mean_s > 0) return mean_s;
  }
  return job::kTypicalRunS;
}

void PlanTasks(JobChange& change, const std::vector<v1::WorkerInfo>& workers, QueueRoom room,
               std::vector<TaskToPlan> tasks) {
  const ArtifactsByTask artifacts = LoadArtifacts(change, tasks);
  job::PlanContext context;
  context.workers = workers;
  context.salt = change.salt();
  context.tenant = change.tenant();
  std::vector<TaskEnd> failed;
  Unplanned unplanned(change);
  PassWriter writer(change);
  for (auto& task : tasks) {
    if (const std::string missing = ResolveInputs(artifacts, &task.spec); !missing.empty()) {
      failed.push_back({task.task_id, v1::FAILED,
                        MakeFailure(v1::INPUT_FAILED, "plan", missing,
                                    "check the outputs that task declares")});
      continue;
    }
    std::vector<std::string> notes;
    const bool has_auto = job::HasAuto(task.spec);
    if (has_auto) {
      // What it chooses is to run now; without anybody, what may run when they come back.
      std::vector<v1::WorkerInfo> live = LiveWorkers(change.tx());
      if (live.empty()) live = workers;
      job::ExpandAuto(live, RunSeconds(change.tx(), change.tenant(), task.spec), &task.spec, &notes);
    }
    auto planned = job::PlanTask(context, task.spec);
    if (!planned.ok()) {
      unplanned.Add(task, std::string(planned.status().message()));
      continue;
    }
    uint64_t passes = 0;
    for (const auto& group : *planned) passes += group.spec.repeat();
    if (!room.Takes(passes)) {
      if (passes > room.most) {
        failed.push_back({task.task_id, v1::FAILED,
                          MakeFailure(v1::REJECTED, "plan", QueueFull(room, change.tenant(), passes),
                                      "ask for fewer passes in one task, or ask an administrator for more")});
      } else {
        unplanned.Add(task, absl::StrCat("waits for room in the queue: ", QueueFull(room, change.tenant(), passes)));
      }
      continue;
    }
    room.queued += passes;
    if (!notes.empty()) {
      v1::Event event;
      event.set_task_id(task.task_id);
      event.set_task(task.path);
      event.set_what("planned");
      event.set_state(v1::READY);
      event.set_message(absl::StrJoin(notes, "; "));
      change.Note(std::move(event));
    }
    writer.Add(task, has_auto || task.spec.inputs_size() > 0, *std::move(planned));
    if (writer.passes() >= kPassesAtOnce) writer.Write();
  }
  writer.Write();
  unplanned.Write();
  if (!failed.empty()) change.End(std::move(failed));
}

}  // namespace sextant::store
