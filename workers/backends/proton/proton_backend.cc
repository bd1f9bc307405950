#include "workers/backends/proton/proton_backend.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/chunk.h"
#include "proto/status/status.h"
#include "workers/backends/injected/plan.h"
#include "workers/backends/injected/read_launches.h"
#include "workers/backends/proton/launcher.h"
#include "workers/backends/proton/options.h"
#include "workers/backends/proton/results.h"

namespace sextant::backends {

std::string ProtonBackend::Name() const { return "proton"; }

v1::BackendOffer ProtonBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_available(true);
  offer.set_device_kind("gpu");
  offer.set_tool_digest(absl::BytesToHexString(chunk::Digest(proton::LauncherSource())));
  return offer;
}

absl::StatusOr<LaunchPlan> ProtonBackend::Prepare(const v1::Assignment& assignment) const {
  const v1::Workload& workload = assignment.workload();
  ASSIGN_OR_RETURN(const proton::Options options, proton::ParseOptions(assignment.spec()));
  LaunchPlan plan;
  // Inside kernels Proton uses no CUPTI, so the injection library may; on the host's side it does.
  if (options.intra && options.activity && injected::ProbeInjection(site_, Name()).available()) {
    ASSIGN_OR_RETURN(plan, injected::PlanInjection(site_, assignment, injected::kActivityInstrument,
                                                   {{injected::kLightOption, "1"}}));
  }
  ASSIGN_OR_RETURN(plan.argv, proton::Wrap({workload.argv().begin(), workload.argv().end()},
                                           std::string(proton::LauncherSource())));
  plan.env["SEXTANT_PROTON"] = proton::ToJson(
      options, workload.kernels(), absl::StrCat("/results/", proton::kResultsFolder));
  // What another pass compiled was compiled for another instrument.
  if (!workload.env().contains("TRITON_CACHE_DIR")) plan.env["TRITON_CACHE_DIR"] = "/tmp/triton";
  plan.warm_modules = {"torch", "triton", "triton.profiler", "triton.profiler.language"};
  return plan;
}

absl::StatusOr<Collected> ProtonBackend::Collect(const RunRecord& run) const {
  ASSIGN_OR_RETURN(const proton::Options options, proton::ParseOptions(run.assignment->spec()));
  return options.intra ? proton::CollectIntra(run) : proton::CollectHost(run);
}

}  // namespace sextant::backends
