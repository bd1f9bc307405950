// `sextant submit`, `job ID add`, `job ID seal`, `complete-task`: graphs written as JSON.
#include <google/protobuf/util/json_util.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "client/cli/bundle.h"
#include "client/cli/commands.h"
#include "client/cli/follow.h"
#include "client/cli/text.h"
#include "client/cli/upload.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

absl::StatusOr<std::string> ReadText(Context& context, const std::string& path) {
  if (path == "-") return std::string{std::istreambuf_iterator<char>(context.in), {}};
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError(absl::StrCat("file ", Escape(path), " cannot be read"));
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

v1::Workload* WorkloadOf(v1::TaskSpec& task) {
  switch (task.kind_case()) {
    case v1::TaskSpec::kBuild:
      return task.mutable_build()->mutable_workload();
    case v1::TaskSpec::kProfile:
      return task.mutable_profile()->mutable_workload();
    case v1::TaskSpec::kAnalyze:
      return task.analyze().has_workload() ? task.mutable_analyze()->mutable_workload() : nullptr;
    case v1::TaskSpec::kVerify:
      return task.mutable_verify()->mutable_workload();
    case v1::TaskSpec::kRewrite:
      return task.mutable_rewrite()->mutable_workload();
    default:
      return nullptr;
  }
}

// A graph and the local files its entries without a digest name. `extra` maps paths in the bundle to
// local files ("F:path"); other paths are looked up beside the graph.
absl::StatusOr<v1::JobGraph> ReadGraph(Context& context, const std::string& path,
                                       const std::vector<std::string>& extra,
                                       std::map<std::string, std::string>& by_digest) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(context, path));
  v1::JobGraph graph;
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &graph);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        Escape(path), " is not a JobGraph in JSON: ", Escape(std::string(parsed.message()), 500)));
  }
  Bundle given;
  for (const std::string& argument : extra) RETURN_IF_ERROR(given.AddArgument(argument), "--file");
  const fs::path beside = path == "-" ? fs::path(".") : fs::path(path).parent_path();
  for (v1::TaskSpec& task : *graph.mutable_tasks()) {
    v1::Workload* workload = WorkloadOf(task);
    if (workload == nullptr) continue;
    for (v1::File& file : *workload->mutable_files()) {
      if (!file.digest().empty()) continue;
      const auto named = given.files().find(file.path());
      const std::string local =
          named != given.files().end() ? named->second.local : (beside / file.path()).string();
      std::error_code error;
      if (!fs::is_regular_file(local, error)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "task \"", Escape(task.name(), 60), "\": file \"", Escape(file.path(), 200),
            "\" has no digest and is not at ", Escape(local, 300), "; put it there or add --file LOCAL:",
            Escape(file.path(), 200)));
      }
      ASSIGN_OR_RETURN(const Digested digested, HashFile(local));
      file.set_digest(digested.digest);
      file.set_size_bytes(digested.size_bytes);
      if (file.mode() == 0) {
        const bool executable = (fs::status(local).permissions() & fs::perms::owner_exec) != fs::perms::none;
        file.set_mode(executable ? 0755 : 0644);
      }
      by_digest[digested.digest] = local;
    }
  }
  return graph;
}

}  // namespace

int Submit(Context& context, const SubmitOptions& options) {
  v1::SubmitJobRequest request;
  request.set_request_id(options.request_id.empty() ? NewRequestId() : options.request_id);
  request.set_submitter(Submitter(context));
  std::map<std::string, std::string> by_digest;
  auto graph = ReadGraph(context, options.graph, options.files, by_digest);
  if (!graph.ok()) return context.Usage(graph.status().message());
  *request.mutable_graph() = *std::move(graph);
  if (const absl::Status healthy = context.service().Healthy(5); !healthy.ok()) return context.Fail(healthy);
  if (auto uploaded = UploadMissing(context.service(), by_digest, request.submitter()); !uploaded.ok()) {
    return context.Fail(uploaded.status());
  }
  auto submitted = SubmitSafely(context, request);
  if (!submitted.ok()) return context.Fail(submitted.status());
  if (context.json) {
    context.PrintJson(*submitted);
  } else {
    context.out << submitted->job_id() << "\n" << std::flush;
    if (submitted->existing()) context.Note("this request id was submitted before; nothing new runs");
  }
  if (!options.wait) return kOk;
  FollowOptions follow;
  follow.job_id = submitted->job_id();
  auto followed = Follow(context, follow);
  if (!followed.ok()) return context.Fail(followed.status());
  if (followed->detached) return kInterrupted;
  if (context.json) context.PrintJson(followed->job);
  return PrintOutcome(context, followed->job, followed->interrupts);
}

int Add(Context& context, const AddOptions& options) {
  std::map<std::string, std::string> by_digest;
  auto graph = ReadGraph(context, options.graph, {}, by_digest);
  if (!graph.ok()) return context.Usage(graph.status().message());
  if (auto uploaded = UploadMissing(context.service(), by_digest, Submitter(context)); !uploaded.ok()) {
    return context.Fail(uploaded.status());
  }
  v1::AddTasksRequest request;
  request.set_job_id(options.job_id);
  request.set_request_id(options.request_id.empty() ? NewRequestId() : options.request_id);
  *request.mutable_tasks() = std::move(*graph->mutable_tasks());
  auto response = context.service().AddTasks(request);
  if (!response.ok()) return context.Fail(response.status());
  if (context.json) {
    context.PrintJson(*response);
  } else {
    context.out << "added " << Plural(response->task_ids_size(), "task", "tasks") << " to job "
                << options.job_id << (response->existing() ? " (were added before)" : "") << "\n";
  }
  return kOk;
}

int Seal(Context& context, int64_t job_id, const std::string& group) {
  v1::SealJobRequest request;
  request.set_job_id(job_id);
  request.set_group(group);
  auto job = context.service().SealJob(request);
  if (!job.ok()) return context.Fail(job.status());
  if (context.json) {
    context.PrintJson(*job);
  } else {
    context.out << "job " << job_id << (group.empty() ? "" : " group " + Escape(group)) << " is sealed; it is "
                << StateName(job->state()) << "\n";
  }
  return kOk;
}

int CompleteTask(Context& context, const CompleteOptions& options) {
  v1::CompleteTaskRequest request;
  request.set_job_id(options.job_id);
  request.set_task(options.task);
  request.set_failed(options.failed);
  request.set_message(options.message);
  std::map<std::string, std::string> by_digest;
  for (const std::string& pair : options.artifacts) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return context.Usage(absl::StrCat("--artifact ", Escape(pair), ": write NAME=FILE"));
    }
    const std::string local = pair.substr(equals + 1);
    auto digested = HashFile(local);
    if (!digested.ok()) return context.Usage(digested.status().message());
    v1::Artifact& artifact = *request.add_artifacts();
    artifact.set_name(pair.substr(0, equals));
    artifact.set_kind("output");
    artifact.set_digest(digested->digest);
    artifact.set_size_bytes(digested->size_bytes);
    by_digest[digested->digest] = local;
  }
  if (auto uploaded = UploadMissing(context.service(), by_digest, Submitter(context)); !uploaded.ok()) {
    return context.Fail(uploaded.status());
  }
  auto task = context.service().CompleteTask(request);
  if (!task.ok()) return context.Fail(task.status());
  if (context.json) {
    context.PrintJson(*task);
  } else {
    context.out << "task " << Escape(task->path()) << " is " << StateName(task->state()) << "\n";
  }
  return kOk;
}

}  // namespace sextant::cli
