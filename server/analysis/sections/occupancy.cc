// CTAs over time and SMs, waves and the tail.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/analysis/pictures/heat_picture.h"
#include "server/analysis/pictures/text_pictures.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShownWaves = 12;

}  // namespace

void WriteOccupancy(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.occupancy) continue;
    const v1::OccupancyOverTime& occupancy = *facts.occupancy;
    // Of a kernel that nobody looked into, that nothing was recorded says nothing.
    if (occupancy.resident_ctas().empty() && &facts != &inputs.kernels.front()) continue;
    NotesOf(inputs, facts, occupancy.basis(), out);
    if (occupancy.resident_ctas().empty()) continue;
    StandsOn(occupancy.basis(), out);
    Say(out, absl::StrCat(inputs.kernels.size() > 1 ? absl::StrCat(KernelTitle(facts.kernel), ": ") : "", occupancy.ctas_seen() < occupancy.ctas() ? absl::StrCat(Count(occupancy.ctas_seen()), " recorded of ") : "",
                          Count(occupancy.ctas()), " CTAs on ", occupancy.sms(), " SMs, ", occupancy.waves_size(),
                          occupancy.waves_size() == 1 ? " wave" : " waves", "; ", ShareText(occupancy.tail_loss_share()),
                          " of the SMs' time is idle in the tail of ", Duration(occupancy.tail_ns()), "."));
    for (const v1::HeatMap& map : occupancy.heat_maps()) {
      v1::Picture* picture = out->add_pictures();
      picture->set_name(absl::StrCat("heat-", out->pictures_size()));
      picture->set_caption(absl::StrCat(Shown(map.what()), map.unit().empty() ? "" : absl::StrCat(" (", Shown(map.unit()), ")"),
                                        map.sms().empty() ? " of the device" : " by SM", " over time since the launch"));
      picture->set_svg(DrawHeatMap(map));
    }
    AddText(inputs, facts, "over time since the launch", TextOccupancy(occupancy), out);
    TableWriter numbers(out, TableName(inputs, facts, "occupancy"));
    numbers.Column("what").Column("value");
    numbers.Row({"CTAs recorded", absl::StrCat(Count(occupancy.ctas_seen()), " of ", Count(occupancy.ctas()))});
    numbers.Row({"CTAs an SM holds at once", absl::StrCat(occupancy.ctas_per_sm())});
    numbers.Row({"occupancy achieved", std::isnan(occupancy.achieved_occupancy_pct()) ? "–" : absl::StrCat(Figure(occupancy.achieved_occupancy_pct()), " %")});
    numbers.Row({"occupancy possible", std::isnan(occupancy.theoretical_occupancy_pct()) ? "–" : absl::StrCat(Figure(occupancy.theoretical_occupancy_pct()), " %")});
    numbers.Row({"longest SM over the mean", ShareText(occupancy.imbalance())});
    numbers.Row({"tail", Duration(occupancy.tail_ns())});
    numbers.Row({"SM time lost in the tail", ShareText(occupancy.tail_loss_share())});
    numbers.End(out);
    if (occupancy.waves_size() < 2) continue;
    TableWriter waves(out, TableName(inputs, facts, "waves"));
    waves.set_most(kShownWaves);
    waves.Column("wave").Column("CTAs").Column("from").Column("to");
    for (const v1::Wave& wave : occupancy.waves())
      waves.Row({absl::StrCat(wave.index()), Count(wave.ctas()), Duration(wave.start_ns()), Duration(wave.end_ns())});
    waves.End(out);
  }
}

}  // namespace sextant::analysis
