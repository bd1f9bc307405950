// What the benchmarks share.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sextant::bench {

double NowS();             // monotonic
std::string Machine();     // processor, cores, system
double Quantile(std::vector<double> values, double q);

// Prints the message and ends the program when something went wrong.
void Check(const absl::Status& status);
template <typename T>
T Check(absl::StatusOr<T> value) {
  Check(value.status());
  return *std::move(value);
}

// The last line of a benchmark: {"bench":…,"machine":…,"figures":{…}}.
class Figures {
 public:
  void Add(const std::string& name, double value) { figures_.emplace_back(name, value); }
  void Print(const std::string& bench) const;

 private:
  std::vector<std::pair<std::string, double>> figures_;
};

// An empty directory in TMPDIR, removed with the object.
class Directory {
 public:
  Directory();
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Runs a program to its end with its output going to ours. INTERNAL: it failed.
absl::Status RunProgram(const std::vector<std::string>& argv,
                        const std::vector<std::string>& more_env = {});

}  // namespace sextant::bench
