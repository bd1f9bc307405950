#include "server/analysis/pictures/roofline_picture.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/pictures/svg.h"

namespace sextant::analysis {
namespace {

constexpr double kWidth = 920, kHeight = 420, kLeft = 90, kRight = 190, kTop = 16, kBottom = 46;

bool Positive(double value) { return std::isfinite(value) && value > 0; }

}  // namespace

std::string WithPrefix(double value) {
  if (!std::isfinite(value)) return "–";
  static constexpr struct {
    double size;
    const char* prefix;
  } kPrefixes[] = {{1e15, " P"}, {1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}};
  for (const auto& one : kPrefixes)
    if (std::abs(value) >= one.size) return absl::StrFormat("%.3g%s", value / one.size, one.prefix);
  return absl::StrFormat("%.3g ", value);
}

std::string DrawRoofline(const v1::Roofline& roofline) {
  std::vector<const v1::Ceiling*> bandwidths, rates;
  double least_x = INFINITY, most_x = 0, least_y = INFINITY, most_y = 0;
  for (const v1::Ceiling& one : roofline.ceilings()) {
    if (!Positive(one.value())) continue;
    if (one.unit() == "B/s") bandwidths.push_back(&one);
    else if (one.unit() == "FLOP/s") rates.push_back(&one), most_y = std::max(most_y, one.value());
  }
  for (const v1::RooflinePoint& point : roofline.points()) {
    if (!Positive(point.intensity()) || !Positive(point.achieved())) continue;
    least_x = std::min(least_x, point.intensity()), most_x = std::max(most_x, point.intensity());
    least_y = std::min(least_y, point.achieved()), most_y = std::max(most_y, point.achieved());
  }
  Svg svg(kWidth, kHeight, "Roofline");
  if (!(most_x > 0) || !(most_y > 0)) return svg.Finish();
  // The ridges belong into the picture.
  for (const auto* bandwidth : bandwidths)
    for (const auto* rate : rates) {
      const double ridge = rate->value() / bandwidth->value();
      if (ridge < 1e6) most_x = std::max(most_x, ridge);
    }
  const double x0 = std::floor(std::log10(std::min(least_x, 1.0))), x1 = std::ceil(std::log10(most_x) + 0.3);
  const double y0 = std::floor(std::log10(least_y) - 0.3), y1 = std::ceil(std::log10(most_y));
  const auto px = [&](double x) { return kLeft + (std::log10(x) - x0) / (x1 - x0) * (kWidth - kLeft - kRight); };
  const auto py = [&](double y) { return kHeight - kBottom - (std::log10(y) - y0) / (y1 - y0) * (kHeight - kTop - kBottom); };
  for (double x = x0; x <= x1; ++x) {
    svg.Line(px(std::pow(10, x)), kTop, px(std::pow(10, x)), kHeight - kBottom, "grid");
    svg.Text(px(std::pow(10, x)), kHeight - kBottom + 16, absl::StrCat(WithPrefix(std::pow(10, x))), Svg::Anchor::kMiddle, "muted");
  }
  for (double y = y0; y <= y1; ++y) {
    svg.Line(kLeft, py(std::pow(10, y)), kWidth - kRight, py(std::pow(10, y)), "grid");
    svg.Text(kLeft - 6, py(std::pow(10, y)) + 4, WithPrefix(std::pow(10, y)), Svg::Anchor::kEnd, "muted");
  }
  svg.Text((kLeft + kWidth - kRight) / 2, kHeight - 8, "FLOP per byte", Svg::Anchor::kMiddle, "muted");
  svg.Text(kLeft, kTop - 4, "FLOP/s", Svg::Anchor::kEnd, "muted");
  double highest = 0;
  for (const auto* rate : rates) highest = std::max(highest, rate->value());
  int color = 0;
  const double left = std::pow(10, x0), right = std::pow(10, x1), low = std::pow(10, y0);
  for (const auto* bandwidth : bandwidths) {
    double a = left, b = std::min(right, highest > 0 ? highest / bandwidth->value() : right);
    a = std::max(a, low / bandwidth->value());
    if (a < b) {
      svg.Line(px(a), py(a * bandwidth->value()), px(b), py(b * bandwidth->value()), absl::StrCat("line s", color % Svg::kColors));
      const double at = a * std::pow(b / a, 0.12 + 0.22 * (color % 3));
      svg.Text(px(at) + 4, py(at * bandwidth->value()) - 6, absl::StrCat(bandwidth->name(), " ", WithPrefix(bandwidth->value()), "B/s"),
               Svg::Anchor::kStart, "", 34);
    }
    ++color;
  }
  double last_label = -100;
  std::sort(rates.begin(), rates.end(), [](const auto* a, const auto* b) { return a->value() > b->value(); });
  for (const auto* rate : rates) {
    if (rate->value() < low) continue;
    const double y = py(rate->value());
    svg.Line(kLeft, y, kWidth - kRight, y, "line s7 faint");
    if (y - last_label < 13) continue;   // names would overlap
    svg.Text(kWidth - kRight + 4, y + 4, absl::StrCat(rate->name(), " ", WithPrefix(rate->value()), "FLOP/s"), Svg::Anchor::kStart, "muted", 28);
    last_label = y;
  }
  for (const v1::RooflinePoint& point : roofline.points()) {
    if (!Positive(point.intensity()) || !Positive(point.achieved())) continue;
    const std::string name = absl::StrCat(point.region().empty() ? "" : absl::StrCat(point.region(), " "), point.level());
    svg.Circle(px(point.intensity()), py(point.achieved()), point.region().empty() ? 6 : 4, "c1",
               absl::StrFormat("%s: %.3g FLOP/B, %sFLOP/s, %.1f %% of attainable", name, point.intensity(), WithPrefix(point.achieved()),
                               100 * point.share()));
    svg.Text(px(point.intensity()) + 9, py(point.achieved()) + 14, name, Svg::Anchor::kStart, "", 24);
  }
  return svg.Finish();
}

}  // namespace sextant::analysis
