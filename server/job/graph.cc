#include "server/job/graph.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/status/status.h"
#include "server/job/keys.h"
#include "server/job/limits.h"
#include "server/job/plan.h"

namespace sextant::job {
namespace {

using absl::InvalidArgumentError;
using absl::StrCat;

bool ValidName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::string_view("_.:@+-").find(c) != absl::string_view::npos;
  });
}

absl::Status CheckName(absl::string_view field, absl::string_view name, uint32_t max_bytes) {
  if (name.size() > max_bytes)
    return InvalidArgumentError(StrCat(field, ": ", name.size(),
                                       " bytes, at most max_name_bytes = ", max_bytes));
  if (!ValidName(name))
    return InvalidArgumentError(
        StrCat(field, ": must be one or more of A-Z a-z 0-9 _ . : @ + -, is \"",
               absl::CHexEscape(name.substr(0, 64)), "\""));
  return absl::OkStatus();
}

// Text that people read and the database stores: without control characters.
absl::Status CheckText(absl::string_view field, absl::string_view text, uint32_t max_bytes) {
  if (text.size() > max_bytes)
    return InvalidArgumentError(StrCat(field, ": ", text.size(),
                                       " bytes, at most max_name_bytes = ", max_bytes));
  for (unsigned char c : text)
    if (c < 0x20 || c == 0x7f)
      return InvalidArgumentError(StrCat(field, ": must not contain control characters"));
  return absl::OkStatus();
}

// The path of another task, "group/name".
absl::Status CheckReference(absl::string_view field, absl::string_view path,
                            const v1::ServiceLimits& limits) {
  for (absl::string_view name : absl::StrSplit(path, '/'))
    RETURN_IF_ERROR(CheckName(field, name, limits.max_name_bytes()));
  return absl::OkStatus();
}

// A path inside the working directory: relative, without "..", without control characters.
absl::Status CheckPath(absl::string_view field, absl::string_view path, uint32_t max_bytes) {
  if (path.empty()) return InvalidArgumentError(StrCat(field, ": must not be empty"));
  if (path.size() > max_bytes)
    return InvalidArgumentError(StrCat(field, ": ", path.size(),
                                       " bytes, at most max_path_bytes = ", max_bytes));
  if (path.front() == '/')
    return InvalidArgumentError(StrCat(field, ": must be relative to the working directory"));
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..")
      return InvalidArgumentError(StrCat(field, ": must not contain empty parts, \".\" or \"..\""));
  }
  for (unsigned char c : path)
    if (c < 0x20 || c == 0x7f)
      return InvalidArgumentError(StrCat(field, ": must not contain control characters"));
  return absl::OkStatus();
}

absl::Status CheckWorkload(const v1::ServiceLimits& limits, const std::string& field,
                           v1::Workload* workload) {
  if (workload->argv().empty() || workload->argv(0).empty())
    return InvalidArgumentError(StrCat(field, ".argv: must name a program"));
  if (static_cast<uint32_t>(workload->argv_size()) > limits.max_argv())
    return InvalidArgumentError(StrCat(field, ".argv: ", workload->argv_size(),
                                       " arguments, at most max_argv = ", limits.max_argv()));
  uint64_t bytes = 0;
  for (int i = 0; i < workload->argv_size(); ++i) {
    bytes += workload->argv(i).size() + 1;
    if (workload->argv(i).find('\0') != std::string::npos)
      return InvalidArgumentError(StrCat(field, ".argv[", i, "]: must not contain a zero byte"));
  }
  if (bytes > limits.max_argv_bytes())
    return InvalidArgumentError(StrCat(field, ".argv: ", bytes, " bytes, at most max_argv_bytes = ",
                                       limits.max_argv_bytes()));
  if (static_cast<uint32_t>(workload->env_size()) > limits.max_env())
    return InvalidArgumentError(StrCat(field, ".env: ", workload->env_size(),
                                       " variables, at most max_env = ", limits.max_env()));
  bytes = 0;
  for (const auto& [name, value] : workload->env()) {
    bytes += name.size() + value.size() + 2;
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos || value.find('\0') != std::string::npos)
      return InvalidArgumentError(StrCat(field, ".env[\"", absl::CHexEscape(name.substr(0, 64)),
                                         "\"]: names must be non-empty without \"=\", and no zero "
                                         "byte anywhere"));
    if (absl::StartsWith(name, "SEXTANT_"))
      return InvalidArgumentError(StrCat(field, ".env[\"", absl::CHexEscape(name.substr(0, 64)),
                                         "\"]: names beginning with SEXTANT_ are the service's"));
  }
  if (bytes > limits.max_env_bytes())
    return InvalidArgumentError(StrCat(field, ".env: ", bytes, " bytes, at most max_env_bytes = ",
                                       limits.max_env_bytes()));
  if (static_cast<uint32_t>(workload->files_size()) > limits.max_files_per_workload())
    return InvalidArgumentError(StrCat(field, ".files: ", workload->files_size(),
                                       ", at most max_files_per_workload = ",
                                       limits.max_files_per_workload()));
  absl::flat_hash_set<absl::string_view> paths;
  for (int i = 0; i < workload->files_size(); ++i) {
    const auto& file = workload->files(i);
    const std::string at = StrCat(field, ".files[", i, "]");
    RETURN_IF_ERROR(CheckPath(at + ".path", file.path(), limits.max_path_bytes()));
    if (file.digest().size() != 32)
      return InvalidArgumentError(StrCat(at, ".digest: must be the 32 bytes of a SHA-256, has ",
                                         file.digest().size()));
    if (file.mode() & ~0777u)
      return InvalidArgumentError(StrCat(at, ".mode: permission bits only, at most 0777"));
    if (!paths.insert(file.path()).second)
      return InvalidArgumentError(StrCat(at, ".path: \"", absl::CHexEscape(file.path()),
                                         "\" is there twice"));
  }
  if (!workload->rootfs().empty() &&
      (workload->rootfs().front() != '/' || workload->rootfs().size() > limits.max_path_bytes() ||
       absl::StrContains(workload->rootfs(), "/..")))
    return InvalidArgumentError(StrCat(field, ".rootfs: must be an absolute path without \"..\""));
  if (!workload->device().empty() && workload->device() != "gpu")
    return InvalidArgumentError(StrCat(field, ".device: \"", absl::CHexEscape(workload->device()),
                                       "\", must be \"gpu\" or empty"));
  if (workload->stdin_text().size() > limits.max_stdin_bytes())
    return InvalidArgumentError(StrCat(field, ".stdin_text: ", workload->stdin_text().size(),
                                       " bytes, at most max_stdin_bytes = ",
                                       limits.max_stdin_bytes()));
  return FillRunLimits(limits, field + ".limits", workload->mutable_limits());
}

absl::Status CheckProfile(const v1::ServiceLimits& limits, const std::string& field,
                          const v1::ProfileTask& profile) {
  if (profile.passes().empty())
    return InvalidArgumentError(StrCat(field, ".passes: at least one, e.g. {backend: \"host\"}"));
  uint64_t total = 0;
  for (int i = 0; i < profile.passes_size(); ++i) {
    const auto& pass = profile.passes(i);
    const std::string at = StrCat(field, ".passes[", i, "]");
    RETURN_IF_ERROR(CheckName(at + ".backend", pass.backend(), limits.max_name_bytes()));
    if (static_cast<uint32_t>(pass.options_size()) > limits.max_labels())
      return InvalidArgumentError(StrCat(at, ".options: at most ", limits.max_labels()));
    const auto device = pass.options().find("device");
    if (device != pass.options().end() && device->second != "gpu" && device->second != "host")
      return InvalidArgumentError(StrCat(at, ".options[\"device\"]: \"",
                                         absl::CHexEscape(device->second),
                                         "\", must be \"gpu\" or \"host\""));
    total += std::max(1u, pass.repeat());
  }
  if (total > limits.max_passes_per_task())
    return InvalidArgumentError(StrCat(field, ".passes: ", total,
                                       " in all, at most max_passes_per_task = ",
                                       limits.max_passes_per_task()));
  return absl::OkStatus();
}

absl::Status CheckDeadline(const v1::ServiceLimits& limits, absl::string_view field, double value) {
  if (!(value >= 0) || value > limits.max_deadline_s())
    return InvalidArgumentError(StrCat(field, ": ", value, ", must be 0 (none) to max_deadline_s = ",
                                       limits.max_deadline_s()));
  return absl::OkStatus();
}

// Everything about one task that does not concern its neighbours.
absl::Status CheckTask(const v1::ServiceLimits& limits, const std::string& at, v1::TaskSpec* spec) {
  RETURN_IF_ERROR(CheckName(at + ".name", spec->name(), limits.max_name_bytes()));
  if (!spec->parent().empty())
    RETURN_IF_ERROR(CheckReference(at + ".parent", spec->parent(), limits));
  for (int i = 0; i < spec->after_size(); ++i)
    RETURN_IF_ERROR(CheckReference(StrCat(at, ".after[", i, "]"), spec->after(i), limits));
  if (spec->priority() < -100 || spec->priority() > 100)
    return InvalidArgumentError(StrCat(at, ".priority: ", spec->priority(), ", must be −100 to 100"));
  RETURN_IF_ERROR(CheckDeadline(limits, at + ".deadline_s", spec->deadline_s()));
  if (spec->max_attempts() > limits.max_attempts())
    return InvalidArgumentError(StrCat(at, ".max_attempts: ", spec->max_attempts(),
                                       ", at most max_attempts = ", limits.max_attempts()));
  if (spec->max_attempts() == 0) spec->set_max_attempts(limits.max_attempts());
  if (static_cast<uint32_t>(spec->after_size() + spec->inputs_size()) > limits.max_edges_per_task())
    return InvalidArgumentError(StrCat(at, ".after and inputs: ",
                                       spec->after_size() + spec->inputs_size(),
                                       ", at most max_edges_per_task = ",
                                       limits.max_edges_per_task()));
  std::set<absl::string_view> outputs;
  for (int i = 0; i < spec->outputs_size(); ++i) {
    const std::string field = StrCat(at, ".outputs[", i, "]");
    RETURN_IF_ERROR(CheckName(field + ".name", spec->outputs(i).name(), limits.max_name_bytes()));
    RETURN_IF_ERROR(CheckPath(field + ".path", spec->outputs(i).path(), limits.max_path_bytes()));
    if (!outputs.insert(spec->outputs(i).name()).second)
      return InvalidArgumentError(StrCat(field, ".name: \"", spec->outputs(i).name(),
                                         "\" is there twice"));
  }
  for (int i = 0; i < spec->inputs_size(); ++i) {
    auto* input = spec->mutable_inputs(i);
    const std::string field = StrCat(at, ".inputs[", i, "]");
    RETURN_IF_ERROR(CheckReference(field + ".task", input->task(), limits));
    RETURN_IF_ERROR(CheckName(field + ".artifact", input->artifact(), limits.max_name_bytes()));
    if (input->path().empty()) input->set_path(input->artifact());
    RETURN_IF_ERROR(CheckPath(field + ".path", input->path(), limits.max_path_bytes()));
  }
  if (auto* workload = MutableWorkloadOf(spec); workload != nullptr) {
    RETURN_IF_ERROR(CheckWorkload(limits, StrCat(at, ".", KindOf(*spec), ".workload"), workload));
  }
  switch (spec->kind_case()) {
    case v1::TaskSpec::kProfile:
      return CheckProfile(limits, at + ".profile", spec->profile());
    case v1::TaskSpec::kAnalyze: {
      const auto& analyze = spec->analyze();
      if (!analyze.builtin().empty() && analyze.builtin() != "timeline" &&
          analyze.builtin() != "report")
        return InvalidArgumentError(StrCat(at, ".analyze.builtin: \"",
                                           absl::CHexEscape(analyze.builtin().substr(0, 64)),
                                           "\" is unknown; there are \"timeline\" and \"report\""));
      if (!analyze.builtin().empty() && analyze.of_task().empty())
        return InvalidArgumentError(StrCat(at, ".analyze.of_task: must name a profile task"));
      return analyze.of_task().empty()
                 ? absl::OkStatus()
                 : CheckReference(at + ".analyze.of_task", analyze.of_task(), limits);
    }
    case v1::TaskSpec::KIND_NOT_SET:
      return InvalidArgumentError(StrCat(at, ": has no kind; set one of build, profile, analyze, "
                                             "verify, rewrite, group, external"));
    default:
      return absl::OkStatus();
  }
}

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
  RETURN_IF_ERROR(CheckText("graph.name", graph->name(), limits.max_name_bytes()));
  RETURN_IF_ERROR(CheckText("graph.salt", graph->salt(), limits.max_name_bytes()));
  if (graph->priority() < -100 || graph->priority() > 100)
    return InvalidArgumentError(StrCat("graph.priority: ", graph->priority(),
                                       ", must be −100 to 100"));
  RETURN_IF_ERROR(CheckDeadline(limits, "graph.deadline_s", graph->deadline_s()));
  if (static_cast<uint32_t>(graph->labels_size()) > limits.max_labels())
    return InvalidArgumentError(StrCat("graph.labels: ", graph->labels_size(),
                                       ", at most max_labels = ", limits.max_labels()));
  for (const auto& [name, value] : graph->labels()) {
    const std::string at =
        StrCat("graph.labels[\"", absl::CHexEscape(name.substr(0, 64)), "\"]");
    if (name.empty() || name.size() + value.size() > limits.max_label_bytes())
      return InvalidArgumentError(StrCat(at, ": a name, and at most max_label_bytes = ",
                                         limits.max_label_bytes(), " with its value"));
    RETURN_IF_ERROR(CheckText(at, name + value, limits.max_label_bytes()));
  }
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
