// The visible list of backends. A new one is a folder and a line here.
#include "workers/backends/activity/activity_backend.h"
#include "workers/backends/backend.h"
#include "workers/backends/counters/counters_backend.h"
#include "workers/backends/cutracer/cutracer_backend.h"
#include "workers/backends/exec/exec_backend.h"
#include "workers/backends/host/host_backend.h"
#include "workers/backends/import/import_backend.h"
#include "workers/backends/ir/ir_backend.h"
#include "workers/backends/ncu/ncu_backend.h"
#include "workers/backends/pcsampling/pcsampling_backend.h"
#include "workers/backends/pmsampling/pmsampling_backend.h"
#include "workers/backends/proton/proton_backend.h"
#include "workers/backends/replay/replay_backend.h"
#include "workers/backends/run/run_backend.h"
#include "workers/backends/sanitizer/sanitizer_backend.h"
#include "workers/backends/sassmetrics/sassmetrics_backend.h"
#include "workers/backends/scopes/scopes_backend.h"

namespace sextant::backends {

std::vector<std::unique_ptr<Backend>> AllBackends(const Site& site) {
  std::vector<std::unique_ptr<Backend>> all;
  all.push_back(std::make_unique<ActivityBackend>(site));
  all.push_back(std::make_unique<CountersBackend>(site));
  all.push_back(std::make_unique<CutracerBackend>(site));
  all.push_back(std::make_unique<HostBackend>());
  all.push_back(std::make_unique<IrBackend>(site));
  all.push_back(std::make_unique<NcuBackend>(site));
  all.push_back(std::make_unique<PcSamplingBackend>(site));
  all.push_back(std::make_unique<PmSamplingBackend>(site));
  all.push_back(std::make_unique<ProtonBackend>(site));
  all.push_back(std::make_unique<ReplayBackend>());
  all.push_back(std::make_unique<RunBackend>());
  all.push_back(std::make_unique<SanitizerBackend>(site));
  all.push_back(std::make_unique<SassMetricsBackend>(site));
  all.push_back(std::make_unique<ScopesBackend>(site));
  for (auto& third_party : ExecBackends(site)) all.push_back(std::move(third_party));
  // Last, because it collects by the others.
  std::vector<const Backend*> collectors;
  for (const auto& backend : all) collectors.push_back(backend.get());
  all.push_back(std::make_unique<ImportBackend>(std::move(collectors)));
  return all;
}

}  // namespace sextant::backends
