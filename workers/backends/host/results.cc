#include "workers/backends/host/results.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/include/sextant/detail/format.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"

namespace sextant::backends::host {
namespace {

constexpr size_t kMaxFileNameBytes = 64;
constexpr uint64_t kProcessBytes = SEXTANT_HEADER_BYTES + SEXTANT_NAMES_BYTES;
constexpr uint64_t kCounterBytes =
    SEXTANT_HEADER_BYTES + SEXTANT_COUNTER_SLOTS * sizeof(sextant_counter_slot);

// A file that is open for reading; closed with the object.
class OpenFile {
 public:
  static absl::StatusOr<OpenFile> Open(const std::filesystem::path& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return absl::ErrnoToStatus(errno, "cannot be opened");
    OpenFile file(fd);
    struct stat about;
    if (fstat(fd, &about) != 0) return absl::ErrnoToStatus(errno, "cannot be examined");
    if (!S_ISREG(about.st_mode)) return absl::InvalidArgumentError("is not a regular file");
    return file;
  }
  OpenFile(OpenFile&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }

  // The first `bytes` of the file, or all where it is shorter.
  absl::Status Read(uint64_t bytes, std::vector<uint8_t>* out) const {
    out->resize(bytes);
    uint64_t got = 0;
    while (got < bytes) {
      const ssize_t n = pread(fd_, out->data() + got, bytes - got, static_cast<off_t>(got));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return absl::ErrnoToStatus(errno, "cannot be read");
      if (n == 0) break;
      got += static_cast<uint64_t>(n);
    }
    out->resize(got);
    return absl::OkStatus();
  }

  uint64_t Size() const {
    struct stat about;
    return fstat(fd_, &about) == 0 && about.st_size > 0 ? static_cast<uint64_t>(about.st_size) : 0;
  }

 private:
  explicit OpenFile(int fd) : fd_(fd) {}
  int fd_;
};

absl::Status ReadThreadFile(const OpenFile& file, std::vector<uint8_t>* bytes) {
  RETURN_IF_ERROR(file.Read(SEXTANT_HEADER_BYTES, bytes));
  const uint64_t used = std::min(UsedBytesUntrusted(*bytes), file.Size());
  if (used <= bytes->size()) return absl::OkStatus();  // empty, or for the importer to refuse
  return file.Read(used, bytes);
}

void ImportEach(const std::filesystem::path& directory, const std::vector<std::string>& names,
                const std::function<absl::Status(const OpenFile&)>& import,
                HostImporter* importer) {
  for (const std::string& name : names) {
    absl::Status status;
    absl::StatusOr<OpenFile> file = OpenFile::Open(directory / name);
    status = file.ok() ? import(*file) : file.status();
    if (!status.ok()) {
      importer->Note(absl::StrCat("results file ", chunk::CleanName(name, kMaxFileNameBytes),
                                  " was left out: ", status.message()));
    }
  }
}

}  // namespace

absl::StatusOr<ResultFiles> ListResults(const std::filesystem::path& directory, size_t max_files) {
  ResultFiles files;
  std::error_code error;
  size_t seen = 0;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (++seen > max_files) {
      files.truncated = true;
      break;
    }
    const std::string name = entry->path().filename().string();
    if (!absl::StartsWith(name, "sextant-") || name.size() > kMaxFileNameBytes) continue;
    if (absl::EndsWith(name, ".process")) files.processes.push_back(name);
    if (absl::EndsWith(name, ".thread")) files.threads.push_back(name);
    if (absl::EndsWith(name, ".counters")) files.counters.push_back(name);
  }
  if (error) {
    return absl::InternalError(
        absl::StrCat("results directory ", directory.string(), ": ", error.message()));
  }
  // The order of a directory is accidental; the result must not be.
  std::sort(files.processes.begin(), files.processes.end());
  std::sort(files.threads.begin(), files.threads.end());
  std::sort(files.counters.begin(), files.counters.end());
  return files;
}

void ImportResults(const std::filesystem::path& directory, const ResultFiles& files,
                   HostImporter* importer) {
  std::vector<uint8_t> bytes;
  ImportEach(
      directory, files.processes,
      [&](const OpenFile& file) -> absl::Status {
        RETURN_IF_ERROR(file.Read(kProcessBytes, &bytes));
        return importer->AddProcess(bytes);
      },
      importer);
  ImportEach(
      directory, files.threads,
      [&](const OpenFile& file) -> absl::Status {
        RETURN_IF_ERROR(ReadThreadFile(file, &bytes));
        return importer->AddThread(bytes);
      },
      importer);
  ImportEach(
      directory, files.counters,
      [&](const OpenFile& file) -> absl::Status {
        RETURN_IF_ERROR(file.Read(kCounterBytes, &bytes));
        return importer->AddCounters(bytes);
      },
      importer);
  if (files.truncated)
    importer->Note("the results directory has too many files; not all were read");
}

}  // namespace sextant::backends::host
