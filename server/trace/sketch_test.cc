#include "server/trace/sketch.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/catch.h"

namespace sextant::trace {

TEST_CASE("every value lies within one percent of what its bin stands for") {
  std::mt19937_64 random(1);
  uint32_t before = 0;
  for (uint64_t v = 0; v < 20000; ++v) {
    REQUIRE(BinOf(v) >= before);
    before = BinOf(v);
    REQUIRE(std::abs(BinValue(BinOf(v)) - static_cast<double>(v)) <= kRelativeError * v);
  }
  for (int i = 0; i < 200000; ++i) {
    const uint64_t v = random() >> random() % 64;
    REQUIRE(BinOf(v) < kBins);
    REQUIRE(std::abs(BinValue(BinOf(v)) - static_cast<double>(v)) <=
            kRelativeError * static_cast<double>(v));
  }
  REQUIRE(BinOf(UINT64_MAX) == kBins - 1);
}

TEST_CASE("small whole numbers are exact") {
  for (uint64_t v = 0; v < 30; ++v) REQUIRE(BinValue(BinOf(v)) == static_cast<double>(v));
}

TEST_CASE("quantiles are within one percent of the value of that rank") {
  std::mt19937_64 random(3);
  std::lognormal_distribution<double> spread(8, 2);
  std::vector<uint64_t> values;
  Sketch sketch;
  for (int i = 0; i < 30000; ++i) {
    values.push_back(static_cast<uint64_t>(spread(random)));
    sketch.Add(values.back());
  }
  std::sort(values.begin(), values.end());
  const std::vector<double> quantiles = {0, 0.01, 0.2, 0.5, 0.8, 0.99, 0.9999, 1};
  std::vector<double> got(quantiles.size());
  sketch.Quantiles(quantiles, got.data());
  for (size_t q = 0; q < quantiles.size(); ++q) {
    const double want = static_cast<double>(values[static_cast<size_t>(quantiles[q] * 29999)]);
    CAPTURE(quantiles[q]);
    REQUIRE(std::abs(got[q] - want) <= kRelativeError * want);
  }
}

TEST_CASE("merging in any order gives what adding everything to one would give") {
  std::mt19937_64 random(5);
  Sketch all, a, b, c;
  for (int i = 0; i < 3000; ++i) {
    const uint64_t v = random() >> random() % 60;
    all.Add(v);
    (i % 3 == 0 ? a : i % 3 == 1 ? b : c).Add(v);
  }
  Sketch ab = a, cb = c;
  ab.Merge(b);
  ab.Merge(c);
  cb.Merge(b);
  cb.Merge(a);
  cb.Merge(Sketch());
  for (const Sketch* s : {&ab, &cb}) {
    REQUIRE(s->count() == 3000);
    for (uint32_t bin = 0; bin < kBins; ++bin) {
      auto at = [bin](const Sketch& k) {
        const uint32_t i = bin - k.lowest_bin();
        return i < k.bins() ? k.counts()[i] : 0;
      };
      REQUIRE(at(*s) == at(all));
    }
  }
}

TEST_CASE("an empty sketch has no quantiles") {
  double out = 0;
  Sketch().Quantiles({0.5}, &out);
  REQUIRE(std::isnan(out));
  REQUIRE(Sketch().count() == 0);
}

}  // namespace sextant::trace
