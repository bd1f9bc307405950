// The recorders' files in a pass's results directory, read as hostile input: nothing but regular
// files is opened, links are not followed, and no more is read than a recorder may have written.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/backends/host/importer.h"

namespace sextant::backends::host {

struct ResultFiles {
  std::vector<std::string> processes;  // file names
  std::vector<std::string> threads;
  std::vector<std::string> counters;
  bool truncated = false;  // there were more than `max_files`
};

absl::StatusOr<ResultFiles> ListResults(const std::filesystem::path& directory,
                                        size_t max_files = 128 * 1024);

// Hands every file to the importer; a file it refuses becomes a note.
void ImportResults(const std::filesystem::path& directory, const ResultFiles& files,
                   HostImporter* importer);

}  // namespace sextant::backends::host
