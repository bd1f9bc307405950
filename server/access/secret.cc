#include "server/access/secret.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace sextant::access {
namespace {

constexpr absl::string_view kPrefix = "sx_";
constexpr size_t kIdDigits = 12;
constexpr size_t kSecretDigits = 64;

std::string RandomHex(size_t digits) {
  std::string bytes(digits / 2, '\0');
  // Without random numbers there must be no token.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) != 1) std::abort();
  return absl::BytesToHexString(bytes);
}

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string TokenText::Whole() const { return absl::StrCat(id, "_", secret); }

TokenText NewToken() { return {absl::StrCat(kPrefix, RandomHex(kIdDigits)), RandomHex(kSecretDigits)}; }

bool IsTokenId(absl::string_view id) {
  return absl::ConsumePrefix(&id, kPrefix) && id.size() == kIdDigits && IsHex(id);
}

std::optional<TokenText> FromAuthorization(absl::string_view header) {
  constexpr absl::string_view kBearer = "bearer ";
  if (!absl::StartsWithIgnoreCase(header, kBearer)) return std::nullopt;
  const absl::string_view text = absl::StripAsciiWhitespace(header.substr(kBearer.size()));
  const size_t id_size = kPrefix.size() + kIdDigits;
  if (text.size() != id_size + 1 + kSecretDigits || text[id_size] != '_') return std::nullopt;
  TokenText token{std::string(text.substr(0, id_size)), std::string(text.substr(id_size + 1))};
  if (!IsTokenId(token.id) || !IsHex(token.secret)) return std::nullopt;
  return token;
}

std::string HashOf(absl::string_view secret) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), hash);
  return {reinterpret_cast<char*>(hash), sizeof(hash)};
}

bool Fits(absl::string_view secret, absl::string_view hash) {
  const std::string mine = HashOf(secret);
  return mine.size() == hash.size() && CRYPTO_memcmp(mine.data(), hash.data(), mine.size()) == 0;
}

}  // namespace sextant::access
