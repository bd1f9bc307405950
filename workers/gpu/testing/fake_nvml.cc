// A stand-in for NVIDIA's management library, built as libnvidia-ml.so.1. What it answers stands in
// the text file that $SEXTANT_FAKE_NVML names, read anew at each call: lines "key=value", and
// "N.key=value" for GPU N. Built from this file alone, so that the caller's declarations are checked
// against an ABI written down a second time.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>

namespace {

using Values = std::map<std::string, std::string>;

Values Read() {
  Values values;
  const char* path = getenv("SEXTANT_FAKE_NVML");
  std::ifstream file(path == nullptr ? "" : path);
  for (std::string line; std::getline(file, line);) {
    const size_t equals = line.find('=');
    if (equals != std::string::npos) values[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return values;
}

struct FakeDevice {
  int gpu;
  int instance;  // of MIG; −1: the whole GPU
};
FakeDevice devices[16][9];

constexpr int kNotSupported = 3, kInvalid = 2, kTimeout = 10, kSmall = 7;

std::string Key(void* device, const char* key) {
  const auto* d = static_cast<FakeDevice*>(device);
  std::string prefix = std::to_string(d->gpu) + ".";
  if (d->instance >= 0) prefix += "mig" + std::to_string(d->instance) + ".";
  return prefix + key;
}

// 0 and the value; or the code in "N.key.error"; or not supported.
int Value(void* device, const char* key, std::string* value) {
  const Values values = Read();
  const std::string name = Key(device, key);
  if (auto lost = values.find(Key(device, "error")); lost != values.end()) return std::stoi(lost->second);
  if (auto error = values.find(name + ".error"); error != values.end()) return std::stoi(error->second);
  const auto it = values.find(name);
  if (it == values.end()) return kNotSupported;
  *value = it->second;
  return 0;
}

template <typename Number>
int NumberOf(void* device, const char* key, Number* to) {
  std::string text;
  const int code = Value(device, key, &text);
  if (code == 0) *to = static_cast<Number>(std::stoull(text));
  return code;
}

int TextOf(void* device, const char* key, char* to, unsigned length) {
  std::string text;
  const int code = Value(device, key, &text);
  if (code == 0) snprintf(to, length, "%s", text.c_str());
  return code;
}

}  // namespace

#define FAKE extern "C" __attribute__((visibility("default")))

FAKE int nvmlInit_v2() {
  for (int gpu = 0; gpu < 16; ++gpu) {
    for (int i = 0; i < 9; ++i) devices[gpu][i] = {gpu, i - 1};
  }
  const Values values = Read();
  const auto code = values.find("init");
  return code == values.end() ? 0 : std::stoi(code->second);
}
FAKE int nvmlShutdown() { return 0; }
FAKE const char* nvmlErrorString(int code) {
  static thread_local char text[64];
  snprintf(text, sizeof text, "%s", code == 15 ? "GPU is lost" : code == 9 ? "driver not loaded" : "error");
  return text;
}
FAKE int nvmlSystemGetDriverVersion(char* to, unsigned length) {
  Values values = Read();
  snprintf(to, length, "%s", values["driver"].c_str());
  return 0;
}
FAKE int nvmlSystemGetCudaDriverVersion_v2(int* to) {
  *to = std::stoi(Read()["cuda"]);
  return 0;
}
FAKE int nvmlDeviceGetCount_v2(unsigned* to) {
  *to = static_cast<unsigned>(std::stoul(Read()["count"]));
  return 0;
}
FAKE int nvmlDeviceGetHandleByIndex_v2(unsigned i, void** to) {
  *to = &devices[i][0];
  return 0;
}
FAKE int nvmlDeviceGetUUID(void* d, char* to, unsigned length) { return TextOf(d, "uuid", to, length); }
FAKE int nvmlDeviceGetName(void* d, char* to, unsigned length) { return TextOf(d, "name", to, length); }
FAKE int nvmlDeviceGetMinorNumber(void* d, unsigned* to) { return NumberOf(d, "minor", to); }
FAKE int nvmlDeviceGetPciInfo_v3(void* d, void* to) {
  // busIdLegacy[16], five 32-bit numbers, busId[32].
  return TextOf(d, "pci", static_cast<char*>(to) + 16 + 5 * 4, 32);
}
FAKE int nvmlDeviceGetMemoryInfo(void* d, unsigned long long* total_free_used) {
  const int code = NumberOf(d, "memory", &total_free_used[0]);
  total_free_used[1] = total_free_used[0];
  total_free_used[2] = 0;
  return code;
}
FAKE int nvmlDeviceGetCudaComputeCapability(void* d, int* major, int* minor) {
  int both = 0;
  const int code = NumberOf(d, "compute", &both);
  *major = both / 10;
  *minor = both % 10;
  return code;
}
FAKE int nvmlDeviceGetMigMode(void* d, unsigned* current, unsigned* pending) {
  *pending = 0;
  return NumberOf(d, "mig", current);
}
FAKE int nvmlDeviceGetMaxMigDeviceCount(void*, unsigned* to) {
  *to = 8;
  return 0;
}
FAKE int nvmlDeviceGetMigDeviceHandleByIndex(void* d, unsigned i, void** to) {
  *to = &devices[static_cast<FakeDevice*>(d)->gpu][i + 1];
  std::string uuid;
  return Value(*to, "uuid", &uuid) == 0 ? 0 : 6;
}
FAKE int nvmlDeviceGetGpuInstanceId(void* d, unsigned* to) { return NumberOf(d, "gi", to); }
FAKE int nvmlDeviceGetComputeInstanceId(void* d, unsigned* to) { return NumberOf(d, "ci", to); }
FAKE int nvmlDeviceGetPersistenceMode(void* d, int* to) { return NumberOf(d, "persistence", to); }
FAKE int nvmlDeviceGetComputeMode(void* d, int* to) { return NumberOf(d, "compute_mode", to); }
FAKE int nvmlDeviceGetClock(void* d, int clock, int id, unsigned* to) {
  const char* names[3][3] = {{"", "", ""},
                             {"sm_clock", "sm_target", "sm_default"},
                             {"mem_clock", "mem_target", "mem_default"}};
  return clock < 1 || clock > 2 || id < 0 || id > 2 ? kInvalid : NumberOf(d, names[clock][id], to);
}
FAKE int nvmlDeviceGetPowerUsage(void* d, unsigned* to) { return NumberOf(d, "power_mw", to); }
FAKE int nvmlDeviceGetEnforcedPowerLimit(void* d, unsigned* to) { return NumberOf(d, "limit_mw", to); }
FAKE int nvmlDeviceGetTotalEnergyConsumption(void* d, unsigned long long* to) {
  return NumberOf(d, "energy_mj", to);
}
FAKE int nvmlDeviceGetTemperature(void* d, int, unsigned* to) { return NumberOf(d, "temperature", to); }
FAKE int nvmlDeviceGetCurrentClocksEventReasons(void* d, unsigned long long* to) {
  return NumberOf(d, "throttle", to);
}
FAKE int nvmlDeviceGetTotalEccErrors(void* d, int type, int, unsigned long long* to) {
  return NumberOf(d, type == 0 ? "ecc_corrected" : "ecc_uncorrected", to);
}
FAKE int nvmlDeviceGetRemappedRows(void* d, unsigned* corrected, unsigned* uncorrected,
                                   unsigned* pending, unsigned* failed) {
  *corrected = *uncorrected = *pending = 0;
  return NumberOf(d, "rows_failed", failed);
}
struct FakeProcess {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};
FAKE int nvmlDeviceGetComputeRunningProcesses_v3(void* d, unsigned* count, FakeProcess* to) {
  std::string text;
  const int code = Value(d, "processes", &text);
  if (code != 0) return code;
  std::istringstream in(text);
  unsigned n = 0;
  for (unsigned pid; in >> pid; ++n) {
    if (n >= *count) return kSmall;
    to[n] = {pid, 64ull << 20, ~0u, ~0u};
  }
  *count = n;
  return 0;
}
FAKE int nvmlDeviceSetGpuLockedClocks(void* d, unsigned, unsigned) {
  int code = 4;
  NumberOf(d, "lock_clocks", &code);
  return code;
}
FAKE int nvmlDeviceResetGpuLockedClocks(void*) { return 0; }

// Each line "xid.NAME=N:CODE" of the file is one event, reported once.
FAKE int nvmlEventSetCreate(void** to) {
  *to = new std::set<std::string>;
  return 0;
}
FAKE int nvmlDeviceRegisterEvents(void*, unsigned long long, void*) { return 0; }
struct FakeEvent {
  void* device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};
FAKE int nvmlEventSetWait_v2(void* set, FakeEvent* to, unsigned timeout_ms) {
  auto& told = *static_cast<std::set<std::string>*>(set);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  do {
    for (const auto& [key, value] : Read()) {
      if (key.rfind("xid.", 0) != 0 || !told.insert(key).second) continue;
      *to = {&devices[std::stoi(value)][0], 8, std::stoull(value.substr(value.find(':') + 1)), ~0u, ~0u};
      return 0;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  } while (std::chrono::steady_clock::now() < end);
  return kTimeout;
}
FAKE int nvmlEventSetFree(void* set) {
  delete static_cast<std::set<std::string>*>(set);
  return 0;
}
