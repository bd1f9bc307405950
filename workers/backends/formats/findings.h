// The table `findings` (docs/tables.md): what checkers and advisers found, row by row.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/table/table.h"

namespace sextant::backends::formats {

struct Finding {
  std::string tool;      // "memcheck", "racecheck", …, "ncu"
  std::string kind;      // in the tool's words: "Invalid __global__ write"
  std::string severity;  // "error", "warning", "info"
  std::string message;
  std::string kernel;   // demangled; "": on the host
  int64_t launch = -1;  // -1: not known
  std::string file;
  int64_t line = 0;
  std::string function;  // the device function, where it is not the kernel
  uint64_t address = 0;
  uint64_t size_bytes = 0;  // of the access, or of what leaked
  int64_t thread[3] = {0, 0, 0};
  int64_t block[3] = {0, 0, 0};
  int64_t count = 1;  // how often the same was found
};

// Owns the table while it grows. One thread.
class FindingsTable {
 public:
  FindingsTable();
  void Add(const Finding& finding);
  uint64_t rows() const { return table_.rows(); }
  uint64_t dropped_rows() const { return table_.dropped_rows(); }
  v1::DataTable Finish() { return table_.Finish(); }

 private:
  table::Builder table_;
  table::Builder::TextColumn tool_, kind_, severity_, message_, kernel_;
  table::Builder::IntColumn launch_;
  table::Builder::TextColumn file_;
  table::Builder::IntColumn line_;
  table::Builder::TextColumn function_;
  table::Builder::TextColumn address_;  // hexadecimal: it may use all 64 bits
  table::Builder::IntColumn size_bytes_;
  table::Builder::IntColumn thread_[3], block_[3];
  table::Builder::IntColumn count_;
};

}  // namespace sextant::backends::formats
