// Kernel records of all processes of a pass, numbered, and the tables made of them. Pure: records
// in, tables out. Every backend that runs the `activity` instrument beside its own fills `launches`
// with it.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sextant/v1/table.pb.h"
#include "workers/backends/injected/reader.h"
#include "workers/inject/activity_format.h"
#include "workers/inject/kernels.h"

namespace sextant::backends::injected {

// What a digest of code is where it is not known.
inline constexpr char kNoDigest[] = "";

// One launch of a kernel that matches.
struct Launch {
  inject::KernelRecord record;  // start_ns and end_ns as recorded, CLOCK_MONOTONIC
  uint32_t process = 0;         // index in order of begin
  uint32_t pid = 0;             // of the process, as it sees itself
  uint32_t taken = 0;           // index of the process in the order of EndProcess
  int64_t number = 0;           // `launch` of the tables
  uint32_t kernel = 0;          // index into Launches::kernels
  bool ended = false;           // false: it was still running when the process ended
};

// A kernel: a name and a code.
struct Kernel {
  std::string name;  // demangled
  std::string mangled;
  std::string sass_digest;   // hex
  std::string cubin_digest;  // hex
  uint32_t registers = 0, static_shared_bytes = 0, local_bytes = 0;
  int32_t max_threads = -1;  // of a block, by launch bounds
  uint64_t launches = 0;
  uint64_t duration_ns = 0;  // sum over those that ended
};

// What a backend knows of a code beyond its launches; NaN and "" where it does not.
struct KernelFacts {
  double spill_store_bytes = std::numeric_limits<double>::quiet_NaN();
  double spill_load_bytes = std::numeric_limits<double>::quiet_NaN();
  std::string source;
  std::string options;
};

struct LaunchLimits {
  size_t max_launches = 4'000'000;  // of a pass; more are counted and left out
  size_t max_kernels = 64 * 1024;
};

// Gathers the frames of the `activity` instrument that are about launches.
class Launches {
 public:
  // `kernels` is workload.kernels, which has been checked; times of the tables are since
  // `began_ns` of CLOCK_MONOTONIC.
  Launches(const std::string& kernels, uint64_t began_ns, LaunchLimits limits = {});

  // From a FrameSink. True where the frame was about launches.
  bool Take(const Process& process, uint32_t type, std::string_view payload);

  // The frames of one process are all taken. Processes may come in any order.
  void EndProcess(const Process& process);

  // After all processes: numbers the launches.
  void Finish();

  // Sorted by process and number.
  const std::vector<Launch>& launches() const { return launches_; }
  const std::vector<Kernel>& kernels() const { return kernels_; }
  // Kernels that did not match, with how often they were launched; at most a few names.
  const std::map<std::string, uint64_t>& unmatched() const { return unmatched_; }
  uint64_t unmatched_launches() const { return unmatched_launches_; }
  // Why there is no launch, in a sentence; "" where there is one.
  std::string WhyNone() const;
  uint64_t left_out() const { return left_out_; }
  uint64_t malformed() const { return malformed_; }

  // The tables `launches` and `kernels` (docs/tables.md); `facts` by sass_digest.
  v1::DataTable LaunchTable() const;
  v1::DataTable KernelTable(const std::map<std::string, KernelFacts>& facts = {}) const;

 private:
  struct Pending {
    uint64_t opened_ns = 0;
    uint32_t pid = 0;
    uint32_t taken = 0;
    std::vector<Launch> launches;
  };
  struct Code {
    inject::FunctionRecord function;
    uint64_t loaded_ns = 0;
    std::string cubin_digest;
  };

  void TakeKernel(const inject::KernelRecord& record);
  bool Matches(const std::string& demangled);
  uint32_t KernelOf(const Process& process, const inject::KernelRecord& record);
  static void AddFacts(const Code* code, inject::KernelRecord* record);
  static uint32_t LocalBytes(const inject::KernelRecord& record, const Code* code);
  const Code* CodeOf(const inject::KernelRecord& record) const;

  const std::string expression_;
  inject::Kernels filter_;
  const uint64_t began_ns_;
  const LaunchLimits limits_;

  // Of the process whose frames are being taken:
  std::vector<inject::KernelRecord> ended_, running_;
  absl::flat_hash_map<uint32_t, inject::LaunchedRecord> launched_;  // by correlation
  absl::flat_hash_map<uint32_t, std::vector<Code>> codes_;          // by name
  absl::flat_hash_map<uint32_t, std::string> demangled_;            // by name
  absl::flat_hash_map<std::string, bool> matches_;                  // by demangled name

  std::map<uint32_t, inject::DeviceRecord> devices_;  // by CUPTI's id; the same in all processes
  std::map<uint32_t, std::string> device_names_;
  std::vector<Pending> processes_;
  std::vector<Launch> launches_;
  std::vector<Kernel> kernels_;
  absl::flat_hash_map<std::string, uint32_t> kernel_index_;  // by mangled name and digest
  std::map<std::string, uint64_t> unmatched_;
  uint64_t unmatched_launches_ = 0;
  uint64_t left_out_ = 0;
  uint64_t malformed_ = 0;
  uint64_t taken_ = 0;
};

}  // namespace sextant::backends::injected
