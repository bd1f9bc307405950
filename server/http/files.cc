#include "server/http/files.h"

#include <openssl/sha.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sextant::http {
namespace {

namespace fs = std::filesystem;

// What a page may load and where it may send: this service alone. Styles may be set by scripts.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: "
    "blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri "
    "'none'; form-action 'none'; frame-ancestors 'none'";

std::string Etag(const std::string& body) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(body.data()), body.size(), digest);
  return absl::StrCat("\"", absl::BytesToHexString({reinterpret_cast<char*>(digest), 16}), "\"");
}

}  // namespace

std::string ContentType(absl::string_view name) {
  static const auto& types = *new std::map<absl::string_view, const char*>{
      {"css", "text/css; charset=utf-8"},
      {"csv", "text/csv; charset=utf-8"},
      {"html", "text/html; charset=utf-8"},
      {"ico", "image/x-icon"},
      {"jpg", "image/jpeg"},
      {"js", "text/javascript; charset=utf-8"},
      {"json", "application/json"},
      {"map", "application/json"},
      {"md", "text/markdown; charset=utf-8"},
      {"mjs", "text/javascript; charset=utf-8"},
      {"parquet", "application/vnd.apache.parquet"},
      {"png", "image/png"},
      {"svg", "image/svg+xml"},
      {"txt", "text/plain; charset=utf-8"},
      {"wasm", "application/wasm"},
      {"webmanifest", "application/manifest+json"},
      {"webp", "image/webp"},
      {"woff2", "font/woff2"},
  };
  const size_t dot = name.rfind('.');
  if (dot == absl::string_view::npos) return "application/octet-stream";
  const std::string ending = absl::AsciiStrToLower(name.substr(dot + 1));
  const auto found = types.find(ending);
  return found == types.end() ? "application/octet-stream" : found->second;
}

absl::StatusOr<Files> Files::Read(const std::string& folder) {
  Files files;
  std::error_code error;
  size_t bytes = 0;
  fs::recursive_directory_iterator entries(folder, error);
  if (error)
    return absl::FailedPreconditionError(
        absl::StrCat(folder, " cannot be read as a folder: ", error.message()));
  for (const fs::directory_entry& entry : entries) {
    const std::string path = "/" + entry.path().lexically_relative(folder).generic_string();
    if (!entry.is_regular_file(error) || entry.is_symlink(error) || absl::StrContains(path, "/."))
      continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::string body((std::istreambuf_iterator<char>(in)), {});
    bytes += body.size();
    if (bytes > kMaxBytes)
      return absl::FailedPreconditionError(
          absl::StrCat(folder, " holds more than ", kMaxBytes, " bytes; is it the right one?"));
    File& file = files.files_[path];
    file.type = ContentType(path);
    file.etag = Etag(body);
    file.body = std::move(body);
  }
  return files;
}

Response Files::Answer(const Request& request) const {
  const std::string& path = request.path;
  auto found = files_.find(absl::EndsWith(path, "/") ? path + "index.html" : path);
  if (found == files_.end() && !absl::StrContains(path, '.') &&
      absl::StrContains(request.Header("Accept"), "text/html"))
    found = files_.find("/index.html");
  if (found == files_.end()) return Response::Text(404, "there is no such page\n");
  const File& file = found->second;
  Response response;
  response.headers = {
      {"Content-Type", file.type},
      {"ETag", file.etag},
      {"Cache-Control", absl::StartsWith(found->first, "/assets/")
                            ? "public, max-age=31536000, immutable" : "no-cache"},
      {"Content-Security-Policy", kPolicy},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Opener-Policy", "same-origin-allow-popups"},
  };
  if (absl::StrContains(request.Header("If-None-Match"), file.etag)) {
    response.status = 304;
  } else {
    response.body = file.body;
  }
  return response;
}

}  // namespace sextant::http
