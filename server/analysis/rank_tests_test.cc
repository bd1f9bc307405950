#include "server/analysis/rank_tests.h"

#include <cmath>
#include <random>
#include <vector>

#include "tests/catch.h"

namespace sextant::analysis {
namespace {

double Uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

}  // namespace

TEST_CASE("Spearman's correlation is that of ranks") {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6, 7, 8}, cubes = {1, 8, 27, 64, 125, 216, 343, 512};
  const RankTest up = Spearman(x, cubes);
  CHECK(up.value == Approx(1));
  CHECK(up.p_value == Approx(1.0 / 500));
  const std::vector<double> down = {8, 7, 6, 5, 4, 3, 2, 1};
  CHECK(Spearman(x, down).value == Approx(-1));
  // By hand: ranks of y are 2.5, 1, 2.5, 4, 5; Pearson's of ranks.
  CHECK(Spearman(std::vector<double>{1, 2, 3, 4, 5}, std::vector<double>{7, 3, 7, 8, 9}).value == Approx(0.8207827));
  CHECK(std::isnan(Spearman(x, std::vector<double>(8, 1.0)).value));
  CHECK(std::isnan(Spearman(std::vector<double>{1, 2}, std::vector<double>{1, 2}).value));
}

TEST_CASE("the correlation ratio is the root of the share between groups") {
  const std::vector<uint32_t> groups = {0, 0, 0, 1, 1, 1};
  const std::vector<double> y = {1, 2, 3, 11, 12, 13};
  CHECK(Eta(groups, 2, y).value == Approx(std::sqrt(150.0 / 154)));
  CHECK(std::isnan(Eta({0, 0, 0, 0, 0}, 1, std::vector<double>{1, 2, 3, 4, 5}).value));
  CHECK(std::isnan(Eta({0, 1, 2, 3, 4}, 5, std::vector<double>{1, 2, 3, 4, 5}).value));   // one of each
}

TEST_CASE("what does not go together has p-values that are spread evenly") {
  std::mt19937_64 random(1);
  int below = 0, groups_below = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<double> x(40), y(40);
    std::vector<uint32_t> groups(40);
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = Uniform(random);
      y[i] = Uniform(random);
      groups[i] = static_cast<uint32_t>(random() % 5);
    }
    below += Spearman(x, y).p_value <= 0.1 ? 1 : 0;
    groups_below += Eta(groups, 5, y).p_value <= 0.1 ? 1 : 0;
  }
  CHECK(below == Approx(20).margin(12));
  CHECK(groups_below == Approx(20).margin(12));
}

}  // namespace sextant::analysis
