// One of a program's two outputs, on its way from a pipe into a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "workers/sandbox/files.h"

namespace sextant::sandbox {

inline constexpr size_t kStreamBufferBytes = 64 << 10;

// Owned and used by the thread that waits for the run.
class Stream {
 public:
  explicit Stream(const char* name) : name_(name) {}

  // Bytes go to a new file at `path` (empty: nowhere), at most `limit` of them (0: all). A file that
  // cannot be made or written is no error of the program's: see write_error.
  void Open(Fd pipe, const std::filesystem::path& path, uint64_t limit);

  // Takes what is there, up to a bound; `buffer` holds kStreamBufferBytes. True when there was
  // something.
  bool Drain(std::vector<char>& buffer);

  // What comes now is not taken any more, and the writer notices.
  void Close() { pipe_.reset(); }

  const Fd& pipe() const { return pipe_; }
  const char* name() const { return name_; }
  uint64_t limit() const { return limit_; }
  uint64_t bytes() const { return bytes_; }  // kept
  bool over() const { return over_; }        // there was more than the limit
  const std::string& tail() const { return tail_; }  // the last bytes kept
  const std::string& write_error() const { return write_error_; }

 private:
  void Keep(const char* data, size_t size);

  const char* const name_;
  Fd pipe_, file_;
  uint64_t limit_ = 0;
  uint64_t bytes_ = 0;
  bool over_ = false;
  std::string tail_;
  std::string write_error_;
};

}  // namespace sextant::sandbox
