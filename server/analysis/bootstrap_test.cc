#include "server/analysis/bootstrap.h"

#include <cmath>
#include <random>

#include "tests/catch.h"

namespace sextant::analysis {
namespace {

// Passes around `middle`, each at most `part` of it away, evenly likely.
std::vector<double> Noisy(std::mt19937_64& random, size_t n, double middle, double part) {
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i)
    values.push_back(middle * (1 + part * (2 * static_cast<double>(random() >> 11) * 0x1p-53 - 1)));
  return values;
}

TEST_CASE("a known change lies in the interval, and the interval grows with the noise") {
  std::mt19937_64 random(1);
  const auto a = Noisy(random, 20, 1000, 0.01), b = Noisy(random, 20, 950, 0.01);
  const Change small = Bootstrap().ChangeOf(a, b);
  CHECK(small.relative == Approx(-0.05).margin(0.01));
  CHECK(small.low <= small.relative);
  CHECK(small.relative <= small.high);
  CHECK(small.low < -0.05);
  CHECK(small.high > -0.05);
  CHECK(small.high < 0);
  const Change large = Bootstrap().ChangeOf(Noisy(random, 20, 1000, 0.2), Noisy(random, 20, 950, 0.2));
  CHECK(large.high - large.low > 5 * (small.high - small.low));
}

TEST_CASE("the same values give the same interval, whatever was asked before") {
  std::mt19937_64 random(2);
  const auto a = Noisy(random, 7, 10, 0.1), b = Noisy(random, 7, 10, 0.1);
  Bootstrap bootstrap;
  const Change once = bootstrap.ChangeOf(a, b);
  bootstrap.ChangeOf(b, a);
  bootstrap.ChangeOf(Noisy(random, 9, 10, 0.1), b);
  const Change again = bootstrap.ChangeOf(a, b);
  CHECK(once.low == again.low);
  CHECK(once.high == again.high);
  CHECK(Bootstrap().NoiseFloor(a) == Bootstrap().NoiseFloor(a));
}

TEST_CASE("three passes reach from extreme to extreme") {
  const Change change = Bootstrap().ChangeOf({{100, 101, 102}}, {{110, 111, 113}});
  CHECK(change.relative == Approx(111.0 / 101 - 1));
  CHECK(change.low == Approx(110.0 / 102 - 1));
  CHECK(change.high == Approx(113.0 / 100 - 1));
}

TEST_CASE("equal programs are told apart as rarely as the header says") {
  std::mt19937_64 random(3);
  Bootstrap bootstrap;
  for (const auto& [passes, most] : {std::pair<size_t, double>{3, 0.15}, {5, 0.08}, {20, 0.08}}) {
    int apart = 0, beyond_noise = 0;
    constexpr int kTrials = 500;
    for (int trial = 0; trial < kTrials; ++trial) {
      const auto a = Noisy(random, passes, 1, 0.02), b = Noisy(random, passes, 1, 0.02);
      const Change change = bootstrap.ChangeOf(a, b);
      if (change.low <= 0 && change.high >= 0) continue;
      ++apart;
      if (std::abs(change.relative) > bootstrap.NoiseFloor(a)) ++beyond_noise;
    }
    INFO(passes << " passes: " << apart << ", beyond the noise floor " << beyond_noise);
    CHECK(apart <= most * kTrials);
    CHECK(beyond_noise <= apart);
  }
}

TEST_CASE("what cannot be known is NaN") {
  CHECK(std::isnan(Bootstrap().ChangeOf({}, {{1.0}}).relative));
  CHECK(std::isnan(Bootstrap().ChangeOf({{1.0}}, {}).low));
  CHECK(std::isnan(Bootstrap().ChangeOf({{0.0, 0.0, 0.0}}, {{1.0, 2.0, 3.0}}).relative));
  CHECK(std::isnan(Bootstrap().ChangeOf({{0.0, 0.0, 0.0}}, {{1.0, 2.0, 3.0}}).low));
  const Change zeros = Bootstrap().ChangeOf({{0.0, 0.0}}, {{0.0, 0.0}});
  CHECK(zeros.relative == 0);
  CHECK(zeros.high == 0);
  CHECK(std::isnan(Bootstrap().NoiseFloor({{1.0}})));
  CHECK(Bootstrap().NoiseFloor({{4.0, 4.0, 4.0}}) == 0);
  CHECK(Bootstrap().ChangeOf({{5.0}}, {{6.0}}).relative == Approx(0.2));
}

TEST_CASE("a sample's noise is what its halves differ by") {
  CHECK(Bootstrap().NoiseFloor({{100, 110}}) == Approx(0.1).margin(0.0001));
  std::mt19937_64 random(4);
  const auto quiet = Noisy(random, 10, 100, 0.001), loud = Noisy(random, 10, 100, 0.1);
  CHECK(Bootstrap().NoiseFloor(quiet) < 0.002);
  CHECK(Bootstrap().NoiseFloor(loud) > 0.02);
}

TEST_CASE("two groups are seen, noise is not taken for them") {
  const auto groups = TwoGroups({{120, 100, 101, 121, 100.5}});
  REQUIRE(groups.has_value());
  CHECK(groups->first == Approx(100.5));
  CHECK(groups->second == Approx(120.5));
  CHECK_FALSE(TwoGroups({{100, 101, 102, 103, 104}}).has_value());
  CHECK_FALSE(TwoGroups({{100, 100, 100, 200}}).has_value());   // one stray pass
  CHECK_FALSE(TwoGroups({{1, 1, 2}}).has_value());
  CHECK_FALSE(TwoGroups({{5, 5, 5, 5}}).has_value());
}

}  // namespace
}  // namespace sextant::analysis
