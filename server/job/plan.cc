#include "server/job/plan.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/job/graph.h"
#include "server/job/spread.h"

namespace sextant::job {
namespace {

constexpr int kPoolCpu = 0;
constexpr int kPoolDevice = 1;
constexpr int kPoolCoordinator = 2;

constexpr char kHost[] = "host";
constexpr char kGpu[] = "gpu";
constexpr char kNoDevice[] = "-";
// The one option that is not the backend's: what the pass occupies, "gpu" or "host".
constexpr char kDeviceOption[] = "device";

const v1::BackendOffer* FindOffer(const v1::WorkerInfo& worker, const std::string& backend) {
  for (const auto& offer : worker.backends())
    if (offer.name() == backend) return &offer;
  return nullptr;
}

// What a backend's offer says that it cannot share a process with (BackendOffer.features).
constexpr char kExcludesEnvironment[] = "excludes-env:";

// Two tools that cannot be in one process: the workload brings one, the backend is the other.
absl::Status CheckConflicts(const v1::BackendOffer& offer, const v1::Workload& workload) {
  for (const std::string& feature : offer.features()) {
    if (!absl::StartsWith(feature, kExcludesEnvironment)) continue;
    const std::string name = feature.substr(sizeof(kExcludesEnvironment) - 1);
    if (workload.env().contains(name)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "workload.env[\"", name, "\"]: backend ", offer.name(),
          " cannot share a process with the tool that this variable loads; take the variable out, or "
          "measure with another backend"));
    }
  }
  return absl::OkStatus();
}

bool AllowsRootfs(const v1::WorkerInfo& worker, const std::string& rootfs) {
  return rootfs.empty() ||
         std::any_of(worker.rootfs_allowed().begin(), worker.rootfs_allowed().end(),
                     [&](const std::string& prefix) {
                       return rootfs == prefix || absl::StartsWith(rootfs, prefix + "/") ||
                              prefix == "/";
                     });
}

// What a pass of `offer` occupies by itself.
const std::string& KindOfDevice(const v1::BackendOffer& offer) {
  static const auto& host = *new std::string(kHost);
  return offer.device_kind().empty() ? host : offer.device_kind();
}

// The first device of this kind that is well; null: none, `why` says more.
const v1::Device* FindDevice(const v1::WorkerInfo& worker, const std::string& kind,
                             std::string* why) {
  *why = absl::StrCat("it has no device of kind ", kind);
  for (const auto& device : worker.devices()) {
    if (device.kind() != kind) continue;
    if (device.unhealthy().empty()) return &device;
    *why = absl::StrCat("its ", device.name(), " is not well: ", device.unhealthy());
  }
  return nullptr;
}

// The first worker that can run a pass of `backend` with this root file system, on a device of
// `kind` (empty: the backend's own; "-": a CPU slot).
absl::StatusOr<const v1::WorkerInfo*> FindWorker(const PlanContext& context,
                                                 const std::string& backend,
                                                 const std::string& rootfs,
                                                 const std::string& kind) {
  std::vector<std::string> reasons;
  for (const auto& worker : context.workers) {
    const auto* offer = FindOffer(worker, backend);
    if (offer == nullptr) {
      reasons.push_back(absl::StrCat(worker.name(), " does not have it"));
    } else if (!offer->available()) {
      reasons.push_back(absl::StrCat(worker.name(), ": ", offer->reason()));
    } else if (!AllowsRootfs(worker, rootfs)) {
      reasons.push_back(absl::StrCat(worker.name(), " does not allow the root file system ", rootfs,
                                     " (start it with --allow-rootfs)"));
    } else if (std::string why;
               kind != kNoDevice &&
               FindDevice(worker, kind.empty() ? KindOfDevice(*offer) : kind, &why) == nullptr) {
      reasons.push_back(absl::StrCat(worker.name(), ": ", why));
    } else {
      return &worker;
    }
  }
  if (reasons.size() > 5) reasons.resize(5);
  return absl::FailedPreconditionError(
      absl::StrCat("no worker offers backend ", backend,
                   kind.empty() || kind == kNoDevice ? "" : absl::StrCat(" on a ", kind), ": ",
                   reasons.empty() ? "no worker is known; start one with `sextant worker`"
                                   : absl::StrJoin(reasons, "; ")));
}

// Whether the program needs a GPU in every pass: it says so, or one of its passes looks into GPU
// kernels, and then its clean pass launches them too.
bool NeedsGpu(const PlanContext& context, const v1::TaskSpec& task, const v1::Workload& workload) {
  if (workload.device() == kGpu) return true;
  if (task.kind_case() != v1::TaskSpec::kProfile) return false;
  for (const auto& spec : task.profile().passes()) {
    for (const auto& worker : context.workers) {
      const auto* offer = FindOffer(worker, spec.backend());
      if (offer != nullptr && offer->device_kind() == kGpu) return true;
    }
  }
  return false;
}

// A measurement takes a device for itself. A plain run of a profile task is one too: it is the clean
// pass that gives the time. So does any program that needs a GPU.
absl::StatusOr<PlannedPasses> PlanRun(const PlanContext& context, const v1::TaskSpec& task,
                                      const v1::Workload& workload, v1::PassSpec spec,
                                      bool measures) {
  if (spec.repeat() == 0) spec.set_repeat(1);
  std::string kind = NeedsGpu(context, task, workload) ? kGpu : measures ? "" : kNoDevice;
  if (const auto asked = spec.options().find(kDeviceOption); asked != spec.options().end()) {
    kind = asked->second;
    spec.mutable_options()->erase(kDeviceOption);
  }
  ASSIGN_OR_RETURN(const v1::WorkerInfo* worker,
                   FindWorker(context, spec.backend(), workload.rootfs(), kind));
  measures = kind != kNoDevice;
  const auto* offer = FindOffer(*worker, spec.backend());
  RETURN_IF_ERROR(CheckConflicts(*offer, workload));
  std::string machine_class = worker->machine_class();
  PlannedPasses planned;
  planned.pool = measures ? kPoolDevice : kPoolCpu;
  planned.needs = {absl::StrCat("backend:", spec.backend())};
  if (measures) {
    if (kind.empty()) kind = KindOfDevice(*offer);
    std::string why;
    const auto* device = FindDevice(*worker, kind, &why);
    if (!device->machine_class().empty()) machine_class = device->machine_class();
    planned.needs.push_back(absl::StrCat("class:", machine_class));
    planned.needs.push_back(absl::StrCat("device:", kind));
  }
  if (!workload.rootfs().empty()) {
    for (const auto& prefix : worker->rootfs_allowed()) {
      if (AllowsRootfs(*worker, workload.rootfs()) &&
          (prefix == "/" || workload.rootfs() == prefix ||
           absl::StartsWith(workload.rootfs(), prefix + "/"))) {
        planned.needs.push_back(absl::StrCat("rootfs:", prefix));
        break;
      }
    }
  }
  planned.key = MakeCacheKey({workload, spec, KindOf(task), offer->tool_digest(), machine_class,
                              context.salt, &task.outputs(), context.tenant});
  planned.spec = std::move(spec);
  return planned;
}

}  // namespace

absl::string_view KindOf(const v1::TaskSpec& task) {
  switch (task.kind_case()) {
    case v1::TaskSpec::kBuild: return "build";
    case v1::TaskSpec::kProfile: return "profile";
    case v1::TaskSpec::kAnalyze: return "analyze";
    case v1::TaskSpec::kVerify: return "verify";
    case v1::TaskSpec::kRewrite: return "rewrite";
    case v1::TaskSpec::kGroup: return "job";
    case v1::TaskSpec::kExternal: return "external";
    default: return "";
  }
}

namespace {

std::vector<std::string> Offers(const v1::WorkerInfo& info, const std::string& machine_class) {
  std::vector<std::string> offers;
  for (const auto& backend : info.backends())
    if (backend.available()) offers.push_back(absl::StrCat("backend:", backend.name()));
  for (const auto& prefix : info.rootfs_allowed()) offers.push_back(absl::StrCat("rootfs:", prefix));
  if (!machine_class.empty()) offers.push_back(absl::StrCat("class:", machine_class));
  return offers;
}

void SortUnique(std::vector<std::string>* offers) {
  std::sort(offers->begin(), offers->end());
  offers->erase(std::unique(offers->begin(), offers->end()), offers->end());
}

}  // namespace

std::vector<std::string> SlotOffers(const v1::WorkerInfo& info) {
  auto offers = Offers(info, info.machine_class());
  SortUnique(&offers);
  return offers;
}

std::vector<std::string> DeviceOffers(const v1::WorkerInfo& info, const v1::Device& device) {
  auto offers = Offers(info, device.machine_class().empty() ? info.machine_class()
                                                            : device.machine_class());
  offers.push_back(absl::StrCat("device:", device.kind()));
  SortUnique(&offers);
  return offers;
}

absl::StatusOr<std::vector<PlannedPasses>> PlanTask(const PlanContext& context,
                                                    const v1::TaskSpec& task) {
  std::vector<PlannedPasses> all;
  if (task.kind_case() == v1::TaskSpec::kAnalyze && !task.analyze().builtin().empty()) {
    PlannedPasses planned;
    planned.spec.set_backend(absl::StrCat("builtin:", task.analyze().builtin()));
    planned.spec.set_repeat(1);
    planned.pool = kPoolCoordinator;
    planned.needs = {planned.spec.backend()};
    all.push_back(std::move(planned));
    return all;
  }
  const v1::Workload* workload = WorkloadOf(task);
  if (workload == nullptr) return absl::InternalError("a task without a workload is not planned");
  if (task.kind_case() == v1::TaskSpec::kProfile) {
    absl::Status nobody;
    for (const auto& asked : task.profile().passes()) {
      for (const v1::PassSpec& spec : Spread(asked)) {
        auto planned = PlanRun(context, task, *workload, spec, true);
        if (!planned.ok() && !asked.optional()) return planned.status();
        if (planned.ok()) {
          all.push_back(*std::move(planned));
        } else {
          nobody = planned.status();
        }
      }
    }
    if (all.empty()) return nobody;
  } else {
    v1::PassSpec spec;
    spec.set_backend("run");
    ASSIGN_OR_RETURN(auto planned, PlanRun(context, task, *workload, spec, false));
    all.push_back(std::move(planned));
  }
  return all;
}

}  // namespace sextant::job
