#include "server/analysis/quantile.h"

#include <cmath>

#include "tests/catch.h"

namespace sextant::analysis {

TEST_CASE("a quantile interpolates between order statistics") {
  const std::vector<double> values = {10, 20, 30, 40};
  CHECK(Quantile(values, 0) == 10);
  CHECK(Quantile(values, 1) == 40);
  CHECK(Quantile(values, 0.5) == Approx(25));
  CHECK(Quantile(values, 0.2) == Approx(16));
}

TEST_CASE("the quantile of one value is the value, of none is not a number") {
  const std::vector<double> one = {7};
  CHECK(Quantile(one, 0.2) == 7);
  CHECK(Quantile(one, 0.8) == 7);
  CHECK(std::isnan(Quantile({}, 0.5)));
}

TEST_CASE("quantiles sort what they are given") {
  std::vector<double> values = {3, 1, 2};
  CHECK(Quantiles(&values, {0.0, 0.5, 1.0}) == std::vector<double>{1, 2, 3});
}

TEST_CASE("spread is the distance of P80 and P20 relative to the median") {
  CHECK(Spread(std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) == Approx(1.0));
  CHECK(Spread(std::vector<double>{0, 0, 0}) == 0);
}

}  // namespace sextant::analysis
