#include "client/cli/upload.h"

#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/bundle.h"
#include "client/cli/text.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr size_t kDigestsPerQuestion = 1000;

// Hands out the messages of one upload, file after file.
class Sender {
 public:
  Sender(const std::map<std::string, std::string>& by_digest, std::vector<std::string> missing,
         const std::string& submitter)
      : by_digest_(by_digest), missing_(std::move(missing)), submitter_(submitter) {}

  absl::StatusOr<bool> Next(v1::UploadBlobsRequest& request) {
    if (at_ == missing_.size()) return false;
    const std::string& digest = missing_[at_];
    const std::string& path = by_digest_.at(digest);
    if (!open_) {
      ASSIGN_OR_RETURN(const Digested now, HashFile(path));
      if (now.digest != digest) {
        return absl::InvalidArgumentError(absl::StrCat(
            "file ", Escape(path), " changed while it was sent; repeat the command"));
      }
      file_.open(path, std::ios::binary);
      left_ = now.size_bytes;
      request.set_digest(digest);
      request.set_size_bytes(now.size_bytes);
      if (at_ == 0) request.set_submitter(submitter_);
      open_ = true;
    }
    std::string& data = *request.mutable_data();
    data.resize(std::min<uint64_t>(left_, kChunkBytes));
    if (!data.empty() && !file_.read(data.data(), static_cast<std::streamsize>(data.size()))) {
      return absl::InvalidArgumentError(
          absl::StrCat("file ", Escape(path), " became shorter while it was sent; repeat the command"));
    }
    left_ -= data.size();
    sent_bytes_ += data.size();
    if (left_ == 0) {
      request.set_last(true);
      file_.close();
      open_ = false;
      ++at_;
    }
    return true;
  }

  uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  const std::map<std::string, std::string>& by_digest_;
  const std::vector<std::string> missing_;
  const std::string& submitter_;
  size_t at_ = 0;
  bool open_ = false;
  std::ifstream file_;
  uint64_t left_ = 0;
  uint64_t sent_bytes_ = 0;
};

absl::StatusOr<std::vector<std::string>> Missing(
    Service& service, const std::map<std::string, std::string>& by_digest) {
  std::vector<std::string> missing;
  auto at = by_digest.begin();
  while (at != by_digest.end()) {
    v1::FindMissingBlobsRequest request;
    for (; at != by_digest.end() && request.digests_size() < static_cast<int>(kDigestsPerQuestion);
         ++at) {
      request.add_digests(at->first);
    }
    ASSIGN_OR_RETURN(const v1::FindMissingBlobsResponse response,
                     service.FindMissingBlobs(request));
    for (const std::string& digest : response.missing()) {
      if (by_digest.count(digest)) missing.push_back(digest);
    }
  }
  return missing;
}

}  // namespace

absl::StatusOr<UploadSummary> UploadMissing(Service& service,
                                            const std::map<std::string, std::string>& by_digest,
                                            const std::string& submitter) {
  UploadSummary summary{by_digest.size()};
  if (by_digest.empty()) return summary;
  for (int attempt = 0;; ++attempt) {
    absl::StatusOr<std::vector<std::string>> missing = Missing(service, by_digest);
    absl::Status status = missing.status();
    if (missing.ok()) {
      if (missing->empty()) return summary;
      const size_t count = missing->size();
      Sender sender(by_digest, *std::move(missing), submitter);
      const auto response = service.UploadBlobs(
          [&](v1::UploadBlobsRequest& request) { return sender.Next(request); });
      if (response.ok()) {
        summary.sent = count;
        summary.sent_bytes = sender.sent_bytes();
        return summary;
      }
      status = response.status();
    }
    if (attempt > 0 || !absl::IsUnavailable(status)) return WithContext(status, "sending files");
  }
}

}  // namespace sextant::cli
