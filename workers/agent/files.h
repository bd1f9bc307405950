// Files where a hostile program may have been: everything is opened beneath a directory, without
// following links, and removed whatever its shape.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sextant::agent {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int Release();

 private:
  int fd_ = -1;
};

// RESOURCE_EXHAUSTED for a full disk or quota, NOT_FOUND, PERMISSION_DENIED, else INTERNAL; the
// message is `what` and the system's text.
absl::Status ErrnoStatus(int error, absl::string_view what);

absl::StatusOr<Fd> OpenDirectory(const std::filesystem::path& path);

// Opens `path` beneath `directory`. Links, "..", absolute paths and other mounts on the way are
// INVALID_ARGUMENT.
absl::StatusOr<Fd> OpenBeneath(int directory, const std::string& path, int flags, mode_t mode = 0);

// As OpenBeneath for reading, and only a regular file; anything else is INVALID_ARGUMENT.
absl::StatusOr<Fd> OpenRegularBeneath(int directory, const std::string& path);

// Creates the directories that lead to `path` (not the last component).
absl::Status MakeParentsBeneath(int directory, const std::string& path);

absl::Status WriteAll(int fd, std::string_view content);
absl::StatusOr<uint64_t> SizeOf(int fd);

// Reads [offset, offset + length) in pieces of at most 512 KiB. OUT_OF_RANGE: the file is shorter.
absl::Status ReadPieces(int fd, uint64_t offset, uint64_t length,
                        const std::function<absl::Status(std::string_view)>& piece);

// Copies all of `from` without reading it into memory where the file systems can.
absl::Status CopyAll(int from, int to);

absl::Status SyncDirectory(const std::filesystem::path& path);

// Makes a directory private to the worker unless it is there (0711: the sandbox's user may pass
// through, not look).
absl::Status MakeDirectory(const std::filesystem::path& path, mode_t mode);

// Removes `path` and all below, however deep, whatever its modes. Needs no recursion and a constant
// number of descriptors. A missing path is success.
absl::Status RemoveTree(const std::filesystem::path& path);

}  // namespace sextant::agent
