// Small owners of file descriptors, and files in memory.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace sextant::sandbox {

// Owns one file descriptor; −1 is none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;   // does not block
  Fd write;
};

// Every descriptor here is closed on exec. Failure is RESOURCE_EXHAUSTED naming `what`.
absl::StatusOr<Pipe> MakePipe(const char* what);
absl::StatusOr<Fd> MakeMemoryFile(const char* name, std::string_view text);

// The same file again, with an offset of its own, for reading.
absl::StatusOr<Fd> Reopen(const Fd& file);

// At most `limit` bytes; empty if it cannot be read.
std::string ReadSmallFile(const std::string& path, size_t limit = 1 << 16);

// False and errno on failure.
bool WriteSmallFile(const std::string& path, std::string_view text);

}  // namespace sextant::sandbox
