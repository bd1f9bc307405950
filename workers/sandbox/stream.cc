#include "workers/sandbox/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <utility>

namespace sextant::sandbox {
namespace {

constexpr int kReadsAtOnce = 16;  // so that a flood does not keep us from looking at the limits
constexpr size_t kTailBytes = 500;

}  // namespace

void Stream::Open(Fd pipe, const std::filesystem::path& path, uint64_t limit) {
  pipe_ = std::move(pipe);
  limit_ = limit;
  if (path.empty()) return;
  file_ = Fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file_.valid()) write_error_ = strerror(errno);
}

bool Stream::Drain(std::vector<char>& buffer) {
  bool any = false;
  for (int i = 0; pipe_.valid() && i < kReadsAtOnce; ++i) {
    const ssize_t n = read(pipe_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      pipe_.reset();
      break;
    }
    any = true;
    Keep(buffer.data(), static_cast<size_t>(n));
    if (over_) break;  // the rest is thrown away once the program is stopped
  }
  return any;
}

void Stream::Keep(const char* data, size_t size) {
  if (limit_ > 0 && size > limit_ - bytes_) {
    size = limit_ - bytes_;
    over_ = true;
  }
  tail_.append(data, size);
  if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  for (size_t done = 0; file_.valid() && done < size;) {
    const ssize_t n = write(file_.get(), data + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      write_error_ = strerror(errno);
      file_.reset();
      break;
    }
    done += static_cast<size_t>(n);
  }
  bytes_ += size;
}

}  // namespace sextant::sandbox
