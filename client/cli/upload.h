// Sends the blobs the service does not have yet.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/service.h"

namespace sextant::cli {

struct UploadSummary {
  size_t files = 0;            // distinct contents
  size_t sent = 0;
  uint64_t sent_bytes = 0;
};

// `by_digest`: raw digest → local path. Retries once over a lost connection: sending twice is
// harmless. INVALID_ARGUMENT: a file changed between hashing and sending.
absl::StatusOr<UploadSummary> UploadMissing(Service& service,
                                            const std::map<std::string, std::string>& by_digest,
                                            const std::string& submitter);

}  // namespace sextant::cli
