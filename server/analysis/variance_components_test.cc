#include "server/analysis/variance_components.h"

#include <cmath>
#include <map>
#include <random>

#include "tests/catch.h"

namespace sextant::analysis {
namespace {

double Normal(std::mt19937_64& random) {
  const auto uniform = [&] { return static_cast<double>((random() >> 11) + 1) * 0x1p-53; };
  return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * M_PI * uniform());
}

std::map<std::string, double> ByName(const std::vector<Component>& components) {
  std::map<std::string, double> by_name;
  for (const Component& one : components) by_name[one.name] = one.variance;
  return by_name;
}

// y with effects of these deviations: passes, CTAs within passes, SMs (a CTA's is its number modulo 16),
// iterations, rest. Every `lost`-th observation is missing.
struct Design {
  std::vector<double> y;
  std::vector<Factor> factors;
};
Design Make(uint64_t seed, uint32_t passes, uint32_t ctas, uint32_t iterations, const std::vector<double>& deviations,
            uint32_t lost = 0) {
  std::mt19937_64 random(seed);
  Design d;
  d.factors = {{"passes", {}, passes}, {"CTAs", {}, passes * ctas}, {"SMs", {}, 16}, {"iterations", {}, iterations}};
  std::vector<std::vector<double>> effects;
  for (size_t f = 0; f < d.factors.size(); ++f) {
    effects.emplace_back(d.factors[f].count);
    for (double& effect : effects[f]) effect = deviations[f] * Normal(random);
  }
  uint32_t n = 0;
  for (uint32_t p = 0; p < passes; ++p)
    for (uint32_t c = 0; c < ctas; ++c)
      for (uint32_t k = 0; k < iterations; ++k) {
        if (lost > 0 && ++n % lost == 0) continue;
        const uint32_t levels[] = {p, p * ctas + c, c % 16, k};
        double y = 1000 + deviations[4] * Normal(random);
        for (size_t f = 0; f < d.factors.size(); ++f) {
          d.factors[f].levels.push_back(levels[f]);
          y += effects[f][levels[f]];
        }
        d.y.push_back(y);
      }
  return d;
}

}  // namespace

TEST_CASE("a balanced nested design gives the classical analysis of variance exactly") {
  // Three groups of two. Between: 2·Σ(mean − 5)² ÷ 2 = 26; within: Σ ÷ 3 = 2/3 … by hand.
  const std::vector<double> y = {1, 2, 5, 6, 7, 9};
  const Factor groups{"groups", {0, 0, 1, 1, 2, 2}, 3};
  std::vector<std::string> left_out;
  const auto by_name = ByName(VarianceComponents(y, {groups}, &left_out));
  const double within = (0.5 + 0.5 + 2) / 3, between = 2 * (3.5 * 3.5 + 0.5 * 0.5 + 3 * 3) / 2;
  CHECK(by_name.at("rest") == Approx(within));
  CHECK(by_name.at("groups") == Approx((between - within) / 2));
  CHECK(left_out.empty());
}

TEST_CASE("known components are recovered, averaged over designs, also with lost observations and uneven groups") {
  const std::vector<double> deviations = {5, 3, 4, 2, 6};   // passes, CTAs, SMs, iterations, rest
  for (const uint32_t lost : {0u, 3u}) {
    std::map<std::string, double> mean;
    constexpr int kDesigns = 60;
    for (int i = 0; i < kDesigns; ++i) {
      const Design d = Make(100 + i, 12, 32, 12, deviations, lost);
      std::vector<std::string> left_out;
      for (const Component& one : VarianceComponents(d.y, d.factors, &left_out)) mean[one.name] += one.variance / kDesigns;
      CHECK(left_out.empty());
    }
    CHECK(mean["passes"] == Approx(25).epsilon(0.2));
    CHECK(mean["CTAs"] == Approx(9).epsilon(0.05));
    CHECK(mean["SMs"] == Approx(16).epsilon(0.2));
    CHECK(mean["iterations"] == Approx(4).epsilon(0.2));
    CHECK(mean["rest"] == Approx(36).epsilon(0.02));
  }
}

TEST_CASE("without an effect nothing is found but the rest") {
  const Design d = Make(9, 10, 32, 16, {0, 0, 0, 0, 5});
  std::vector<std::string> left_out;
  auto by_name = ByName(VarianceComponents(d.y, d.factors, &left_out));
  CHECK(by_name["rest"] == Approx(25).epsilon(0.05));
  for (const char* name : {"passes", "CTAs", "SMs", "iterations"}) CHECK(by_name[name] < 0.3);
}

TEST_CASE("factors that cannot be told apart are named, not guessed") {
  std::vector<std::string> left_out;
  const std::vector<double> y = {1, 2, 3, 4, 5, 6};
  const Factor one{"passes", {0, 0, 0, 0, 0, 0}, 1}, launches{"launches", {0, 0, 0, 1, 1, 1}, 2},
      ctas{"CTAs", {1, 1, 1, 0, 0, 0}, 2}, each{"iterations", {0, 1, 2, 3, 4, 5}, 6};
  const auto components = VarianceComponents(y, {one, launches, ctas, each}, &left_out);
  REQUIRE(components.size() == 5);
  CHECK(components[0].name == "passes");
  CHECK(components[0].variance == 0);
  CHECK(components[2].variance == 0);
  REQUIRE(left_out.size() == 2);
  CHECK(left_out[0] == "CTAs: cannot be told from launches, one of each in each");
  CHECK_THAT(left_out[1], Catch::StartsWith("iterations: one observation of each"));
  CHECK(VarianceComponents({}, {}, &left_out).empty());
  const std::vector<double> same(10, 3.0);
  CHECK(VarianceComponents(same, {}, &left_out)[0].variance == 0);
}

}  // namespace sextant::analysis
