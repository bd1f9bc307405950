#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "workers/gpu/gpu.h"

namespace sextant::gpu {
namespace {

constexpr unsigned kMostProcesses = 256;

// What keeps clocks below their maximum, by bit (nvmlClocksEventReason…).
constexpr const char* kThrottleWords[] = {
    "idle",          "application clocks", "power cap",            "hardware slowdown",
    "sync boost",    "software thermal",   "hardware thermal",     "hardware power brake",
    "display clocks"};

constexpr const char* kComputeModes[] = {"default", "exclusive thread", "prohibited",
                                         "exclusive process"};

std::string ProgramName(unsigned pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

class Reader {
 public:
  Reader(const Nvml& nvml, Snapshot& to) : nvml_(nvml), to_(to) {}

  // True when the value was read. What a GPU does not have or show is no error.
  template <typename... Parameters, typename... Arguments>
  bool Read(const char* what, nvml::Code (*function)(Parameters...), Arguments... arguments) {
    const nvml::Code code = nvml_.Try(function, arguments...);
    if (code == nvml::kSuccess) return true;
    const bool absent = code == nvml::kNotSupported || code == nvml::kFunctionNotFound ||
                        code == nvml::kNoPermission || code == nvml::kNotFound;
    if (!absent && to_.error.empty()) {
      to_.error = absl::StrCat("reading ", what, ": ", nvml_.Describe(code));
    }
    return false;
  }

 private:
  const Nvml& nvml_;
  Snapshot& to_;
};

void ReadProcesses(const Nvml& nvml, nvml::Device device, Snapshot& to) {
  const auto& call = nvml.call();
  for (auto function : {call.DeviceGetComputeRunningProcesses_v3,
                        call.DeviceGetGraphicsRunningProcesses_v3}) {
    nvml::Process processes[kMostProcesses] = {};
    unsigned count = kMostProcesses;
    const nvml::Code code = nvml.Try(function, device, &count, processes);
    if (code != nvml::kSuccess && code != nvml::kInsufficientSize) continue;
    for (unsigned i = 0; i < std::min(count, kMostProcesses); ++i) {
      const unsigned pid = processes[i].pid;
      const bool known = std::any_of(to.processes.begin(), to.processes.end(),
                                     [pid](const auto& process) { return process.pid == pid; });
      // Not available is all ones.
      const uint64_t used = processes[i].used_bytes == ~0ull ? 0 : processes[i].used_bytes;
      if (!known) to.processes.push_back({pid, used, ProgramName(pid)});
    }
  }
}

}  // namespace

std::vector<std::string> ThrottleWords(unsigned long long reasons) {
  std::vector<std::string> words;
  for (size_t bit = 0; bit < 64; ++bit) {
    if ((reasons >> bit & 1) == 0) continue;
    words.push_back(bit < std::size(kThrottleWords) ? std::string(kThrottleWords[bit])
                                                    : absl::StrCat("reason 0x", absl::Hex(1ull << bit)));
  }
  return words;
}

Snapshot ReadSnapshot(const Nvml& nvml, const Gpu& gpu) {
  const nvml::Functions& call = nvml.call();
  const nvml::Device device = gpu.physical;
  Snapshot now;
  Reader reader(nvml, now);
  unsigned value = 0;
  int flag = 0;
  unsigned long long large = 0;
  if (reader.Read("the SM clock", call.DeviceGetClock, device, nvml::kSm, nvml::kCurrent, &value)) {
    now.sm_clock_mhz = static_cast<int>(value);
  }
  if (reader.Read("the memory clock", call.DeviceGetClock, device, nvml::kMem, nvml::kCurrent,
                  &value)) {
    now.mem_clock_mhz = static_cast<int>(value);
  }
  if (reader.Read("power", call.DeviceGetPowerUsage, device, &value)) now.power_w = value / 1e3;
  if (reader.Read("the power limit", call.DeviceGetEnforcedPowerLimit, device, &value)) {
    now.power_limit_w = value / 1e3;
  }
  if (reader.Read("energy", call.DeviceGetTotalEnergyConsumption, device, &large)) {
    now.energy_j = static_cast<double>(large) / 1e3;
  }
  if (reader.Read("the temperature", call.DeviceGetTemperature, device, 0, &value)) {
    now.temperature_c = static_cast<int>(value);
  }
  const auto reasons = call.DeviceGetCurrentClocksEventReasons != nullptr
                           ? call.DeviceGetCurrentClocksEventReasons
                           : call.DeviceGetCurrentClocksThrottleReasons;
  if (reader.Read("throttle reasons", reasons, device, &large)) now.throttle = ThrottleWords(large);
  nvml::Violation violation = {};
  if (reader.Read("power violations", call.DeviceGetViolationStatus, device, nvml::kPower,
                  &violation)) {
    now.throttled_power_ns = static_cast<double>(violation.violated_ns);
  }
  if (reader.Read("thermal violations", call.DeviceGetViolationStatus, device, nvml::kThermal,
                  &violation)) {
    now.throttled_thermal_ns = static_cast<double>(violation.violated_ns);
  }
  if (reader.Read("persistence mode", call.DeviceGetPersistenceMode, device, &flag)) {
    now.persistence = flag != 0 ? "on" : "off";
  }
  if (reader.Read("compute mode", call.DeviceGetComputeMode, device, &flag)) {
    const bool known = flag >= 0 && flag < static_cast<int>(std::size(kComputeModes));
    now.compute_mode = known ? kComputeModes[flag] : absl::StrCat("mode ", flag);
  }
  // Error types 0 corrected, 1 uncorrected; counter 0: since the driver was loaded.
  if (reader.Read("ECC errors", call.DeviceGetTotalEccErrors, device, 0, 0, &large)) {
    now.ecc_corrected = static_cast<int64_t>(large);
  }
  if (reader.Read("ECC errors", call.DeviceGetTotalEccErrors, device, 1, 0, &large)) {
    now.ecc_uncorrected = static_cast<int64_t>(large);
  }
  unsigned corrected = 0, uncorrected = 0, pending = 0, failed = 0;
  if (reader.Read("remapped rows", call.DeviceGetRemappedRows, device, &corrected, &uncorrected,
                  &pending, &failed)) {
    now.rows_pending = pending != 0;
    now.rows_failed = failed != 0;
  } else if (reader.Read("retired pages", call.DeviceGetRetiredPagesPendingStatus, device, &flag)) {
    now.rows_pending = flag != 0;
  }
  nvml::Memory memory = {};
  if (reader.Read("memory", call.DeviceGetMemoryInfo, gpu.handle, &memory)) {
    now.memory_used_bytes = memory.used;
  }
  ReadProcesses(nvml, gpu.handle, now);
  return now;
}

std::string WhyUnhealthy(const Snapshot& now, const Snapshot& before) {
  std::vector<std::string> why;
  if (!now.error.empty()) why.push_back(now.error);
  if (now.compute_mode == "prohibited") {
    why.push_back("its compute mode is prohibited: no program may use it");
  }
  if (const int64_t known = std::max<int64_t>(before.ecc_uncorrected, 0);
      now.ecc_uncorrected > known) {
    why.push_back(absl::StrCat(now.ecc_uncorrected - known, " new uncorrectable ECC errors"));
  }
  if (now.rows_failed) why.push_back("remapping of broken memory rows has failed");
  return absl::StrJoin(why, "; ");
}

std::string XidMeaning(uint64_t xid) {
  switch (xid) {
    case 48: return "double-bit ECC error";
    case 62: return "internal micro-controller halt";
    case 63: return "memory row remapping or page retirement";
    case 64: return "failure of row remapping or page retirement";
    case 74: return "NVLink error";
    case 79: return "GPU has fallen off the bus";
    case 92: return "high rate of single-bit ECC errors";
    case 95: return "uncontained ECC error";
    case 109: return "context switch timeout";
    case 119: case 120: return "GSP firmware timeout or error";
    case 140: return "unrecovered ECC error";
    case 143: return "GPU initialization error";
    default: return "";
  }
}

}  // namespace sextant::gpu
