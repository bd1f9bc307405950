#include "server/job/graph.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/job/keys.h"
#include "server/job/plan.h"
#include "server/job/validate.h"

namespace sextant::job {
namespace {

using absl::InvalidArgumentError;
using absl::StrCat;

// Finds tasks by path and turns names into indices.
class Flattener {
 public:
  using Specs = google::protobuf::RepeatedPtrField<v1::TaskSpec>;
  Flattener(const v1::ServiceLimits& limits, std::string prefix, bool added, Specs* specs)
      : limits_(limits), prefix_(std::move(prefix)), added_(added), specs_(specs) {}

  absl::StatusOr<ExpandedGraph> Run() {
    Specs* const specs = specs_;
    const int n = specs->size();
    for (int i = 0; i < n; ++i) {
      auto* spec = specs->Mutable(i);
      RETURN_IF_ERROR(CheckTask(limits_, At(i), spec));
      const size_t depth = spec->parent().empty()
                               ? 0
                               : 1 + std::count(spec->parent().begin(), spec->parent().end(), '/');
      if (depth > limits_.max_nesting())
        return absl::InvalidArgumentError(StrCat(At(i), ".parent: nested ", depth,
                                                 " deep, at most max_nesting = ",
                                                 limits_.max_nesting()));
      std::string path =
          spec->parent().empty() ? spec->name() : StrCat(spec->parent(), "/", spec->name());
      if (!by_path_.emplace(path, i).second)
        return InvalidArgumentError(StrCat(At(i), ".name: the task \"", path, "\" is there twice"));
      paths_.push_back(std::move(path));
    }
    graph_.tasks.resize(n);
    for (int i = 0; i < n; ++i) RETURN_IF_ERROR(Link(i, specs->Get(i)));
    RETURN_IF_ERROR(CheckCycles());
    SortParentsFirst();
    CollectBlobs();
    return std::move(graph_);
  }

 private:
  std::string At(int i) const { return StrCat(prefix_, "tasks[", i, "]"); }

  // A task's neighbour by name: first a sibling, then a path from the top.
  int Find(const v1::TaskSpec& spec, const std::string& name) const {
    if (!spec.parent().empty()) {
      if (auto it = by_path_.find(StrCat(spec.parent(), "/", name)); it != by_path_.end())
        return it->second;
    }
    auto it = by_path_.find(name);
    return it == by_path_.end() ? -1 : it->second;
  }

  absl::Status AddAfter(int i, const v1::TaskSpec& spec, const std::string& name,
                        const std::string& field) {
    auto& task = graph_.tasks[i];
    const int other = Find(spec, name);
    if (other == i) return InvalidArgumentError(StrCat(field, ": a task cannot wait for itself"));
    if (other >= 0) {
      task.after.push_back(other);
    } else if (added_) {
      task.outer_after.push_back(name);
    } else {
      return InvalidArgumentError(StrCat(field, ": there is no task \"",
                                         absl::CHexEscape(name.substr(0, 64)), "\""));
    }
    return absl::OkStatus();
  }

  absl::Status Link(int i, const v1::TaskSpec& spec) {
    auto& task = graph_.tasks[i];
    task.spec = &spec;
    task.path = paths_[i];
    task.kind = KindOf(spec);
    if (!spec.parent().empty()) {
      auto it = by_path_.find(spec.parent());
      if (it != by_path_.end()) {
        task.parent = it->second;
      } else if (added_) {
        task.outer_parent = spec.parent();
      } else {
        return InvalidArgumentError(StrCat(At(i), ".parent: there is no task \"",
                                           absl::CHexEscape(spec.parent().substr(0, 64)), "\""));
      }
    }
    for (int k = 0; k < spec.after_size(); ++k)
      RETURN_IF_ERROR(AddAfter(i, spec, spec.after(k), StrCat(At(i), ".after[", k, "]")));
    for (int k = 0; k < spec.inputs_size(); ++k) {
      const auto& input = spec.inputs(k);
      const std::string field = StrCat(At(i), ".inputs[", k, "]");
      RETURN_IF_ERROR(AddAfter(i, spec, input.task(), field + ".task"));
      const int from = Find(spec, input.task());
      if (from >= 0) RETURN_IF_ERROR(CheckArtifact(from, input.artifact(), field));
    }
    if (spec.kind_case() == v1::TaskSpec::kAnalyze && !spec.analyze().of_task().empty())
      RETURN_IF_ERROR(AddAfter(i, spec, spec.analyze().of_task(), At(i) + ".analyze.of_task"));
    std::sort(task.after.begin(), task.after.end());
    task.after.erase(std::unique(task.after.begin(), task.after.end()), task.after.end());
    return absl::OkStatus();
  }

  // The artifact must be an output the other task declares; externals and groups declare none, and
  // "stdout" and "stderr" are always there.
  absl::Status CheckArtifact(int from, const std::string& artifact, const std::string& field) {
    const auto& other = specs_->Get(from);
    if (other.kind_case() == v1::TaskSpec::kExternal || artifact == "stdout" ||
        artifact == "stderr" ||
        (other.kind_case() == v1::TaskSpec::kAnalyze && !other.analyze().builtin().empty()))
      return absl::OkStatus();
    for (const auto& output : other.outputs())
      if (output.name() == artifact) return absl::OkStatus();
    return InvalidArgumentError(StrCat(field, ".artifact: task \"", paths_[from],
                                       "\" has no output \"", artifact, "\""));
  }

  // A task waits for those it names, and a group's tasks for what the group waits for; a group ends
  // after its tasks. Kahn's algorithm over begin (2i) and end (2i+1) of each task.
  absl::Status CheckCycles() {
    const int n = static_cast<int>(graph_.tasks.size());
    std::vector<std::vector<int>> next(2 * n);
    std::vector<int> waits(2 * n, 0);
    auto edge = [&](int from, int to) {
      next[from].push_back(to);
      ++waits[to];
    };
    for (int i = 0; i < n; ++i) {
      const auto& task = graph_.tasks[i];
      edge(2 * i, 2 * i + 1);
      for (int other : task.after) edge(2 * other + 1, 2 * i);
      if (task.parent >= 0) {
        if (graph_.tasks[task.parent].kind != "job")
          return InvalidArgumentError(StrCat(At(i), ".parent: \"", paths_[task.parent],
                                             "\" is not a group"));
        edge(2 * task.parent, 2 * i);
        edge(2 * i + 1, 2 * task.parent + 1);
      }
    }
    std::vector<int> ready;
    for (int v = 0; v < 2 * n; ++v)
      if (waits[v] == 0) ready.push_back(v);
    size_t seen = 0;
    while (!ready.empty()) {
      const int v = ready.back();
      ready.pop_back();
      ++seen;
      for (int to : next[v])
        if (--waits[to] == 0) ready.push_back(to);
    }
    if (seen == static_cast<size_t>(2 * n)) return absl::OkStatus();
    std::vector<std::string> stuck;
    for (int i = 0; i < n && stuck.size() < 8; ++i)
      if (waits[2 * i] > 0) stuck.push_back(paths_[i]);
    return InvalidArgumentError(StrCat(prefix_, "tasks: a cycle through or before ",
                                       absl::StrJoin(stuck, ", ")));
  }

  void SortParentsFirst() {
    const int n = static_cast<int>(graph_.tasks.size());
    std::vector<int> depth(n), order(n), place(n);
    for (int i = 0; i < n; ++i) {
      order[i] = i;
      depth[i] = static_cast<int>(
          std::count(graph_.tasks[i].path.begin(), graph_.tasks[i].path.end(), '/'));
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return depth[a] < depth[b]; });
    for (int k = 0; k < n; ++k) place[order[k]] = k;
    std::vector<ExpandedTask> sorted(n);
    for (int k = 0; k < n; ++k) {
      sorted[k] = std::move(graph_.tasks[order[k]]);
      if (sorted[k].parent >= 0) sorted[k].parent = place[sorted[k].parent];
      for (int& other : sorted[k].after) other = place[other];
    }
    graph_.tasks = std::move(sorted);
  }

  void CollectBlobs() {
    absl::flat_hash_set<absl::string_view> seen;
    for (const auto& task : graph_.tasks) {
      const auto* workload = WorkloadOf(*task.spec);
      if (workload == nullptr) continue;
      for (const auto& file : workload->files())
        if (seen.insert(file.digest()).second) graph_.blob_digests.push_back(file.digest());
    }
  }

  const v1::ServiceLimits& limits_;
  const std::string prefix_;
  const bool added_;
  Specs* const specs_;
  absl::flat_hash_map<std::string, int> by_path_;
  std::vector<std::string> paths_;
  ExpandedGraph graph_;
};

absl::Status CheckCount(const v1::ServiceLimits& limits, absl::string_view field, int tasks) {
  if (static_cast<uint32_t>(tasks) > limits.max_tasks_per_job())
    return absl::ResourceExhaustedError(StrCat(field, ": ", tasks,
                                               " tasks, at most max_tasks_per_job = ",
                                               limits.max_tasks_per_job()));
  return absl::OkStatus();
}

}  // namespace

const v1::Workload* WorkloadOf(const v1::TaskSpec& spec) {
  switch (spec.kind_case()) {
    case v1::TaskSpec::kBuild: return &spec.build().workload();
    case v1::TaskSpec::kProfile: return &spec.profile().workload();
    case v1::TaskSpec::kVerify: return &spec.verify().workload();
    case v1::TaskSpec::kRewrite: return &spec.rewrite().workload();
    case v1::TaskSpec::kAnalyze:
      return spec.analyze().builtin().empty() ? &spec.analyze().workload() : nullptr;
    default: return nullptr;
  }
}

v1::Workload* MutableWorkloadOf(v1::TaskSpec* spec) {
  switch (spec->kind_case()) {
    case v1::TaskSpec::kBuild: return spec->mutable_build()->mutable_workload();
    case v1::TaskSpec::kProfile: return spec->mutable_profile()->mutable_workload();
    case v1::TaskSpec::kVerify: return spec->mutable_verify()->mutable_workload();
    case v1::TaskSpec::kRewrite: return spec->mutable_rewrite()->mutable_workload();
    case v1::TaskSpec::kAnalyze:
      return spec->analyze().builtin().empty() ? spec->mutable_analyze()->mutable_workload()
                                               : nullptr;
    default: return nullptr;
  }
}

absl::StatusOr<ExpandedGraph> Expand(const v1::ServiceLimits& limits, v1::JobGraph* graph) {
  RETURN_IF_ERROR(CheckCount(limits, "graph.tasks", graph->tasks_size()));
  if (graph->tasks().empty() && !graph->open())
    return InvalidArgumentError("graph.tasks: at least one, or set graph.open to add them later");
  RETURN_IF_ERROR(CheckGraphFields(limits, *graph));
  return Flattener(limits, "graph.", false, graph->mutable_tasks()).Run();
}

absl::StatusOr<ExpandedGraph> ExpandAdded(
    const v1::ServiceLimits& limits, google::protobuf::RepeatedPtrField<v1::TaskSpec>* tasks) {
  RETURN_IF_ERROR(CheckCount(limits, "tasks", tasks->size()));
  if (tasks->empty()) return InvalidArgumentError("tasks: at least one");
  return Flattener(limits, "", true, tasks).Run();
}

std::string GraphDigest(const v1::JobGraph& graph) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    graph.SerializeToCodedStream(&out);
  }
  return Sha256(bytes);
}

std::string TasksDigest(const google::protobuf::RepeatedPtrField<v1::TaskSpec>& tasks) {
  v1::JobGraph graph;
  *graph.mutable_tasks() = tasks;
  return GraphDigest(graph);
}

}  // namespace sextant::job
