// Content-addressed bytes: workload files, artifacts, logs. A blob is visible when it is whole, and
// never changes. Its bytes are rows of 1 MiB.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/blob_writer.h"
#include "server/store/database.h"
#include "server/store/reach.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::store {

struct BlobGarbagePolicy {
  absl::Duration abandoned_after = absl::Hours(24);        // uploads nobody added to
  absl::Duration unused_after = absl::Hours(24 * 30);      // whole blobs
  int batch = 200;                                         // blobs removed per transaction
};
struct BlobGarbage {
  int64_t uploads = 0;
  int64_t blobs = 0;
  int64_t bytes = 0;   // of the blobs
};

// Thread-safe.
class BlobStore {
 public:
  BlobStore(Database* database, const v1::ServiceLimits& limits);

  // Those out of reach: what another tenant holds is missing, too. Those within count as used now, so that a
  // submission which follows finds them. INVALID_ARGUMENT names the digest of a wrong size.
  absl::StatusOr<std::vector<std::string>> Missing(const std::vector<std::string>& digests, const Reach& reach);

  // Begins an upload; see BlobWriter. RESOURCE_EXHAUSTED names max_blob_bytes or the quota.
  absl::StatusOr<std::unique_ptr<BlobWriter>> Write(const std::string& digest, uint64_t size_bytes,
                                                    const BlobKeeper& keeper);
  // The whole of a small one, which nobody holds until a job of theirs uses it.
  absl::Status Put(const std::string& digest, std::string_view bytes, const std::string& submitter);

  // Hands over [offset, offset + length) in pieces of at most 1 MiB, with the size of the whole;
  // length 0: to the end. An empty range is one call without data. A status other than OK from
  // `sink` ends the reading. NOT_FOUND names the digest, also of what is out of reach; OUT_OF_RANGE the size.
  using Sink = absl::FunctionRef<absl::Status(std::string_view data, uint64_t size_bytes)>;
  absl::Status Read(const Reach& reach, const std::string& digest, uint64_t offset, uint64_t length, Sink sink);
  // The whole, for what is known to be small: RESOURCE_EXHAUSTED above max_bytes.
  absl::StatusOr<std::string> ReadAll(const std::string& digest, uint64_t max_bytes);

  // Within reach. `quota_bytes`: what used_bytes is held against; 0: nothing.
  absl::StatusOr<v1::ListBlobsResponse> List(const v1::ListBlobsRequest& request, const Reach& reach,
                                             uint64_t quota_bytes);

  // Says that they were used now. Unknown ones are ignored.
  absl::Status Touch(const std::vector<std::string>& digests);

  // Removes uploads that were given up, and blobs that were not used for the policy's time and not
  // since the oldest job that is still there was accepted (a tenant lets go of what it has not used since its own
  // oldest job): every blob a job refers to was used when
  // the job was submitted or while it ran, so none of them is removed. Call now and then.
  absl::StatusOr<BlobGarbage> CollectGarbage(const BlobGarbagePolicy& policy);

 private:
  Database* const database_;
  const v1::ServiceLimits limits_;
};

}  // namespace sextant::store
