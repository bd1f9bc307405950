#include "server/store/blob_writer.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/store/holdings.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

constexpr size_t kRowBytes = 1 << 20;
constexpr int kTries = 4;  // of what may be repeated when its commit is in doubt

constexpr char kInsertChunk[] =
    "INSERT INTO blob_chunks (upload_id, n, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
constexpr char kNewUpload[] = "SELECT nextval('blob_uploads')";
constexpr char kInsertBlob[] =
    "INSERT INTO blobs (digest, size_bytes, upload_id, submitter) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (digest) DO UPDATE SET used_at = now() RETURNING upload_id, xmax = 0";
constexpr char kCharge[] =
    "INSERT INTO blob_usage AS u (submitter, bytes) VALUES ($1, $2) "
    "ON CONFLICT (submitter) DO UPDATE SET bytes = u.bytes + EXCLUDED.bytes RETURNING bytes";
constexpr char kStored[] =
    "SELECT count(*), coalesce(sum(octet_length(data)), 0) FROM blob_chunks WHERE upload_id = $1";
constexpr char kDeleteChunks[] = "DELETE FROM blob_chunks WHERE upload_id = $1";

absl::Status Repeat(absl::FunctionRef<absl::Status()> transaction) {
  absl::Status status;
  for (int i = 0; i < kTries; ++i) {
    status = transaction();
    if (status.code() != absl::StatusCode::kUnknown) break;
  }
  return status;
}

}  // namespace

BlobWriter::BlobWriter(Database* database, std::string digest, uint64_t size_bytes,
                       BlobKeeper keeper, uint64_t max_chunk_bytes, bool already_there)
    : database_(database),
      digest_(std::move(digest)),
      size_bytes_(size_bytes),
      keeper_(std::move(keeper)),
      max_chunk_bytes_(max_chunk_bytes),
      already_there_(already_there) {
  SHA256_Init(&sha_);
}

BlobWriter::~BlobWriter() {
  if (!finished_) TakeBack();
}

absl::Status BlobWriter::Write(std::string_view data) {
  if (already_there_) return absl::OkStatus();
  if (data.size() > max_chunk_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("data: ", data.size(),
                                                   " bytes in one message, "
                                                   "max_blob_chunk_bytes is ",
                                                   max_chunk_bytes_));
  }
  if (data.size() > size_bytes_ - written_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("data: more bytes than the announced size_bytes ", size_bytes_));
  }
  SHA256_Update(&sha_, data.data(), data.size());
  written_bytes_ += data.size();
  while (!data.empty()) {
    // A full row is stored when more comes, so that a blob of one row is one transaction.
    if (buffer_.size() == kRowBytes) RETURN_IF_ERROR(FlushChunk());
    const size_t taken = std::min(data.size(), kRowBytes - buffer_.size());
    buffer_.append(data.data(), taken);
    data.remove_prefix(taken);
  }
  return absl::OkStatus();
}

absl::Status BlobWriter::FlushChunk() {
  RETURN_IF_ERROR(Repeat([&] {
    return database_->Transact("blob_chunk", [&](pqxx::transaction_base& tx) {
      if (upload_id_ == 0) upload_id_ = ExecPrepared(tx, kNewUpload).at(0).at(0).as<int64_t>();
      ExecPrepared(tx, kInsertChunk, upload_id_, chunks_, Bytes(buffer_));
      return absl::OkStatus();
    });
  }));
  ++chunks_;
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status BlobWriter::Finish() {
  if (already_there_) {
    finished_ = true;
    return absl::OkStatus();
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256_CTX sha = sha_;
  SHA256_Final(digest, &sha);
  const std::string actual(reinterpret_cast<const char*>(digest), sizeof digest);
  if (written_bytes_ != size_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("size_bytes: ", size_bytes_, " announced, ", written_bytes_, " bytes came"));
  }
  if (actual != digest_) {
    return absl::InvalidArgumentError(
        absl::StrCat("digest: ", absl::BytesToHexString(digest_), " announced, but the ",
                     written_bytes_, " bytes have SHA-256 ", absl::BytesToHexString(actual)));
  }
  RETURN_IF_ERROR(Repeat([&] { return Commit(); }));
  finished_ = true;
  return absl::OkStatus();
}

absl::Status BlobWriter::Commit() {
  return database_->Transact("blob_finish", [&](pqxx::transaction_base& tx) {
    if (upload_id_ == 0) upload_id_ = ExecPrepared(tx, kNewUpload).at(0).at(0).as<int64_t>();
    const bool has_rest = !buffer_.empty();
    if (has_rest) ExecPrepared(tx, kInsertChunk, upload_id_, chunks_, Bytes(buffer_));
    const pqxx::row blob = ExecPrepared(tx, kInsertBlob, Bytes(digest_),
                                        static_cast<int64_t>(size_bytes_), upload_id_, keeper_.submitter)
                               .at(0);
    const bool ours = blob[0].as<int64_t>() == upload_id_;
    if (!ours) {
      // Somebody finished the same bytes first: theirs stay, ours go.
      ExecPrepared(tx, kDeleteChunks, upload_id_);
      return HoldForTenant(tx);
    }
    if (!blob[1].as<bool>()) return absl::OkStatus();  // we did already, its reply was lost
    const pqxx::row stored = ExecPrepared(tx, kStored, upload_id_).at(0);
    if (stored[0].as<int>() != chunks_ + (has_rest ? 1 : 0) ||
        stored[1].as<uint64_t>() != size_bytes_) {
      return absl::AbortedError(
          "the upload was taken for abandoned and removed: send the blob again");
    }
    const auto used =
        ExecPrepared(tx, kCharge, keeper_.submitter, static_cast<int64_t>(size_bytes_)).at(0).at(0);
    if (!keeper_.tenant.empty()) return HoldForTenant(tx);
    if (keeper_.quota_bytes > 0 && used.as<uint64_t>() > keeper_.quota_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("blob_quota_bytes: the blob of ", size_bytes_, " bytes makes ", keeper_.submitter,
                       " use ", used.as<uint64_t>(), " of ", keeper_.quota_bytes,
                       "; wait until unused blobs are removed, or ask for a larger quota"));
    }
    return absl::OkStatus();
  });
}

absl::Status BlobWriter::HoldForTenant(pqxx::transaction_base& tx) {
  if (keeper_.tenant.empty()) return absl::OkStatus();
  Hold(tx, {{keeper_.tenant, keeper_.submitter, {digest_}, {}}});
  return CheckStored(FindStoreRoom(tx, keeper_.tenant, keeper_.quota_bytes), keeper_.tenant, 0);
}

void BlobWriter::TakeBack() {
  if (upload_id_ == 0) return;
  // Garbage collection does it when this cannot.
  (void)database_->Transact("blob_take_back", [&](pqxx::transaction_base& tx) {
    tx.exec_params(
        "DELETE FROM blob_chunks WHERE upload_id = $1 "
        "AND NOT EXISTS (SELECT 1 FROM blobs WHERE digest = $2 AND upload_id = $1)",
        upload_id_, Bytes(digest_));
    return absl::OkStatus();
  });
}

}  // namespace sextant::store
