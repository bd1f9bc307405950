// The GPUs of this machine, as the worker uses them: what there is, who may measure, who is well.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "workers/gpu/driver_files.h"
#include "workers/gpu/gpu.h"
#include "workers/gpu/lock.h"
#include "workers/gpu/nvml.h"

namespace sextant::gpu {

struct PoolOptions {
  std::filesystem::path driver_root = "/";
  std::filesystem::path lock_directory;  // empty: GpuLock::DefaultDirectory
  unsigned lock_clocks_mhz = 0;          // 0: clocks are left as they are
};

// Owns the library, the inventory and the thread that hears of Xid errors. Thread-safe.
class Pool {
 public:
  // Never fails: without a driver the pool is empty and why_none() says so.
  static std::unique_ptr<Pool> Open(PoolOptions options);
  ~Pool();

  const std::vector<Gpu>& gpus() const { return gpus_; }
  const Gpu* Find(const std::string& device) const;  // null: not a GPU of this machine
  const std::string& why_none() const { return why_none_; }
  const DriverFiles& driver_files() const { return driver_files_; }
  const PoolOptions& options() const { return options_; }

  // See GpuLock::Try. MIG instances of one GPU lock apart.
  absl::StatusOr<GpuLock> Lock(const Gpu& gpu) const;

  Snapshot Read(const Gpu& gpu) const;

  // Looks at it now: why nothing should be measured on it, empty when it is well. The answer is
  // remembered for Unhealthy().
  std::string Check(const Gpu& gpu) ABSL_LOCKS_EXCLUDED(mutex_);
  // What the last Check said.
  std::string Unhealthy(const Gpu& gpu) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Xid errors since the last call, in order.
  std::vector<uint64_t> TakeXids(const Gpu& gpu) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  explicit Pool(PoolOptions options) : options_(std::move(options)) {}
  void LockClocks();
  void ListenForXids();

  const PoolOptions options_;
  std::unique_ptr<Nvml> nvml_;  // null: no driver
  std::vector<Gpu> gpus_;
  std::string why_none_;
  DriverFiles driver_files_;
  std::map<std::string, Snapshot> at_start_;  // by device

  mutable absl::Mutex mutex_;
  std::map<std::string, std::string> unhealthy_ ABSL_GUARDED_BY(mutex_);         // by device
  std::map<std::string, std::vector<uint64_t>> xids_ ABSL_GUARDED_BY(mutex_);    // by device
  std::map<std::string, std::string> broken_ ABSL_GUARDED_BY(mutex_);  // by device: its fatal Xids
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  nvml::EventSet events_ = nullptr;
  std::thread listener_;
};

}  // namespace sextant::gpu
