// Whose rows a call may see: one tenant's, or all.
#pragma once

#include <string>
#include <utility>

namespace sextant::store {

class Reach {
 public:
  static Reach All() { return Reach(""); }
  // Not the empty name.
  static Reach Of(std::string tenant) { return Reach(std::move(tenant)); }

  bool all() const { return tenant_.empty(); }
  // As a parameter of `$n = '' OR tenant = $n`.
  const std::string& sql() const { return tenant_; }

 private:
  explicit Reach(std::string tenant) : tenant_(std::move(tenant)) {}
  std::string tenant_;
};

}  // namespace sextant::store
