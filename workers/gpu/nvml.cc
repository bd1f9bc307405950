#include "workers/gpu/nvml.h"

#include <dlfcn.h>
#include <link.h>

#include "absl/strings/str_cat.h"

namespace sextant::gpu {
namespace fs = std::filesystem;
namespace {

constexpr char kLibrary[] = "libnvidia-ml.so.1";

void LoadFunctions(void* library, nvml::Functions& to) {
  const auto load = [library](const char* name, auto& function) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(
        dlsym(library, absl::StrCat("nvml", name).c_str()));
  };
#define LOAD(name) load(#name, to.name)
  LOAD(Init_v2);
  LOAD(Shutdown);
  LOAD(ErrorString);
  LOAD(SystemGetDriverVersion);
  LOAD(SystemGetCudaDriverVersion_v2);
  LOAD(DeviceGetCount_v2);
  LOAD(DeviceGetHandleByIndex_v2);
  LOAD(DeviceGetUUID);
  LOAD(DeviceGetName);
  LOAD(DeviceGetMinorNumber);
  LOAD(DeviceGetPciInfo_v3);
  LOAD(DeviceGetMemoryInfo);
  LOAD(DeviceGetCudaComputeCapability);
  LOAD(DeviceGetMigMode);
  LOAD(DeviceGetMaxMigDeviceCount);
  LOAD(DeviceGetMigDeviceHandleByIndex);
  LOAD(DeviceGetGpuInstanceId);
  LOAD(DeviceGetComputeInstanceId);
  LOAD(DeviceGetPersistenceMode);
  LOAD(DeviceGetComputeMode);
  LOAD(DeviceGetClock);
  LOAD(DeviceGetMaxClockInfo);
  LOAD(DeviceGetPowerUsage);
  LOAD(DeviceGetEnforcedPowerLimit);
  LOAD(DeviceGetTotalEnergyConsumption);
  LOAD(DeviceGetTemperature);
  LOAD(DeviceGetCurrentClocksEventReasons);
  LOAD(DeviceGetCurrentClocksThrottleReasons);
  LOAD(DeviceGetViolationStatus);
  LOAD(DeviceGetEccMode);
  LOAD(DeviceGetTotalEccErrors);
  LOAD(DeviceGetRemappedRows);
  LOAD(DeviceGetRetiredPagesPendingStatus);
  LOAD(DeviceGetComputeRunningProcesses_v3);
  LOAD(DeviceGetGraphicsRunningProcesses_v3);
  LOAD(DeviceSetGpuLockedClocks);
  LOAD(DeviceResetGpuLockedClocks);
  LOAD(EventSetCreate);
  LOAD(DeviceRegisterEvents);
  LOAD(EventSetWait_v2);
  LOAD(EventSetFree);
#undef LOAD
}

}  // namespace

std::vector<fs::path> DriverLibraryPlaces(const fs::path& driver_root) {
  std::vector<fs::path> places;
  for (const char* place :
       {"usr/local/nvidia/lib64", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu",
        "usr/lib64", "usr/lib", "run/nvidia/driver/usr/lib/x86_64-linux-gnu", "usr/lib/wsl/lib"}) {
    places.push_back(driver_root / place);
  }
  return places;
}

absl::StatusOr<std::unique_ptr<Nvml>> Nvml::Load(const fs::path& driver_root) {
  std::unique_ptr<Nvml> loaded(new Nvml);
  if (driver_root == "/") loaded->library_ = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  std::string broken;
  for (const fs::path& place : DriverLibraryPlaces(driver_root)) {
    if (loaded->library_ != nullptr) break;
    const fs::path file = place / kLibrary;
    std::error_code error;
    if (!fs::exists(file, error)) continue;
    loaded->library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (loaded->library_ == nullptr) broken = dlerror();
  }
  if (loaded->library_ == nullptr && !broken.empty()) return absl::FailedPreconditionError(broken);
  if (loaded->library_ == nullptr) {
    return absl::NotFoundError(absl::StrCat("no ", kLibrary, " below ", driver_root.string(),
                                            ": there is no NVIDIA driver"));
  }
  const link_map* map = nullptr;
  if (dlinfo(loaded->library_, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr) {
    std::error_code error;
    loaded->path_ = fs::canonical(map->l_name, error);
  }
  LoadFunctions(loaded->library_, loaded->functions_);
  const nvml::Functions& call = loaded->functions_;
  for (const bool there : {call.Init_v2 != nullptr, call.DeviceGetCount_v2 != nullptr,
                           call.DeviceGetHandleByIndex_v2 != nullptr,
                           call.DeviceGetUUID != nullptr, call.DeviceGetName != nullptr}) {
    if (there) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(loaded->path_.string(), " is no usable libnvidia-ml; its driver is too old"));
  }
  if (const nvml::Code code = call.Init_v2(); code != nvml::kSuccess) {
    return absl::FailedPreconditionError(
        absl::StrCat("nvmlInit of ", loaded->path_.string(), ": ", loaded->Describe(code)));
  }
  loaded->initialised_ = true;
  return loaded;
}

Nvml::~Nvml() {
  if (initialised_) Try(functions_.Shutdown);
  if (library_ != nullptr) dlclose(library_);
}

std::string Nvml::Describe(nvml::Code code) const {
  const char* text = functions_.ErrorString == nullptr ? nullptr : functions_.ErrorString(code);
  return text == nullptr ? absl::StrCat("NVML error ", code) : std::string(text);
}

}  // namespace sextant::gpu
