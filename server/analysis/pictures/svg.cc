#include "server/analysis/pictures/svg.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "proto/chunk/names.h"

namespace sextant::analysis {
namespace {

constexpr char kStyle[] =
    "<style>"
    "svg.sx{font:12px system-ui,sans-serif;--ink:#1f2328;--mute:#6b7280;--grid:#e3e6ea;--bg:#fff;"
    "--c0:#2563ab;--c1:#d97706;--c2:#2f8f5b;--c3:#b03060;--c4:#7454c4;--c5:#6f7a12;--c6:#0e8c96;--c7:#94552e}"
    "@media(prefers-color-scheme:dark){svg.sx{--ink:#e6e8eb;--mute:#9aa3ad;--grid:#30363d;--bg:#14171b;"
    "--c0:#6aa7ea;--c1:#f0a84a;--c2:#62c48e;--c3:#e0759c;--c4:#a98ff0;--c5:#b9c44e;--c6:#4fc3cc;--c7:#c98f66}}"
    "svg.sx text{fill:var(--ink)}svg.sx text.muted{fill:var(--mute)}svg.sx .grid{stroke:var(--grid);stroke-width:1}"
    "svg.sx .ink{stroke:var(--ink);stroke-width:1;fill:none}svg.sx .muted{fill:var(--mute)}svg.sx .outside{fill:var(--grid)}"
    "svg.sx .faint{opacity:.35}"
    "svg.sx .c0{fill:var(--c0)}svg.sx .c1{fill:var(--c1)}svg.sx .c2{fill:var(--c2)}svg.sx .c3{fill:var(--c3)}"
    "svg.sx .c4{fill:var(--c4)}svg.sx .c5{fill:var(--c5)}svg.sx .c6{fill:var(--c6)}svg.sx .c7{fill:var(--c7)}"
    "svg.sx .s0{stroke:var(--c0)}svg.sx .s1{stroke:var(--c1)}svg.sx .s2{stroke:var(--c2)}svg.sx .s3{stroke:var(--c3)}"
    "svg.sx .s4{stroke:var(--c4)}svg.sx .s5{stroke:var(--c5)}svg.sx .s6{stroke:var(--c6)}svg.sx .s7{stroke:var(--c7)}"
    "svg.sx .line{fill:none;stroke-width:1.5}svg.sx .heat{fill:var(--c0)}"
    "svg.sx .h1{opacity:.1}svg.sx .h2{opacity:.2}svg.sx .h3{opacity:.3}svg.sx .h4{opacity:.4}svg.sx .h5{opacity:.5}"
    "svg.sx .h6{opacity:.6}svg.sx .h7{opacity:.7}svg.sx .h8{opacity:.8}svg.sx .h9{opacity:.9}"
    "</style>";

}  // namespace

std::string HtmlText(absl::string_view text) {
  std::string out;
  for (const char c : chunk::CleanName({text.data(), text.size()}, text.size())) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out.push_back(c);
    }
  }
  return out;
}

std::string Num(double value) {
  if (!std::isfinite(value)) return "0";
  std::string text = absl::StrFormat("%.2f", value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

double AxisStep(double most, int ticks) {
  if (!(most > 0)) return 1;
  const double raw = most / ticks;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  const double times = raw / power;
  return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

Svg::Svg(double width, double height, absl::string_view title)
    : out_(absl::StrCat("<svg class=\"sx\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 ", Num(width), " ",
                        Num(height), "\" width=\"", Num(width), "\" height=\"", Num(height), "\"><title>", HtmlText(title),
                        "</title>", kStyle)) {}

void Svg::Rect(double x, double y, double width, double height, absl::string_view look, absl::string_view tip) {
  absl::StrAppend(&out_, "<rect x=\"", Num(x), "\" y=\"", Num(y), "\" width=\"", Num(width), "\" height=\"", Num(height),
                  "\" class=\"", look);
  if (tip.empty()) absl::StrAppend(&out_, "\"/>");
  else absl::StrAppend(&out_, "\"><title>", HtmlText(tip), "</title></rect>");
}

void Svg::Line(double x1, double y1, double x2, double y2, absl::string_view look) {
  absl::StrAppend(&out_, "<line x1=\"", Num(x1), "\" y1=\"", Num(y1), "\" x2=\"", Num(x2), "\" y2=\"", Num(y2), "\" class=\"",
                  look, "\"/>");
}

void Svg::Circle(double x, double y, double radius, absl::string_view look, absl::string_view tip) {
  absl::StrAppend(&out_, "<circle cx=\"", Num(x), "\" cy=\"", Num(y), "\" r=\"", Num(radius), "\" class=\"", look, "\"><title>",
                  HtmlText(tip), "</title></circle>");
}

void Svg::Path(absl::string_view d, absl::string_view look) {
  absl::StrAppend(&out_, "<path d=\"", d, "\" class=\"", look, "\"/>");
}

void Svg::Text(double x, double y, absl::string_view text, Anchor anchor, absl::string_view look, size_t most_columns) {
  std::string shown = chunk::CleanName({text.data(), text.size()}, text.size());
  size_t columns = 0, at = 0;
  for (; at < shown.size(); ++at)
    if ((static_cast<unsigned char>(shown[at]) & 0xc0) != 0x80 && ++columns > most_columns) break;
  if (at < shown.size()) shown = absl::StrCat(shown.substr(0, at), "…");
  absl::StrAppend(&out_, "<text x=\"", Num(x), "\" y=\"", Num(y), "\"",
                  anchor == Anchor::kMiddle ? " text-anchor=\"middle\"" : anchor == Anchor::kEnd ? " text-anchor=\"end\"" : "",
                  look.empty() ? "" : absl::StrCat(" class=\"", look, "\""), ">", HtmlText(shown), "</text>");
}

std::string Svg::Finish() {
  absl::StrAppend(&out_, "</svg>");
  return std::move(out_);
}

}  // namespace sextant::analysis
