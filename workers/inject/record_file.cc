#include "workers/inject/record_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sextant::inject {
namespace {

uint64_t NowNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t ProcessStartTicks() {
  char text[1024];
  const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = 0;
  const char* at = strrchr(text, ')');  // the name before it may hold anything
  for (int field = 2; at != nullptr && field < 22; ++field) at = strchr(at + 1, ' ');
  return at != nullptr ? strtoull(at, nullptr, 10) : 0;
}

template <size_t N>
void Copy(std::string_view text, char (&out)[N]) {
  const size_t length = std::min(text.size(), N - 1);
  memcpy(out, text.data(), length);
  out[length] = 0;
}

}  // namespace

uint64_t MonotonicNs() { return NowNs(CLOCK_MONOTONIC); }

bool RecordFile::Open(const char* directory, const char* instrument) {
  char path[4096];
  // A pid may come back after its process ended: then the next number is tried.
  for (int again = 0; again < 1000 && fd_ < 0; ++again) {
    const char* const format = again == 0 ? "%s/inject-%d-%s.bin" : "%s/inject-%d-%s.%d.bin";
    const int length = snprintf(path, sizeof(path), format, directory, static_cast<int>(getpid()),
                                instrument, again);
    if (length < 0 || length >= static_cast<int>(sizeof(path))) return false;
    fd_ = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd_ < 0 && errno != EEXIST) return false;
  }
  if (fd_ < 0) return false;
  void* mapped = MAP_FAILED;
  if (ftruncate(fd_, kHeaderBytes) == 0) {
    mapped = mmap(nullptr, kHeaderBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  }
  if (mapped == MAP_FAILED) {
    close(fd_);
    fd_ = -1;
    return false;
  }
  rlimit limit = {};
  max_bytes_ = UINT64_MAX;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    max_bytes_ = limit.rlim_cur;  // beyond it the process would be killed, not just refused
  }
  bytes_ = kHeaderBytes;
  header_ = static_cast<FileHeader*>(mapped);
  FileHeader& header = *header_;
  header.version = kFormatVersion;
  header.state = kOpened;
  header.pid = static_cast<uint32_t>(getpid());
  header.parent_pid = static_cast<uint32_t>(getppid());
  header.process_start_ticks = ProcessStartTicks();
  header.opened_monotonic_ns = MonotonicNs();
  header.opened_unix_ns = NowNs(CLOCK_REALTIME);
  header.last_write_monotonic_ns = header.opened_monotonic_ns;
  Copy(instrument, header.instrument);
  char program[sizeof(header.program)];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
  if (length > 0) Copy({program, static_cast<size_t>(length)}, header.program);
  memcpy(header.magic, kFileMagic, sizeof(kFileMagic));
  return true;
}

bool RecordFile::Append(uint32_t type, const void* a, size_t a_bytes, const void* b,
                        size_t b_bytes) {
  static constexpr char kZeros[8] = {};
  const size_t length = a_bytes + b_bytes;
  const size_t padding = (8 - length % 8) % 8;
  FrameHeader frame = {static_cast<uint32_t>(length), type, 0, 0};
  const size_t total = sizeof(frame) + length + padding;
  const bool room = fd_ >= 0 && length <= kMaxPayloadBytes && !broken_ &&
                    bytes_.fetch_add(total) + total <= max_bytes_;
  if (!room) {
    __atomic_fetch_add(&header_->dropped_frames, 1, __ATOMIC_RELAXED);
    return false;
  }
  frame.check = CheckEnd(CheckMore(CheckMore(CheckBegin(type), a, a_bytes), b, b_bytes));
  const iovec pieces[] = {{&frame, sizeof(frame)},
                          {const_cast<void*>(a), a_bytes},
                          {const_cast<void*>(b), b_bytes},
                          {const_cast<char*>(kZeros), padding}};
  ssize_t written;
  do {
    written = writev(fd_, pieces, 4);
  } while (written < 0 && errno == EINTR);
  if (written != static_cast<ssize_t>(total)) {
    header_->write_errno = written < 0 ? static_cast<uint32_t>(errno) : ENOSPC;
    broken_ = true;  // what follows a torn frame could not be found again
    __atomic_fetch_add(&header_->dropped_frames, 1, __ATOMIC_RELAXED);
    return false;
  }
  header_->last_write_monotonic_ns = MonotonicNs();
  __atomic_fetch_add(&header_->frames, 1, __ATOMIC_RELAXED);
  return true;
}

bool RecordFile::Note(std::string_view sentence) {
  return Append(kNote, sentence.data(), sentence.size());
}

void RecordFile::SetState(FileState state) {
  __atomic_store_n(&header_->state, static_cast<uint32_t>(state), __ATOMIC_RELEASE);
}

void RecordFile::Fail(std::string_view sentence) {
  Copy(sentence, header_->failure);
  SetState(kFailed);
}

void RecordFile::ForkedChild() {
  if (fd_ >= 0) {
    munmap(header_, kHeaderBytes);
    close(fd_);
  }
  fd_ = -1;
  unmapped_ = {};
  header_ = &unmapped_;
}

}  // namespace sextant::inject
