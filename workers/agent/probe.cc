#include "workers/agent/probe.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "workers/agent/agent.h"
#include "workers/sandbox/probe.h"

namespace sextant::agent {
namespace {

nlohmann::json Facts(const sandbox::SandboxFacts& can) {
  nlohmann::json json = {{"bwrap_path", can.bwrap_path},
                         {"bwrap_version", can.bwrap_version},
                         {"cgroup", can.cgroup},
                         {"cgroup_controllers", can.cgroup_controllers},
                         {"perf_event_paranoid", can.perf_event_paranoid},
                         {"facts", nlohmann::json::array()}};
  for (const sandbox::SandboxFact& fact : can.facts) {
    json["facts"].push_back({{"name", fact.name},
                             {"works", fact.works},
                             {"reason", fact.reason},
                             {"remedy", fact.remedy}});
  }
  return json;
}

}  // namespace

std::string ProbeJson(const AgentOptions& options, const sandbox::SandboxOptions& sandbox) {
  nlohmann::json json;
  absl::StatusOr<std::unique_ptr<sandbox::Sandbox>> made = sandbox::MakeBubblewrapSandbox(sandbox);
  if (!made.ok()) {
    json["sandbox_error"] = std::string(made.status().message());
    made = sandbox::MakeBareSandbox(sandbox);
  }
  const Machine machine = ReadMachine();
  AgentOptions named = options;
  if (named.name.empty()) named.name = DefaultWorkerName(machine, named.state_dir);
  const std::unique_ptr<gpu::Pool> gpus = gpu::Pool::Open(options.gpu);
  const v1::WorkerInfo info =
      DescribeWorker(named, machine, **made, *gpus, Probe(backends::AllBackends(options.site)));
  if (!gpus->why_none().empty()) json["no_gpu"] = gpus->why_none();
  google::protobuf::util::JsonPrintOptions print;
  print.preserve_proto_field_names = true;
  print.always_print_primitive_fields = true;
  std::string text;
  if (google::protobuf::util::MessageToJsonString(info, &text, print).ok()) {
    json["worker"] = nlohmann::json::parse(text);
  }
  json["sandbox"] = Facts(sandbox::Probe(sandbox));
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace sextant::agent
