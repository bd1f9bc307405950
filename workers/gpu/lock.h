// The lock of one GPU on this machine: two workers of one machine never measure on it at once.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"

namespace sextant::gpu {

// Held from Try until it is destroyed, also by the end of the process. The file stays: removing it
// would let two hold the lock.
class GpuLock {
 public:
  GpuLock() = default;
  GpuLock(GpuLock&& other) noexcept;
  GpuLock& operator=(GpuLock&& other) noexcept;
  ~GpuLock();

  // UNAVAILABLE: somebody else holds it. FAILED_PRECONDITION: the file cannot be opened; the
  // message names it.
  static absl::StatusOr<GpuLock> Try(const std::filesystem::path& directory,
                                     const std::string& uuid);

  // Lets go of it before its end.
  void Release();

  // Where all workers of a machine meet: /run/lock, else /tmp.
  static std::filesystem::path DefaultDirectory();

 private:
  explicit GpuLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace sextant::gpu
