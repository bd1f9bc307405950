#include "server/analysis/pictures/timeline_picture.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/pictures/svg.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kWidth = 1000, kLeft = 150, kRight = 20, kRow = 20, kTop = 26;
constexpr uint32_t kDeepest = 3;
constexpr size_t kMostInstances = 3000;
constexpr int kMostLanes = 24;
constexpr double kWhiskerFrom = 8;   // pixels of a bar

double At(const google::protobuf::RepeatedField<double>& values, int index) {
  return index < values.size() ? values.Get(index) : NAN;
}

}  // namespace

std::string DrawStatisticalTimeline(const v1::Timeline& timeline) {
  int median = 0;
  for (int i = 0; i < timeline.quantiles_size(); ++i)
    if (std::abs(timeline.quantiles(i) - 0.5) < std::abs(timeline.quantiles(median) - 0.5)) median = i;
  const int last = timeline.quantiles_size() - 1;
  struct Bar {
    int lane;
    const v1::InstanceStat* instance;
    double length;
  };
  std::vector<Bar> bars;
  double from = INFINITY, to = 0;
  std::vector<uint32_t> deepest;
  const int lanes = std::min(timeline.lanes_size(), kMostLanes);
  for (int lane = 0; lane < lanes; ++lane) {
    deepest.push_back(0);
    for (const v1::InstanceStat& instance : timeline.lanes(lane).instances()) {
      const double start = At(instance.start_ns(), median), end = At(instance.end_ns(), median);
      if (!std::isfinite(start) || !std::isfinite(end)) continue;
      from = std::min(from, start), to = std::max(to, end);
      deepest.back() = std::max(deepest.back(), std::min(instance.depth(), kDeepest - 1));
      bars.push_back({lane, &instance, end - start});
    }
  }
  if (!(to > from)) return Svg(kWidth, kTop, "Timeline").Finish();
  const size_t all = bars.size();
  if (bars.size() > kMostInstances) {
    std::nth_element(bars.begin(), bars.begin() + kMostInstances, bars.end(),
                     [](const Bar& a, const Bar& b) { return a.length > b.length; });
    bars.resize(kMostInstances);
  }
  std::stable_sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) {
    return std::make_pair(a.instance->depth(), a.instance->start_ns().empty() ? 0 : a.instance->start_ns(0)) <
           std::make_pair(b.instance->depth(), b.instance->start_ns().empty() ? 0 : b.instance->start_ns(0));
  });
  std::map<std::string, int> colors;
  std::vector<std::string> order;
  for (const Bar& bar : bars)
    if (colors.emplace(bar.instance->region(), static_cast<int>(order.size())).second) order.push_back(bar.instance->region());
  std::vector<double> tops;
  double y = kTop;
  for (int lane = 0; lane < lanes; ++lane) {
    tops.push_back(y);
    y += (deepest[lane] + 1) * kRow + 14;
  }
  const int legend_rows = static_cast<int>((order.size() + 3) / 4);
  Svg svg(kWidth, y + legend_rows * 20 + 12, "Statistical timeline");
  const double width = kWidth - kLeft - kRight;
  const auto place = [&](double ns) { return kLeft + (ns - from) / (to - from) * width; };
  for (double mark = 0, step = AxisStep(to - from, 8); mark <= to - from; mark += step) {
    svg.Line(place(from + mark), kTop - 8, place(from + mark), y - 6, "grid");
    svg.Text(place(from + mark), kTop - 12, mark == 0 ? "0" : Duration(mark), Svg::Anchor::kMiddle, "muted");
  }
  for (int lane = 0; lane < lanes; ++lane) {
    const v1::RoleLane& role = timeline.lanes(lane);
    svg.Text(8, tops[lane] + 14, absl::StrCat(role.role().empty() ? "(unnamed)" : role.role(), " ×", role.tracks()),
             Svg::Anchor::kStart, "", 21);
  }
  for (const Bar& bar : bars) {
    const v1::InstanceStat& one = *bar.instance;
    const double top = tops[bar.lane] + std::min(one.depth(), kDeepest - 1) * kRow;
    const double x1 = place(At(one.start_ns(), median)), x2 = place(At(one.end_ns(), median));
    const std::string color = absl::StrCat(colors[one.region()] % Svg::kColors);
    svg.Rect(x1, top, std::max(x2 - x1, 0.6), kRow - 4, absl::StrCat("c", color),
             x2 - x1 < 2 ? ""
                         : absl::StrFormat("%s #%d: %s to %s, takes %s, %s observations", one.region(), one.ordinal(),
                                           Duration(At(one.start_ns(), median) - from), Duration(At(one.end_ns(), median) - from),
                                           Duration(At(one.duration_ns(), median)), Count(one.count())));
    if (x2 - x1 < kWhiskerFrom || last < 2) continue;
    const double middle = top + (kRow - 4) / 2;
    for (const auto* edge : {&one.start_ns(), &one.end_ns()}) {
      const double low = place(At(*edge, 0)), high = place(At(*edge, last));
      if (high - low > 1) svg.Line(low, middle, high, middle, "ink");
    }
  }
  for (size_t i = 0; i < order.size(); ++i) {
    const double x = kLeft + static_cast<double>(i % 4) * 205, line = y + 14 + static_cast<double>(i / 4) * 20;
    svg.Rect(x, line - 10, 12, 12, absl::StrCat("c", i % Svg::kColors));
    svg.Text(x + 18, line, order[i], Svg::Anchor::kStart, "", 26);
  }
  if (all > bars.size() || lanes < timeline.lanes_size())
    svg.Text(8, y + 14, absl::StrCat("shown: ", bars.size(), " of ", all), Svg::Anchor::kStart, "muted", 24);
  return svg.Finish();
}

}  // namespace sextant::analysis
