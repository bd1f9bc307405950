#include "server/access/rates.h"

#include <algorithm>

namespace sextant::access {

bool Rates::Take(const std::string& tenant, double calls_per_s, absl::Time now) {
  if (calls_per_s <= 0) return true;
  const double most = std::max(1.0, calls_per_s);
  absl::MutexLock lock(&mutex_);
  auto [found, first] = buckets_.try_emplace(tenant);
  Bucket& bucket = found->second;
  const double passed_s = first ? 0 : std::max(0.0, absl::ToDoubleSeconds(now - bucket.filled));
  bucket.calls = first ? most : std::min(most, bucket.calls + passed_s * calls_per_s);
  bucket.filled = now;
  if (bucket.calls < 1) return false;
  bucket.calls -= 1;
  return true;
}

}  // namespace sextant::access
