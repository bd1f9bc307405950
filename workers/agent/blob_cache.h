// Files of workloads, kept by digest between passes, in least-recently-used order under a bound.
#pragma once

#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/types.pb.h"
#include "workers/agent/files.h"

namespace sextant::agent {

// Called from the threads of passes. Passes never see the cache itself: they get copies.
class BlobCache {
 public:
  // Brings a blob, piece by piece.
  using Source = std::function<absl::Status(
      const std::string& digest, const std::function<absl::Status(absl::string_view)>& piece)>;

  BlobCache(std::filesystem::path directory, uint64_t max_bytes, Source source);

  // Takes stock of what an earlier process left.
  absl::Status Open();

  // Puts a copy of `file` at its path beneath `directory`, with its mode.
  // NOT_FOUND: the service has no such blob. DATA_LOSS: what came has another digest.
  // INVALID_ARGUMENT: the path. RESOURCE_EXHAUSTED: the disk is full.
  absl::Status Place(const v1::File& file, int directory);

  uint64_t size_bytes() const;

 private:
  struct Kept {
    uint64_t size_bytes = 0;
    std::list<std::string>::iterator age;
    bool verified = false;  // its content was digested by this process
  };

  absl::StatusOr<Fd> Get(const v1::File& file);
  absl::StatusOr<Fd> Fetch(const v1::File& file);
  bool Reuse(const v1::File& file, Fd* fd);
  void Enter(const std::string& name, uint64_t size_bytes, bool verified)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Trim(const std::string& spare);

  const std::filesystem::path directory_;
  const uint64_t max_bytes_;
  const Source source_;

  mutable absl::Mutex mutex_;
  std::map<std::string, Kept> kept_ ABSL_GUARDED_BY(mutex_);  // by hex digest
  std::list<std::string> ages_ ABSL_GUARDED_BY(mutex_);       // oldest first
  std::set<std::string> being_fetched_ ABSL_GUARDED_BY(mutex_);
  uint64_t size_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sextant::agent
