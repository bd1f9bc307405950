#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "workers/gpu/gpu.h"

namespace sextant::gpu {
namespace fs = std::filesystem;
namespace {

constexpr size_t kTextBytes = 256;

template <typename Function>
std::string Text(const Nvml& nvml, Function function, nvml::Device device) {
  char text[kTextBytes] = {};
  const nvml::Code code = nvml.Try(function, device, text, static_cast<unsigned>(kTextBytes - 1));
  return code == nvml::kSuccess ? std::string(text) : std::string();
}

// The minor number of a MIG capability's node, from the driver's text ("DeviceFileMinor: 12").
int CapabilityMinor(const fs::path& file) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, "DeviceFileMinor:")) continue;
    int minor = -1;
    return absl::SimpleAtoi(rest, &minor) ? minor : -1;
  }
  return -1;
}

void AddInstances(const Nvml& nvml, const fs::path& driver_root, const Gpu& whole,
                  std::vector<Gpu>& gpus) {
  unsigned count = 0;
  if (nvml.Try(nvml.call().DeviceGetMaxMigDeviceCount, whole.handle, &count) != nvml::kSuccess) {
    return;
  }
  int n = 0;
  for (unsigned i = 0; i < count; ++i) {
    Gpu part = whole;
    if (nvml.Try(nvml.call().DeviceGetMigDeviceHandleByIndex, whole.handle, i, &part.handle) !=
        nvml::kSuccess) {
      continue;
    }
    part.device = absl::StrCat(whole.device, ".", n++);
    part.mig = true;
    part.uuid = Text(nvml, nvml.call().DeviceGetUUID, part.handle);
    const std::string name = Text(nvml, nvml.call().DeviceGetName, part.handle);
    if (!name.empty()) part.name = name;
    nvml::Memory memory = {};
    if (nvml.Try(nvml.call().DeviceGetMemoryInfo, part.handle, &memory) == nvml::kSuccess) {
      part.memory_bytes = memory.total;
    }
    unsigned gi = 0, ci = 0;
    if (nvml.Try(nvml.call().DeviceGetGpuInstanceId, part.handle, &gi) == nvml::kSuccess &&
        nvml.Try(nvml.call().DeviceGetComputeInstanceId, part.handle, &ci) == nvml::kSuccess) {
      const fs::path caps = driver_root / absl::StrFormat("proc/driver/nvidia/capabilities/gpu%d/mig/gi%d",
                                                          whole.minor, gi);
      for (const fs::path& file : {caps / "access", caps / absl::StrCat("ci", ci) / "access"}) {
        if (const int minor = CapabilityMinor(file); minor >= 0) {
          part.nodes.push_back(absl::StrCat("dev/nvidia-caps/nvidia-cap", minor));
        }
      }
    }
    if (!part.uuid.empty()) gpus.push_back(std::move(part));
  }
}

}  // namespace

std::string Gpu::MachineClass() const {
  return absl::StrCat("gpu:", absl::StrReplaceAll(name, {{":", " "}}), ":", driver, ":",
                      absl::StrReplaceAll(clock_policy, {{":", "-"}}));
}

std::map<std::string, std::string> Gpu::Properties() const {
  std::map<std::string, std::string> all = {
      {"uuid", uuid},     {"name", name},
      {"pci", pci},       {"index", absl::StrCat(index)},
      {"driver", driver}, {"cuda", cuda},
      {"clock_policy", clock_policy},
      {"memory_bytes", absl::StrCat(memory_bytes)},
      {"compute_capability", absl::StrCat(compute_major, ".", compute_minor)}};
  if (mig) all["mig_of"] = physical_uuid;
  return all;
}

std::string ClockPolicy(const Nvml& nvml, nvml::Device device) {
  unsigned target = 0, standard = 0;
  if (nvml.Try(nvml.call().DeviceGetClock, device, nvml::kSm, nvml::kTarget, &target) ==
          nvml::kSuccess &&
      nvml.Try(nvml.call().DeviceGetClock, device, nvml::kSm, nvml::kDefault, &standard) ==
          nvml::kSuccess &&
      target != standard && target != 0) {
    return absl::StrCat("applications:", target);
  }
  return "default";
}

absl::StatusOr<std::vector<Gpu>> ReadInventory(const Nvml& nvml, const fs::path& driver_root) {
  const nvml::Functions& call = nvml.call();
  unsigned count = 0;
  if (const nvml::Code code = call.DeviceGetCount_v2(&count); code != nvml::kSuccess) {
    return absl::FailedPreconditionError(
        absl::StrCat("the driver does not list its GPUs: ", nvml.Describe(code)));
  }
  char driver[kTextBytes] = {};
  nvml.Try(call.SystemGetDriverVersion, driver, static_cast<unsigned>(kTextBytes - 1));
  int cuda = 0;
  nvml.Try(call.SystemGetCudaDriverVersion_v2, &cuda);
  std::vector<Gpu> gpus;
  for (unsigned i = 0; i < count; ++i) {
    Gpu gpu;
    gpu.index = gpu.minor = i;
    gpu.device = absl::StrCat("gpu", i);
    if (call.DeviceGetHandleByIndex_v2(i, &gpu.handle) != nvml::kSuccess) continue;
    gpu.physical = gpu.handle;
    gpu.uuid = gpu.physical_uuid = Text(nvml, call.DeviceGetUUID, gpu.handle);
    if (gpu.uuid.empty()) continue;
    gpu.name = Text(nvml, call.DeviceGetName, gpu.handle);
    gpu.driver = driver;
    gpu.cuda = absl::StrCat(cuda / 1000, ".", cuda % 1000 / 10);
    nvml.Try(call.DeviceGetMinorNumber, gpu.handle, &gpu.minor);
    nvml::Pci pci = {};
    if (nvml.Try(call.DeviceGetPciInfo_v3, gpu.handle, &pci) == nvml::kSuccess) {
      pci.bus_id[sizeof pci.bus_id - 1] = '\0';
      gpu.pci = pci.bus_id;
    }
    nvml::Memory memory = {};
    if (nvml.Try(call.DeviceGetMemoryInfo, gpu.handle, &memory) == nvml::kSuccess) {
      gpu.memory_bytes = memory.total;
    }
    nvml.Try(call.DeviceGetCudaComputeCapability, gpu.handle, &gpu.compute_major,
             &gpu.compute_minor);
    gpu.clock_policy = ClockPolicy(nvml, gpu.handle);
    gpu.nodes = {absl::StrCat("dev/nvidia", gpu.minor), "dev/nvidiactl", "dev/nvidia-uvm",
                 "dev/nvidia-uvm-tools"};
    unsigned mig = 0, pending = 0;
    if (nvml.Try(call.DeviceGetMigMode, gpu.handle, &mig, &pending) == nvml::kSuccess && mig == 1) {
      AddInstances(nvml, driver_root, gpu, gpus);
    } else {
      gpus.push_back(std::move(gpu));
    }
  }
  return gpus;
}

}  // namespace sextant::gpu
