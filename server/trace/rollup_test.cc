#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "proto/chunk/encoder.h"
#include "server/trace/rollup.h"
#include "server/trace/rollup_codec.h"
#include "server/trace/rollup_view.h"
#include "tests/catch.h"

namespace sextant::trace {
namespace {

chunk::TraceInfo Info() {
  return {.kernel = "k",
          .regions = {"load", "mma", "store"},
          .roles = {"producer", "consumer"},
          .tracks = {{.warp = 0, .role = 0}, {.warp = 1, .role = 1}, {.warp = 2, .role = 1}}};
}

std::vector<chunk::Instance> Instances(uint32_t seed, size_t n, uint64_t step_ns = 1000) {
  std::mt19937_64 random(seed);
  std::vector<chunk::Instance> out;
  for (size_t i = 0; i < n; ++i) {
    out.push_back({static_cast<uint32_t>(random() % 3), static_cast<uint32_t>(random() % 3),
                   i * step_ns + random() % step_ns, 50 + random() % 5000});
  }
  return out;
}

Rollup RollUp(const chunk::TraceInfo& info, const std::vector<chunk::Instance>& instances) {
  chunk::Limits limits;
  limits.max_events = 1000;
  auto chunks = chunk::EncodeTrace(info, instances, limits);
  REQUIRE(chunks.ok());
  Rollup rollup;
  for (const auto& c : *chunks) {
    auto decoded = chunk::DecodeUntrusted(c.bytes);
    REQUIRE(decoded.ok());
    REQUIRE(rollup.Add(*decoded).ok());
  }
  rollup.SumUp();
  return rollup;
}

// Everything a client can see of a rollup, as text.
std::string Show(const Rollup& rollup) {
  std::string text = std::to_string(rollup.events()) + " " + std::to_string(rollup.bucket_ns()) +
                     " " + std::to_string(rollup.first_bucket());
  for (const RegionStat& s : RegionStats(rollup, {0, 0.2, 0.5, 0.8, 1})) {
    text += "\n" + s.role + "/" + s.region + " " + std::to_string(s.totals.count) + " " +
            std::to_string(s.totals.sum) + " " + std::to_string(s.totals.min);
    for (double q : s.quantiles) text += " " + std::to_string(q);
  }
  auto view = Buckets(rollup, {});
  REQUIRE(view.ok());
  for (const RegionBuckets& r : view->regions) {
    text += "\n" + r.region;
    for (uint64_t n : r.counts) text += " " + std::to_string(n);
    for (double q : r.quantiles) text += " " + std::to_string(q);
  }
  return text;
}

}  // namespace

TEST_CASE("a rollup counts every instance once, in its role, region and bucket") {
  const auto instances = Instances(1, 20000);
  Rollup rollup = RollUp(Info(), instances);
  REQUIRE(rollup.events() == 20000);
  REQUIRE(rollup.buckets() <= kMaxBuckets);
  std::map<std::pair<std::string, std::string>, std::vector<uint64_t>> truth;
  std::map<std::pair<std::string, uint64_t>, std::vector<uint64_t>> by_time;
  const auto info = Info();
  for (const auto& e : instances) {
    truth[{info.roles[info.tracks[e.track].role], info.regions[e.region]}].push_back(e.duration);
    by_time[{info.regions[e.region], e.start / rollup.bucket_ns()}].push_back(e.duration);
  }
  const std::vector<double> quantiles = {0, 0.2, 0.5, 0.8, 1};
  const auto stats = RegionStats(rollup, quantiles);
  REQUIRE(stats.size() == truth.size());
  for (const RegionStat& s : stats) {
    auto& values = truth[{s.role, s.region}];
    std::sort(values.begin(), values.end());
    REQUIRE(s.totals.count == values.size());
    REQUIRE(s.totals.min == values.front());
    REQUIRE(s.totals.max == values.back());
    for (size_t q = 0; q < quantiles.size(); ++q) {
      const double want = static_cast<double>(
          values[static_cast<size_t>(quantiles[q] * static_cast<double>(values.size() - 1))]);
      REQUIRE(std::abs(s.quantiles[q] - want) <= kRelativeError * want);
    }
  }
  auto view = Buckets(rollup, {.quantiles = {0.5}});
  REQUIRE(view.ok());
  REQUIRE(view->regions.size() == 3);
  for (const RegionBuckets& r : view->regions) {
    for (uint32_t b = 0; b < view->buckets; ++b) {
      auto& values = by_time[{r.region, view->first_bucket_ns / view->bucket_ns + b}];
      REQUIRE(r.counts[b] == values.size());
      if (values.empty()) {
        REQUIRE(std::isnan(r.quantiles[b]));
        continue;
      }
      std::sort(values.begin(), values.end());
      const double want = static_cast<double>(values[(values.size() - 1) / 2]);
      REQUIRE(std::abs(r.quantiles[b] - want) <= kRelativeError * want);
    }
  }
}

TEST_CASE("merging passes gives the rollup of all their instances") {
  auto a = Instances(1, 3000), b = Instances(2, 4000);
  Rollup merged;
  REQUIRE(*merged.MergePass(7, RollUp(Info(), a)));
  REQUIRE(*merged.MergePass(3, RollUp(Info(), b)));
  REQUIRE(merged.passes() == std::vector<int64_t>{3, 7});
  Rollup other;
  REQUIRE(*other.MergePass(3, RollUp(Info(), b)));
  REQUIRE(*other.MergePass(7, RollUp(Info(), a)));
  REQUIRE(Show(merged) == Show(other));
  a.insert(a.end(), b.begin(), b.end());
  REQUIRE(Show(merged) == Show(RollUp(Info(), a)));
}

TEST_CASE("merging a pass again changes nothing") {
  const Rollup pass = RollUp(Info(), Instances(1, 3000));
  Rollup merged;
  REQUIRE(*merged.MergePass(7, pass));
  const std::string before = Show(merged);
  REQUIRE_FALSE(*merged.MergePass(7, pass));
  REQUIRE(Show(merged) == before);
}

TEST_CASE("rollups of different widths merge into the wider") {
  const auto shorter = Instances(1, 2000, 100), longer = Instances(2, 2000, 1000000);
  Rollup merged = RollUp(Info(), shorter);
  const Rollup wide = RollUp(Info(), longer);
  REQUIRE(merged.bucket_ns() < wide.bucket_ns());
  REQUIRE(merged.Merge(wide).ok());
  auto all = shorter;
  all.insert(all.end(), longer.begin(), longer.end());
  REQUIRE(Show(merged) == Show(RollUp(Info(), all)));
  Rollup back = wide;
  REQUIRE(back.Merge(RollUp(Info(), shorter)).ok());
  REQUIRE(Show(back) == Show(merged));
}

TEST_CASE("a short trace that begins late keeps narrow buckets") {
  auto instances = Instances(1, 1000, 100);
  for (auto& e : instances) e.start += 500'000'000'000;
  const Rollup rollup = RollUp(Info(), instances);
  REQUIRE(rollup.bucket_ns() <= 256);
  auto view = Buckets(rollup, {.quantiles = {0.5}});
  REQUIRE(view->first_bucket_ns >= 499'999'000'000);
}

TEST_CASE("cycles and nanoseconds are never merged") {
  auto info = Info();
  info.unit = v1::CYCLES;
  info.ns_per_unit = 0.5;
  info.tracks[0].origin_ns = 4'000'000;
  Rollup cycles = RollUp(info, {{0, 0, 2000, 77}});
  // Placed by time, measured in cycles.
  REQUIRE(cycles.first_bucket() * cycles.bucket_ns() == 4'001'000);
  REQUIRE(RegionStats(cycles, {0.5})[0].totals.sum == 77);
  const absl::Status status = cycles.Merge(RollUp(Info(), Instances(1, 10)));
  REQUIRE(status.code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("a rollup written and read is the same, merged set and all") {
  Rollup merged;
  REQUIRE(*merged.MergePass(7, RollUp(Info(), Instances(1, 50000))));
  REQUIRE(*merged.MergePass(1'000'000'000'000, RollUp(Info(), Instances(2, 50000))));
  const std::string bytes = RollupCodec::Encode(merged);
  auto read = RollupCodec::Decode(bytes);
  REQUIRE(read.ok());
  REQUIRE(Show(*read) == Show(merged));
  REQUIRE(read->passes() == merged.passes());
  REQUIRE(read->kernel() == "k");
  REQUIRE(RollupCodec::Encode(*read) == bytes);
  auto without = RollupCodec::Decode(bytes, false);
  REQUIRE(without.ok());
  REQUIRE(RegionStats(*without, {0.5})[0].quantiles == RegionStats(merged, {0.5})[0].quantiles);
}

TEST_CASE("a written rollup takes half a byte an event, or little") {
  Rollup rollup = RollUp(Info(), Instances(1, 100000, 100000));
  const std::string bytes = RollupCodec::Encode(rollup);
  REQUIRE(bytes.size() < 51000);
  REQUIRE(rollup.buckets() > 16);
}

TEST_CASE("a damaged rollup is refused") {
  Rollup rollup = RollUp(Info(), Instances(1, 300));
  const std::string good = RollupCodec::Encode(rollup);
  for (size_t length = 0; length < good.size(); ++length) {
    REQUIRE_FALSE(RollupCodec::Decode(good.substr(0, length)).ok());
  }
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] ^= static_cast<char>(1 << bit % 8);
    (void)RollupCodec::Decode(bad);
  }
  std::string newer = good;
  newer[3] = 2;
  REQUIRE(RollupCodec::Decode(newer).status().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("a trace made to fill memory only widens its own buckets, or is refused") {
  // Every (region, bucket) sees the shortest and the longest duration.
  chunk::TraceInfo info{.kernel = "k", .roles = {""}, .tracks = {{}}};
  std::vector<chunk::Instance> instances;
  for (uint32_t r = 0; r < 200; ++r) info.regions.push_back("r" + std::to_string(r));
  for (uint64_t b = 0; b < 200; ++b) {
    for (uint32_t r = 0; r < 200; ++r) {
      instances.push_back({0, r, b * 1000, 1});
      instances.push_back({0, r, b * 1000 + 1, uint64_t{1} << 58});
    }
  }
  const Rollup rollup = RollUp(info, instances);
  REQUIRE(rollup.events() == 80000);
  size_t bins = 0;
  for (const Series& s : rollup.series()) {
    for (uint32_t b = 0; b < rollup.buckets(); ++b) {
      if (const Sketch* cell = rollup.cell(s, b)) bins += cell->bins();
    }
  }
  REQUIRE(bins <= kMaxBins);
}

TEST_CASE("buckets are joined, cut and chosen as asked") {
  const Rollup rollup = RollUp(Info(), Instances(1, 20000));
  auto all = Buckets(rollup, {.quantiles = {0.5}});
  auto few = Buckets(rollup, {.buckets = 10, .quantiles = {0.5}, .selection = {.regions = {"mma"}}});
  REQUIRE(few->regions.size() == 1);
  REQUIRE(few->buckets <= 10);
  REQUIRE(few->buckets > 4);
  uint64_t sum = 0, sum_few = 0;
  for (uint64_t n : all->regions[1].counts) sum += n;
  for (uint64_t n : few->regions[0].counts) sum_few += n;
  REQUIRE(all->regions[1].region == "mma");
  REQUIRE(sum == sum_few);
  auto part = Buckets(rollup, {.from_ns = 5'000'000, .to_ns = 6'000'000});
  REQUIRE(part->first_bucket_ns <= 5'000'000);
  REQUIRE(part->first_bucket_ns + part->bucket_ns > 5'000'000);
  REQUIRE(part->buckets * part->bucket_ns <= 1'000'000 + 2 * part->bucket_ns);
  REQUIRE(Buckets(rollup, {.buckets = 0}).status().code() == absl::StatusCode::kInvalidArgument);
  REQUIRE(Buckets(rollup, {.quantiles = {0.5, 0.2}}).status().code() ==
          absl::StatusCode::kInvalidArgument);
  REQUIRE(Buckets(rollup, {.from_ns = 2, .to_ns = 1}).status().code() ==
          absl::StatusCode::kInvalidArgument);
  REQUIRE(Buckets(Rollup(), {})->regions.empty());
}

}  // namespace sextant::trace
