// `sextant compare`: whether job B is faster or slower than job A; a gate for CI.
#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr size_t kShownMix = 6;
constexpr double kShownShare = 0.01;   // rows below it are shown when they changed

std::string Value(const v1::Delta& row, uint32_t passes, double value) {
  if (passes == 0) return "-";
  if (row.unit() == "ns") return FormatNs(value);
  return absl::StrFormat("%.5g%s%s", value, row.unit().empty() ? "" : " ", row.unit());
}

std::string Percent(double fraction) {
  return std::isnan(fraction) ? "" : absl::StrFormat("%+.2f %%", 100 * fraction);
}

bool Moved(const v1::Delta& row) {
  return row.verdict() != "no difference" && row.verdict() != "inconclusive";
}

bool Shown(const v1::Delta& row) {
  if (row.kind() == "program") return true;
  if (Moved(row)) return row.kind() == "counter" || std::max(row.share_a(), row.share_b()) > 0.001;
  return row.kind() != "counter" && std::max(row.share_a(), row.share_b()) >= kShownShare;
}

std::string NameOf(const v1::Delta& row) {
  if (row.kind() != "counter") return row.role().empty() ? row.name() : absl::StrCat(row.role(), "/", row.name());
  const std::string& of = row.kernel().empty() ? row.region() : row.kernel();
  return of.empty() ? row.name() : absl::StrCat(row.name(), " of ", of);
}

// One line for each kernel and level; the diffs themselves when they are wanted.
void PrintCode(Context& context, const v1::Comparison& answer, bool diffs) {
  for (const v1::CodeDifference& one : answer.code()) {
    context.out << "code of " << Escape(one.kernel(), 80) << ", " << Escape(one.level(), 8) << ": ";
    if (one.same()) {
      context.out << "the same but for names\n";
      continue;
    }
    context.out << "-" << one.removed() << " +" << one.added() << " lines";
    std::vector<std::string> mix;
    for (const v1::NamedShare& change : one.mix_change())
      if (mix.size() < kShownMix) mix.push_back(absl::StrFormat("%+.0f %s", change.value(), Escape(change.name(), 40)));
    if (!mix.empty())
      context.out << "; " << absl::StrJoin(mix, ", ") << (one.mix_change_size() > static_cast<int>(mix.size()) ? ", …" : "");
    if (!one.regions().empty()) {
      context.out << "; in regions that moved: ";
      for (int i = 0; i < one.regions_size(); ++i) context.out << (i > 0 ? ", " : "") << Escape(one.regions(i), 80);
    }
    context.out << "\n";
    if (!diffs) continue;
    for (const absl::string_view line : absl::StrSplit(one.diff(), '\n', absl::SkipEmpty()))
      context.out << "  " << Escape(line, 400) << "\n";
    if (one.shortened()) context.out << "  … (shortened)\n";
  }
  if (!diffs && std::any_of(answer.code().begin(), answer.code().end(), [](const auto& one) { return !one.same(); }))
    context.out << "--code shows the lines\n";
}

}  // namespace

absl::StatusOr<double> ParseFraction(absl::string_view text) {
  absl::string_view number = absl::StripAsciiWhitespace(text);
  const bool percent = absl::ConsumeSuffix(&number, "%");
  double value = 0;
  if (!absl::SimpleAtod(absl::StripAsciiWhitespace(number), &value) || !std::isfinite(value) ||
      value < 0 || (percent ? value / 100 : value) >= 1)
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Escape(text, 40), "\" is no fraction below 1; write 2% or 0.02"));
  return percent ? value / 100 : value;
}

int Compare(Context& context, const CompareOptions& options) {
  v1::CompareJobsRequest request;
  request.set_job_a(options.job_a);
  request.set_job_b(options.job_b);
  request.set_task_a(options.task);
  request.set_task_b(options.task_b.empty() ? options.task : options.task_b);
  request.set_backend(options.backend);
  request.set_across_machines(options.across_machines);
  if (!options.gate.empty()) {
    const auto gate = ParseFraction(options.gate);
    if (!gate.ok()) return context.Usage(absl::StrCat("--gate: ", gate.status().message()));
    if (*gate == 0) return context.Usage("--gate: 0 is no gate; write the smallest change that counts, such as 0.5%");
    request.set_gate(*gate);
  }
  const auto answer = context.service().CompareJobs(request);
  if (!answer.ok()) return context.Fail(answer.status());
  const bool passes = answer->verdict() != "slower" &&
                      !(options.strict && answer->verdict() == "inconclusive");
  if (context.json) {
    context.PrintJson(*answer);
    return passes ? kOk : kFailed;
  }
  for (const v1::EnvironmentDifference& one : answer->environment())
    context.out << (one.blocks() ? "DIFFERS " : "differs ") << Escape(one.what(), 80) << ": "
                << Escape(one.a().empty() ? "-" : one.a(), 120) << " → "
                << Escape(one.b().empty() ? "-" : one.b(), 120) << "\n";
  using Align = Table::Align;
  Table table({{"what"}, {"name"}, {"A", Align::kRight}, {"B", Align::kRight}, {"change", Align::kRight},
               {"95 %", Align::kRight}, {"A/A", Align::kRight}, {"passes", Align::kRight}, {"verdict"}});
  size_t hidden = 0;
  for (const v1::Delta& row : answer->deltas()) {
    if (!options.all && !Shown(row)) {
      ++hidden;
      continue;
    }
    table.Add({row.kind(), NameOf(row), Value(row, row.passes_a(), row.a()), Value(row, row.passes_b(), row.b()),
               Percent(row.relative()),
               std::isnan(row.low()) ? "" : absl::StrCat(Percent(row.low()), " … ", Percent(row.high())),
               std::isnan(row.noise_floor()) ? "" : absl::StrFormat("%.2f %%", 100 * row.noise_floor()),
               absl::StrCat(row.passes_a(), ", ", row.passes_b()), row.verdict()});
  }
  if (!table.empty()) context.out << table.Text(context.out_terminal.color, "", 0);
  if (hidden > 0) context.out << Plural(hidden, "more row", "more rows") << ", small or unchanged: --all\n";
  PrintCode(context, *answer, options.code);
  for (const std::string& note : answer->notes()) context.out << "note: " << Escape(note) << "\n";
  context.out << context.Bold(Escape(answer->verdict())) << ": " << Escape(answer->why()) << "\n" << std::flush;
  return passes ? kOk : kFailed;
}

}  // namespace sextant::cli
