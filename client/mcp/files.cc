#include "client/mcp/files.h"

#include <openssl/sha.h>

#include <fstream>
#include <iterator>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/mcp/values.h"
#include "proto/status/status.h"

namespace sextant::mcp {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kMaxLocalBytes = 1 << 30;

std::string Sha256(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return {reinterpret_cast<char*>(digest), sizeof(digest)};
}

absl::StatusOr<std::string> ReadLocal(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return absl::InvalidArgumentError(absl::StrCat(Clean(path), " cannot be read here"));
  if (static_cast<size_t>(in.tellg()) > kMaxLocalBytes)
    return absl::InvalidArgumentError(
        absl::StrCat(Clean(path), " is larger than ", kMaxLocalBytes, " bytes"));
  in.seekg(0);
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

// The item's bytes; empty and `named` true: it names a blob by its digest.
absl::StatusOr<std::string> BytesOf(const ToolCall& call, const Json& item, bool* named) {
  const int given = item.contains("text") + item.contains("base64") + item.contains("digest") +
                    item.contains("local");
  if (given != 1)
    return absl::InvalidArgumentError("expected exactly one of text, base64, digest, local");
  if (item.contains("text")) return Text(item, "text");
  std::string bytes;
  if (item.contains("base64")) {
    if (!absl::Base64Unescape(Text(item, "base64"), &bytes))
      return absl::InvalidArgumentError("base64 is not base64");
    return bytes;
  }
  if (item.contains("local")) {
    if (!call.local)
      return absl::InvalidArgumentError(
          "local files can be named over stdio only; send text, base64 or a digest");
    return ReadLocal(Text(item, "local"));
  }
  *named = true;
  const std::string hex = Text(item, "digest");
  bytes = absl::HexStringToBytes(hex);
  if (hex.size() != 64 || absl::BytesToHexString(bytes) != LowerCase(hex))
    return absl::InvalidArgumentError("digest is not 64 hexadecimal digits");
  return bytes;
}

absl::Status Upload(Scope& scope, const std::map<std::string, std::string>& blobs) {
  v1::FindMissingBlobsRequest find;
  for (const auto& [digest, bytes] : blobs) find.add_digests(digest);
  ASSIGN_OR_RETURN(const auto missing,
                   scope.Call(&v1::Sextant::StubInterface::FindMissingBlobs, find));
  if (missing.missing().empty()) return absl::OkStatus();
  grpc::ClientContext context;
  scope.Enter(&context, 600);
  v1::UploadBlobsResponse response;
  const auto writer = scope.stub()->UploadBlobs(&context, &response);
  bool open = true;
  for (const std::string& digest : missing.missing()) {
    const std::string& bytes = blobs.at(digest);
    for (size_t at = 0; open && (at == 0 || at < bytes.size()); at += kPieceBytes) {
      v1::UploadBlobsRequest piece;
      if (at == 0) {
        piece.set_digest(digest);
        piece.set_size_bytes(bytes.size());
      }
      piece.set_data(bytes.substr(at, kPieceBytes));
      piece.set_last(at + kPieceBytes >= bytes.size());
      open = writer->Write(piece);
    }
  }
  if (open) writer->WritesDone();
  const grpc::Status status = writer->Finish();
  scope.Left(&context);
  return FromGrpc(status);
}

}  // namespace

absl::StatusOr<std::vector<GivenFile>> StoreFiles(ToolCall& call, const Json& items,
                                                  absl::string_view field) {
  std::vector<GivenFile> files;
  std::map<std::string, std::string> blobs;
  for (size_t i = 0; i < items.size(); ++i) {
    bool named = false;
    ASSIGN_OR_RETURN(std::string bytes, BytesOf(call, items[i], &named), field, "[", i, "]");
    if (named) {
      files.push_back({std::move(bytes), 0});
      continue;
    }
    GivenFile& file = files.emplace_back();
    file.digest = Sha256(bytes);
    file.size_bytes = bytes.size();
    blobs[file.digest] = std::move(bytes);
  }
  if (!blobs.empty()) RETURN_IF_ERROR(Upload(*call.scope, blobs), "storing ", field);
  return files;
}

}  // namespace sextant::mcp
