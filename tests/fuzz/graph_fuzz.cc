// job::Expand and ExpandAdded under any job spec, and PlanTask on what they let through. The first
// byte chooses: bit 0, a graph or tasks to add; bit 1, the wire format as it arrives or protobuf's
// text format, in which mutations keep names whole and so reach the rules about the graph's shape.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "server/job/graph.h"
#include "server/job/limits.h"
#include "server/job/plan.h"

namespace {

namespace job = sextant::job;
namespace v1 = sextant::v1;

void Check(bool holds) {
  if (!holds) abort();
}

// Small, so that inputs of a few hundred bytes come to the limits.
v1::ServiceLimits SmallLimits() {
  v1::ServiceLimits limits = job::DefaultLimits();
  limits.set_max_tasks_per_job(24);
  limits.set_max_nesting(3);
  limits.set_max_name_bytes(12);
  limits.set_max_path_bytes(24);
  limits.set_max_edges_per_task(4);
  limits.set_max_passes_per_task(40);
  limits.set_max_files_per_workload(3);
  limits.set_max_argv(4);
  limits.set_max_argv_bytes(32);
  limits.set_max_env(2);
  limits.set_max_env_bytes(24);
  limits.set_max_labels(2);
  limits.set_max_label_bytes(16);
  return limits;
}

v1::WorkerInfo Worker() {
  v1::WorkerInfo worker;
  worker.set_name("w");
  worker.set_machine_class("cpu:x");
  worker.add_rootfs_allowed("/roots");
  for (const char* name : {"run", "host"}) {
    auto* offer = worker.add_backends();
    offer->set_name(name);
    offer->set_available(true);
  }
  return worker;
}

class Quiet : public google::protobuf::io::ErrorCollector {
  void AddError(int, int, const std::string&) override {}
};

template <typename Message>
bool Parse(bool text, const std::string& bytes, Message* message) {
  if (!text) return message->ParseFromString(bytes);
  Quiet quiet;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&quiet);
  parser.SetRecursionLimit(100);
  return parser.ParseFromString(bytes, message);
}

// A refusal names the field it is about, and holds nothing that a terminal would obey.
void CheckRefusal(const absl::Status& status, absl::string_view prefix) {
  Check(status.code() == absl::StatusCode::kInvalidArgument ||
        status.code() == absl::StatusCode::kResourceExhausted);
  Check(absl::StartsWith(status.message(), prefix));
  Check(std::none_of(status.message().begin(), status.message().end(),
                     [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }));
}

// What the store relies on when it turns tasks into rows.
void CheckExpanded(const v1::ServiceLimits& limits, const job::ExpandedGraph& graph, bool added) {
  const int n = static_cast<int>(graph.tasks.size());
  Check(n <= static_cast<int>(limits.max_tasks_per_job()));
  absl::flat_hash_set<absl::string_view> paths;
  for (int i = 0; i < n; ++i) {
    const job::ExpandedTask& task = graph.tasks[i];
    Check(task.spec != nullptr && !task.kind.empty());
    Check(paths.insert(task.path).second);
    Check(task.parent >= -1 && task.parent < i);  // parents come first
    Check(task.parent < 0 || graph.tasks[task.parent].kind == "job");
    Check(added || (task.outer_parent.empty() && task.outer_after.empty()));
    Check(task.spec->max_attempts() >= 1 && task.spec->max_attempts() <= limits.max_attempts());
    absl::flat_hash_set<int> after;
    for (int other : task.after)
      Check(other >= 0 && other < n && other != i && after.insert(other).second);
    if (const auto* workload = job::WorkloadOf(*task.spec)) {
      Check(workload->argv_size() > 0 && workload->limits().wall_s() > 0);
      Check(workload->limits().memory_bytes() > 0);
    }
  }
  // Run as the service would: a task begins when what it and its groups wait for has ended, a group
  // ends with its tasks. All must end.
  std::vector<bool> begun(n), ended(n);
  for (bool moved = true; moved;) {
    moved = false;
    for (int i = 0; i < n; ++i) {
      const job::ExpandedTask& task = graph.tasks[i];
      if (!begun[i]) {
        begun[i] = (task.parent < 0 || begun[task.parent]) &&
                   std::all_of(task.after.begin(), task.after.end(), [&](int o) { return ended[o]; });
        moved |= begun[i];
      }
      if (!begun[i] || ended[i]) continue;
      bool open = false;
      for (int k = 0; k < n; ++k) open |= graph.tasks[k].parent == i && !ended[k];
      ended[i] = !open;
      moved |= ended[i];
    }
  }
  Check(std::all_of(ended.begin(), ended.end(), [](bool e) { return e; }));
  Check(std::all_of(graph.blob_digests.begin(), graph.blob_digests.end(),
                    [](const std::string& digest) { return digest.size() == 32; }));
}

void CheckPlans(const v1::ServiceLimits& limits, const job::ExpandedGraph& graph) {
  const job::PlanContext context{{Worker()}, "salt"};
  for (const job::ExpandedTask& task : graph.tasks) {
    const bool builtin = task.spec->has_analyze() && !task.spec->analyze().builtin().empty();
    if (job::WorkloadOf(*task.spec) == nullptr && !builtin) continue;
    const auto planned = job::PlanTask(context, *task.spec);
    if (!planned.ok()) {
      Check(planned.status().code() == absl::StatusCode::kFailedPrecondition);
      continue;
    }
    uint64_t passes = 0;
    for (const job::PlannedPasses& p : *planned) {
      Check(p.spec.repeat() >= 1 && !p.needs.empty());
      passes += p.spec.repeat();
    }
    Check(passes >= 1 && passes <= limits.max_passes_per_task());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const v1::ServiceLimits* const limits = new v1::ServiceLimits(SmallLimits());
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool text = (data[0] & 2) != 0;
  if ((data[0] & 1) != 0) {
    v1::AddTasksRequest request;
    if (!Parse(text, bytes, &request)) return 0;
    const auto expanded = job::ExpandAdded(*limits, request.mutable_tasks());
    if (!expanded.ok()) {
      CheckRefusal(expanded.status(), "tasks");
      return 0;
    }
    CheckExpanded(*limits, *expanded, true);
    return 0;
  }
  v1::JobGraph graph;
  if (!Parse(text, bytes, &graph)) return 0;
  const auto expanded = job::Expand(*limits, &graph);
  if (!expanded.ok()) {
    CheckRefusal(expanded.status(), "graph.");
    return 0;
  }
  CheckExpanded(*limits, *expanded, false);
  CheckPlans(*limits, *expanded);
  // Filling in defaults is done once: what was taken is taken again, and is the same graph.
  v1::JobGraph again = graph;
  Check(job::Expand(*limits, &again).ok());
  Check(job::GraphDigest(again) == job::GraphDigest(graph));
  return 0;
}
