#include "workers/backends/result_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sextant::backends {
namespace fs = std::filesystem;

absl::StatusOr<std::string> ReadResultFile(const fs::path& path, uint64_t max_bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("results file ", path.filename().string()));
  }
  std::string bytes;
  absl::Status status;
  struct stat about;
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
    status = absl::InvalidArgumentError(
        absl::StrCat("results file ", path.filename().string(), " is not a regular file"));
  } else if (static_cast<uint64_t>(about.st_size) > max_bytes) {
    status = absl::ResourceExhaustedError(
        absl::StrCat("results file ", path.filename().string(), " has ", about.st_size,
                     " bytes, more than ", max_bytes, " are not read"));
  } else {
    bytes.resize(static_cast<size_t>(about.st_size));
    size_t got = 0;
    while (got < bytes.size()) {
      const ssize_t n = read(fd, bytes.data() + got, bytes.size() - got);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) status = absl::ErrnoToStatus(errno, "reading a results file");
      if (n <= 0) break;
      got += static_cast<size_t>(n);
    }
    bytes.resize(got);
  }
  close(fd);
  if (!status.ok()) return status;
  return bytes;
}

std::vector<std::string> ListResultFiles(const fs::path& directory, size_t max_files) {
  std::vector<std::string> names;
  std::error_code error;
  if (fs::is_symlink(directory, error)) return names;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator() && names.size() < max_files;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace sextant::backends
