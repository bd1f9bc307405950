#include "workers/agent/digest.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"

namespace sextant::agent {

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr);
}

Sha256::~Sha256() = default;

void Sha256::Update(std::string_view piece) {
  EVP_DigestUpdate(state_->context.get(), piece.data(), piece.size());
}

std::string Sha256::Finish() {
  std::string digest(32, '\0');
  unsigned int size = 0;
  EVP_DigestFinal_ex(state_->context.get(), reinterpret_cast<unsigned char*>(digest.data()), &size);
  return digest;
}

std::string Digest(std::string_view content) {
  Sha256 sha;
  sha.Update(content);
  return sha.Finish();
}

std::string Hex(std::string_view bytes) {
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

}  // namespace sextant::agent
