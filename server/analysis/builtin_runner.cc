#include "server/analysis/builtin_runner.h"

#include <google/protobuf/util/json_util.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "proto/chunk/chunk.h"
#include "proto/status/status.h"
#include "server/job/builtins.h"

namespace sextant::analysis {
namespace {

constexpr char kPrefix[] = "builtin:";

absl::StatusOr<std::string> Json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) return absl::InternalError(absl::StrCat("writing JSON: ", status.ToString()));
  return json;
}

// The backends of builtin analyses, as plan.cc names them; sorted.
std::vector<std::string> Offers() {
  std::vector<std::string> offers;
  for (const char* name : job::kBuiltinAnalyses) offers.push_back(absl::StrCat(kPrefix, name));
  std::sort(offers.begin(), offers.end());
  return offers;
}

// The answer of analyses that are asked about a subject.
template <typename Request, typename Answer>
absl::StatusOr<std::string> JsonOf(Analysis* analysis, absl::StatusOr<Answer> (Analysis::*ask)(const Request&),
                                   int64_t job_id, const std::string& task) {
  Request request;
  request.mutable_subject()->set_job_id(job_id);
  request.mutable_subject()->set_task(task);
  ASSIGN_OR_RETURN(const Answer answer, (analysis->*ask)(request));
  return Json(answer);
}

// Ours to try again, not the job's fault.
bool Passing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsUnknown(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

BuiltinRunner::BuiltinRunner(Rooms rooms, Options options)
    : rooms_(rooms), options_(std::move(options)), offers_(Offers()) {}

BuiltinRunner::~BuiltinRunner() { Stop(); }

void BuiltinRunner::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void BuiltinRunner::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void BuiltinRunner::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

void BuiltinRunner::Loop() {
  for (;;) {
    absl::StatusOr<bool> did = false;
    if (absl::Status status = Enlist(); status.ok()) {
      did = RunOne();
      // A claim whose reply was lost is held in our name: a new incarnation gives it back.
      if (!did.ok()) registered_ = false;
    } else {
      did = status;
    }
    if (!did.ok() && !Passing(did.status()))
      spdlog::error("builtin worker={} error=\"{}\"", options_.name, did.status().ToString());
    absl::MutexLock lock(&mutex_);
    if (!did.value_or(false)) {
      const auto due = [](BuiltinRunner* self)
                           ABSL_NO_THREAD_SAFETY_ANALYSIS { return self->stop_ || self->woken_; };
      mutex_.AwaitWithTimeout(absl::Condition(+due, this), options_.poll);
    }
    woken_ = false;
    if (stop_) return;
  }
}

absl::Status BuiltinRunner::Enlist() {
  const absl::Time now = absl::Now();
  if (!registered_) {
    v1::WorkerInfo info;
    info.set_name(options_.name);
    info.set_incarnation(absl::StrCat(getpid(), "-", absl::ToUnixNanos(now)));
    info.set_version(SEXTANT_VERSION);
    info.set_sandbox("none");
    for (const std::string& offer : offers_) {
      v1::BackendOffer* backend = info.add_backends();
      backend->set_name(offer);
      backend->set_available(true);
    }
    RETURN_IF_ERROR(rooms_.queue->Register(info, offers_, options_.lease_s, {}),
                    "registering ", options_.name);
    registered_ = true;
    renewed_ = now;
  } else if (now - renewed_ > absl::Seconds(options_.lease_s / 3)) {
    RETURN_IF_ERROR(rooms_.queue->Renew({options_.name}, options_.lease_s));
    renewed_ = now;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> BuiltinRunner::RunOne() {
  ASSIGN_OR_RETURN(const auto claimed, rooms_.queue->Claim(store::Pool::kCoordinator, offers_,
                                                           {{options_.name, ""}}));
  if (claimed.empty()) return false;
  const v1::Assignment& assignment = claimed.front().assignment;
  v1::CommitPassesRequest request;
  request.set_worker(options_.name);
  v1::PassCommit* commit = request.add_commits();
  *commit->mutable_pass() = assignment.pass();
  commit->set_started_unix_ns(absl::ToUnixNanos(absl::Now()));
  v1::PassResult* result = commit->mutable_result();
  const absl::Status status = Compute(assignment, result);
  if (!status.ok()) {
    result->clear_artifacts();
    v1::Failure* failure = result->mutable_failure();
    failure->set_cause(Passing(status)                         ? v1::WORKER_LOST
                       : absl::IsFailedPrecondition(status) ||
                               absl::IsNotFound(status) ||
                               absl::IsInvalidArgument(status) ? v1::INPUT_FAILED
                                                               : v1::INTERNAL);
    failure->set_step("analyze");
    failure->set_message(std::string(status.message()));
  }
  result->mutable_provenance()->set_worker(options_.name);
  result->mutable_provenance()->set_backend(assignment.spec().backend());
  result->mutable_provenance()->set_started_unix_ns(commit->started_unix_ns());
  commit->set_finished_unix_ns(absl::ToUnixNanos(absl::Now()));
  spdlog::info("builtin job={} task={} pass={} epoch={} backend={} status=\"{}\"",
               assignment.job_id(), assignment.task(), assignment.pass().pass_id(),
               assignment.pass().epoch(), assignment.spec().backend(), status.ToString());
  // Committing twice is harmless; without a database there is nothing else to do.
  for (;;) {
    auto outcome = rooms_.queue->Commit(request);
    if (outcome.ok()) break;
    if (!Passing(outcome.status())) return outcome.status();
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stop_), options_.poll)) return outcome.status();
  }
  if (options_.committed) options_.committed();
  return true;
}

absl::Status BuiltinRunner::Compute(const v1::Assignment& assignment, v1::PassResult* result) {
  const auto& options = assignment.spec().options();
  const auto of_task = options.find("of_task");
  if (of_task == options.end()) return absl::InvalidArgumentError("analyze.of_task: required");
  Analysis* const analysis = rooms_.analysis;
  const int64_t job_id = assignment.job_id();
  const std::string& task = of_task->second;
  const std::string name(absl::StripPrefix(assignment.spec().backend(), kPrefix));
  if (name == "report") {
    v1::GetReportRequest request;
    request.set_job_id(job_id);
    request.set_task(task);
    ASSIGN_OR_RETURN(const auto report, analysis->Report(request));
    ASSIGN_OR_RETURN(const std::string json, Json(report));
    RETURN_IF_ERROR(Keep("report.json", json, result));
    return Keep("report.md", report.markdown(), result);
  }
  absl::StatusOr<std::string> json = absl::InternalError(absl::StrCat(name, " is no builtin analysis"));
  if (name == "timeline") {
    v1::GetTimelineRequest request;
    request.set_job_id(job_id);
    request.set_task(task);
    ASSIGN_OR_RETURN(const auto timeline, analysis->Timeline(request));
    json = Json(timeline);
  } else if (name == "occupancy") {
    json = JsonOf(analysis, &Analysis::Occupancy, job_id, task);
  } else if (name == "variation") {
    json = JsonOf(analysis, &Analysis::Variation, job_id, task);
  } else if (name == "critical_path") {
    json = JsonOf(analysis, &Analysis::CriticalPath, job_id, task);
  } else if (name == "costs") {
    json = JsonOf(analysis, &Analysis::RegionCosts, job_id, task);
  } else if (name == "hotspots") {
    json = JsonOf(analysis, &Analysis::Hotspots, job_id, task);
  } else if (name == "registers") {
    json = JsonOf(analysis, &Analysis::Registers, job_id, task);
  } else if (name == "roofline") {
    json = JsonOf(analysis, &Analysis::Roofline, job_id, task);
  } else if (name == "diagnosis") {
    json = JsonOf(analysis, &Analysis::Diagnosis, job_id, task);
  }
  RETURN_IF_ERROR(json.status());
  return Keep(absl::StrCat(name, ".json"), *json, result);
}

absl::Status BuiltinRunner::Keep(const std::string& name, const std::string& bytes,
                                 v1::PassResult* result) {
  v1::Artifact artifact;
  artifact.set_name(name);
  artifact.set_kind("output");
  artifact.set_digest(chunk::Digest(bytes));
  artifact.set_size_bytes(bytes.size());
  RETURN_IF_ERROR(rooms_.blobs->Put(artifact.digest(), bytes, options_.name), "keeping ", name);
  *result->add_artifacts() = std::move(artifact);
  return absl::OkStatus();
}

}  // namespace sextant::analysis
