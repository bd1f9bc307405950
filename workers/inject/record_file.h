// Appends frames to one results file (format.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "workers/inject/format.h"

namespace sextant::inject {

// Owns the file and its mapped header. Any thread may append; frames of one thread keep their
// order. Nothing here throws or allocates while appending. A child made by fork lets go of the
// file: CUDA cannot be used in it, and what its parent recorded stays as it is.
class RecordFile {
 public:
  RecordFile() = default;
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  // False: no file; appends are then dropped.
  bool Open(const char* directory, const char* instrument);

  // One frame of up to two pieces, the first a multiple of 8 bytes where there are two. Drops it
  // (and counts that) where it cannot be written.
  bool Append(uint32_t type, const void* a, size_t a_bytes, const void* b = nullptr,
              size_t b_bytes = 0);
  bool Note(std::string_view sentence);

  // The mapped header; never null: a private one stands in where there is no file.
  FileHeader& header() { return *header_; }
  void SetState(FileState state);
  // State kFailed with a reason.
  void Fail(std::string_view sentence);

  // Called in a child after fork, by its only thread.
  void ForkedChild();

 private:
  int fd_ = -1;
  uint64_t max_bytes_ = 0;           // the process's limit on file size
  std::atomic<uint64_t> bytes_{0};   // appended so far
  std::atomic<bool> broken_{false};  // a write was cut short
  FileHeader unmapped_ = {};
  FileHeader* header_ = &unmapped_;
};

uint64_t MonotonicNs();

// While one lives the header says that a thread is inside the library: what tells our crash from
// the program's.
class Inside {
 public:
  explicit Inside(RecordFile& file) : header_(file.header()) {
    __atomic_fetch_add(&header_.inside, 1, __ATOMIC_RELAXED);
  }
  ~Inside() { __atomic_fetch_sub(&header_.inside, 1, __ATOMIC_RELAXED); }
  Inside(const Inside&) = delete;

 private:
  FileHeader& header_;
};

}  // namespace sextant::inject
