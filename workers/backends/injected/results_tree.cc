#include "workers/backends/injected/results_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sextant::backends::injected {

int ResultsTree::Open(const std::vector<std::string>& path, int flags) const {
  int at = open(results_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (size_t i = 0; i < path.size() && at >= 0; ++i) {
    if (path[i].empty() || path[i] == ".." || path[i].find('/') != std::string::npos) {
      close(at);
      errno = EINVAL;
      return -1;
    }
    const bool last = i + 1 == path.size();
    const int next = openat(at, path[i].c_str(),
                            (last ? flags : O_RDONLY | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
    const int error = errno;
    close(at);
    errno = error;
    at = next;
  }
  return at;
}

std::vector<std::string> ResultsTree::List(const std::vector<std::string>& folder,
                                           size_t most) const {
  std::vector<std::string> names;
  const int fd = Open(folder, O_RDONLY | O_DIRECTORY);
  DIR* const directory = fd >= 0 ? fdopendir(fd) : nullptr;
  if (directory == nullptr) {
    if (fd >= 0) close(fd);
    return names;
  }
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() >= most) break;
    names.push_back(name);
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> ResultsTree::Read(const std::vector<std::string>& path,
                                              uint64_t max_bytes) const {
  const std::string name = absl::StrJoin(path, "/");
  // A pipe must not make the worker wait.
  const int fd = Open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat(name, " cannot be opened"));
  struct stat about;
  absl::Status status;
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
    status = absl::InvalidArgumentError(absl::StrCat(name, " is no regular file"));
  } else if (static_cast<uint64_t>(about.st_size) > max_bytes) {
    status = absl::InvalidArgumentError(
        absl::StrCat(name, " has ", about.st_size, " bytes, at most ", max_bytes, " are read"));
  }
  std::string bytes;
  if (status.ok()) bytes.resize(static_cast<size_t>(about.st_size));
  size_t got = 0;
  while (status.ok() && got < bytes.size()) {
    const ssize_t n = read(fd, bytes.data() + got, bytes.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = absl::ErrnoToStatus(errno, absl::StrCat(name, " cannot be read"));
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  close(fd);
  if (!status.ok()) return status;
  bytes.resize(got);
  return bytes;
}

bool ResultsTree::Has(const std::vector<std::string>& path) const {
  const int fd = Open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return false;
  struct stat about;
  const bool regular = fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
  close(fd);
  return regular;
}

std::filesystem::path ResultsTree::Path(const std::vector<std::string>& path) const {
  std::filesystem::path whole = results_;
  for (const std::string& part : path) whole /= part;
  return whole;
}

}  // namespace sextant::backends::injected
