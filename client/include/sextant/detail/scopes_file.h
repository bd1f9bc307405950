// Writes the file of scopes_format.h. Host side of scope.cuh.
#pragma once

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "sextant/detail/scopes_format.h"
#include "sextant/detail/scopes_options.h"

namespace sextant {
namespace detail {

inline uint64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// Rings in host memory, which kernels write while the host reads.
struct HostRings {
  const volatile uint64_t* claimed = nullptr;
  const sextant_scopes_slot* slots = nullptr;
  const unsigned char* rings = nullptr;
};

// Owns the file: its first part mapped, so that what is there survives the process's end, the rest
// written. In host memory mode also the thread that copies.
class ScopesFile {
 public:
  ScopesFile() = default;
  ~ScopesFile() {
    StopDraining();
    if (map_ != nullptr) munmap(map_, kMapped);
    if (fd_ >= 0) close(fd_);
  }
  ScopesFile(const ScopesFile&) = delete;
  ScopesFile& operator=(const ScopesFile&) = delete;

  // False, with the reason on stderr: no file can be made.
  bool Create(const ScopesOptions& options) {
    ring_bytes_ = size_t{8} * options.ring_records;
    std::string path;
    uint32_t index = 0;
    for (; index < 4096; ++index) {
      path = options.directory + "/sextant-scopes-" + std::to_string(getpid()) + "-" +
             std::to_string(index) + ".bin";
      fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
      if (fd_ >= 0 || errno != EEXIST) break;
    }
    // Written, not left as a hole: a full disk must fail here, not as a signal later.
    const std::vector<char> zeros(kMapped);
    if (fd_ < 0 || !Write(zeros.data(), zeros.size(), 0)) return Fail(path);
    map_ = mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (map_ == MAP_FAILED) {
      map_ = nullptr;
      return Fail(path);
    }
    sextant_scopes_file& file = header();
    file.version = SEXTANT_SCOPES_VERSION;
    file.pid = static_cast<uint32_t>(getpid());
    file.file_index = index;
    file.started_ns = MonotonicNs();
    file.ring_records = options.ring_records;
    file.cta_period = options.cta_period;
    file.in_host_memory = options.in_host_memory;
    std::snprintf(file.scopes, sizeof(file.scopes), "%s", options.scopes.c_str());
    const auto* const random = reinterpret_cast<const unsigned char*>(getauxval(AT_RANDOM));
    for (int i = 0; random != nullptr && i < 16; ++i) {
      file.image = (file.image ^ random[i]) * 0x100000001b3u;
    }
    char program[4096];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (length > 0) {
      program[length] = 0;
      const char* const slash = std::strrchr(program, '/');
      const char* const base = slash != nullptr ? slash + 1 : program;
      std::memcpy(file.program, base, std::min(std::strlen(base), sizeof(file.program) - 1));
    }
    return true;
  }

  sextant_scopes_file& header() { return *static_cast<sextant_scopes_file*>(map_); }

  // From now on it is a file that can be read.
  void Publish() { std::memcpy(header().magic, SEXTANT_SCOPES_MAGIC, sizeof(header().magic)); }

  void SetError(const char* why) {
    std::snprintf(header().error, sizeof(header().error), "%s", why);
  }

  // Names beyond the table's end are left out: their scopes have numbers instead.
  void AddNames(const std::vector<std::string>& names) {
    unsigned char* const table = static_cast<unsigned char*>(map_) + SEXTANT_SCOPES_NAMES_AT;
    for (const std::string& name : names) {
      const uint16_t length = static_cast<uint16_t>(name.size());
      const uint32_t at = header().names_bytes;
      if (at + sizeof(length) + length > SEXTANT_SCOPES_MAX_NAMES_BYTES) return;
      std::memcpy(table + at, &length, sizeof(length));
      std::memcpy(table + at + sizeof(length), name.data(), length);
      __atomic_store_n(&header().names_bytes, at + static_cast<uint32_t>(sizeof(length)) + length,
                       __ATOMIC_RELEASE);
    }
  }

  // A packed file: the slots, then each one's records in order, then the end.
  void BeginPacked(const std::vector<sextant_scopes_slot>& slots) {
    Write(slots.data(), slots.size() * sizeof(slots[0]), SEXTANT_SCOPES_SLOTS_AT);
    end_ = SEXTANT_SCOPES_SLOTS_AT + slots.size() * sizeof(slots[0]);
    header().records_at = end_;
    header().slots_in_file = static_cast<uint32_t>(slots.size());
    header().packed = 1;
  }
  void AddPacked(const sextant_scopes_slot& slot, const unsigned char* ring) {
    const size_t written = size_t{8} * slot.count;
    const size_t bytes = slot.end_timer != 0 ? std::min(written, ring_bytes_) : ring_bytes_;
    pending_.insert(pending_.end(), ring, ring + bytes);
    if (pending_.size() > size_t{4} << 20) EndPacked();
  }
  void EndPacked() {
    Write(pending_.data(), pending_.size(), end_);
    end_ += pending_.size();
    pending_.clear();
  }

  // Copies slots and rings to the file every two milliseconds, until StopDraining has copied all.
  void StartDraining(const HostRings& rings) {
    header().records_at =
        SEXTANT_SCOPES_SLOTS_AT + uint64_t{header().slots} * sizeof(sextant_scopes_slot);
    stop_ = false;
    drainer_ = std::thread([this, rings] {
      std::vector<uint8_t> done;  // by slot: its warp had left when it was copied
      while (true) {
        const bool last = stop_;  // read before the pass that must then be complete
        Drain(rings, &done);
        if (last) return;
        const timespec pause = {0, 2 * 1000 * 1000};
        nanosleep(&pause, nullptr);
      }
    });
  }
  void StopDraining() {
    stop_ = true;
    if (drainer_.joinable()) drainer_.join();
  }

 private:
  static constexpr size_t kMapped = SEXTANT_SCOPES_SLOTS_AT;

  bool Fail(const std::string& path) {
    std::fprintf(stderr, "sextant: kernels are not recorded: cannot make %s: %s\n", path.c_str(),
                 std::strerror(errno));
    if (fd_ >= 0) unlink(path.c_str());
    return false;
  }

  bool Write(const void* data, size_t bytes, uint64_t at) {
    const auto* from = static_cast<const char*>(data);
    // Writing beyond the limit would end the program with SIGXFSZ.
    rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        at + bytes > limit.rlim_cur) {
      errno = EFBIG;
      if (map_ != nullptr) SetError("files may not be that large; records=N makes rings smaller");
      return false;
    }
    while (bytes > 0) {
      const ssize_t written = pwrite(fd_, from, bytes, static_cast<off_t>(at));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        if (map_ != nullptr) SetError("the disk is full");
        return false;
      }
      from += written;
      at += static_cast<uint64_t>(written);
      bytes -= static_cast<size_t>(written);
    }
    return true;
  }

  void Drain(const HostRings& rings, std::vector<uint8_t>* done) {
    sextant_scopes_file& file = header();
    const uint64_t claimed = *rings.claimed;
    const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(claimed, file.slots));
    done->resize(count);
    for (uint32_t i = 0; i < count; ++i) {
      if ((*done)[i] != 0) continue;
      // The slot first: what it counts is in the ring.
      sextant_scopes_slot slot;
      std::memcpy(&slot, rings.slots + i, sizeof(slot));
      std::atomic_thread_fence(std::memory_order_acquire);
      if (!Write(rings.rings + i * ring_bytes_, ring_bytes_, file.records_at + i * ring_bytes_) ||
          !Write(&slot, sizeof(slot), SEXTANT_SCOPES_SLOTS_AT + i * sizeof(slot))) {
        return;
      }
      (*done)[i] = slot.end_timer != 0;
    }
    file.claimed = claimed;
    __atomic_store_n(&file.slots_in_file, count, __ATOMIC_RELEASE);
  }

  int fd_ = -1;
  void* map_ = nullptr;
  size_t ring_bytes_ = 0;
  uint64_t end_ = 0;  // of what a packed file has
  std::vector<unsigned char> pending_;
  std::thread drainer_;
  std::atomic<bool> stop_{true};
};

}  // namespace detail
}  // namespace sextant
