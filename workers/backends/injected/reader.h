// The results files of the injection library (workers/inject/format.h), read as hostile: any byte
// of them may have been written by the program that was profiled.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "workers/inject/format.h"

namespace sextant::backends::injected {

struct ReadLimits {
  size_t max_files = 4096;  // of one instrument
  uint64_t max_file_bytes = uint64_t{4} << 30;
  size_t max_texts = 1u << 20;  // of one file
  size_t max_modules = 64 * 1024;
  size_t max_functions = 1u << 20;
  size_t max_notes = 16;
};

// What the header of a file says, and what became of its frames.
struct Header {
  uint32_t pid = 0;
  uint32_t parent_pid = 0;
  uint64_t process_start_ticks = 0;
  inject::FileState state = inject::kOpened;
  std::string instrument;
  std::string program;  // path of its executable
  std::string failure;  // why the instrument did not start, when state is kFailed
  uint64_t opened_monotonic_ns = 0;
  uint64_t last_write_monotonic_ns = 0;
  uint64_t dropped_frames = 0;
  uint64_t dropped_records = 0;
  uint32_t write_errno = 0;
  uint32_t inside = 0;  // threads that were inside the library when the process ended
  uint32_t cupti_version = 0;
  bool torn = false;     // frames end in the middle of one
  uint64_t foreign = 0;  // frames from the first on that did not check; nothing after was read
};

// One process under one instrument: the frames that all instruments write, in order. Ids of names
// are indices into `texts`; [0] is "".
struct Process {
  Header header;
  std::vector<std::string> texts = {""};
  std::vector<inject::ModuleRecord> modules;
  std::vector<inject::FunctionRecord> functions;
  std::vector<std::string> notes;

  // "" where the id is none of this file's.
  const std::string& Text(uint32_t id) const { return texts[id < texts.size() ? id : 0]; }
};

// Gets the frames that are an instrument's own. `process` has all names that were written before.
using FrameSink =
    std::function<void(const Process& process, uint32_t type, std::string_view payload)>;

// Names of the files of `instrument` in the results directory, sorted. `truncated` says that there
// were more than the limit.
absl::StatusOr<std::vector<std::string>> ListFiles(const std::filesystem::path& results,
                                                   const std::string& instrument, bool* truncated,
                                                   const ReadLimits& limits = {});

// Reads one file, frame by frame. INVALID_ARGUMENT: it is none of ours, or of another version; a
// torn or foreign frame only ends the reading.
absl::StatusOr<Process> ReadFile(const std::filesystem::path& path, const FrameSink& sink,
                                 const ReadLimits& limits = {});
absl::StatusOr<Process> ReadBytesUntrusted(std::string_view bytes, const FrameSink& sink,
                                           const ReadLimits& limits = {});

// Calls `use(record)` for each record of a payload that is an array; what is left over is not one.
template <typename Record, typename Use>
void ForRecords(std::string_view payload, Use&& use) {
  for (; payload.size() >= sizeof(Record); payload.remove_prefix(sizeof(Record))) {
    Record record;
    std::memcpy(&record, payload.data(), sizeof(record));
    use(record);
  }
}

}  // namespace sextant::backends::injected
