// Tokens as text: "sx_ID_SECRET". The secret has 256 random bits, so a plain SHA-256 keeps it.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace sextant::access {

struct TokenText {
  std::string id;        // "sx_" and 12 hexadecimal digits
  std::string secret;    // 64 more
  std::string Whole() const;
};

// From the system's random numbers.
TokenText NewToken();

// Of the header `authorization: Bearer sx_ID_SECRET`; nothing where it is not of that form.
std::optional<TokenText> FromAuthorization(absl::string_view header);

bool IsTokenId(absl::string_view id);

std::string HashOf(absl::string_view secret);   // 32 bytes

// Takes as long whatever `secret` is.
bool Fits(absl::string_view secret, absl::string_view hash);

}  // namespace sextant::access
