#include "client/cli/output_file.h"

#include <openssl/evp.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"
#include "proto/status/status.h"

namespace sextant::cli {

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Open(const std::string& path,
                                                             std::ostream& standard) {
  const bool to_file = !path.empty() && path != "-";
  std::unique_ptr<OutputFile> opened(new OutputFile(path, standard, to_file));
  if (to_file) {
    opened->file_.open(opened->PartialPath(), std::ios::binary | std::ios::trunc);
    if (!opened->file_)
      return absl::InvalidArgumentError(
          absl::StrCat("-o ", Escape(path), " cannot be written: ", std::strerror(errno)));
  }
  return opened;
}

OutputFile::~OutputFile() {
  if (!to_file_ || finished_) return;
  file_.close();
  std::remove(PartialPath().c_str());
}

absl::Status OutputFile::Write(absl::string_view data) {
  out().write(data.data(), static_cast<std::streamsize>(data.size()));
  bytes_ += data.size();
  if (out()) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("writing ", Escape(path_), " failed; is the disk full?"));
}

absl::Status OutputFile::Finish() {
  out().flush();
  if (!to_file_) return absl::OkStatus();
  file_.close();
  if (file_.fail() || std::rename(PartialPath().c_str(), path_.c_str()) != 0)
    return absl::ResourceExhaustedError(
        absl::StrCat("writing ", Escape(path_), " failed: ", std::strerror(errno)));
  finished_ = true;
  return absl::OkStatus();
}

absl::Status FetchBlob(Context& context, const std::string& digest, OutputFile& file) {
  v1::GetBlobRequest request;
  request.set_digest(digest);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
  RETURN_IF_ERROR(context.service().GetBlob(request, [&](const v1::GetBlobResponse& part) {
    EVP_DigestUpdate(hash.get(), part.data().data(), part.data().size());
    return file.Write(part.data());
  }));
  unsigned char came[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(hash.get(), came, &size);
  if (digest != absl::string_view(reinterpret_cast<const char*>(came), size))
    return absl::DataLossError("the content received does not have this digest");
  return file.Finish();
}

}  // namespace sextant::cli
