// What this machine is, as far as numbers measured on it depend on it.
#pragma once

#include <filesystem>
#include <string>

#include "sextant/v1/types.pb.h"
#include "sextant/v1/worker.pb.h"
#include "workers/agent/options.h"

namespace sextant::agent {

// Read once at the start of the worker.
struct Machine {
  std::string hostname;
  std::string machine_class;  // "cpu:<model>:<cores>:<governor or unknown>"
  std::string machine_id;     // hex digest; stable for one machine
  std::string cpu_model;
  uint32_t cpu_cores = 0;  // those this process may run on
  std::string governor;
  std::string kernel;
};

Machine ReadMachine();

// One minute, now.
double LoadAverage();

uint64_t NowUnixNs();

// "<host>-<digest of the state directory>": the same at every start, different beside each other.
std::string DefaultWorkerName(const Machine& machine, const std::filesystem::path& state_dir);

// The provenance every pass on this machine shares.
v1::Provenance MachineProvenance(const Machine& machine);

// New at each start of the process.
std::string NewIncarnation();

}  // namespace sextant::agent
