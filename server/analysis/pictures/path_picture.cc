#include "server/analysis/pictures/path_picture.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/pictures/svg.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kWidth = 920, kLeft = 210, kRight = 90, kBar = 26, kGap = 10, kTop = 12;
constexpr int kShownWhatIfs = 8;
constexpr char kOutside[] = "(outside)";

std::string RegionText(const std::string& role, const std::string& region) {
  return role.empty() ? region : absl::StrCat(role, "/", region);
}

}  // namespace

std::string DrawPath(const v1::CriticalPath& path) {
  std::map<std::string, int> colors;
  std::vector<std::string> order;
  double longest = 0;
  for (const v1::CriticalPathAt& at : path.paths()) {
    longest = std::max(longest, at.span_ns());
    for (const v1::PathShare& share : at.shares()) {
      const std::string name = RegionText(share.role(), share.region());
      if (share.region() != kOutside && share.on_path_ns() > 0 && colors.emplace(name, static_cast<int>(order.size())).second)
        order.push_back(name);
    }
  }
  std::vector<const v1::WhatIfResult*> what_ifs;
  for (const v1::WhatIfResult& one : path.what_if())
    if (one.speedup_pct() > 0 && what_ifs.size() < kShownWhatIfs) what_ifs.push_back(&one);
  const int legend_rows = static_cast<int>((order.size() + 2) / 3);
  const double height = kTop + path.paths_size() * (kBar + kGap) + 24 + legend_rows * 20 + (what_ifs.empty() ? 0 : 40) +
                        what_ifs.size() * 24.0 + 12;
  Svg svg(kWidth, height, "Critical path");
  const double width = kWidth - kLeft - kRight;
  double y = kTop;
  for (const v1::CriticalPathAt& at : path.paths()) {
    svg.Text(kLeft - 8, y + 17, absl::StrFormat("P%g of CTA spans", 100 * at.quantile()), Svg::Anchor::kEnd);
    double x = kLeft;
    for (const v1::PathShare& share : at.shares()) {
      const double w = longest > 0 ? share.share() * at.span_ns() / longest * width : 0;
      if (w <= 0) continue;
      const std::string name = RegionText(share.role(), share.region());
      svg.Rect(x, y, w, kBar, share.region() == kOutside ? "outside" : absl::StrCat("c", colors[name] % Svg::kColors),
               absl::StrFormat("%s: %s, %.1f %%", name, Duration(share.on_path_ns()), 100 * share.share()));
      x += w;
    }
    svg.Text(x + 6, y + 17, Duration(at.span_ns()), Svg::Anchor::kStart, "muted");
    y += kBar + kGap;
  }
  y += 14;
  for (size_t i = 0; i < order.size(); ++i) {
    const double x = kLeft + static_cast<double>(i % 3) * 210;
    const double line = y + static_cast<double>(i / 3) * 20;
    svg.Rect(x, line - 10, 12, 12, absl::StrCat("c", i % Svg::kColors));
    svg.Text(x + 18, line, order[i], Svg::Anchor::kStart, "", 28);
  }
  y += legend_rows * 20 + 10;
  if (!what_ifs.empty()) {
    svg.Text(kLeft, y, "What it would save (of the median span)", Svg::Anchor::kStart, "muted");
    y += 14;
    double most = 0;
    for (const auto* one : what_ifs) most = std::max(most, one->speedup_pct());
    for (const auto* one : what_ifs) {
      const std::string name = RegionText(one->what().role(), one->what().region());
      svg.Text(kLeft - 8, y + 13, absl::StrFormat("%s −%g %%", name, one->what().shorten_pct()), Svg::Anchor::kEnd, "", 32);
      const auto color = colors.find(name);
      svg.Rect(kLeft, y, one->speedup_pct() / most * width, 18,
               absl::StrCat("c", color == colors.end() ? 0 : color->second % Svg::kColors));
      svg.Text(kLeft + one->speedup_pct() / most * width + 6, y + 13, absl::StrFormat("%.1f %%", one->speedup_pct()),
               Svg::Anchor::kStart, "muted");
      y += 24;
    }
  }
  return svg.Finish();
}

}  // namespace sextant::analysis
