// Files of a tool, put where the backend that runs the tool expects them after a run.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"
#include "workers/backends/import/kind.h"

namespace sextant::backends::import {

inline constexpr uint64_t kMaxUnpackedBytes = uint64_t{4} << 30;   // of one gzipped file
inline constexpr size_t kMaxFiles = 10'000;                        // of one pass

// A file as it was sent.
struct Input {
  std::filesystem::path path;   // on this machine
  std::string name;             // as it was called, without its folder and ".gz"
  Kind kind = Kind::kChrome;
  bool gzipped = false;
};

// What the files are. `only`: option kind, a tool, or "". Files that are of no known kind are left out, with
// a note, when others are. INVALID_ARGUMENT names the file: none is known, they are of two tools, or not of
// `only`.
absl::StatusOr<std::vector<Input>> Recognise(const std::vector<std::filesystem::path>& files,
                                             const std::string& only,
                                             std::vector<std::string>* notes);

// What cannot be told from a buffer of Proton's.
struct BufferNames {
  std::string kernel;
  std::vector<std::string> scopes;   // by scope id
};

// Moves the files of one tool beneath `results`, and returns the pass that would have left them: a backend
// with its options. INVALID_ARGUMENT names the file and what is missing. For the tools whose files no
// backend leaves (kineto, chrome) nothing is moved, and the backend has the tool's name.
absl::StatusOr<v1::PassSpec> LayOut(const std::vector<Input>& inputs, const BufferNames& names,
                                    const std::filesystem::path& results);

// The whole file, unpacked where it was gzipped.
absl::StatusOr<std::string> ReadInput(const Input& input);

}  // namespace sextant::backends::import
