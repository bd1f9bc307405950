// Recordings: what a pass left, in one file (docs/recordings.md, proto/sextant/v1/recording.proto).
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sextant/v1/recording.pb.h"

namespace sextant::agent {

inline constexpr uint32_t kMaxRecordedFiles = 100'000;
inline constexpr uint64_t kMaxRecordedBytes = 4ull << 30;       // of all files, unpacked
inline constexpr uint32_t kMaxRecordingHeaderBytes = 32 << 20;  // a serialized Recording

// Writes `recording` and what lies beneath `root` (results/…, stdout, stderr) to `path`, which
// appears whole or not at all. Fills `recording.files`; takes files, environment and standard input
// out of its assignment. Only regular files are read. OUT_OF_RANGE: more than the limits above.
absl::Status WriteRecording(v1::Recording recording, const std::filesystem::path& root,
                            const std::filesystem::path& path);

// Unpacks the recording in `fd` into `root`, where results/ is, and returns what it says. Every
// byte is taken for hostile: INVALID_ARGUMENT (no recording, a path that leaves `root`),
// OUT_OF_RANGE (a limit, or `max_bytes` of files), DATA_LOSS (cut off or damaged). Files of a
// failed call may remain.
absl::StatusOr<v1::Recording> UnpackRecordingUntrusted(int fd, const std::filesystem::path& root,
                                                       uint64_t max_bytes);

}  // namespace sextant::agent
