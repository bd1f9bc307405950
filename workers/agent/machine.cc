#include "workers/agent/machine.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "workers/agent/digest.h"

namespace sextant::agent {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(absl::StripAsciiWhitespace(line));
}

// The value of the first of `keys` in /proc/cpuinfo.
std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key(absl::StripAsciiWhitespace(line.substr(0, colon)));
    if (key == "model name" || key == "Processor" || key == "cpu") {
      return std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
  }
  return "unknown";
}

uint32_t CpuCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<uint32_t>(CPU_COUNT(&set));
}

std::string Or(std::string value, std::string_view otherwise) {
  return value.empty() ? std::string(otherwise) : value;
}

}  // namespace

Machine ReadMachine() {
  Machine machine;
  struct utsname names = {};
  uname(&names);
  machine.hostname = names.nodename;
  machine.kernel = absl::StrCat(names.sysname, " ", names.release, " ", names.machine);
  machine.cpu_model = CpuModel();
  machine.cpu_cores = CpuCores();
  machine.governor =
      Or(FirstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), "unknown");
  machine.machine_class = absl::StrCat("cpu:", absl::StrReplaceAll(machine.cpu_model, {{":", " "}}),
                                       ":", machine.cpu_cores, ":", machine.governor);
  // Digested: the raw id is private to the machine (machine-id(5)).
  const std::string id = Or(FirstLine("/etc/machine-id"), FirstLine("/var/lib/dbus/machine-id"));
  machine.machine_id =
      Hex(Digest(absl::StrCat("sextant machine ", Or(id, machine.hostname)))).substr(0, 32);
  return machine;
}

double LoadAverage() {
  double loads[1] = {0};
  return getloadavg(loads, 1) == 1 ? loads[0] : 0;
}

uint64_t NowUnixNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

std::string DefaultWorkerName(const Machine& machine, const std::filesystem::path& state_dir) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::weakly_canonical(state_dir, error);
  if (error) whole = state_dir;
  return absl::StrCat(machine.hostname, "-", Hex(Digest(whole.string())).substr(0, 8));
}

v1::Provenance MachineProvenance(const Machine& machine) {
  v1::Provenance provenance;
  provenance.set_machine_class(machine.machine_class);
  provenance.set_machine_id(machine.machine_id);
  provenance.set_cpu_model(machine.cpu_model);
  provenance.set_cpu_cores(machine.cpu_cores);
  provenance.set_kernel(machine.kernel);
  (*provenance.mutable_extra())["governor"] = machine.governor;
  return provenance;
}

std::string NewIncarnation() {
  std::random_device random;
  std::string bytes;
  for (int i = 0; i < 4; ++i) {
    const uint32_t word = random();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return Hex(bytes);
}

}  // namespace sextant::agent
