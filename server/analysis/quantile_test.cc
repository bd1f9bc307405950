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

TEST_CASE("selecting quantiles gives what sorting gives") {
  uint64_t x = 7;
  const std::vector<double> quantiles = {0, 0.05, 0.2, 0.5, 0.501, 0.8, 1};
  for (size_t n = 1; n < 60; ++n) {
    std::vector<double> values(n);
    for (double& value : values) value = static_cast<double>((x = x * 6364136223846793005u + 1) >> 60);
    std::vector<double> sorted = values;
    const auto expected = Quantiles(&sorted, quantiles);
    CHECK(SelectQuantiles(absl::MakeSpan(values), quantiles) == expected);
  }
  CHECK(std::isnan(SelectQuantiles({}, {0.5})[0]));
}

TEST_CASE("spread is the distance of P80 and P20 relative to the median") {
  CHECK(Spread(std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) == Approx(1.0));
  CHECK(Spread(std::vector<double>{0, 0, 0}) == 0);
}

}  // namespace sextant::analysis
