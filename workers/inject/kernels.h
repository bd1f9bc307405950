// What is common to all instruments that look at kernels: which of them matter, and their numbers.
#pragma once

#include <regex.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace sextant::inject {

// A kernel's name as people know it; the mangled one where it is none of C++.
std::string Demangle(const char* mangled);

// Numbers launches so that all instruments agree: 0, 1, … over the launches of kernels that match
// SEXTANT_KERNELS and that CUDA accepted, in the order of their API calls. Kernels of a graph count
// one by one at its launch, in the order of CUPTI's ids of their nodes.
//
// An instrument that sees API calls asks Next() where the call begins and calls Count() where it
// ended well, holding a lock of its own over both when several threads launch. One that sees
// records afterwards (activity) leaves numbering to its backend, which sorts by (correlation, node).
class Kernels {
 public:
  // False: the expression does not compile, `why` says so, and every kernel matches.
  bool SetFilter(const std::string& expression, std::string* why);

  bool Matches(const std::string& demangled) const;

  int64_t Next() const { return launches_.load(std::memory_order_relaxed); }
  void Count(int64_t launches = 1) { launches_.fetch_add(launches, std::memory_order_relaxed); }

 private:
  regex_t filter_ = {};
  bool has_filter_ = false;
  std::atomic<int64_t> launches_{0};
};

}  // namespace sextant::inject
