// `sextant run`: from a command line to a timeline.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/bundle.h"
#include "client/cli/commands.h"
#include "client/cli/pass_syntax.h"
#include "client/cli/replay.h"
#include "client/cli/text.h"
#include "client/pass/pass_text.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace {

constexpr char kTask[] = "profile";

absl::Status FillLimits(const RunOptions& o, v1::ResourceLimits& limits) {
  if (!o.memory.empty()) {
    ASSIGN_OR_RETURN(const uint64_t bytes, ParseBytes(o.memory), "--memory");
    limits.set_memory_bytes(bytes);
  }
  if (!o.disk.empty()) {
    ASSIGN_OR_RETURN(const uint64_t bytes, ParseBytes(o.disk), "--disk");
    limits.set_disk_bytes(bytes);
  }
  if (!o.wall.empty()) {
    ASSIGN_OR_RETURN(const double seconds, ParseSeconds(o.wall), "--wall");
    limits.set_wall_s(seconds);
  }
  if (!o.hang.empty()) {
    ASSIGN_OR_RETURN(const double seconds, ParseSeconds(o.hang), "--hang");
    limits.set_hang_s(seconds);
  }
  if (o.cpus > 0) limits.set_cpu_cores(o.cpus);
  if (o.pids > 0) limits.set_pids(o.pids);
  return absl::OkStatus();
}

// "K=V", or "K" for the value it has here.
absl::Status FillPairs(const std::vector<std::string>& pairs, const char* option,
                       const Environment* environment, google::protobuf::Map<std::string, std::string>& out) {
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == 0 || pair.empty() || (equals == std::string::npos && environment == nullptr)) {
      return absl::InvalidArgumentError(absl::StrCat(option, " ", Escape(pair, 80), ": write KEY=VALUE"));
    }
    if (equals != std::string::npos) {
      out[pair.substr(0, equals)] = pair.substr(equals + 1);
    } else if (auto value = (*environment)(pair)) {
      out[pair] = *value;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(option, " ", Escape(pair, 80), ": the variable is not set here; write KEY=VALUE"));
    }
  }
  return absl::OkStatus();
}

// The program and what it needs; without one, what is replayed stands for it.
absl::Status FillProgram(Context& context, const RunOptions& o, const v1::PassSpec& first, Bundle& bundle,
                         v1::Workload& workload) {
  if (o.argv.empty()) {
    workload.add_argv(kReplay);
    workload.add_argv(first.options().at(kRecordingOption));
    return absl::OkStatus();
  }
  if (o.rootfs.empty()) return CollectProgram(o.argv, context.environment, bundle, workload);
  // The program belongs to the root file system; only what is here and named is sent.
  workload.set_rootfs(o.rootfs);
  std::error_code error;
  if (std::filesystem::is_regular_file(o.argv[0], error) && absl::StrContains(o.argv[0], "/") &&
      o.argv[0][0] != '/') {
    return CollectProgram(o.argv, context.environment, bundle, workload);
  }
  for (const std::string& a : o.argv) workload.add_argv(a);
  return absl::OkStatus();
}

// "conv" of "build/conv" and of "recordings/conv/job1-0000.rec".
std::string NameOf(const RunOptions& o, const v1::PassSpec& first) {
  if (!o.name.empty()) return o.name;
  if (!o.argv.empty()) return std::filesystem::path(o.argv[0]).filename().string();
  return std::filesystem::path(first.options().at(kRecordingOption)).parent_path().filename().string();
}

// The graph of one profile task, and the files it needs.
absl::StatusOr<std::map<std::string, std::string>> BuildGraph(Context& context, const RunOptions& o,
                                                              v1::JobGraph& graph) {
  Bundle bundle;
  v1::TaskSpec& task = *graph.add_tasks();
  task.set_name(kTask);
  v1::ProfileTask& profile = *task.mutable_profile();
  v1::Workload& workload = *profile.mutable_workload();
  bool replays = !o.passes.empty();
  for (const std::string& text : o.passes) {
    ASSIGN_OR_RETURN(v1::PassSpec pass, ParsePass(text));
    if (pass.backend() == kReplay) {
      ASSIGN_OR_RETURN(const std::vector<v1::PassSpec> recorded, AddRecordings(pass, bundle));
      for (const v1::PassSpec& one : recorded) *profile.add_passes() = one;
    } else {
      replays = false;
      *profile.add_passes() = std::move(pass);
    }
  }
  if (profile.passes().empty()) {
    ASSIGN_OR_RETURN(*profile.add_passes(), ParsePass(kDefaultPass));
  }
  if (!o.no_clean) pass::AddCleanPasses(&profile);
  if (o.argv.empty() && !replays) {
    return absl::InvalidArgumentError(
        "no program was given; write it after --:  sextant run -- ./program args");
  }
  RETURN_IF_ERROR(FillPairs(o.env, "--env", &context.environment, *workload.mutable_env()));
  RETURN_IF_ERROR(FillLabels(o.labels, graph));
  for (const std::string& file : o.files) RETURN_IF_ERROR(bundle.AddArgument(file), "--file");
  for (const std::string& directory : o.directories) {
    RETURN_IF_ERROR(bundle.AddArgument(directory), "--dir");
  }
  if (o.gpu) workload.set_device("gpu");
  RETURN_IF_ERROR(FillProgram(context, o, profile.passes(0), bundle, workload));
  workload.set_kernels(o.kernels);
  if (!o.stdin_file.empty()) {
    std::ifstream file(o.stdin_file, std::ios::binary);
    if (!file) return absl::InvalidArgumentError(absl::StrCat("--stdin ", Escape(o.stdin_file), " cannot be read"));
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (text.size() > 1 << 20) {
      return absl::InvalidArgumentError("--stdin is larger than 1 MiB; send it with --file and open it");
    }
    workload.set_stdin_text(std::move(text));
  }
  RETURN_IF_ERROR(FillLimits(o, *workload.mutable_limits()));
  graph.set_name(NameOf(o, profile.passes(0)));
  graph.set_priority(o.priority);
  graph.set_fresh(o.fresh);
  graph.set_keep(o.keep);
  if (o.no_warm) {
    for (v1::PassSpec& pass : *profile.mutable_passes()) (*pass.mutable_options())["warm"] = "0";
  }
  graph.set_salt(o.salt);
  if (!o.deadline.empty()) {
    ASSIGN_OR_RETURN(const double seconds, ParseSeconds(o.deadline), "--deadline");
    graph.set_deadline_s(seconds);
  }
  for (const std::string& note : bundle.notes()) context.Note(absl::StrCat("note: ", note));
  return HashBundle(bundle, workload);
}

}  // namespace

absl::Status FillLabels(const std::vector<std::string>& labels, v1::JobGraph& graph) {
  return FillPairs(labels, "--label", nullptr, *graph.mutable_labels());
}

int Run(Context& context, const RunOptions& options) {
  v1::SubmitJobRequest request;
  request.set_request_id(options.request_id.empty() ? NewRequestId() : options.request_id);
  request.set_submitter(Submitter(context));
  auto files = BuildGraph(context, options, *request.mutable_graph());
  if (!files.ok()) return context.Usage(files.status().message());
  if (options.graph) {
    context.PrintJson(request.graph());
    return kOk;
  }
  if (options.plan) return PrintPlan(context, request.graph());
  if (const absl::Status healthy = context.service().Healthy(5); !healthy.ok()) {
    if (!options.local || !context.server.empty()) return context.Fail(healthy);
    if (const int code = Up(context, {}); code != kOk) return code;
  }
  ShowOptions show;
  show.detach = options.detach;
  show.no_timeline = options.no_timeline;
  show.timeline = options.timeline;
  show.timeline.task = kTask;
  return SubmitAndShow(context, request, *files, show);
}

}  // namespace sextant::cli
