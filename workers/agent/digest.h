// SHA-256, the name of every blob and chunk.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sextant::agent {

// Digests content given piece by piece. One thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(std::string_view piece);
  // The 32 raw bytes. Called once.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Digest(std::string_view content);
std::string Hex(std::string_view bytes);

}  // namespace sextant::agent
