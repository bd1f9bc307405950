#include "workers/backends/injected/reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"

namespace sextant::backends::injected {
namespace {

constexpr size_t kMaxFileNameBytes = 128;
constexpr size_t kMaxTextBytes = 4096;

// Where bytes come from, front to back.
class Source {
 public:
  virtual ~Source() = default;
  // The next `count` bytes, or fewer at the end. Valid until the next call.
  virtual absl::StatusOr<std::string_view> Next(size_t count) = 0;
};

class Bytes : public Source {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}
  absl::StatusOr<std::string_view> Next(size_t count) override {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

// A regular file that is not a link; read with pread, because a mapped file that is cut short while
// it is read would kill the worker.
class File : public Source {
 public:
  ~File() override {
    if (fd_ >= 0) close(fd_);
  }
  absl::Status Open(const std::filesystem::path& path, uint64_t max_bytes) {
    fd_ = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) return absl::ErrnoToStatus(errno, "cannot be opened");
    struct stat about;
    if (fstat(fd_, &about) != 0) return absl::ErrnoToStatus(errno, "cannot be examined");
    if (!S_ISREG(about.st_mode)) return absl::InvalidArgumentError("is not a regular file");
    if (static_cast<uint64_t>(about.st_size) > max_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("has ", about.st_size, " bytes, at most ", max_bytes, " are read"));
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::string_view> Next(size_t count) override {
    buffer_.resize(count);
    size_t got = 0;
    while (got < count) {
      const ssize_t n = read(fd_, buffer_.data() + got, count - got);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return absl::ErrnoToStatus(errno, "cannot be read");
      if (n == 0) break;
      got += static_cast<size_t>(n);
    }
    return std::string_view(buffer_).substr(0, got);
  }

 private:
  int fd_ = -1;
  std::string buffer_;
};

template <size_t N>
std::string CleanText(const char (&text)[N]) {
  return chunk::CleanName(std::string_view(text, strnlen(text, N)), N);
}

absl::Status ReadHeader(std::string_view bytes, Header* header) {
  inject::FileHeader raw;
  if (bytes.size() < inject::kHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes.size(), " bytes are less than its header"));
  }
  std::memcpy(&raw, bytes.data(), sizeof(raw));
  if (std::memcmp(raw.magic, inject::kFileMagic, sizeof(raw.magic)) != 0) {
    return absl::InvalidArgumentError("magic is not that of an injection file");
  }
  if (raw.version != inject::kFormatVersion) {
    return absl::InvalidArgumentError(
        absl::StrCat("version ", raw.version, ", this worker reads ", inject::kFormatVersion));
  }
  if (raw.state < inject::kOpened || raw.state > inject::kFailed) {
    return absl::InvalidArgumentError(absl::StrCat("state ", raw.state, " is none"));
  }
  header->pid = raw.pid;
  header->parent_pid = raw.parent_pid;
  header->process_start_ticks = raw.process_start_ticks;
  header->state = static_cast<inject::FileState>(raw.state);
  header->instrument = CleanText(raw.instrument);
  header->program = CleanText(raw.program);
  header->failure = CleanText(raw.failure);
  header->opened_monotonic_ns = raw.opened_monotonic_ns;
  header->last_write_monotonic_ns = raw.last_write_monotonic_ns;
  header->dropped_frames = raw.dropped_frames;
  header->dropped_records = raw.dropped_records;
  header->write_errno = raw.write_errno;
  header->inside = raw.inside;
  header->cupti_version = raw.cupti_version;
  return absl::OkStatus();
}

// Takes the frames that are common; false for one that is the instrument's.
bool TakeCommon(uint32_t type, std::string_view payload, const ReadLimits& limits,
                Process* process) {
  switch (type) {
    case inject::kText: {
      uint64_t id = 0;
      if (payload.size() < sizeof(id)) return true;
      std::memcpy(&id, payload.data(), sizeof(id));
      // The library numbers them as it writes them; others are not its.
      if (id != process->texts.size() || id >= limits.max_texts) return true;
      process->texts.emplace_back(payload.substr(sizeof(id), kMaxTextBytes));
      return true;
    }
    case inject::kNote:
      if (process->notes.size() < limits.max_notes) {
        process->notes.push_back(chunk::CleanName(payload, 1024));
      }
      return true;
    case inject::kModule:
      ForRecords<inject::ModuleRecord>(payload, [&](const inject::ModuleRecord& record) {
        if (process->modules.size() < limits.max_modules) process->modules.push_back(record);
      });
      return true;
    case inject::kFunction:
      ForRecords<inject::FunctionRecord>(payload, [&](const inject::FunctionRecord& record) {
        if (process->functions.size() < limits.max_functions) process->functions.push_back(record);
      });
      return true;
    default:
      return false;
  }
}

absl::StatusOr<Process> Read(Source& source, const FrameSink& sink, const ReadLimits& limits) {
  Process process;
  ASSIGN_OR_RETURN(const std::string_view header, source.Next(inject::kHeaderBytes));
  RETURN_IF_ERROR(ReadHeader(header, &process.header));
  for (;;) {
    ASSIGN_OR_RETURN(const std::string_view head, source.Next(sizeof(inject::FrameHeader)));
    if (head.empty()) return process;
    inject::FrameHeader frame;
    process.header.torn = head.size() < sizeof(frame);
    if (process.header.torn) return process;
    std::memcpy(&frame, head.data(), sizeof(frame));
    if (frame.length > inject::kMaxPayloadBytes) {
      process.header.foreign = 1;
      return process;
    }
    const size_t padded = (frame.length + 7) / 8 * 8;
    ASSIGN_OR_RETURN(std::string_view payload, source.Next(padded));
    process.header.torn = payload.size() < padded;
    if (process.header.torn) return process;
    payload = payload.substr(0, frame.length);
    const uint32_t check = inject::CheckEnd(
        inject::CheckMore(inject::CheckBegin(frame.type), payload.data(), payload.size()));
    if (check != frame.check) {
      process.header.foreign = 1;
      return process;
    }
    if (!TakeCommon(frame.type, payload, limits, &process)) sink(process, frame.type, payload);
  }
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ListFiles(const std::filesystem::path& results,
                                                   const std::string& instrument, bool* truncated,
                                                   const ReadLimits& limits) {
  std::vector<std::string> names;
  *truncated = false;
  const std::string part = absl::StrCat("-", instrument, ".");
  std::error_code error;
  std::filesystem::directory_iterator entry(results, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!absl::StartsWith(name, "inject-") || !absl::EndsWith(name, ".bin") ||
        !absl::StrContains(name, part) || name.size() > kMaxFileNameBytes) {
      continue;
    }
    if (names.size() == limits.max_files) {
      *truncated = true;
      break;
    }
    names.push_back(name);
  }
  if (error) {
    return absl::InternalError(
        absl::StrCat("results directory ", results.string(), ": ", error.message()));
  }
  std::sort(names.begin(), names.end());  // the order of a directory is accidental
  return names;
}

absl::StatusOr<Process> ReadFile(const std::filesystem::path& path, const FrameSink& sink,
                                 const ReadLimits& limits) {
  File file;
  RETURN_IF_ERROR(file.Open(path, limits.max_file_bytes));
  return Read(file, sink, limits);
}

absl::StatusOr<Process> ReadBytesUntrusted(std::string_view bytes, const FrameSink& sink,
                                           const ReadLimits& limits) {
  Bytes source(bytes);
  return Read(source, sink, limits);
}

}  // namespace sextant::backends::injected
