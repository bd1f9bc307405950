// Names of one results file: each is written once and then referred to by its id.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "workers/inject/record_file.h"

namespace sextant::inject {

inline constexpr uint32_t kMaxTexts = 1u << 20;
inline constexpr size_t kMaxTextBytes = 4096;

// Thread-safe.
class Texts {
 public:
  explicit Texts(RecordFile& file) : file_(file) {}

  // The id of `text`; its kText frame precedes every use. 0, which is never written: no text, or
  // more texts than the limit.
  uint32_t Id(std::string_view text);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  RecordFile& file_;
  pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> ids_;
};

// Holds a mutex while it lives.
class Locked {
 public:
  explicit Locked(pthread_mutex_t& lock) : lock_(lock) { pthread_mutex_lock(&lock_); }
  ~Locked() { pthread_mutex_unlock(&lock_); }
  Locked(const Locked&) = delete;

 private:
  pthread_mutex_t& lock_;
};

}  // namespace sextant::inject
