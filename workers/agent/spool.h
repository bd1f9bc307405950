// Finished passes on disk: what was recorded and the commit that makes it count, in one file each,
// so that neither a crash of the worker nor an absent coordinator loses a result.
//
// A file is a magic text and records: type (1 byte), length (8 bytes, little-endian), content,
// SHA-256 of the content. 'C' is a trace chunk, 'B' a blob, 'R' (the last) the serialized
// PassCommit. It appears under its name "<pass>-<epoch>" whole or not at all.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/worker.pb.h"
#include "workers/agent/coordinator.h"
#include "workers/agent/files.h"

namespace sextant::agent {

// One finished pass. Owns its open file; deletes it only through Remove.
struct SpoolEntry {
  v1::PassCommit commit;
  std::filesystem::path path;  // empty: nothing is on disk, there is only `commit`
  Fd file;
  std::vector<BlobRange> chunks;  // ranges of `file`, in order
  std::vector<BlobRange> blobs;

  void Remove();
};

// Writes one entry. Not finished: nothing is left.
class SpoolWriter {
 public:
  static absl::StatusOr<std::unique_ptr<SpoolWriter>> Create(const std::filesystem::path& spool,
                                                             const v1::PassRef& pass);
  ~SpoolWriter();

  absl::Status AddChunk(absl::string_view chunk);
  // All of the file; the artifact gets its digest and size. After RESOURCE_EXHAUSTED or INTERNAL
  // (no other error exists) the entry cannot be finished.
  absl::Status AddBlob(int fd, v1::Artifact* artifact);
  absl::Status AddBlob(std::string_view content, v1::Artifact* artifact);
  // SHA-256 over the digests of the chunks in order; empty when there are none.
  std::string TraceDigest() const;

  // Durable once this returns: file and directory are synced.
  absl::StatusOr<SpoolEntry> Finish(v1::PassCommit commit);

 private:
  SpoolWriter(std::filesystem::path spool, std::string name, Fd file);
  absl::Status Begin(char type, uint64_t length);
  absl::StatusOr<BlobRange> End(uint64_t length, std::string digest);
  absl::StatusOr<BlobRange> Add(char type, std::string_view content);

  const std::filesystem::path spool_;
  const std::string name_;
  Fd file_;
  uint64_t offset_ = 0;
  bool finished_ = false;
  std::vector<BlobRange> chunks_, blobs_;
};

// "<pass>-<epoch>", the name of everything on disk that belongs to one attempt.
std::string AttemptName(const v1::PassRef& pass);

// DATA_LOSS: not a whole entry.
absl::StatusOr<SpoolEntry> LoadSpoolEntry(const std::filesystem::path& path);

// All entries of an earlier process; what is not whole is removed and named in `bad`.
std::vector<SpoolEntry> LoadSpool(const std::filesystem::path& spool,
                                  std::vector<std::string>* bad);

}  // namespace sextant::agent
