#include "workers/agent/probe.h"

#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>

#include <cstdlib>

#include <nlohmann/json.hpp>

#include "workers/agent/agent.h"
#include "workers/agent/gpu_facts.h"
#include "workers/agent/prover.h"
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

// Runs the proofs in a directory of their own and brings their verdicts into `info`.
void ProveAll(AgentOptions options, const Machine& machine, sandbox::Sandbox& sandbox,
              gpu::Pool& gpus, const std::map<std::string, OfferedBackend>& backends,
              v1::WorkerInfo& info) {
  char directory[] = "/tmp/sextant-probe-XXXXXX";
  if (mkdtemp(directory) == nullptr) return;
  chmod(directory, 0711);
  options.state_dir = directory;
  {
    BlobCache blobs(options.state_dir, 0, [](const std::string&, const auto&) {
      return absl::UnimplementedError("a proof needs no files");
    });
    WarmPool warm(sandbox, options.warm);
    Prover prover(options, RunnerRooms{sandbox, blobs, backends, machine, gpus, warm},
                  [&info, &backends](const std::string& name, const Prover::Verdict& verdict) {
                    for (v1::BackendOffer& offer : *info.mutable_backends()) {
                      if (offer.name() == name) Apply(verdict, backends.at(name).offer, offer);
                    }
                  });
    prover.Wait();
  }
  RemoveTree(directory).IgnoreError();
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
  const std::map<std::string, OfferedBackend> backends =
      Probe(backends::AllBackends(options.site));
  v1::WorkerInfo info = DescribeWorker(named, machine, **made, *gpus, backends);
  if (!gpus->why_none().empty()) json["no_gpu"] = gpus->why_none();
  if (!gpus->gpus().empty()) {
    ProveAll(named, machine, **made, *gpus, backends, info);
    json["gpu_site"] = nlohmann::json::array();
    for (const GpuFact& fact : GpuFacts(options.site, *gpus, **made)) {
      json["gpu_site"].push_back({{"name", fact.name},
                                  {"works", fact.works},
                                  {"reason", fact.reason},
                                  {"remedy", fact.remedy}});
    }
  }
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
