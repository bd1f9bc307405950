#include "server/job/auto_plan.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/job/graph.h"
#include "server/job/pass_kind.h"

namespace sextant::job {
namespace {

enum class Needs { kNothing, kPython, kNoPython };

// One line of a plan, in the order in which the budget is spent.
struct Look {
  const char* backend;
  const char* options;   // "key=value,key=value"
  int repeat;
  Needs needs;
  bool optional;
};

// Without a GPU.
constexpr Look kHostQuick[] = {{"run", "", 2, Needs::kNothing, false},
                               {"host", "", 5, Needs::kNothing, true}};
constexpr Look kHostBottleneck[] = {{"run", "", 3, Needs::kNothing, false},
                                    {"host", "", 20, Needs::kNothing, true},
                                    {"host", "counters=cycles+instructions+cache-misses", 2,
                                     Needs::kNothing, true}};
constexpr Look kHostDeep[] = {{"run", "", 5, Needs::kNothing, false},
                              {"host", "", 50, Needs::kNothing, true},
                              {"host", "counters=cycles+instructions+cache-misses", 5,
                               Needs::kNothing, true},
                              {"host", "counters=branches+branch-misses", 5, Needs::kNothing, true}};

constexpr Look kHostTimeline[] = {{"run", "", 2, Needs::kNothing, false},
                                  {"host", "", 20, Needs::kNothing, true}};
constexpr Look kHostCi[] = {{"run", "", 10, Needs::kNothing, false},
                            {"host", "", 10, Needs::kNothing, true}};

// With one. The clean pass, `activity` with kernel records alone, gives the time.
constexpr Look kGpuQuick[] = {{"activity", "light=1", 3, Needs::kNothing, false},
                              {"activity", "", 1, Needs::kNothing, false},
                              {"counters", "set=ipc", 1, Needs::kNothing, true}};
constexpr Look kGpuBottleneck[] = {
    {"activity", "light=1", 5, Needs::kNothing, false},
    {"activity", "", 1, Needs::kNothing, false},
    {"counters", "set=ipc+stalls+memory+tensor+occupancy", 1, Needs::kNothing, true},
    {"scopes", "", 10, Needs::kNoPython, true},
    {"proton", "mode=intra", 10, Needs::kPython, true},
    {"pcsampling", "", 1, Needs::kNothing, true},
    {"ir", "", 1, Needs::kNothing, true}};
constexpr Look kGpuDeep[] = {
    {"activity", "light=1", 10, Needs::kNothing, false},
    {"activity", "", 2, Needs::kNothing, false},
    {"counters", "set=ipc+stalls+memory+tensor+occupancy+spills+roofline", 2, Needs::kNothing, true},
    {"scopes", "split=2", 20, Needs::kNoPython, true},
    {"proton", "mode=intra", 20, Needs::kPython, true},
    {"pcsampling", "", 2, Needs::kNothing, true},
    {"ir", "", 1, Needs::kNothing, true},
    {"sassmetrics", "", 1, Needs::kNothing, true},
    {"pmsampling", "", 1, Needs::kNothing, true},
    {"ncu", "set=detailed", 1, Needs::kNothing, true}};

constexpr Look kGpuTimeline[] = {
    {"activity", "light=1", 3, Needs::kNothing, false},
    {"activity", "", 1, Needs::kNothing, false},
    {"scopes", "", 20, Needs::kNoPython, true},
    {"proton", "mode=intra", 20, Needs::kPython, true}};
constexpr Look kGpuCi[] = {{"activity", "light=1", 10, Needs::kNothing, false},
                           {"ir", "", 1, Needs::kNothing, true}};

struct Question {
  const char* name;
  std::vector<Look> host, gpu;
};

template <size_t H, size_t G>
Question Make(const char* name, const Look (&host)[H], const Look (&gpu)[G]) {
  return {name, {std::begin(host), std::end(host)}, {std::begin(gpu), std::end(gpu)}};
}

const std::vector<Question>& Questions() {
  static const auto* const questions = new std::vector<Question>{
      Make("quick", kHostQuick, kGpuQuick), Make("bottleneck", kHostBottleneck, kGpuBottleneck),
      Make("deep", kHostDeep, kGpuDeep), Make("timeline", kHostTimeline, kGpuTimeline),
      Make("ci", kHostCi, kGpuCi)};
  return *questions;
}

constexpr char kDefaultQuestion[] = "bottleneck";

const Question* FindQuestion(const v1::PassSpec& spec) {
  const auto found = spec.options().find("question");
  const std::string name = found == spec.options().end() ? kDefaultQuestion : found->second;
  for (const Question& question : Questions())
    if (name == question.name) return &question;
  return nullptr;
}

double BudgetS(const v1::PassSpec& spec) {
  const auto found = spec.options().find("budget_s");
  double budget = 0;
  if (found == spec.options().end() || !absl::SimpleAtod(found->second, &budget)) return INFINITY;
  return budget;
}

bool IsPython(const v1::Workload& workload) {
  if (workload.argv().empty()) return false;
  const std::vector<std::string> parts = absl::StrSplit(workload.argv(0), '/');
  return absl::StartsWith(parts.back(), "python") || absl::EndsWith(workload.argv(0), ".py");
}

v1::PassSpec SpecOf(const Look& look) {
  v1::PassSpec spec;
  spec.set_backend(look.backend);
  for (absl::string_view option : absl::StrSplit(look.options, ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(option, absl::MaxSplits('=', 1));
    (*spec.mutable_options())[pair.first] = pair.second;
  }
  spec.set_repeat(look.repeat);
  spec.set_optional(look.optional);
  return spec;
}

}  // namespace

TypicalCost TypicalCostOf(const v1::PassSpec& spec) {
  const std::string& backend = spec.backend();
  if (backend == "run") return {1, 0, "the program alone: its time and how it ends"};
  if (backend == "host") return {1.05, 1, "regions of CPU threads over time"};
  if (backend == "activity") {
    return spec.options().contains("light")
               ? TypicalCost{1.1, 0.5, "clean: kernel durations and nothing else"}
               : TypicalCost{1.2, 1, "kernels, copies, API calls and NVTX ranges over time"};
  }
  if (backend == "counters") {
    // Each set is about two hardware passes over every kernel.
    const auto set = spec.options().find("set");
    const double sets =
        set == spec.options().end() ? 2 : 1 + std::count(set->second.begin(), set->second.end(), '+');
    return {1.5 + 0.5 * sets, 0, "hardware counters of every launch"};
  }
  if (backend == "scopes") {
    return spec.options().contains("split")
               ? TypicalCost{1.1, 3, "regions inside kernels over time, some in each pass"}
               : TypicalCost{1.1, 5, "regions inside kernels over time"};
  }
  if (backend == "proton") return {1.5, 15, "regions inside Triton kernels over time"};
  if (backend == "pcsampling") return {1.3, 5, "stall reasons by instruction and source line"};
  if (backend == "sassmetrics") return {4, 0, "executed instructions by opcode"};
  if (backend == "pmsampling") return {1.3, 2, "counters over time"};
  if (backend == "ir") return {1.5, 0, "what the compiler made: IR, registers, spills"};
  if (backend == "ncu") return {20, 0, "Nsight Compute's metrics"};
  if (backend == "sanitizer") return {20, 0, "memory errors and races"};
  if (backend == "cutracer") return {50, 0, "executed instructions by region"};
  return {1.5, 0, "what the third-party backend sees"};
}

absl::Status CheckAuto(absl::string_view field, const v1::PassSpec& spec) {
  for (const auto& [name, value] : spec.options()) {
    if (name == "question") {
      if (FindQuestion(spec) != nullptr) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".options[\"question\"]: \"", value, "\"; there are ",
                       absl::StrJoin(Questions(), ", ", [](std::string* out, const Question& q) {
                         absl::StrAppend(out, q.name);
                       })));
    } else if (name == "budget_s") {
      double budget = 0;
      if (absl::SimpleAtod(value, &budget) && budget > 0 && budget <= 1e6) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          field, ".options[\"budget_s\"]: \"", value, "\" is not a number of seconds up to 1e6"));
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          field, ".options[\"", name, "\"]: auto has no such option; it has question, budget_s"));
    }
  }
  if (spec.repeat() > 1)
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".repeat: auto chooses how often each pass runs; leave it out"));
  return absl::OkStatus();
}

bool HasAuto(const v1::TaskSpec& task) {
  const auto& passes = task.profile().passes();
  return std::any_of(passes.begin(), passes.end(),
                     [](const auto& pass) { return pass.backend() == kAutoBackend; });
}

void ExpandAuto(const std::vector<v1::WorkerInfo>& workers, double run_s, v1::TaskSpec* task,
                std::vector<std::string>* notes) {
  if (!HasAuto(*task)) return;
  auto& passes = *task->mutable_profile()->mutable_passes();
  std::set<std::string> offered;
  for (const auto& worker : workers)
    for (const auto& offer : worker.backends())
      if (offer.available()) offered.insert(offer.name());
  const bool gpu = offered.contains("activity");
  const bool python = IsPython(task->profile().workload());

  google::protobuf::RepeatedPtrField<v1::PassSpec> expanded;
  for (const v1::PassSpec& pass : passes) {
    const Question* const question =
        pass.backend() == kAutoBackend ? FindQuestion(pass) : nullptr;
    if (question == nullptr) {
      *expanded.Add() = pass;
      continue;
    }
    double left_s = BudgetS(pass);
    const int before = expanded.size();
    for (const Look& look : gpu ? question->gpu : question->host) {
      if (look.needs == Needs::kPython && !python) continue;
      if (look.needs == Needs::kNoPython && python) continue;
      v1::PassSpec spec = SpecOf(look);
      if (!offered.contains(spec.backend())) {
        notes->push_back(absl::StrCat(KindOfPass(spec), " left out: no worker offers ", spec.backend()));
        continue;
      }
      const double one_s = TypicalCostOf(spec).times_clean * run_s;
      // The first look is taken once whatever the budget: without it there is no answer at all.
      const double affordable = std::max(std::floor(left_s / one_s + 1e-9), expanded.size() == before ? 1.0 : 0.0);
      if (affordable < 1) {
        notes->push_back(absl::StrFormat("%s left out: a pass takes about %.3g s, %.3g s of "
                                         "budget_s are left",
                                         KindOfPass(spec), one_s, std::max(left_s, 0.0)));
        continue;
      }
      if (affordable < spec.repeat()) {
        notes->push_back(absl::StrFormat("%s: %.0f passes instead of %d for budget_s", KindOfPass(spec),
                                         affordable, static_cast<int>(spec.repeat())));
        spec.set_repeat(static_cast<uint32_t>(affordable));
      }
      left_s -= one_s * spec.repeat();
      *expanded.Add() = std::move(spec);
    }
    if (expanded.size() == before) *expanded.Add() = pass;  // nobody can do anything of it yet
  }
  passes.Swap(&expanded);
}

}  // namespace sextant::job
