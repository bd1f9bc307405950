#include "client/endpoint/token.h"

#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proto/certificate/pem.h"
#include "proto/status/status.h"

namespace sextant::endpoint {
namespace {

constexpr size_t kMaxTokenBytes = 1024;

std::string StampOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return "";
  return absl::StrCat(info.st_dev, ":", info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec, ".",
                      info.st_mtim.tv_nsec);
}

absl::StatusOr<std::string> Checked(absl::string_view by, absl::string_view text) {
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  const bool visible = std::all_of(token.begin(), token.end(),
                                   [](unsigned char c) { return absl::ascii_isgraph(c); });
  if (token.empty() || token.size() > kMaxTokenBytes || !visible)
    return absl::InvalidArgumentError(
        absl::StrCat(by, token.empty() ? " holds no token" : " does not hold one token alone",
                     "; write into it what `sextant token create` printed, such as sx_4f3a…, and nothing else"));
  return std::string(token);
}

}  // namespace

absl::StatusOr<std::shared_ptr<Token>> Token::FromText(absl::string_view by, absl::string_view text) {
  std::shared_ptr<Token> token(new Token());   // private constructor
  absl::MutexLock lock(&token->mutex_);
  ASSIGN_OR_RETURN(token->text_, Checked(by, text));
  return token;
}

absl::StatusOr<std::shared_ptr<Token>> Token::FromFile(absl::string_view by, const std::string& path) {
  std::shared_ptr<Token> token(new Token());   // private constructor
  token->by_ = std::string(by);
  token->path_ = path;
  absl::MutexLock lock(&token->mutex_);
  token->stamp_ = StampOf(path);
  ASSIGN_OR_RETURN(const std::string text, certificate::ReadSecretFile(by, path));
  ASSIGN_OR_RETURN(token->text_, Checked(absl::StrCat(by, " ", path), text));
  return token;
}

std::string Token::Text() {
  absl::MutexLock lock(&mutex_);
  if (path_.empty()) return text_;
  std::string stamp = StampOf(path_);
  if (stamp.empty() || stamp == stamp_) return text_;
  const auto text = certificate::ReadSecretFile(by_, path_);
  auto checked = text.ok() ? Checked(by_, *text) : text.status();
  if (!checked.ok()) return text_;
  text_ = *std::move(checked);
  stamp_ = std::move(stamp);
  return text_;
}

}  // namespace sextant::endpoint
