#include "workers/agent/files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/status/status.h"

namespace sextant::agent {
namespace {

constexpr size_t kPieceBytes = 512 << 10;

// A kernel before 5.6 or a filter that hides openat2: the same walk, one component at a time.
int OpenStepwise(int directory, const std::string& path, int flags, mode_t mode) {
  if (path.empty() || path[0] == '/') return errno = EXDEV, -1;
  std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  if (parts.empty()) return errno = EINVAL, -1;
  Fd held;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == "..") return errno = EXDEV, -1;
    const int from = held.ok() ? held.get() : directory;
    const bool last = i + 1 == parts.size();
    const int fd =
        last ? openat(from, parts[i].c_str(), flags | O_NOFOLLOW, mode)
             : openat(from, parts[i].c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    held = Fd(fd);
  }
  return held.Release();
}

int OpenBeneathRaw(int directory, const std::string& path, int flags, mode_t mode) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const long fd = syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how);
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
    return OpenStepwise(directory, path, flags | O_CLOEXEC, mode);
  }
  return static_cast<int>(fd);
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = other.Release();
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

int Fd::Release() {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

absl::Status ErrnoStatus(int error, absl::string_view what) {
  const std::string message = absl::StrCat(what, ": ", strerror(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
    case EISDIR:
    case ENXIO:
      return absl::InvalidArgumentError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::StatusOr<Fd> OpenDirectory(const std::filesystem::path& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.ok()) return ErrnoStatus(errno, path.string());
  return fd;
}

absl::StatusOr<Fd> OpenBeneath(int directory, const std::string& path, int flags, mode_t mode) {
  Fd fd(OpenBeneathRaw(directory, path, flags, mode));
  if (!fd.ok()) return ErrnoStatus(errno, path);
  return fd;
}

absl::StatusOr<Fd> OpenRegularBeneath(int directory, const std::string& path) {
  // O_NONBLOCK: a pipe or a device must not hold the worker.
  ASSIGN_OR_RETURN(Fd fd, OpenBeneath(directory, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat facts;
  if (fstat(fd.get(), &facts) != 0) return ErrnoStatus(errno, path);
  if (!S_ISREG(facts.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  return fd;
}

absl::Status MakeParentsBeneath(int directory, const std::string& path) {
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (parent.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": not relative"));
    Fd above;
    const size_t before = parent.rfind('/');
    int in = directory;
    if (before != std::string::npos) {
      ASSIGN_OR_RETURN(above,
                       OpenBeneath(directory, parent.substr(0, before), O_RDONLY | O_DIRECTORY));
      in = above.get();
    }
    const std::string name = before == std::string::npos ? parent : parent.substr(before + 1);
    if (name.empty() || name == "." || name == "..") {
      return absl::InvalidArgumentError(absl::StrCat(path, ": has an empty, \".\" or \"..\" part"));
    }
    if (mkdirat(in, name.c_str(), 0755) != 0) {
      if (errno == EEXIST) continue;
      return ErrnoStatus(errno, parent);
    }
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "writing");
    }
    content.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> SizeOf(int fd) {
  struct stat facts;
  if (fstat(fd, &facts) != 0) return ErrnoStatus(errno, "fstat");
  return static_cast<uint64_t>(facts.st_size);
}

absl::Status ReadPieces(int fd, uint64_t offset, uint64_t length,
                        const std::function<absl::Status(std::string_view)>& piece) {
  std::vector<char> buffer(std::min<uint64_t>(kPieceBytes, length));
  while (length > 0) {
    const ssize_t n = pread(fd, buffer.data(), std::min<uint64_t>(buffer.size(), length),
                            static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "reading");
    }
    if (n == 0) return absl::OutOfRangeError("the file is shorter than expected");
    RETURN_IF_ERROR(piece(std::string_view(buffer.data(), static_cast<size_t>(n))));
    offset += static_cast<uint64_t>(n);
    length -= static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

absl::Status CopyAll(int from, int to) {
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(from));
  uint64_t done = 0;
  while (done < size) {
    loff_t in = static_cast<loff_t>(done);
    loff_t out = static_cast<loff_t>(done);
    const ssize_t n = copy_file_range(from, &in, to, &out, size - done, 0);
    if (n > 0) {
      done += static_cast<uint64_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) return ErrnoStatus(errno, "copying");
    if (lseek(to, static_cast<off_t>(done), SEEK_SET) < 0) return ErrnoStatus(errno, "copying");
    return ReadPieces(from, done, size - done,
                      [to](std::string_view piece) { return WriteAll(to, piece); });
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(Fd fd, OpenDirectory(path));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, path.string());
  return absl::OkStatus();
}

absl::Status MakeDirectory(const std::filesystem::path& path, mode_t mode) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) return ErrnoStatus(error.value(), path.string());
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return ErrnoStatus(errno, path.string());
  if (chmod(path.c_str(), mode) != 0) return ErrnoStatus(errno, path.string());
  return absl::OkStatus();
}

}  // namespace sextant::agent
