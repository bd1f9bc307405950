#include "workers/sandbox/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sextant::sandbox {

void Fd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

absl::StatusOr<Pipe> MakePipe(const char* what) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a pipe for ", what, ": ", strerror(errno), "; raise the worker's open files"));
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

absl::StatusOr<Fd> MakeMemoryFile(const char* name, std::string_view text) {
  Fd file(memfd_create(name, MFD_CLOEXEC));
  size_t done = 0;
  while (file.valid() && done < text.size()) {
    const ssize_t n = write(file.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) file.reset();
    if (n > 0) done += static_cast<size_t>(n);
  }
  if (!file.valid()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a file in memory (", name, "): ", strerror(errno)));
  }
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

absl::StatusOr<Fd> Reopen(const Fd& file) {
  Fd again(open(absl::StrCat("/proc/self/fd/", file.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!again.valid()) {
    return absl::ResourceExhaustedError(absl::StrCat("opening a file in memory again: ",
                                                     strerror(errno)));
  }
  return again;
}

std::string ReadSmallFile(const std::string& path, size_t limit) {
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  while (file.valid() && text.size() < limit) {
    const ssize_t n = read(file.get(), buffer, std::min(sizeof buffer, limit - text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

bool WriteSmallFile(const std::string& path, std::string_view text) {
  Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() &&
         write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace sextant::sandbox
