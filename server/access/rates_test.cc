#include "server/access/rates.h"

#include "tests/catch.h"

namespace sextant::access {

TEST_CASE("a bucket holds a second's worth and fills evenly") {
  Rates rates;
  absl::Time now = absl::UnixEpoch();
  int taken = 0;
  while (rates.Take("a", 10, now)) ++taken;
  CHECK(taken == 10);
  CHECK(rates.Take("b", 10, now));
  now += absl::Milliseconds(99);
  CHECK_FALSE(rates.Take("a", 10, now));
  now += absl::Milliseconds(2);
  CHECK(rates.Take("a", 10, now));
  CHECK_FALSE(rates.Take("a", 10, now));
  now += absl::Hours(1);
  for (taken = 0; rates.Take("a", 10, now);) ++taken;
  CHECK(taken == 10);
}

TEST_CASE("a bound below one call a second lets one call through, then waits") {
  Rates rates;
  absl::Time now = absl::UnixEpoch();
  CHECK(rates.Take("a", 0.5, now));
  CHECK_FALSE(rates.Take("a", 0.5, now + absl::Milliseconds(1990)));
  CHECK(rates.Take("a", 0.5, now + absl::Milliseconds(2010)));
}

TEST_CASE("no bound takes everything, a clock that steps back nothing") {
  Rates rates;
  for (int i = 0; i < 1000; ++i) CHECK(rates.Take("a", 0, absl::UnixEpoch()));
  CHECK(rates.Take("b", 1, absl::UnixEpoch() + absl::Hours(1)));
  CHECK_FALSE(rates.Take("b", 1, absl::UnixEpoch()));
}

}  // namespace sextant::access
