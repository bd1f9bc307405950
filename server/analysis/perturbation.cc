#include "server/analysis/perturbation.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/table/table.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/quantile.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

// All launches of one kernel in passes of one kind.
struct Kernel {
  std::vector<double> durations_ns;
  std::set<uint32_t> registers;
  std::vector<double> occupancy_pct;
  std::set<std::string> codes;
  std::set<int64_t> passes;
};

struct Kind {
  int first_pass = 0;
  bool timed = true;
  std::map<std::string, Kernel> kernels;
};

void Add(const PassLaunches& pass, Kind* kind) {
  const v1::DataTable& table = *pass.launches;
  const v1::DataColumn* kernel = table::Find(table, "kernel");
  if (kernel == nullptr || kernel->texts().empty()) return;
  const v1::DataColumn* duration = table::Find(table, "duration_ns");
  const v1::DataColumn* registers = table::Find(table, "registers");
  const v1::DataColumn* occupancy = table::Find(table, "occupancy_pct");
  const v1::DataColumn* code = table::Find(table, "sass_digest");
  const auto number = [](const v1::DataColumn* column, uint64_t row) {
    if (column == nullptr || !column->texts().empty()) return 0.0;
    const double value = table::NumberAt(*column, row);
    return value > 0 ? value : 0.0;   // NaN too
  };
  for (uint64_t row = 0; row < table.rows(); ++row) {
    Kernel& at = kind->kernels[std::string(table::TextAt(*kernel, row))];
    at.passes.insert(pass.pass->pass_id());
    if (const double ns = number(duration, row); ns > 0) at.durations_ns.push_back(ns);
    if (const double n = number(registers, row); n > 0) at.registers.insert(static_cast<uint32_t>(n));
    if (const double pct = number(occupancy, row); pct > 0) at.occupancy_pct.push_back(pct);
    if (code != nullptr && !code->texts().empty())
      if (const auto text = table::TextAt(*code, row); !text.empty())
        at.codes.insert(std::string(text));
  }
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  return Quantiles(&values, {{0.5}})[0];
}

void Judge(const Kernel& clean, const Kernel& seen, bool timed, v1::Perturbation* out) {
  if (!timed) {
    out->set_verdict("ok");
    out->set_why("the backend replays or serialises kernels; its numbers are counts, not times");
    return;
  }
  if (seen.durations_ns.empty() || clean.durations_ns.empty()) {
    out->set_verdict("unknown");
    out->set_why(clean.durations_ns.empty()
                     ? "no clean pass timed this kernel; add --pass activity:light=1*3"
                     : "these passes left no durations of launches");
    return;
  }
  out->set_ratio(out->instrumented_ns() / out->clean_ns());
  std::string more;
  if (!clean.registers.empty() && !seen.registers.empty() && clean.registers != seen.registers)
    more = absl::StrCat("; registers ", out->clean_registers(), " → ", out->instrumented_registers());
  if (out->ratio() > kDisturbedRatio) {
    out->set_verdict("disturbed");
    out->set_why(absl::StrFormat("launches take %.2f times as long as clean ones: not joined%s",
                                 out->ratio(), more));
  } else if (out->ratio() > kFlaggedRatio) {
    out->set_verdict("flagged");
    out->set_why(absl::StrFormat("launches take %.0f %% longer than clean ones%s",
                                 100 * (out->ratio() - 1), more));
  } else {
    out->set_verdict("ok");
    out->set_why(absl::StrFormat("launches take %+.1f %% against clean ones%s",
                                 100 * (out->ratio() - 1), more));
  }
}

}  // namespace

bool TimesKernels(absl::string_view backend) {
  return backend != "counters" && backend != "ncu" && backend != "sassmetrics" &&
         backend != "sanitizer" && backend != "cutracer";
}

int TimeRank(const v1::PassInfo& pass) {
  if (IsCleanPass(pass)) return 3;
  const std::string& backend = MeasuredAs(pass).backend();
  return backend == "activity" ? 2 : TimesKernels(backend) ? 1 : 0;
}

bool IsCleanPass(const v1::PassInfo& pass) {
  const v1::PassSpec& spec = MeasuredAs(pass);
  return spec.backend() == "activity" && spec.options().contains("light");
}

std::vector<v1::Perturbation> Perturbations(absl::Span<const PassLaunches> passes) {
  const bool light = std::any_of(passes.begin(), passes.end(),
                                 [](const PassLaunches& p) { return IsCleanPass(*p.pass); });
  Kind clean;
  std::map<std::string, Kind> kinds;
  std::vector<std::string> order;
  for (const PassLaunches& pass : passes) {
    const v1::PassSpec& spec = MeasuredAs(*pass.pass);
    if (light ? IsCleanPass(*pass.pass) : spec.backend() == "activity") {
      Add(pass, &clean);
      continue;
    }
    const std::string name = KindOfPass(spec);
    auto [kind, added] = kinds.try_emplace(name);
    if (added) order.push_back(name);
    kind->second.timed = TimesKernels(spec.backend());
    Add(pass, &kind->second);
  }
  std::vector<v1::Perturbation> all;
  const Kernel nothing;
  for (const std::string& name : order) {
    const Kind& kind = kinds[name];
    for (const auto& [kernel, seen] : kind.kernels) {
      const auto found = clean.kernels.find(kernel);
      const Kernel& before = found == clean.kernels.end() ? nothing : found->second;
      v1::Perturbation& out = all.emplace_back();
      out.set_kernel(kernel);
      out.set_backend(name);
      for (const int64_t id : seen.passes) out.add_pass_ids(id);
      out.set_clean_ns(Median(before.durations_ns));
      out.set_instrumented_ns(Median(seen.durations_ns));
      out.set_clean_launches(before.durations_ns.size());
      out.set_instrumented_launches(seen.durations_ns.size());
      if (!before.registers.empty()) out.set_clean_registers(*before.registers.rbegin());
      if (!seen.registers.empty()) out.set_instrumented_registers(*seen.registers.rbegin());
      out.set_clean_occupancy_pct(Median(before.occupancy_pct));
      out.set_instrumented_occupancy_pct(Median(seen.occupancy_pct));
      out.set_same_code(!before.codes.empty() && before.codes == seen.codes);
      Judge(before, seen, kind.timed, &out);
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.kernel() < b.kernel(); });
  return all;
}

std::vector<v1::Perturbation> WithoutLaunches(absl::Span<const v1::PassInfo* const> passes) {
  static constexpr std::pair<absl::string_view, absl::string_view> kWhy[] = {
      {"sassmetrics", "no launch was timed, because kernels of graphs are not; numbers are counts, not times"},
      {"counters", "the passes timed no launch: add metrics=gpu__time_duration.sum; numbers are counts, not times"},
      {"cutracer", "NVBit and CUPTI cannot share a process, so no launch was timed"},
      {"proton", "no launch was recorded: activity=0, or CUPTI is not here; regions may be longer than in the program"},
      {"pcsampling", "no launch was recorded: activity=0, or CUPTI is not here"},
      {"pmsampling", "no launch was recorded"},
      {"scopes", "no launch was recorded: launches=0, or CUPTI is not here; regions may be longer than in the program"}};
  std::vector<v1::Perturbation> all;
  for (const v1::PassInfo* pass : passes) {
    const v1::PassSpec& spec = MeasuredAs(*pass);
    const auto* const why = std::find_if(std::begin(kWhy), std::end(kWhy),
                                         [&](const auto& one) { return one.first == spec.backend(); });
    if (why == std::end(kWhy)) continue;
    const std::string name = KindOfPass(spec);
    const auto known = std::find_if(all.begin(), all.end(),
                                    [&](const v1::Perturbation& one) { return one.backend() == name; });
    v1::Perturbation& out = known == all.end() ? all.emplace_back() : *known;
    out.set_backend(name);
    out.add_pass_ids(pass->pass_id());
    out.set_verdict("unknown");
    out.set_why(std::string(why->second));
  }
  return all;
}

bool Disturbed(absl::Span<const v1::Perturbation> certificates, int64_t pass_id) {
  return std::any_of(certificates.begin(), certificates.end(), [&](const v1::Perturbation& one) {
    return one.verdict() == "disturbed" &&
           std::find(one.pass_ids().begin(), one.pass_ids().end(), pass_id) != one.pass_ids().end();
  });
}

}  // namespace sextant::analysis
