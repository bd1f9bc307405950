#include "workers/gpu/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sextant::gpu {
namespace {

// Any user's worker may take the lock, whoever made the file, so reading it is enough; and opening
// to create is tried last, because a sticky directory refuses that for another user's file.
int OpenLockFile(const std::string& path) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 || errno != ENOENT) return fd;
    fd = open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0) fchmod(fd, 0644);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

}  // namespace

GpuLock::GpuLock(GpuLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

GpuLock& GpuLock::operator=(GpuLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

GpuLock::~GpuLock() { Release(); }

void GpuLock::Release() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

absl::StatusOr<GpuLock> GpuLock::Try(const std::filesystem::path& directory,
                                     const std::string& uuid) {
  const std::string path = (directory / absl::StrCat("sextant-", uuid, ".lock")).string();
  GpuLock lock(OpenLockFile(path));
  if (lock.fd_ < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the GPU's lock ", path, ": ", std::strerror(errno)));
  }
  while (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) {
      return absl::UnavailableError(absl::StrCat("another worker of this machine holds ", path));
    }
    return absl::FailedPreconditionError(absl::StrCat("locking ", path, ": ", std::strerror(errno)));
  }
  return lock;
}

std::filesystem::path GpuLock::DefaultDirectory() {
  return access("/run/lock", W_OK | X_OK) == 0 ? "/run/lock" : "/tmp";
}

}  // namespace sextant::gpu
