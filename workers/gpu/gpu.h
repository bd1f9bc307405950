// One GPU (or one MIG instance of a GPU): what it is, and how it is now.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/gpu/nvml.h"

namespace sextant::gpu {

// What does not change while the worker lives.
struct Gpu {
  std::string device;    // Sextant's name of it: "gpu0"; "gpu0.1" is MIG instance 1 of gpu0
  nvml::Device handle = nullptr;
  nvml::Device physical = nullptr;  // whose clocks, power and health count; `handle` but for MIG
  unsigned index = 0;               // NVML's
  unsigned minor = 0;               // of /dev/nvidiaN
  std::string uuid;                 // "GPU-…" or "MIG-…"
  std::string physical_uuid;
  std::string name;                 // "NVIDIA H200"
  std::string pci;                  // "00000000:1B:00.0"
  uint64_t memory_bytes = 0;
  int compute_major = 0, compute_minor = 0;
  bool mig = false;
  std::string clock_policy;         // see ClockPolicy
  std::string driver;               // "580.159.04"
  std::string cuda;                 // what the driver supports: "13.0"
  // Device nodes a program on it needs, relative to the driver's root: "dev/nvidia0", …
  std::vector<std::string> nodes;

  // "gpu:NVIDIA H200:580.159.04:default": what may be compared.
  std::string MachineClass() const;
  // For v1::Device.properties.
  std::map<std::string, std::string> Properties() const;
};

// In order of NVML's index. A GPU with MIG on is replaced by its instances (none: not listed).
absl::StatusOr<std::vector<Gpu>> ReadInventory(const Nvml& nvml,
                                               const std::filesystem::path& driver_root);

// "default"; "applications:<SM MHz>" when application clocks differ from the default. Clocks locked
// from outside have no query in NVML; a site that locks them says so to the worker, which then
// names the policy "locked:<MHz>".
std::string ClockPolicy(const Nvml& nvml, nvml::Device device);

// How it is at one moment. What this GPU or driver cannot say is −1, or false in `known`.
struct Snapshot {
  int sm_clock_mhz = -1, mem_clock_mhz = -1;
  double power_w = -1, power_limit_w = -1;
  double energy_j = -1;                     // since the driver was loaded
  int temperature_c = -1;
  std::vector<std::string> throttle;        // in words; empty: runs free
  double throttled_power_ns = -1, throttled_thermal_ns = -1;  // since the driver was loaded
  std::string persistence, compute_mode;    // "on", "off", ""; "default", "prohibited", …
  int64_t ecc_corrected = -1, ecc_uncorrected = -1;  // since the driver was loaded
  bool rows_pending = false, rows_failed = false;    // remapped memory rows
  uint64_t memory_used_bytes = 0;
  struct Process {
    unsigned pid = 0;           // of the namespace the driver sees
    uint64_t used_bytes = 0;
    std::string name;           // where /proc shows it
  };
  std::vector<Process> processes;
  std::string error;            // the first call that failed for a reason that means trouble
};
Snapshot ReadSnapshot(const Nvml& nvml, const Gpu& gpu);

// "idle", "power cap", …; unknown bits as "reason 0x…".
std::vector<std::string> ThrottleWords(unsigned long long reasons);

// Why nothing should be measured on it, with the evidence; empty: it is well. `before`: a snapshot
// of when the worker started, whose counts of errors are not held against it.
std::string WhyUnhealthy(const Snapshot& now, const Snapshot& before);

// Names of Xid errors that say the hardware (not the program) failed; empty: the program's.
std::string XidMeaning(uint64_t xid);

}  // namespace sextant::gpu
