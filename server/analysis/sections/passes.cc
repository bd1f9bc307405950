// How the passes went.
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/selection.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShownPasses = 200;

std::string HowItEnded(const v1::PassInfo& pass) {
  if (!pass.has_result()) return pass.phase();
  const v1::ExitReport& exit = pass.result().exit();
  switch (exit.verdict()) {
    case v1::EXITED: return absl::StrCat("exit code ", exit.exit_code());
    case v1::SIGNALLED: return absl::StrCat("signal ", exit.signal());
    case v1::VERDICT_UNSPECIFIED: return Shown(pass.result().failure().message());
    default:
      return absl::StrCat(absl::AsciiStrToLower(v1::Verdict_Name(exit.verdict())),
                          exit.detail().empty() ? "" : ": ", Shown(exit.detail()));
  }
}

}  // namespace

void WritePasses(const ReportInputs& inputs, v1::ReportSection* out) {
  TableWriter table(out, "passes");
  table.set_most(kShownPasses);
  table.Column("pass").Column("task").Column("kind").Column("state").Column("source").Column("ended").Column("wall", "s")
      .Column("events").Column("lost").Column("worker");
  std::map<v1::State, int> states;
  for (const v1::PassInfo& pass : inputs.passes) {
    ++states[pass.state()];
    table.Row({absl::StrCat("p", pass.pass_id()), Shown(pass.task()), Shown(KindOfPass(MeasuredAs(pass))),
               absl::AsciiStrToLower(v1::State_Name(pass.state())), absl::AsciiStrToLower(v1::Source_Name(pass.source())),
               HowItEnded(pass), absl::StrFormat("%.3g", pass.result().exit().wall_s()), Count(pass.result().events()),
               Count(pass.result().dropped()), Shown(pass.worker())});
  }
  table.End(out);
  std::vector<std::string> counts;
  for (const auto& [state, count] : states)
    counts.push_back(absl::StrCat(count, " ", absl::AsciiStrToLower(v1::State_Name(state))));
  Say(out, absl::StrCat(inputs.passes.size(), inputs.passes.size() == 1 ? " pass: " : " passes: ", absl::StrJoin(counts, ", "), "."));
  int shown = 0;
  for (const v1::PassInfo& pass : inputs.passes)
    if (pass.state() == v1::FAILED && ++shown <= 5)
      out->add_notes(absl::StrCat("p", pass.pass_id(), " failed: ", HowItEnded(pass), ". ", pass.result().failure().message()));
}

}  // namespace sextant::analysis
