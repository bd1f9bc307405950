// What the environment asks of the library.
//
//   SEXTANT_INJECT           instruments, ',' between: "activity", "ir,activity", …
//   SEXTANT_INJECT_OPTIONS   "instrument.key=value", ';' between
//   SEXTANT_RESULTS          directory of the results, writable
//   SEXTANT_KERNELS          POSIX extended regular expression of demangled kernel names; empty: all
//   SEXTANT_INJECT_FAULT     "activity": that instrument crashes at its first records. For tests
//   SEXTANT_CUPTI            paths of libcupti, ':' between, tried where the program has none loaded
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sextant::inject {

// A value, read once when CUDA starts.
class Options {
 public:
  static Options FromEnvironment();

  const std::vector<std::string>& instruments() const { return instruments_; }
  const std::string& results() const { return results_; }
  const std::string& kernels() const { return kernels_; }
  const std::string& cupti() const { return cupti_; }

  // Of "instrument.key"; `absent` where it is not given.
  std::string_view Text(std::string_view name, std::string_view absent = "") const;
  uint64_t Number(std::string_view name, uint64_t absent) const;
  bool On(std::string_view name, bool absent) const { return Number(name, absent ? 1 : 0) != 0; }

 private:
  std::vector<std::string> instruments_;
  std::string results_;
  std::string kernels_;
  std::string cupti_;
  std::vector<std::pair<std::string, std::string>> values_;
};

}  // namespace sextant::inject
