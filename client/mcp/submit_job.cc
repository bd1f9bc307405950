#include <google/protobuf/util/json_util.h>
#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/mcp/files.h"
#include "client/mcp/presets.h"
#include "client/mcp/tool.h"
#include "client/mcp/values.h"
#include "client/pass/pass_text.h"
#include "proto/status/status.h"

namespace sextant::mcp {
namespace {

constexpr char kTask[] = "profile";
constexpr double kWaitS = 50;

absl::Status FillPasses(const Json& arguments, v1::ProfileTask* profile) {
  const std::string preset = Text(arguments, "preset");
  const Json passes = arguments.value("passes", Json::array());
  if (!preset.empty()) *profile->add_passes() = PresetPass(preset, arguments.value("budget_s", 0.0));
  for (size_t i = 0; i < passes.size(); ++i) {
    size_t at = 0;
    auto pass = pass::Parse(passes[i].get_ref<const std::string&>(), &at);
    if (!pass.ok())
      return absl::InvalidArgumentError(absl::StrCat("passes[", i, "]: ", pass.status().message(),
                                                     " (at byte ", at, ")"));
    *profile->add_passes() = *std::move(pass);
  }
  if (profile->passes().empty())
    return absl::InvalidArgumentError(
        absl::StrCat("preset: say preset (", PresetNames(), "), or passes; describe_service lists what they run"));
  pass::AddCleanPasses(profile);
  return absl::OkStatus();
}

absl::Status FillProgram(ToolCall& call, v1::ProfileTask* profile) {
  v1::Workload& workload = *profile->mutable_workload();
  const Json& arguments = call.arguments;
  const Json files = arguments.value("files", Json::array());
  ASSIGN_OR_RETURN(const auto stored, StoreFiles(call, files, "files"));
  for (size_t i = 0; i < files.size(); ++i) {
    v1::File& file = *workload.add_files();
    file.set_path(Text(files[i], "path"));
    file.set_digest(stored[i].digest);
    file.set_size_bytes(stored[i].size_bytes);
    if (files[i].value("executable", false)) file.set_mode(0755);
  }
  for (const Json& word : arguments.value("argv", Json::array())) workload.add_argv(word.get<std::string>());
  if (workload.argv().empty()) {
    // What is replayed stands for the program.
    if (profile->passes().empty() || profile->passes(0).backend() != pass::kReplay)
      return absl::InvalidArgumentError("argv: say the program to run, or give a graph");
    workload.add_argv(pass::kReplay);
    workload.add_argv(profile->passes(0).options().at(pass::kRecordingOption));
  }
  const Json env = arguments.value("env", Json::object());   // outlives its items
  for (const auto& [name, value] : env.items())
    (*workload.mutable_env())[name] = value.get<std::string>();
  workload.set_kernels(Text(arguments, "kernels"));
  if (arguments.value("gpu", false)) workload.set_device("gpu");
  return absl::OkStatus();
}

absl::StatusOr<v1::JobGraph> Graph(ToolCall& call) {
  const Json& arguments = call.arguments;
  v1::JobGraph graph;
  if (arguments.contains("graph")) {
    if (arguments.contains("argv") || arguments.contains("passes") || arguments.contains("preset"))
      return absl::InvalidArgumentError("graph: stands alone, without argv, passes and preset");
    const auto status = google::protobuf::util::JsonStringToMessage(Dump(arguments["graph"]), &graph);
    if (!status.ok())
      return absl::InvalidArgumentError(absl::StrCat(
          "graph: ", Clean({status.message().data(), status.message().size()}, kSentenceBytes),
          "; it is a JobGraph as JSON, see /api/openapi.json"));
  } else {
    v1::TaskSpec& task = *graph.add_tasks();
    task.set_name(kTask);
    RETURN_IF_ERROR(FillPasses(arguments, task.mutable_profile()));
    RETURN_IF_ERROR(FillProgram(call, task.mutable_profile()));
    graph.set_name(task.profile().workload().argv(0));
  }
  if (arguments.contains("name")) graph.set_name(Text(arguments, "name"));
  if (arguments.value("fresh", false)) graph.set_fresh(true);
  if (arguments.contains("deadline_s")) graph.set_deadline_s(arguments["deadline_s"].get<double>());
  return graph;
}

// The same arguments are the same job, unless the agent names its requests itself.
std::string RequestId(const Json& arguments) {
  if (const std::string given = Text(arguments, "request_id"); !given.empty()) return given;
  Json what = arguments;
  what.erase("wait");
  const std::string text = Dump(what);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::StrCat("mcp-", absl::BytesToHexString({reinterpret_cast<char*>(digest), 16}));
}

Answer DescribePlan(const v1::PlanJobResponse& plan) {
  Answer answer;
  Json passes = Json::array();
  for (const v1::PlannedPass& pass : plan.passes()) {
    Json row = {{"pass", Clean(pass::Text(pass.spec()))}, {"cached", pass.cached()},
                {"cost_s", Number(pass.cost_s())}, {"cost_known", pass.cost_known()}};
    if (pass.perturbation_pct() > 0) row["lengthens_pct"] = Number(pass.perturbation_pct());
    if (pass.spec().optional()) row["optional"] = true;
    if (!pass.why().empty()) row["why"] = pass.why();
    if (!pass.problem().empty()) row["problem"] = Clean(pass.problem(), kSentenceBytes);
    passes.push_back(std::move(row));
  }
  answer.structured["answer"] = absl::StrCat(plan.passes_size(), " kinds of pass, ",
                                             Dump(Number(plan.device_s())), " s of the device; nothing was submitted");
  answer.structured["device_s"] = Number(plan.device_s());
  answer.structured["passes"] = std::move(passes);
  for (const std::string& note : plan.notes()) answer.structured["notes"].push_back(Clean(note, kSentenceBytes));
  Fit(kAnswerTokens, &answer.structured);
  return answer;
}

}  // namespace

absl::StatusOr<Answer> SubmitJob(ToolCall& call) {
  ASSIGN_OR_RETURN(v1::JobGraph graph, Graph(call));
  if (call.arguments.value("plan_only", false)) {
    v1::PlanJobRequest plan;
    *plan.mutable_graph() = std::move(graph);
    ASSIGN_OR_RETURN(const auto planned, call.scope->Call(&v1::Sextant::StubInterface::PlanJob, plan));
    return DescribePlan(planned);
  }
  v1::SubmitJobRequest request;
  request.set_request_id(RequestId(call.arguments));
  *request.mutable_graph() = std::move(graph);
  ASSIGN_OR_RETURN(const auto submitted, call.scope->Call(&v1::Sextant::StubInterface::SubmitJob, request));
  if (call.arguments.value("wait", false)) {
    v1::GetJobRequest get;
    get.set_job_id(submitted.job_id());
    get.set_wait_s(kWaitS);
    ASSIGN_OR_RETURN(const auto job, call.scope->Call(&v1::Sextant::StubInterface::GetJob, get));
    return DescribeJob(job);
  }
  Answer answer;
  answer.structured = {
      {"answer", absl::StrCat("job ", submitted.job_id(),
                              submitted.existing() ? " was submitted before with this request_id; nothing new runs"
                                                   : " is accepted")},
      {"job_id", submitted.job_id()},
      {"existing", submitted.existing()},
      {"next", Json::array({absl::StrCat("get_job {\"job_id\":", submitted.job_id(), ",\"wait_s\":50}")})}};
  return answer;
}

}  // namespace sextant::mcp
