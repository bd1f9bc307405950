// Files beneath a pass's results directory, for backends whose tools leave folders: nothing but
// regular files is read, and no link is followed on the way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::backends::injected {

class ResultsTree {
 public:
  explicit ResultsTree(std::filesystem::path results) : results_(std::move(results)) {}

  // Names in a folder, sorted; at most `most`. An absent folder is empty.
  std::vector<std::string> List(const std::vector<std::string>& folder, size_t most) const;

  // The whole file. NOT_FOUND; INVALID_ARGUMENT: no regular file, or more than `max_bytes`.
  absl::StatusOr<std::string> Read(const std::vector<std::string>& path, uint64_t max_bytes) const;

  // Whether such a regular file is there.
  bool Has(const std::vector<std::string>& path) const;

  std::filesystem::path Path(const std::vector<std::string>& path) const;

 private:
  // A descriptor, or −1 with errno.
  int Open(const std::vector<std::string>& path, int flags) const;

  const std::filesystem::path results_;
};

}  // namespace sextant::backends::injected
