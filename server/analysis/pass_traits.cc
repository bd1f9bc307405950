#include "server/analysis/pass_traits.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "proto/table/table.h"
#include "server/analysis/quantile.h"
#include "server/analysis/evidence.h"
#include "server/analysis/selection.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {
namespace {

double Reading(const v1::PassInfo& pass, const char* name) {
  const auto& extra = pass.result().provenance().extra();
  const auto found = extra.find(name);
  double value = 0;
  return found != extra.end() && absl::SimpleAtod(found->second, &value) && value > 0 ? value : 0;
}

std::string Shape(const v1::DataTable& launches, const char* const (&columns)[3], uint64_t row) {
  std::string text;
  for (const char* name : columns) {
    const v1::DataColumn* column = table::Find(launches, name);
    if (column == nullptr || !column->texts().empty()) return "";
    absl::StrAppend(&text, text.empty() ? "" : "×", static_cast<int64_t>(table::NumberAt(*column, row)));
  }
  return text;
}

template <typename Set>
bool Agrees(const Set& a, const Set& b) {
  return a.empty() || b.empty() || a == b;
}

// Why two passes do not ask the same of the GPU; nothing: they do.
std::optional<std::string> Differ(const PassTraits& a, const PassTraits& b) {
  bool common = a.empty() || b.empty();
  for (const auto& [kernel, one] : a) {
    const auto other = b.find(kernel);
    if (other == b.end()) continue;
    common = true;
    if (!Agrees(one.codes, other->second.codes)) return absl::StrCat("ran other code of ", ShortKernel(kernel));
    if (!Agrees(one.shapes, other->second.shapes))
      return absl::StrCat("launched ", ShortKernel(kernel), " with another grid (", *other->second.shapes.begin(),
                          other->second.shapes.size() > 1 ? ", …" : "", ")");
  }
  if (!common) return absl::StrCat("launched other kernels (", ShortKernel(b.begin()->first), ")");
  return std::nullopt;
}

}  // namespace

LaunchedKernels KernelsByLaunch(absl::Span<const PassLaunches> passes) {
  LaunchedKernels all;
  for (const PassLaunches& pass : passes) {
    const v1::DataColumn* launch = table::Find(*pass.launches, "launch");
    const v1::DataColumn* kernel = table::Find(*pass.launches, "kernel");
    if (launch == nullptr || launch->ints().empty() || kernel == nullptr || kernel->texts().empty() ||
        kernel->dictionary_size() < 2)
      continue;
    Kernels kernels;
    std::set<std::string> names;
    for (uint64_t row = 0; row < pass.launches->rows(); ++row) {
      std::string name = std::string(table::TextAt(*kernel, row));
      names.insert(name);
      kernels[static_cast<uint32_t>(launch->ints(static_cast<int>(row)))] = std::move(name);
    }
    if (names.size() > 1) all[pass.pass->pass_id()] = std::move(kernels);
  }
  return all;
}

absl::flat_hash_map<int64_t, PassTraits> TraitsOfPasses(absl::Span<const PassLaunches> passes) {
  absl::flat_hash_map<int64_t, PassTraits> all;
  for (const PassLaunches& pass : passes) {
    const v1::DataTable& launches = *pass.launches;
    const v1::DataColumn* kernel = table::Find(launches, "kernel");
    if (kernel == nullptr || kernel->texts().empty()) continue;
    const v1::DataColumn* code = table::Find(launches, "sass_digest");
    PassTraits& traits = all[pass.pass->pass_id()];
    for (uint64_t row = 0; row < launches.rows(); ++row) {
      KernelTraits& one = traits[std::string(table::TextAt(*kernel, row))];
      if (code != nullptr && !code->texts().empty())
        if (const auto digest = table::TextAt(*code, row); !digest.empty()) one.codes.emplace(digest);
      const std::string grid = Shape(launches, {"grid_x", "grid_y", "grid_z"}, row);
      const std::string block = Shape(launches, {"block_x", "block_y", "block_z"}, row);
      if (!grid.empty() && !block.empty()) one.shapes.insert(absl::StrCat(grid, " of ", block));
    }
  }
  return all;
}

double SmClockMhz(const v1::PassInfo& pass) {
  if (MeasuredAs(pass).backend() == "scopes" && pass.result().provenance().clock_hz() > 0)
    return pass.result().provenance().clock_hz() / 1e6;
  return std::max(Reading(pass, "sm_clock_mhz_before"), Reading(pass, "sm_clock_mhz_after"));
}

bool Throttled(const v1::PassInfo& pass) {
  if (Reading(pass, "throttled_power_ms") > 0 || Reading(pass, "throttled_thermal_ms") > 0) return true;
  const auto& extra = pass.result().provenance().extra();
  const auto after = extra.find("throttle_after");
  if (after == extra.end()) return false;
  for (const absl::string_view reason : absl::StrSplit(after->second, ", ", absl::SkipEmpty()))
    if (reason != "idle" && reason != "application clocks") return true;
  return false;
}

Agreement Agree(absl::Span<const v1::PassInfo* const> passes,
                const absl::flat_hash_map<int64_t, PassTraits>& traits) {
  static const PassTraits kUnknown;
  const auto of = [&](const v1::PassInfo* pass) -> const PassTraits& {
    const auto found = traits.find(pass->pass_id());
    return found == traits.end() ? kUnknown : found->second;
  };
  // The pass with which most others agree. Passes that are alike are asked once; one of which nothing is
  // known agrees with all, and is asked only where there is no other.
  const bool nothing_known =
      std::all_of(passes.begin(), passes.end(), [&](const v1::PassInfo* pass) { return of(pass).empty(); });
  const v1::PassInfo* reference = nullptr;
  size_t most = 0;
  std::vector<const PassTraits*> asked;
  for (const v1::PassInfo* pass : passes) {
    const PassTraits& mine = of(pass);
    if (mine.empty() && !nothing_known) continue;
    const bool known = std::any_of(asked.begin(), asked.end(), [&](const PassTraits* other) {
      return !Differ(*other, mine).has_value() && other->size() == mine.size();
    });
    if (known) continue;
    asked.push_back(&mine);
    const size_t agree = std::count_if(passes.begin(), passes.end(), [&](const v1::PassInfo* other) {
      return !Differ(mine, of(other)).has_value();
    });
    if (agree > most) {
      most = agree;
      reference = pass;
    }
  }
  Agreement out;
  if (reference == nullptr) return out;
  std::vector<const v1::PassInfo*> alike;
  for (const v1::PassInfo* pass : passes) {
    const auto why = Differ(of(reference), of(pass));
    if (why.has_value()) out.left_out[*why].push_back(pass);
    else alike.push_back(pass);
  }
  std::vector<double> clocks;
  for (const v1::PassInfo* pass : alike)
    if (const double mhz = SmClockMhz(*pass); mhz > 0) clocks.push_back(mhz);
  const double usual = clocks.empty() ? 0 : Quantiles(&clocks, {{0.5}})[0];
  for (const v1::PassInfo* pass : alike) {
    const double mhz = SmClockMhz(*pass);
    const bool apart = mhz > 0 && usual > 0 && std::abs(mhz / usual - 1) > kClockTolerance;
    if (apart && (MeasuredAs(*pass).backend() == "scopes" || Throttled(*pass))) {
      out.left_out[absl::StrFormat("ran at %.0f MHz, the others at %.0f MHz%s", mhz, usual,
                                   Throttled(*pass) ? ": the clock was held back" : "")]
          .push_back(pass);
    } else {
      out.joined.push_back(pass);
    }
  }
  if (out.joined.empty()) {   // clocks all apart from their median: two of two
    out.joined.push_back(alike.front());
    for (auto& [why, left] : out.left_out) std::erase(left, alike.front());
    std::erase_if(out.left_out, [](const auto& one) { return one.second.empty(); });
  }
  return out;
}

}  // namespace sextant::analysis
