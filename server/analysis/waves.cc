#include "server/analysis/waves.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sextant::analysis {
namespace {

std::map<uint32_t, std::vector<uint32_t>> BySm(absl::Span<const CtaSpan> ctas) {
  std::map<uint32_t, std::vector<uint32_t>> sms;
  for (uint32_t i = 0; i < ctas.size(); ++i) sms[ctas[i].sm].push_back(i);
  for (auto& [sm, here] : sms)
    std::sort(here.begin(), here.end(), [&](uint32_t a, uint32_t b) {
      return std::make_pair(ctas[a].start_ns, ctas[a].cta) < std::make_pair(ctas[b].start_ns, ctas[b].cta);
    });
  return sms;
}

}  // namespace

uint32_t MostResident(absl::Span<const CtaSpan> ctas) {
  uint32_t most = 0;
  for (const auto& [sm, here] : BySm(ctas)) {
    std::vector<std::pair<uint64_t, int>> edges;   // ends come before begins at the same time
    for (const uint32_t i : here) {
      edges.emplace_back(ctas[i].start_ns, 1);
      edges.emplace_back(std::max(ctas[i].end_ns, ctas[i].start_ns + 1), -1);
    }
    std::sort(edges.begin(), edges.end());
    int now = 0;
    for (const auto& [at, change] : edges) {
      now += change;
      most = std::max<uint32_t>(most, static_cast<uint32_t>(std::max(now, 0)));
    }
  }
  return most;
}

std::vector<uint32_t> WavesOf(absl::Span<const CtaSpan> ctas, uint32_t slots) {
  std::vector<uint32_t> waves(ctas.size(), 0);
  for (const auto& [sm, here] : BySm(ctas))
    for (size_t k = 0; k < here.size(); ++k)
      waves[here[k]] = static_cast<uint32_t>(k / std::max<uint32_t>(slots, 1));
  return waves;
}

LaunchShape ShapeOf(absl::Span<const CtaSpan> ctas) {
  LaunchShape shape;
  if (ctas.empty()) return shape;
  shape.begin_ns = UINT64_MAX;
  for (const CtaSpan& cta : ctas) {
    shape.begin_ns = std::min(shape.begin_ns, cta.start_ns);
    shape.end_ns = std::max(shape.end_ns, cta.end_ns);
  }
  double idle = 0, busy = 0, longest = 0;
  uint64_t first_dry = shape.end_ns;
  const auto sms = BySm(ctas);
  for (const auto& [sm, here] : sms) {
    uint64_t until = 0;
    double here_ns = 0;
    for (const uint32_t i : here) {
      const uint64_t from = std::max(until, ctas[i].start_ns);
      if (ctas[i].end_ns > from) here_ns += static_cast<double>(ctas[i].end_ns - from);
      until = std::max(until, ctas[i].end_ns);
    }
    first_dry = std::min(first_dry, until);
    idle += static_cast<double>(shape.end_ns - until);
    busy += here_ns;
    longest = std::max(longest, here_ns);
  }
  shape.sms = static_cast<uint32_t>(sms.size());
  shape.tail_ns = static_cast<double>(shape.end_ns - first_dry);
  const double all = static_cast<double>(shape.end_ns - shape.begin_ns) * shape.sms;
  shape.tail_loss_share = all > 0 ? idle / all : 0;
  shape.imbalance = busy > 0 ? longest / (busy / shape.sms) - 1 : 0;
  return shape;
}

}  // namespace sextant::analysis
