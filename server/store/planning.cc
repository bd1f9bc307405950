#include "server/store/planning.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/job/auto_plan.h"
#include "server/job/graph.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

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

// One task's passes as they are made.
class TaskPlanner {
 public:
  TaskPlanner(JobChange& change, TaskToPlan& task) : change_(change), task_(task) {}

  void Make(const std::vector<job::PlannedPasses>& planned) {
    for (const auto& group : planned) MakeGroup(group);
    change_.tx().exec_params(
        "UPDATE tasks SET planned = true, plan_note = '', spec = $2, passes = $3, "
        "  passes_done = $4, passes_cached = $4 WHERE task_id = $1",
        task_.task_id, Bytes(task_.spec.SerializeAsString()), next_ordinal_, cached_);
    if (!queue_.empty()) Enqueue(change_, queue_);
    NoteGroup("queued", v1::READY, queue_.size());
    NoteGroup("merged", v1::WAITING, merged_);
    NoteGroup("cached", v1::DONE, cached_);
    if (cached_ == next_ordinal_) EndFromCache();
  }

 private:
  // What becomes of one sample.
  struct Fate {
    int64_t pass_id = 0;
    v1::State state = v1::READY;
    v1::Source source = v1::EXECUTED;
    int64_t source_pass_id = 0;
  };

  void MakeGroup(const job::PlannedPasses& group) {
    const int n = group.spec.repeat();
    v1::PassSpec one = group.spec;
    one.set_repeat(1);
    const int first_sample = next_sample_[group.key.digest];
    next_sample_[group.key.digest] += n;
    std::map<int, Fate> fates;  // by sample
    const auto ids = change_.tx().exec_params(
        "SELECT nextval(pg_get_serial_sequence('passes', 'pass_id')) FROM generate_series(1, $1)", n);
    for (int i = 0; i < n; ++i) fates[first_sample + i].pass_id = ids[i][0].as<int64_t>();
    if (!group.key.digest.empty()) {
      RememberKey(group.key);
      if (!change_.fresh()) ShareSamples(group.key.digest, &fates);
    }
    ArrayLiteral pass_ids, samples, states, sources, source_ids;
    for (const auto& [sample, fate] : fates) {
      pass_ids.Add(fate.pass_id);
      samples.Add(sample);
      states.Add(fate.state);
      sources.Add(fate.source);
      source_ids.Add(fate.source_pass_id);
      cached_ += fate.source == v1::CACHED;
      merged_ += fate.source == v1::MERGED;
      if (fate.source == v1::EXECUTED)
        queue_.push_back({fate.pass_id, task_.task_id, group.pool, group.needs,
                          change_.priority() + task_.priority});
    }
    change_.tx().exec_params(
        "INSERT INTO passes (pass_id, task_id, job_id, ordinal, backend, spec, cache_key, sample, "
        "  state, source, source_pass_id, result, trace_digest, events, dropped, worker, device, "
        "  finished_at) "
        "SELECT e.pass_id, $1, $2, $3 + e.n - 1, $4, $5, nullif($6::bytea, ''::bytea), e.sample, "
        "  e.state, e.source, nullif(e.source_id, 0), s.result, s.trace_digest, "
        "  coalesce(s.events, 0), coalesce(s.dropped, 0), s.worker, s.device, "
        "  CASE WHEN e.state = 4 THEN now() END "
        "FROM unnest($7::bigint[], $8::integer[], $9::smallint[], $10::smallint[], $11::bigint[]) "
        "  WITH ORDINALITY AS e(pass_id, sample, state, source, source_id, n) "
        "LEFT JOIN passes s ON s.pass_id = e.source_id AND e.state = 4",
        task_.task_id, change_.job_id(), next_ordinal_, group.spec.backend(),
        Bytes(one.SerializeAsString()), Bytes(group.key.digest), pass_ids.Finish(),
        samples.Finish(), states.Finish(), sources.Finish(), source_ids.Finish());
    next_ordinal_ += n;
  }

  void RememberKey(const job::CacheKey& key) {
    v1::TaskExplanation components;
    for (const auto& component : key.components) *components.add_components() = component;
    change_.tx().exec_params(
        "INSERT INTO cache_keys (cache_key, subject, components) VALUES ($1, $2, $3) "
        "ON CONFLICT (cache_key) DO NOTHING",
        Bytes(key.digest), key.subject, Bytes(components.SerializeAsString()));
  }

  // Takes samples nobody has; the others are cached or merged. The lock on a sample in flight makes
  // its commit wait until this pass can be seen to follow it.
  void ShareSamples(const std::string& key, std::map<int, Fate>* fates) {
    std::map<int, int64_t> open;  // sample → pass, not decided yet
    for (const auto& [sample, fate] : *fates) open[sample] = fate.pass_id;
    while (!open.empty()) {
      ArrayLiteral samples, passes;
      for (const auto& [sample, pass_id] : open) {
        samples.Add(sample);
        passes.Add(pass_id);
      }
      const std::string sample_list = samples.Finish();
      const auto own = change_.tx().exec_params(
          "INSERT INTO samples (cache_key, sample, pass_id) "
          "SELECT $1, e.sample, e.pass_id FROM unnest($2::integer[], $3::bigint[]) "
          "  AS e(sample, pass_id) ORDER BY e.sample "
          "ON CONFLICT (cache_key, sample) DO NOTHING RETURNING sample",
          Bytes(key), sample_list, passes.Finish());
      for (const auto& row : own) open.erase(row[0].as<int>());
      if (open.empty()) return;
      const auto held = change_.tx().exec_params(
          "SELECT sample, pass_id, done FROM samples "
          "WHERE cache_key = $1 AND sample = ANY($2::integer[]) ORDER BY sample FOR SHARE",
          Bytes(key), sample_list);
      for (const auto& row : held) {
        auto it = open.find(row[0].as<int>());
        if (it == open.end()) continue;  // just taken
        Fate& fate = (*fates)[it->first];
        const bool done = row[2].as<bool>();
        fate.state = done ? v1::DONE : v1::WAITING;
        fate.source = done ? v1::CACHED : v1::MERGED;
        fate.source_pass_id = row[1].as<int64_t>();
        open.erase(it);
      }
    }
  }

  void NoteGroup(const char* what, v1::State state, size_t n) {
    if (n == 0) return;
    v1::Event event;
    event.set_task_id(task_.task_id);
    event.set_task(task_.path);
    event.set_what(what);
    event.set_state(state);
    event.set_message(absl::StrCat(n, n == 1 ? " pass" : " passes"));
    change_.Note(std::move(event));
  }

  void EndFromCache() {
    change_.tx().exec_params(
        "UPDATE tasks t SET state = 3, started_at = now(), artifacts = p.result FROM passes p "
        "WHERE t.task_id = $1 AND p.task_id = $1 AND p.ordinal = 0",
        task_.task_id);
    change_.MarkStarted();
    change_.End({{task_.task_id, v1::DONE, {}}});
  }

  JobChange& change_;
  TaskToPlan& task_;
  int next_ordinal_ = 0;
  int cached_ = 0;
  int merged_ = 0;
  std::map<std::string, int> next_sample_;
  std::vector<PassToQueue> queue_;
};

// Tasks that no known worker can run: the note says why, and those whose note is new are told of in
// one event.
class Unplanned {
 public:
  explicit Unplanned(JobChange& change) : change_(change) {}

  void Add(const TaskToPlan& task, const std::string& note) {
    const auto changed = change_.tx().exec_params(
        "UPDATE tasks t SET plan_note = $2, plan_after = now() + interval '3 s' "
        "FROM (SELECT plan_note FROM tasks WHERE task_id = $1) old "
        "WHERE t.task_id = $1 RETURNING old.plan_note <> $2",
        task.task_id, note);
    if (!changed[0][0].as<bool>()) return;
    auto& [first, count] = by_note_[note];
    if (count++ == 0) first = &task;
  }

  void Note() {
    for (const auto& [note, tasks] : by_note_) {
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
  JobChange& change_;
  std::map<std::string, std::pair<const TaskToPlan*, int>> by_note_;
};

}  // namespace

std::vector<v1::WorkerInfo> KnownWorkers(pqxx::transaction_base& tx) {
  const auto rows = tx.exec(
      "SELECT info FROM (SELECT DISTINCT ON (offers) info, lease_until FROM workers "
      "  WHERE quarantine = '' ORDER BY offers, lease_until DESC) w ORDER BY lease_until DESC");
  std::vector<v1::WorkerInfo> workers;
  for (const auto& row : rows) workers.emplace_back().ParseFromString(FieldBytes(row[0]));
  return workers;
}

double MeanPassSeconds(pqxx::transaction_base& tx, const std::string& program,
                       const std::string& backend, const std::string& kind) {
  const auto rows = ExecPrepared(
      tx,
      "SELECT avg(extract(epoch FROM p.finished_at - p.started_at))::float8 FROM "
      "  (SELECT cache_key FROM cache_keys WHERE subject = $1 ORDER BY created_at DESC LIMIT 20) k "
      "JOIN samples s USING (cache_key) JOIN passes p ON p.pass_id = s.pass_id WHERE p.state = 4",
      absl::StrCat(program, " ", backend, " ", kind));
  return rows[0][0].is_null() ? 0 : rows[0][0].as<double>();
}

double RunSeconds(pqxx::transaction_base& tx, const v1::TaskSpec& task) {
  const v1::Workload* workload = job::WorkloadOf(task);
  if (workload == nullptr || workload->argv().empty()) return job::kTypicalRunS;
  for (const char* backend : {"run", "activity", "host", "scopes", "proton"}) {
    const double mean_s =
        MeanPassSeconds(tx, workload->argv(0), backend, std::string(job::KindOf(task)));
    if (mean_s > 0) return mean_s;
  }
  return job::kTypicalRunS;
}

void PlanTasks(JobChange& change, const std::vector<v1::WorkerInfo>& workers,
               std::vector<TaskToPlan> tasks) {
  const ArtifactsByTask artifacts = LoadArtifacts(change, tasks);
  job::PlanContext context;
  context.workers = workers;
  context.salt = change.salt();
  std::vector<TaskEnd> failed;
  Unplanned unplanned(change);
  for (auto& task : tasks) {
    if (const std::string missing = ResolveInputs(artifacts, &task.spec); !missing.empty()) {
      failed.push_back({task.task_id, v1::FAILED,
                        MakeFailure(v1::INPUT_FAILED, "plan", missing,
                                    "check the outputs that task declares")});
      continue;
    }
    std::vector<std::string> notes;
    job::ExpandAuto(workers, RunSeconds(change.tx(), task.spec), &task.spec, &notes);
    const auto planned = job::PlanTask(context, task.spec);
    if (!planned.ok()) {
      unplanned.Add(task, std::string(planned.status().message()));
      continue;
    }
    if (!notes.empty()) {
      v1::Event event;
      event.set_task_id(task.task_id);
      event.set_task(task.path);
      event.set_what("planned");
      event.set_state(v1::READY);
      event.set_message(absl::StrJoin(notes, "; "));
      change.Note(std::move(event));
    }
    TaskPlanner(change, task).Make(*planned);
  }
  unplanned.Note();
  if (!failed.empty()) change.End(std::move(failed));
}

void Enqueue(JobChange& change, const std::vector<PassToQueue>& passes) {
  ArrayLiteral pass_ids, task_ids, pools, needs, priorities;
  for (const auto& pass : passes) {
    pass_ids.Add(pass.pass_id);
    task_ids.Add(pass.task_id);
    pools.Add(pass.pool);
    needs.AddText(TextArray(pass.needs));  // an array cannot hold arrays of different lengths
    priorities.Add(pass.priority);
  }
  // Start-time fair queuing: a submitter's k-th waiting pass stands k places behind the front, so
  // submitters take turns whatever the length of their queues.
  change.tx().exec_params(
      "INSERT INTO queue (pass_id, task_id, job_id, submitter, pool, needs, priority, vtime, state) "
      "SELECT e.pass_id, e.task_id, $1, $2, e.pool, e.needs::text[], e.priority, "
      "  (SELECT coalesce(min(vtime), 0) FROM queue WHERE state = 2) + "
      "  (SELECT count(*) FROM queue WHERE submitter = $2 AND state = 2) + e.n, 2 "
      "FROM unnest($3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $7::integer[]) "
      "  WITH ORDINALITY AS e(pass_id, task_id, pool, needs, priority, n)",
      change.job_id(), change.submitter(), pass_ids.Finish(), task_ids.Finish(), pools.Finish(),
      needs.Finish(), priorities.Finish());
}

}  // namespace sextant::store
