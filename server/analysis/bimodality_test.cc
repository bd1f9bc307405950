#include "server/analysis/bimodality.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "tests/catch.h"

namespace sextant::analysis {
namespace {

double Uniform(std::mt19937_64& random) { return static_cast<double>((random() >> 11) + 1) * 0x1p-53; }
double Normal(std::mt19937_64& random) {   // Box and Muller
  const double r = std::sqrt(-2 * std::log(Uniform(random)));
  return r * std::cos(2 * M_PI * Uniform(random));
}

// The share of 400 samples in which two modes are seen.
double Seen(size_t n, const std::function<double(std::mt19937_64&)>& draw) {
  std::mt19937_64 random(42);
  int seen = 0;
  for (int round = 0; round < 400; ++round) {
    std::vector<double> values(n);
    for (double& value : values) value = draw(random);
    seen += FindModes(values).two ? 1 : 0;
  }
  return seen / 400.0;
}

}  // namespace

TEST_CASE("the dip of evenly spread values is the least there is, of two far points the most") {
  std::vector<double> even, two;
  for (int i = 0; i < 100; ++i) {
    even.push_back(i);
    two.push_back((i < 50 ? 0 : 1000) + i * 0.001);
  }
  CHECK(Dip(even) == Approx(1 / 200.0));
  CHECK(Dip(two) == Approx(0.25).epsilon(0.05));
  CHECK(Dip(std::vector<double>{1, 1, 1}) == Approx(1 / 6.0));
  CHECK(Dip({}) == 0);
}

TEST_CASE("the dip does not depend on the unit, nor on the side") {
  std::mt19937_64 random(3);
  std::vector<double> values(300), mirrored;
  for (size_t i = 0; i < values.size(); ++i) values[i] = Normal(random) + (i % 3 == 0 ? 4 : 0);
  std::sort(values.begin(), values.end());
  for (auto at = values.rbegin(); at != values.rend(); ++at) mirrored.push_back(1000 - 7 * *at);
  CHECK(Dip(values) == Approx(Dip(mirrored)));
}

TEST_CASE("one mode is taken for two in less than 1 % of cases, whatever its shape") {
  const auto uniform = [](std::mt19937_64& random) { return 100 + 100 * Uniform(random); };
  const auto normal = [](std::mt19937_64& random) { return 100 + 10 * Normal(random); };
  const auto skewed = [](std::mt19937_64& random) { return 100 * std::exp(0.6 * Normal(random)); };
  const auto exponential = [](std::mt19937_64& random) { return 100 - 50 * std::log(Uniform(random)); };
  const auto stepped = [](std::mt19937_64& random) { return std::round(40 + 3 * Normal(random)); };
  for (const size_t n : {50, 200, 2000})
    for (const auto& draw : std::vector<std::function<double(std::mt19937_64&)>>{uniform, normal, skewed, exponential, stepped})
      CHECK(Seen(n, draw) <= 0.01);
}

TEST_CASE("two modes are seen, with where they are and how many are in the second") {
  const auto mixed = [](double apart, double share) {
    return [=](std::mt19937_64& random) {
      return 100 + 3 * Normal(random) + (Uniform(random) < share ? apart : 0);
    };
  };
  CHECK(Seen(500, mixed(20, 0.5)) > 0.99);
  CHECK(Seen(500, mixed(20, 0.2)) > 0.95);
  CHECK(Seen(2000, mixed(40, 0.06)) > 0.9);
  std::mt19937_64 random(5);
  std::vector<double> values(1000);
  const auto draw = mixed(30, 0.25);
  for (double& value : values) value = draw(random);
  const Modes modes = FindModes(values);
  REQUIRE(modes.two);
  CHECK(modes.first == Approx(100).epsilon(0.01));
  CHECK(modes.second == Approx(130).epsilon(0.01));
  CHECK(modes.second_share == Approx(0.25).margin(0.04));
}

TEST_CASE("too few values, equal values and modes a hair apart are one mode") {
  CHECK_FALSE(FindModes(std::vector<double>{1, 1, 1, 9, 9, 9}).two);
  CHECK_FALSE(FindModes(std::vector<double>(500, 7.0)).two);
  CHECK(FindModes(std::vector<double>(500, 7.0)).first == 7);
  std::vector<double> close;
  for (int i = 0; i < 500; ++i) close.push_back(i % 2 == 0 ? 1000 : 1010);
  CHECK_FALSE(FindModes(close).two);
  CHECK(std::isnan(FindModes({}).first));
}

}  // namespace sextant::analysis
