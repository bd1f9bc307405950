// NVIDIA's management library, loaded at run time: no program of ours needs a driver to start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sextant::gpu {

// The library's own types, as far as they are used (its ABI; field names are ours).
namespace nvml {
using Device = void*;
using EventSet = void*;
using Code = int;
inline constexpr Code kSuccess = 0;
inline constexpr Code kNotSupported = 3;
inline constexpr Code kNoPermission = 4;
inline constexpr Code kNotFound = 6;
inline constexpr Code kInsufficientSize = 7;
inline constexpr Code kTimeout = 10;
inline constexpr Code kFunctionNotFound = 13;
inline constexpr Code kGpuIsLost = 15;
inline constexpr Code kResetRequired = 16;

struct Pci {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct Memory {
  unsigned long long total, free, used;  // bytes
};
struct Process {
  unsigned pid;
  unsigned long long used_bytes;
  unsigned gpu_instance, compute_instance;
};
struct Event {
  Device device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};
struct Violation {
  unsigned long long reference_us, violated_ns;
};
enum Clock { kSm = 1, kMem = 2 };
enum ClockId { kCurrent = 0, kTarget = 1, kDefault = 2 };
enum Policy { kPower = 0, kThermal = 1 };
inline constexpr unsigned long long kXidEvent = 8;

// Functions of the library by their names there, without the prefix "nvml". One that this driver
// does not have is null.
struct Functions {
  Code (*Init_v2)();
  Code (*Shutdown)();
  const char* (*ErrorString)(Code);
  Code (*SystemGetDriverVersion)(char*, unsigned);
  Code (*SystemGetCudaDriverVersion_v2)(int*);
  Code (*DeviceGetCount_v2)(unsigned*);
  Code (*DeviceGetHandleByIndex_v2)(unsigned, Device*);
  Code (*DeviceGetUUID)(Device, char*, unsigned);
  Code (*DeviceGetName)(Device, char*, unsigned);
  Code (*DeviceGetMinorNumber)(Device, unsigned*);
  Code (*DeviceGetPciInfo_v3)(Device, Pci*);
  Code (*DeviceGetMemoryInfo)(Device, Memory*);
  Code (*DeviceGetCudaComputeCapability)(Device, int*, int*);
  Code (*DeviceGetMigMode)(Device, unsigned*, unsigned*);
  Code (*DeviceGetMaxMigDeviceCount)(Device, unsigned*);
  Code (*DeviceGetMigDeviceHandleByIndex)(Device, unsigned, Device*);
  Code (*DeviceGetGpuInstanceId)(Device, unsigned*);
  Code (*DeviceGetComputeInstanceId)(Device, unsigned*);
  Code (*DeviceGetPersistenceMode)(Device, int*);
  Code (*DeviceGetComputeMode)(Device, int*);
  Code (*DeviceGetClock)(Device, int, int, unsigned*);
  Code (*DeviceGetMaxClockInfo)(Device, int, unsigned*);
  Code (*DeviceGetPowerUsage)(Device, unsigned*);
  Code (*DeviceGetEnforcedPowerLimit)(Device, unsigned*);
  Code (*DeviceGetTotalEnergyConsumption)(Device, unsigned long long*);
  Code (*DeviceGetTemperature)(Device, int, unsigned*);
  Code (*DeviceGetCurrentClocksEventReasons)(Device, unsigned long long*);
  Code (*DeviceGetCurrentClocksThrottleReasons)(Device, unsigned long long*);
  Code (*DeviceGetViolationStatus)(Device, int, Violation*);
  Code (*DeviceGetEccMode)(Device, int*, int*);
  Code (*DeviceGetTotalEccErrors)(Device, int, int, unsigned long long*);
  Code (*DeviceGetRemappedRows)(Device, unsigned*, unsigned*, unsigned*, unsigned*);
  Code (*DeviceGetRetiredPagesPendingStatus)(Device, int*);
  Code (*DeviceGetComputeRunningProcesses_v3)(Device, unsigned*, Process*);
  Code (*DeviceGetGraphicsRunningProcesses_v3)(Device, unsigned*, Process*);
  Code (*DeviceSetGpuLockedClocks)(Device, unsigned, unsigned);
  Code (*DeviceResetGpuLockedClocks)(Device);
  Code (*EventSetCreate)(EventSet*);
  Code (*DeviceRegisterEvents)(Device, unsigned long long, EventSet);
  Code (*EventSetWait_v2)(EventSet, Event*, unsigned);
  Code (*EventSetFree)(EventSet);
};
}  // namespace nvml

// The loaded and initialised library. Thread-safe, as the library is.
class Nvml {
 public:
  // Where the driver's files may lie below `driver_root` ("/": also wherever the system's linker
  // finds them). NOT_FOUND: no library there, so there is no NVIDIA driver. FAILED_PRECONDITION:
  // there is one that does not work; the message is the library's.
  static absl::StatusOr<std::unique_ptr<Nvml>> Load(const std::filesystem::path& driver_root);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  const nvml::Functions& call() const { return functions_; }
  // The file that was loaded, with links resolved.
  const std::filesystem::path& path() const { return path_; }
  std::string Describe(nvml::Code code) const;

  // Calls a function that may be missing: kFunctionNotFound then.
  template <typename... Parameters, typename... Arguments>
  nvml::Code Try(nvml::Code (*function)(Parameters...), Arguments... arguments) const {
    return function == nullptr ? nvml::kFunctionNotFound : function(arguments...);
  }

 private:
  Nvml() = default;
  void* library_ = nullptr;
  bool initialised_ = false;
  nvml::Functions functions_ = {};
  std::filesystem::path path_;
};

// Directories below a driver's root that may hold its libraries, in the order they are tried.
std::vector<std::filesystem::path> DriverLibraryPlaces(const std::filesystem::path& driver_root);

}  // namespace sextant::gpu
