// One upload of one blob. Bytes are stored as they come, in transactions of their own, under an
// upload's number; Finish makes them the blob.
#pragma once

#include <openssl/sha.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/store/database.h"

namespace sextant::store {

// For whom bytes are stored. A tenant holds them from the end of the upload, and they count against its quota
// (tenant_quotas, or `quota_bytes`). Without one nobody holds them yet, and what the submitter has brought
// counts against `quota_bytes`. 0: no bound.
struct BlobKeeper {
  std::string tenant;
  std::string submitter = "anonymous";
  uint64_t quota_bytes = 0;
};

// Used by one thread at a time. Destroyed before Finish, it takes back what it stored; what a crash
// leaves is garbage that BlobStore::CollectGarbage removes.
class BlobWriter {
 public:
  // Made by BlobStore::Write.
  BlobWriter(Database* database, std::string digest, uint64_t size_bytes, BlobKeeper keeper,
             uint64_t max_chunk_bytes, bool already_there);
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;

  // It was within the keeper's reach: nothing needs to be written, what is written is ignored.
  bool already_there() const { return already_there_; }

  // INVALID_ARGUMENT: more than max_blob_chunk_bytes at once, or more than the announced size.
  absl::Status Write(std::string_view data);

  // OK: the blob is durable, ours or the equal one that somebody finished meanwhile.
  // INVALID_ARGUMENT: another size or SHA-256 than announced; RESOURCE_EXHAUSTED: the quota.
  // UNKNOWN is resolved inside, because all of this may be repeated.
  absl::Status Finish();

  uint64_t written_bytes() const { return written_bytes_; }

 private:
  absl::Status FlushChunk();
  absl::Status Commit();
  absl::Status HoldForTenant(pqxx::transaction_base& tx);
  void TakeBack();

  Database* const database_;
  const std::string digest_;
  const uint64_t size_bytes_;
  const BlobKeeper keeper_;
  const uint64_t max_chunk_bytes_;
  bool already_there_;
  bool finished_ = false;
  SHA256_CTX sha_;
  std::string buffer_;        // less than a row's worth, except within Write
  uint64_t written_bytes_ = 0;
  int64_t upload_id_ = 0;     // 0: nothing stored yet
  int chunks_ = 0;
};

}  // namespace sextant::store
