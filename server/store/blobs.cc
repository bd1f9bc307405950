#include "server/store/blobs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/store/holdings.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

constexpr size_t kDigestBytes = 32;

constexpr char kFind[] = "SELECT upload_id, size_bytes FROM blobs WHERE digest = $1";
constexpr char kTouchHeld[] =
    "UPDATE holdings SET used_at = now() WHERE (tenant, kind, digest) IN "
    "  (SELECT tenant, kind, digest FROM holdings WHERE tenant = $2 AND kind = 1 "
    "     AND digest = ANY($1::bytea[]) AND used_at < now() - interval '1 hour' "
    "   ORDER BY digest FOR UPDATE)";
constexpr char kUsage[] = "SELECT coalesce((SELECT bytes FROM blob_usage WHERE submitter = $1), 0)";
constexpr char kPart[] =
    "SELECT substring(data FROM $3 FOR $4) FROM blob_chunks WHERE upload_id = $1 AND n = $2";
constexpr char kRowSize[] =
    "SELECT octet_length(data) FROM blob_chunks WHERE upload_id = $1 AND n = 0";
// Once an hour is enough to know that something is in use, and keeps reading from writing.
constexpr char kTouch[] =
    "UPDATE blobs SET used_at = now() "
    "WHERE digest = ANY($1::bytea[]) AND used_at < now() - interval '1 hour'";
constexpr char kHeld[] = "SELECT digest FROM blobs WHERE digest = ANY($1::bytea[])";
constexpr char kHeldByTenant[] =
    "SELECT h.digest FROM holdings h JOIN blobs b ON b.digest = h.digest "
    "WHERE h.tenant = $2 AND h.kind = 1 AND h.digest = ANY($1::bytea[])";
constexpr char kHolds[] = "SELECT 1 FROM holdings WHERE tenant = $1 AND kind = 1 AND digest = $2";

absl::Status CheckDigest(const std::string& digest, const std::string& field) {
  if (digest.size() == kDigestBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": a digest is the 32 bytes of a SHA-256, not ", digest.size()));
}

std::string Array(const std::vector<std::string>& digests) {
  // Sorted, so that two that touch the same blobs lock them in one order.
  std::vector<std::string> sorted = digests;
  std::sort(sorted.begin(), sorted.end());
  ArrayLiteral array;
  for (const std::string& digest : sorted) array.AddBytes(digest);
  return array.Finish();
}

absl::Status NotFound(const std::string& digest) {
  return absl::NotFoundError(
      absl::StrCat("no blob ", absl::BytesToHexString(digest), ": upload it first (UploadBlobs)"));
}

}  // namespace

BlobStore::BlobStore(Database* database, const v1::ServiceLimits& limits)
    : database_(database), limits_(limits) {}

absl::StatusOr<std::vector<std::string>> BlobStore::Missing(
    const std::vector<std::string>& digests, const Reach& reach) {
  if (digests.size() > limits_.max_blobs_per_request()) {
    return absl::ResourceExhaustedError(absl::StrCat("digests: ", digests.size(),
                                                     " in one request, max_blobs_per_request is ",
                                                     limits_.max_blobs_per_request()));
  }
  for (size_t i = 0; i < digests.size(); ++i)
    RETURN_IF_ERROR(CheckDigest(digests[i], absl::StrCat("digests[", i, "]")));
  std::vector<std::string> held;
  const std::string array = Array(digests);
  RETURN_IF_ERROR(database_->Transact("blob_missing", [&](pqxx::transaction_base& tx) {
    held.clear();
    if (reach.all()) {
      ExecPrepared(tx, kTouch, array);
      for (const auto& row : ExecPrepared(tx, kHeld, array)) held.push_back(FieldBytes(row[0]));
      return absl::OkStatus();
    }
    ArrayLiteral own;   // as sorted as `array`
    for (const auto& row : ExecPrepared(tx, kHeldByTenant, array, reach.sql()))
      held.push_back(FieldBytes(row[0]));
    std::sort(held.begin(), held.end());
    for (const auto& digest : held) own.AddBytes(digest);
    const std::string mine = own.Finish();
    ExecPrepared(tx, kTouch, mine);
    ExecPrepared(tx, kTouchHeld, mine, reach.sql());
    return absl::OkStatus();
  }));
  std::sort(held.begin(), held.end());
  std::vector<std::string> missing;
  for (const std::string& digest : digests) {
    if (!std::binary_search(held.begin(), held.end(), digest)) missing.push_back(digest);
  }
  return missing;
}

absl::StatusOr<std::unique_ptr<BlobWriter>> BlobStore::Write(const std::string& digest,
                                                             uint64_t size_bytes,
                                                             const BlobKeeper& keeper) {
  RETURN_IF_ERROR(CheckDigest(digest, "digest"));
  if (size_bytes > limits_.max_blob_bytes()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("size_bytes: ", size_bytes, ", max_blob_bytes is ", limits_.max_blob_bytes()));
  }
  bool there = false;
  uint64_t used = 0;
  RETURN_IF_ERROR(database_->Read("blob_write", [&](pqxx::transaction_base& tx) {
    there = !ExecPrepared(tx, kFind, Bytes(digest)).empty();
    if (keeper.tenant.empty()) {
      used = ExecPrepared(tx, kUsage, keeper.submitter).at(0).at(0).as<uint64_t>();
      return absl::OkStatus();
    }
    // That somebody else brought it is not told: the tenant sends it, too.
    there = there && !ExecPrepared(tx, kHolds, keeper.tenant, Bytes(digest)).empty();
    if (!there)
      return CheckStored(FindStoreRoom(tx, keeper.tenant, keeper.quota_bytes), keeper.tenant, size_bytes);
    return absl::OkStatus();
  }));
  // Finish decides; this spares the sending.
  if (!there && keeper.tenant.empty() && keeper.quota_bytes > 0 && used + size_bytes > keeper.quota_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("blob_quota_bytes: ", keeper.submitter, " uses ", used, " of ",
                     keeper.quota_bytes, ", no room for ", size_bytes,
                     " more; wait until unused blobs are removed, or ask for a "
                     "larger quota"));
  }
  if (there) RETURN_IF_ERROR(Touch({digest}));
  return std::make_unique<BlobWriter>(database_, digest, size_bytes, keeper,
                                      limits_.max_blob_chunk_bytes(), there);
}

absl::Status BlobStore::Put(const std::string& digest, std::string_view bytes,
                            const std::string& submitter) {
  ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer,
                   Write(digest, bytes.size(), {"", submitter, limits_.blob_quota_bytes()}));
  for (size_t at = 0; at < bytes.size(); at += limits_.max_blob_chunk_bytes())
    RETURN_IF_ERROR(writer->Write(bytes.substr(at, limits_.max_blob_chunk_bytes())));
  return writer->Finish();
}

absl::Status BlobStore::Read(const Reach& reach, const std::string& digest, uint64_t offset,
                             uint64_t length, Sink sink) {
  RETURN_IF_ERROR(CheckDigest(digest, "digest"));
  int64_t upload = 0;
  uint64_t size = 0, row_bytes = 0;
  RETURN_IF_ERROR(database_->Read("blob_read", [&](pqxx::transaction_base& tx) {
    const pqxx::result found = ExecPrepared(tx, kFind, Bytes(digest));
    if (found.empty() ||
        (!reach.all() && ExecPrepared(tx, kHolds, reach.sql(), Bytes(digest)).empty()))
      return NotFound(digest);
    upload = found[0][0].as<int64_t>();
    size = found[0][1].as<uint64_t>();
    if (size > 0) row_bytes = ExecPrepared(tx, kRowSize, upload).at(0).at(0).as<uint64_t>();
    return absl::OkStatus();
  }));
  if (offset > size) {
    return absl::OutOfRangeError(
        absl::StrCat("offset: ", offset, " is beyond the blob's ", size, " bytes"));
  }
  const uint64_t end = length == 0 || length > size - offset ? size : offset + length;
  if (offset == end) return sink("", size);
  // All rows but the last have the same size.
  while (offset < end) {
    const uint64_t n = offset / row_bytes, in_row = offset % row_bytes;
    const uint64_t wanted = std::min(row_bytes - in_row, end - offset);
    std::string data;
    RETURN_IF_ERROR(database_->Read("blob_read", [&](pqxx::transaction_base& tx) {
      const pqxx::result part =
          ExecPrepared(tx, kPart, upload, static_cast<int64_t>(n), static_cast<int64_t>(in_row + 1),
                       static_cast<int64_t>(wanted));
      data = part.empty() ? "" : FieldBytes(part[0][0]);
      return absl::OkStatus();
    }));
    if (data.size() != wanted) {
      return absl::DataLossError(absl::StrCat("blob ", absl::BytesToHexString(digest),
                                              " was removed while it was read, or is damaged at ",
                                              offset));
    }
    RETURN_IF_ERROR(sink(data, size));
    offset += wanted;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BlobStore::ReadAll(const std::string& digest, uint64_t max_bytes) {
  std::string whole;
  RETURN_IF_ERROR(Read(Reach::All(), digest, 0, 0, [&](std::string_view data, uint64_t size) {
    if (size > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "blob ", absl::BytesToHexString(digest), " has ", size, " bytes, more than ", max_bytes));
    }
    whole.append(data.data(), data.size());
    return absl::OkStatus();
  }));
  return whole;
}

absl::StatusOr<v1::ListBlobsResponse> BlobStore::List(const v1::ListBlobsRequest& request,
                                                      const Reach& reach, uint64_t quota_bytes) {
  const uint32_t most = std::max(1u, limits_.max_page_size());
  const uint32_t page = request.page_size() == 0 ? most : std::min(request.page_size(), most);
  v1::ListBlobsResponse response;
  RETURN_IF_ERROR(database_->Read("blob_list", [&](pqxx::transaction_base& tx) {
    response.Clear();
    const pqxx::result rows =
        reach.all()
            ? tx.exec_params(
                  "SELECT digest, size_bytes, submitter, (extract(epoch FROM created_at) * 1e6)::bigint "
                  "FROM blobs WHERE digest > $1 AND ($2 = '' OR submitter = $2) ORDER BY digest LIMIT $3",
                  Bytes(request.after_digest()), request.submitter(), static_cast<int64_t>(page) + 1)
            : tx.exec_params(
                  "SELECT digest, size_bytes, submitter, (extract(epoch FROM added_at) * 1e6)::bigint "
                  "FROM holdings WHERE digest > $1 AND ($2 = '' OR submitter = $2) AND tenant = $4 AND kind = 1 "
                  "ORDER BY digest LIMIT $3",
                  Bytes(request.after_digest()), request.submitter(), static_cast<int64_t>(page) + 1,
                  reach.sql());
    for (const auto& row : rows) {
      if (response.blobs_size() == static_cast<int>(page)) {
        response.set_more(true);
        break;
      }
      v1::BlobInfo* blob = response.add_blobs();
      blob->set_digest(FieldBytes(row[0]));
      blob->set_size_bytes(row[1].as<uint64_t>());
      blob->set_submitter(row[2].as<std::string>());
      blob->set_created_unix_ns(row[3].as<uint64_t>() * 1000);
    }
    const pqxx::result used =
        reach.all() ? tx.exec_params("SELECT coalesce(sum(bytes), 0) FROM blob_usage "
                                     "WHERE $1 = '' OR submitter = $1",
                                     request.submitter())
                    : tx.exec_params("SELECT coalesce(sum(size_bytes), 0) FROM holdings "
                                     "WHERE tenant = $2 AND ($1 = '' OR submitter = $1)",
                                     request.submitter(), reach.sql());
    response.set_used_bytes(used[0][0].as<uint64_t>());
    return absl::OkStatus();
  }));
  response.set_quota_bytes(quota_bytes);
  return response;
}

absl::Status BlobStore::Touch(const std::vector<std::string>& digests) {
  if (digests.empty()) return absl::OkStatus();
  const std::string array = Array(digests);
  return database_->Transact("blob_touch", [&](pqxx::transaction_base& tx) {
    ExecPrepared(tx, kTouch, array);
    return absl::OkStatus();
  });
}

absl::StatusOr<BlobGarbage> BlobStore::CollectGarbage(const BlobGarbagePolicy& policy) {
  BlobGarbage removed;
  const double abandoned_s = absl::ToDoubleSeconds(policy.abandoned_after);
  const double unused_s = absl::ToDoubleSeconds(policy.unused_after);
  int64_t uploads = 0;
  RETURN_IF_ERROR(database_->Transact("blob_abandoned", [&](pqxx::transaction_base& tx) {
    uploads = static_cast<int64_t>(
        tx.exec_params(
              "WITH old AS (SELECT upload_id FROM blob_chunks c WHERE NOT EXISTS "
              "    (SELECT 1 FROM blobs b WHERE b.upload_id = c.upload_id) "
              "  GROUP BY upload_id HAVING max(stored_at) < now() - make_interval(secs => $1)), "
              "gone AS (DELETE FROM blob_chunks c USING old WHERE c.upload_id = old.upload_id) "
              "SELECT upload_id FROM old",
              abandoned_s)
            .size());
    return absl::OkStatus();
  }));
  removed.uploads = uploads;
  // A blob that others use yet is no more theirs who do not.
  RETURN_IF_ERROR(database_->Transact("blob_let_go", [&](pqxx::transaction_base& tx) {
    tx.exec_params(
        "DELETE FROM holdings h WHERE kind = 1 AND used_at < now() - make_interval(secs => $1) "
        "AND used_at < coalesce((SELECT min(created_at) FROM jobs j WHERE j.tenant = h.tenant), 'infinity') "
        "              - interval '1 day'",
        unused_s);
    return absl::OkStatus();
  }));
  for (;;) {
    int64_t blobs = 0, bytes = 0;
    RETURN_IF_ERROR(database_->Transact("blob_garbage", [&](pqxx::transaction_base& tx) {
      // A day of margin: a blob may be uploaded, or found to be there, that long before its job.
      const pqxx::result gone = tx.exec_params(
          "WITH gone AS (DELETE FROM blobs WHERE digest IN (SELECT digest FROM blobs "
          "    WHERE used_at < now() - make_interval(secs => $1) "
          "      AND used_at < coalesce((SELECT min(created_at) FROM jobs), 'infinity') "
          "                    - interval '1 day' "
          "    ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED) "
          "  RETURNING digest, upload_id, submitter, size_bytes), "
          "chunks AS (DELETE FROM blob_chunks c USING gone WHERE c.upload_id = gone.upload_id), "
          "held AS (DELETE FROM holdings h USING gone WHERE h.kind = 1 AND h.digest = gone.digest), "
          "credit AS (UPDATE blob_usage u SET bytes = u.bytes - s.bytes "
          "  FROM (SELECT submitter, sum(size_bytes) AS bytes FROM gone GROUP BY submitter) s "
          "  WHERE u.submitter = s.submitter) "
          "SELECT count(*), coalesce(sum(size_bytes), 0) FROM gone",
          unused_s, policy.batch);
      blobs = gone[0][0].as<int64_t>();
      bytes = gone[0][1].as<int64_t>();
      return absl::OkStatus();
    }));
    removed.blobs += blobs;
    removed.bytes += bytes;
    if (blobs < policy.batch) return removed;
  }
}

}  // namespace sextant::store
