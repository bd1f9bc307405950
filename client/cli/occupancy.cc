// `sextant occupancy`: how a kernel filled the GPU over time.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/canvas.h"
#include "client/cli/commands.h"
#include "client/cli/picture.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr int kLabel = 26;
constexpr int kMaxRows = 64;   // of the heat map; neighbours are joined

std::string Percent(double pct) { return std::isnan(pct) ? "not known" : absl::StrFormat("%.1f %%", pct); }

// One line of levels, relative to `most`.
template <typename Values>
std::string Line(const std::string& label, const Values& values, double most, const std::string& unit,
                 const Style& style) {
  std::string bars;
  for (const double value : values) {
    const absl::string_view glyph = std::isfinite(value) && most > 0 ? LevelGlyph(value / most, style) : "";
    bars += glyph.empty() ? " " : std::string(glyph);
  }
  return absl::StrCat(PadRight(Escape(label, kLabel), kLabel), " ", bars, absl::StrFormat("  up to %.3g", most),
                      unit.empty() ? "" : " ", Escape(unit, 20), "\n");
}

template <typename Values>
double Most(const Values& values) {
  double most = 0;
  for (const double value : values)
    if (std::isfinite(value)) most = std::max<double>(most, value);
  return most;
}

void PrintHeatMap(Context& context, const v1::HeatMap& map, double most, const Style& style) {
  const int rows = map.sms_size();
  if (rows == 0) return;
  const int columns = map.values_size() / rows;
  const int join = (rows + kMaxRows - 1) / kMaxRows;
  context.out << "\nSM over time: " << Escape(map.what()) << "\n";
  for (int row = 0; row < rows; row += join) {
    std::vector<double> mean(columns, 0);
    const int here = std::min(join, rows - row);
    for (int r = row; r < row + here; ++r)
      for (int c = 0; c < columns; ++c) mean[c] += map.values(r * columns + c) / here;
    const std::string label = here == 1 ? absl::StrCat("SM ", map.sms(row))
                                        : absl::StrCat("SM ", map.sms(row), " to ", map.sms(row + here - 1));
    std::string bars;
    for (const double value : mean) {
      const absl::string_view glyph = most > 0 ? LevelGlyph(value / most, style) : "";
      bars += glyph.empty() ? " " : std::string(glyph);
    }
    context.out << PadRight(label, kLabel) << " " << bars << "\n";
  }
}

}  // namespace

int OccupancyCommand(Context& context, const OccupancyOptions& options) {
  Style style;
  style.width = options.width > 0 ? options.width : context.out_terminal.width;
  style.color = context.out_terminal.color;
  style.unicode = context.out_terminal.unicode;
  v1::GetOccupancyRequest request;
  auto subject = ToSubject(options.subject);
  if (!subject.ok()) return context.Usage(subject.status().message());
  *request.mutable_subject() = *std::move(subject);
  request.set_launch(options.launch);
  request.set_all_launches(options.all_launches);
  request.set_buckets(options.buckets > 0 ? options.buckets
                                          : static_cast<uint32_t>(std::max(20, style.width - kLabel - 20)));
  const auto answer = context.service().GetOccupancy(request);
  if (!answer.ok()) return context.Fail(answer.status());
  if (context.json) {
    context.PrintJson(*answer);
    return kOk;
  }
  context.out << BasisHead(answer->basis()) << "\n\n";
  if (!answer->resident_ctas().empty()) {
    context.out << Line("resident CTAs", answer->resident_ctas(), Most(answer->resident_ctas()), "", style)
                << Line("active SMs", answer->active_sms(), Most(answer->active_sms()), "", style);
  }
  for (const v1::HeatMap& map : answer->heat_maps())
    if (map.sms().empty()) context.out << Line(map.what(), map.values(), Most(map.values()), map.unit(), style);
  context.out << "a column is " << FormatNs(static_cast<double>(answer->bucket_ns()), style.unicode) << "\n";
  if (options.heat_map)
    for (const v1::HeatMap& map : answer->heat_maps())
      PrintHeatMap(context, map, std::max<double>(1, answer->ctas_per_sm()), style);
  context.out << "\n";
  if (answer->ctas() > 0) {
    context.out << FormatCount(answer->ctas()) << " CTAs on " << answer->sms() << " SMs, at most "
                << answer->ctas_per_sm() << " on one at once, in " << answer->waves_size() << " waves\n";
    Table waves({{"wave", Table::Align::kRight}, {"CTAs", Table::Align::kRight}, {"from", Table::Align::kRight},
                 {"to", Table::Align::kRight}});
    for (const v1::Wave& wave : answer->waves())
      waves.Add({absl::StrCat(wave.index()), FormatCount(wave.ctas()), FormatNs(wave.start_ns(), style.unicode),
                 FormatNs(wave.end_ns(), style.unicode)});
    context.out << waves.Text(style.color, "", style.width);
    context.out << absl::StrFormat("tail: %s from the first idle SM to the end, %.1f %% of the SM time is lost in it\n",
                                   FormatNs(answer->tail_ns(), style.unicode), 100 * answer->tail_loss_share())
                << absl::StrFormat("imbalance: the longest SM is busy %.1f %% longer than the mean\n",
                                   100 * answer->imbalance());
  }
  context.out << "occupancy: " << Percent(answer->achieved_occupancy_pct()) << " achieved, "
              << Percent(answer->theoretical_occupancy_pct()) << " theoretical\n";
  PrintBasis(context, answer->basis());
  return kOk;
}

}  // namespace sextant::cli
