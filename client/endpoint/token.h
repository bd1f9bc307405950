// The token that calls carry.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace sextant::endpoint {

// Its text, or a file that is read again when it changes, so that a token can be replaced while programs
// run. Thread-safe.
class Token {
 public:
  // `by` ("SEXTANT_TOKEN", "--token-file") begins errors, all INVALID_ARGUMENT; none shows the token.
  static absl::StatusOr<std::shared_ptr<Token>> FromText(absl::string_view by, absl::string_view text);
  static absl::StatusOr<std::shared_ptr<Token>> FromFile(absl::string_view by, const std::string& path);

  // What was read last, when the file cannot be read now.
  std::string Text();

 private:
  Token() = default;
  std::string by_, path_;   // path empty: text alone
  absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  std::string stamp_ ABSL_GUARDED_BY(mutex_);   // of the file as it was read
};

}  // namespace sextant::endpoint
