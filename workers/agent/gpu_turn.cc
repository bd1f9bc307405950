#include "workers/agent/gpu_turn.h"

#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace sextant::agent {
namespace {

// Where the driver's libraries are put when the program would not see them otherwise.
constexpr char kInsideDriver[] = "/sextant/driver";

constexpr auto kLockEvery = std::chrono::milliseconds(50);
// The driver takes this long to clear away a killed program.
constexpr auto kLeftoverEvery = std::chrono::milliseconds(50);
constexpr int kLeftoverLooks = 40;

void Number(const std::string& name, double value, int digits, v1::Provenance& provenance) {
  if (value >= 0) (*provenance.mutable_extra())[name] = absl::StrFormat("%.*f", digits, value);
}

// "sm_clock_mhz_before", … of one snapshot.
void Write(const gpu::Snapshot& now, const char* when, v1::Provenance& provenance) {
  const auto add = [&](const char* name, double value, int digits) {
    Number(absl::StrCat(name, "_", when), value, digits, provenance);
  };
  add("sm_clock_mhz", now.sm_clock_mhz, 0);
  add("mem_clock_mhz", now.mem_clock_mhz, 0);
  add("power_w", now.power_w, 1);
  add("temperature_c", now.temperature_c, 0);
  (*provenance.mutable_extra())[absl::StrCat("throttle_", when)] =
      absl::StrJoin(now.throttle, ", ");
}

std::string DescribeProcesses(const gpu::Snapshot& now) {
  return absl::StrJoin(now.processes, ", ", [](std::string* out, const auto& process) {
    absl::StrAppend(out, process.name.empty() ? "process" : process.name, " (pid ", process.pid,
                    ", ", process.used_bytes >> 20, " MiB)");
  });
}

}  // namespace

absl::Status GpuTurn::Begin(Pass& pass, v1::PassResult& result) {
  const SteadyTime asked = std::chrono::steady_clock::now();
  for (;;) {
    absl::StatusOr<gpu::GpuLock> lock = pool_.Lock(gpu_);
    if (lock.ok()) {
      lock_ = *std::move(lock);
      break;
    }
    if (lock.status().code() != absl::StatusCode::kUnavailable) return lock.status();
    if (pass.WaitStopped(std::chrono::steady_clock::now() + kLockEvery)) {
      return absl::CancelledError("stopped while it waited for the GPU");
    }
  }
  const double waited_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count();
  if (waited_s > 1) {
    result.add_notes(absl::StrFormat("waited %.1f s for the GPU: another worker used it", waited_s));
  }
  if (const std::string why = pool_.Check(gpu_); !why.empty()) {
    return absl::UnavailableError(absl::StrCat(gpu_.device, " (", gpu_.name, ", ", gpu_.uuid, "): ", why));
  }
  pool_.TakeXids(gpu_);  // of earlier passes
  before_ = pool_.Read(gpu_);
  for (int look = 0; !before_.processes.empty() && look < kLeftoverLooks; ++look) {
    if (pass.WaitStopped(std::chrono::steady_clock::now() + kLeftoverEvery)) {
      return absl::CancelledError("stopped while it waited for the GPU");
    }
    before_ = pool_.Read(gpu_);
  }
  if (!before_.processes.empty()) {
    result.add_notes(absl::StrCat("the GPU was not alone: ", DescribeProcesses(before_)));
  }
  v1::Provenance& provenance = *result.mutable_provenance();
  provenance.set_machine_class(gpu_.MachineClass());
  auto& extra = *provenance.mutable_extra();
  extra["gpu"] = gpu_.name;
  extra["gpu_uuid"] = gpu_.uuid;
  extra["driver"] = gpu_.driver;
  extra["cuda"] = gpu_.cuda;
  extra["clock_policy"] = gpu_.clock_policy;
  extra["foreign_processes"] = absl::StrCat(before_.processes.size());
  if (!before_.persistence.empty()) extra["persistence_mode"] = before_.persistence;
  if (!before_.compute_mode.empty()) extra["compute_mode"] = before_.compute_mode;
  Write(before_, "before", provenance);
  return absl::OkStatus();
}

void GpuTurn::AddTo(sandbox::RunSpec& spec) const {
  for (const std::string& node : gpu_.nodes) {
    const std::filesystem::path source = pool_.options().driver_root / node;
    std::error_code error;
    if (std::filesystem::exists(source, error)) {
      spec.devices.push_back({source, absl::StrCat("/", node)});
    }
  }
  spec.env["CUDA_VISIBLE_DEVICES"] = gpu_.uuid;
  const gpu::DriverFiles& files = pool_.driver_files();
  if (files.directory.empty()) return;
  const std::string directory = files.directory.string();
  const bool seen = spec.rootfs.empty() &&
                    (absl::StartsWith(directory, "/usr/") || absl::StartsWith(directory, "/lib"));
  if (seen && files.in_linker_cache) return;
  if (!seen) {
    for (const gpu::DriverFiles::Library& library : files.libraries) {
      spec.mounts.push_back({library.file, absl::StrCat(kInsideDriver, "/", library.name), false});
    }
  }
  std::string& path = spec.env["LD_LIBRARY_PATH"];
  absl::StrAppend(&path, path.empty() ? "" : ":", seen ? directory : kInsideDriver);
}

std::string GpuTurn::End(v1::PassResult& result) {
  const gpu::Snapshot after = pool_.Read(gpu_);
  v1::Provenance& provenance = *result.mutable_provenance();
  Write(after, "after", provenance);
  const auto since = [&](const char* name, double begin, double end, double unit,
                         int digits) {
    if (begin >= 0 && end >= begin) Number(name, (end - begin) / unit, digits, provenance);
  };
  since("energy_j", before_.energy_j, after.energy_j, 1, 1);
  since("throttled_power_ms", before_.throttled_power_ns, after.throttled_power_ns, 1e6, 3);
  since("throttled_thermal_ms", before_.throttled_thermal_ns, after.throttled_thermal_ns, 1e6,
        3);
  for (const std::string& reason : after.throttle) {
    if (reason == "idle" || reason == "application clocks") continue;
    result.add_notes(absl::StrCat("the GPU's clocks were held back: ", reason));
  }
  if (after.ecc_corrected > before_.ecc_corrected && before_.ecc_corrected >= 0) {
    result.add_notes(absl::StrCat(after.ecc_corrected - before_.ecc_corrected,
                                  " ECC errors were corrected during the pass"));
  }
  for (const uint64_t xid : pool_.TakeXids(gpu_)) {
    const std::string meaning = gpu::XidMeaning(xid);
    result.add_notes(absl::StrCat("the driver reported Xid ", xid,
                                  meaning.empty() ? "" : absl::StrCat(", ", meaning)));
  }
  return pool_.Check(gpu_);
}

}  // namespace sextant::agent
