// What bounds the kernel: memory, computation, instruction issue, latency, occupancy, launches.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/rules/sites.h"
#include "server/analysis/rules/units.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kIssueHighPct = 80;
constexpr double kTensorUsedPct = 5;           // below it the kernel does not live by tensor cores
constexpr double kLowTensorPct = 50;
constexpr double kLowOccupancyPct = 50;
constexpr double kUsesTensorPct = 30;          // a kernel that lives by few warps and asynchronous units
constexpr double kWaitsForLatency = 0.3;       // share of warp time in stalls that more warps would hide
constexpr double kIdleMatters = 0.2;
constexpr double kShortKernelNs = 20'000;
constexpr double kManyGaps = 10;               // of a pass

constexpr char kMemoryPass[] = "counters:set=memory";
constexpr char kComputePass[] = "counters:set=ipc+tensor";

std::string Pct(double percent) { return Percent(percent / 100); }

// What a reason asks for, and where warps stand for it; "" where nothing helps in general.
std::string Advice(const Facts& facts, const std::string& reason) {
  const StalledPlace place = MostStalled(facts, reason, "");
  const char* const remedy = RemedyOf(reason, place);
  if (remedy == nullptr) return "";
  return absl::StrCat(remedy, place.site == nullptr ? "" : absl::StrCat("; most at ", PlaceText(place)));
}

// The stall reasons that take most warp time, largest first; not "selected".
std::vector<std::pair<std::string, const Fact*>> LargestStalls(const Facts& facts, size_t most) {
  std::vector<std::pair<std::string, const Fact*>> stalls;
  for (const auto& [reason, fact] : facts.stalls)
    if (reason != "selected" && fact.known()) stalls.push_back({reason, &fact});
  std::stable_sort(stalls.begin(), stalls.end(),
                   [](const auto& a, const auto& b) { return a.second->value > b.second->value; });
  if (stalls.size() > most) stalls.resize(most);
  return stalls;
}

void MemoryBound(const Facts& facts, Judgement* out) {
  const auto memory = MemoryUse(facts);
  if (memory.empty())
    return out->Abstain("whether memory bandwidth bounds the kernel", "no pass counted memory traffic",
                        kMemoryPass);
  const auto compute = ComputeUse(facts);
  const UnitUse& busiest = memory.front();
  if (busiest.percent() < kBusyPct || (!compute.empty() && busiest.percent() < compute.front().percent())) return;
  const bool known = !compute.empty();
  const auto others = OthersThan(facts, busiest.unit);
  Saving saving;
  if (known)
    saving = {.most = 1 - others.front().percent() / busiest.percent(),
              .formula = absl::StrCat("1 − ", Pct(others.front().percent()), " ÷ ", Pct(busiest.percent()),
                                      ", moving so many fewer bytes that the ", others.front().unit, " bound it")};
  v1::Finding* finding = out->Say(
      absl::StrCat("Memory-bound: ", busiest.unit, " is ", Pct(busiest.percent()), " busy",
                   known ? absl::StrCat(", the next unit, ", others.front().unit, ", ", Pct(others.front().percent())) : ""),
      busiest.percent() >= 80 && known ? "high" : "medium", std::move(saving),
      {busiest.fact, known ? others.front().fact : busiest.fact});
  if (busiest.unit == "L1") {
    // Accesses, not bytes, fill L1's pipe: which, is in the code.
    const auto places = PlacesOfKind(facts, {"LDG", "STG", "LDS", "STS", "LDL", "STL", "LD", "ST", "RED", "ATOMG", "ATOMS"});
    if (!places.empty() && places.front().executed > 0)
      finding->add_try_this(absl::StrCat("fewer and wider accesses; executed most: ", PlaceText(places.front())));
  }
  finding->add_try_this("move fewer bytes: reuse them in registers or shared memory, fuse with what makes or "
                        "uses them, or store them narrower");
  const Fact& hits = facts.Metric("lts__t_sector_hit_rate.pct");
  if (busiest.unit == "DRAM" && hits.known() && hits.value < 70) {
    finding->add_evidence(hits.evidence);
    finding->add_try_this("order CTAs so that those that run at the same time share what L2 holds");
  }
}

void ComputeBound(const Facts& facts, Judgement* out) {
  const auto compute = ComputeUse(facts);
  if (compute.empty())
    return out->Abstain("whether computation bounds the kernel", "no pass counted the pipes' cycles",
                        kComputePass);
  const auto memory = MemoryUse(facts);
  const UnitUse& busiest = compute.front();
  if (busiest.unit == "issue slots") return;   // issue-bound has it
  if (busiest.percent() < kBusyPct || (!memory.empty() && memory.front().percent() > busiest.percent()))
    return;
  v1::Finding* finding = out->Say(
      absl::StrCat("Compute-bound: the ", busiest.unit, " is ", Pct(busiest.percent()),
                   " busy in the cycles in which SMs are active"),
      memory.empty() ? "medium" : "high",
      Within(LeftInside(facts), {.most = 1, .formula = "what is left to the pipe's peak with the same work"}),
      {busiest.fact, memory.empty() ? busiest.fact : memory.front().fact});
  finding->add_try_this(busiest.percent() >= 85
                            ? "do less work, or in a narrower type: the pipe is close to its peak"
                            : "close the gaps in which the pipe is idle: prologue, epilogue, and exposed waits");
}

void IssueBound(const Facts& facts, Judgement* out) {
  constexpr char kUnit[] = "issue slots";
  const Fact& issue = facts.Metric("smsp__issue_active.avg.pct_of_peak_sustained_active");
  if (!issue.known())
    return out->Abstain("whether instruction issue bounds the kernel", "no pass counted issue slots",
                        "counters:set=ipc");
  if (issue.value < kBusyPct) return;
  const auto others = OthersThan(facts, kUnit);
  if (!others.empty() && others.front().percent() > issue.value) return;
  // A pipe that nobody counted may be as busy as the issue slots: then fewer instructions save nothing.
  const bool pipes = PipesCounted(facts);
  const bool next_is_busy = !others.empty() && others.front().percent() >= kBusyPct;
  Saving saving;
  if (!others.empty() && (pipes || next_is_busy))
    saving = {.most = 1 - others.front().percent() / issue.value,
              .formula = absl::StrCat("1 − ", Pct(others.front().percent()), " ÷ ", Pct(issue.value),
                                      ", so many fewer instructions that the ", others.front().unit, " bound it",
                                      pipes ? "" : "; not all pipes were counted")};
  else
    out->Abstain("what fewer instructions would save",
                 "the pipes that they fill were not counted: one of them may be as busy as the issue slots", kPipesPass);
  v1::Finding* finding = out->Say(
      absl::StrCat("Instruction-issue-bound: schedulers issue in ", Pct(issue.value), " of the cycles in which SMs are active"),
      issue.value >= kIssueHighPct && pipes ? "high" : "medium", std::move(saving),
      {&issue, others.empty() ? &issue : others.front().fact});
  if (facts.costs && !facts.costs->mix().empty()) {
    std::string mix;
    for (int i = 0; i < std::min(3, facts.costs->mix_size()); ++i)
      absl::StrAppend(&mix, i > 0 ? ", " : "", facts.costs->mix(i).name(), " ", Percent(facts.costs->mix(i).share()));
    finding->add_evidence(absl::StrCat("instructions executed: ", mix));
  }
  finding->add_try_this("execute fewer instructions: wider loads, packed or tensor arithmetic, addresses "
                        "computed once, unrolled loops");
}

void LatencyBound(const Facts& facts, Judgement* out) {
  const auto memory = MemoryUse(facts), compute = ComputeUse(facts);
  if (memory.empty() || compute.empty()) return;   // the two above abstain
  const UnitUse& busiest = memory.front().percent() > compute.front().percent() ? memory.front() : compute.front();
  if (busiest.percent() >= kBusyPct) return;
  const auto stalls = LargestStalls(facts, 3);
  v1::Finding* finding = out->Say(
      absl::StrCat("Latency-bound: no unit is busy; the busiest is ", busiest.unit, " with ",
                   Pct(busiest.percent())),
      stalls.empty() ? "medium" : "high",
      Within(LeftInside(facts), {.most = 1 - busiest.percent() / kBusyPct,
                                 .formula = absl::StrCat("1 − ", Pct(busiest.percent()), " ÷ ", Pct(kBusyPct),
                                                         ", were the ", busiest.unit, " ", Pct(kBusyPct), " busy")}),
      {memory.front().fact, compute.front().fact});
  for (const auto& [reason, fact] : stalls) {
    if (fact->value < 0.1) break;
    finding->add_evidence(fact->evidence);
    if (reason == "barrier" && ParksAtBarriers(facts)) {
      // Roles that park say nothing; those that wait for their products there do.
      const StalledPlace products = MostStalledAtProducts(facts);
      if (products.site != nullptr)
        finding->add_try_this(absl::StrCat(RemedyOf("barrier", products), "; most at ", PlaceText(products)));
      continue;
    }
    if (std::string advice = Advice(facts, reason); !advice.empty()) finding->add_try_this(std::move(advice));
  }
  if (stalls.empty())
    out->Abstain("what warps wait for", "no pass counted or sampled stall reasons", "pcsampling");
  if (finding->try_this().empty())
    finding->add_try_this("more independent work in flight: more warps, unrolled loops, asynchronous copies");
}

void OccupancyBound(const Facts& facts, Judgement* out) {
  double possible = facts.registers && facts.registers->occupancy_pct() > 0
                        ? facts.registers->occupancy_pct()
                        : facts.occupancy ? facts.occupancy->theoretical_occupancy_pct() : NAN;
  const Fact& achieved = facts.Metric("sm__warps_active.avg.pct_of_peak_sustained_active");
  if (!(possible > 0) && !achieved.known())
    return out->Abstain("whether too few warps bound the kernel", "neither its launch nor a counter tells occupancy",
                        "counters:set=occupancy");
  const double now = achieved.known() ? achieved.value : possible;
  if (now >= kLowOccupancyPct || TensorUse(facts) >= kUsesTensorPct) return;
  // A grid that does not even fill what the SMs hold now would not fill more: small-grid and tail-wave have it.
  if (facts.ctas.known() && facts.sms > 0 &&
      facts.ctas.value <= facts.sms * (facts.ctas_per_sm.known() ? facts.ctas_per_sm.value : 1))
    return;
  const auto memory = MemoryUse(facts), compute = ComputeUse(facts);
  if ((!memory.empty() && memory.front().percent() >= kBusyPct) ||
      (!compute.empty() && compute.front().percent() >= kBusyPct))
    return;
  double latency = 0;
  const Fact* largest = nullptr;
  for (const char* reason : {"long_scoreboard", "short_scoreboard", "wait"}) {
    const auto found = facts.stalls.find(reason);
    if (found == facts.stalls.end() || !found->second.known()) continue;
    latency += found->second.value;
    if (largest == nullptr || found->second.value > largest->value) largest = &found->second;
  }
  if (facts.stalls.empty())
    return out->Abstain("whether more warps would help", "no pass counted or sampled stall reasons", "pcsampling");
  if (latency < kWaitsForLatency) return;
  // With latencies as they are, throughput is in proportion to the warps in flight (Little's law).
  double after = std::min(2 * now, 100.0);
  std::string how = absl::StrCat(Pct(after), " of warps instead of ", Pct(now));
  std::string change;
  if (facts.registers)
    for (const v1::OccupancyCase& one : facts.registers->cases())
      if (one.occupancy_pct() > possible && (change.empty() || one.occupancy_pct() < after)) {
        after = one.occupancy_pct();
        how = absl::StrCat(one.change(), ": ", Pct(after));
        change = absl::StrCat(one.change(), ": ", one.needs());
      }
  v1::Finding* finding = out->Say(
      absl::StrCat("Occupancy-bound: ", Pct(now), " of the warps an SM can hold are there, and they wait ",
                   Percent(latency), " of the time for latencies that more would hide"),
      achieved.known() ? "medium" : "low",
      Within(LeftInside(facts), {.most = 1 - now / after, .formula = absl::StrCat("1 − ", Pct(now), " ÷ ", Pct(after), ", ", how)}),
      {&achieved, largest == nullptr ? &achieved : largest});
  if (facts.registers && !facts.registers->limiter().empty()) {
    finding->add_evidence(absl::StrCat("occupancy by calculation ", Pct(possible), ", limited by ",
                                       facts.registers->limiter()));
    if (change.empty() && facts.registers->limiter() == "registers")
      finding->add_try_this("fewer registers a thread (__launch_bounds__, smaller tiles)");
  }
  if (!change.empty()) finding->add_try_this(change);
  if (finding->try_this().empty())
    finding->add_try_this("more, or smaller, CTAs on an SM; or more independent loads in each warp");
}

void LowTensorUse(const Facts& facts, Judgement* out) {
  const Fact& executed = facts.Metric("sm__inst_executed_pipe_tensor.sum");
  const Fact& busy = facts.Metric("sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active");
  if (!executed.known() || !busy.known())
    return out->Abstain("how well the tensor cores are used", "no pass counted their cycles",
                        "counters:set=tensor");
  if (executed.value <= 0 || busy.value < kTensorUsedPct || busy.value >= kLowTensorPct) return;
  // Another unit that is busy bounds it: its own rule has it.
  if (const auto others = OthersThan(facts, "tensor pipe"); !others.empty() && others.front().percent() >= kBusyPct) return;
  v1::Finding* finding = out->Say(
      absl::StrCat("Low tensor-pipe use: the kernel multiplies on tensor cores, which are busy ", Pct(busy.value),
                   " of the time"),
      "high",
      Within(LeftInside(facts), {.most = 1 - busy.value / kLowTensorPct,
                                 .formula = absl::StrCat("1 − ", Pct(busy.value), " ÷ ", Pct(kLowTensorPct), ", were it ",
                                                         Pct(kLowTensorPct), " busy")}),
      {&busy, &executed});
  const auto stalls = LargestStalls(facts, 1);
  if (!stalls.empty()) finding->add_evidence(stalls.front().second->evidence);
  finding->add_try_this("keep the next products' operands ready: more stages, larger tiles along K, warp specialisation");
}

void LaunchBound(const Facts& facts, Judgement* out) {
  if (!facts.idle_share.known())
    return out->Abstain("whether launches bound the program", "no pass recorded when kernels ran", "activity");
  if (facts.idle_share.value < kIdleMatters || !facts.mean_kernel_ns.known() ||
      facts.mean_kernel_ns.value > kShortKernelNs || !(facts.gaps_per_pass >= kManyGaps))
    return;
  v1::Finding* finding = out->Say(
      absl::StrCat("Launch-bound: kernels of ", Duration(facts.mean_kernel_ns.value), " in the mean follow each other with gaps that are ",
                   Percent(facts.idle_share.value), " of their time and the gaps'"),
      "medium",
      {.most = facts.idle_share.value, .formula = "the gaps ÷ (gaps + kernels); of the program's time on the GPU, not of this kernel's"},
      {&facts.idle_share, &facts.mean_kernel_ns});
  finding->add_try_this("launch from a CUDA graph, or fuse kernels");
  finding->add_try_this("do not synchronise between launches");
}

constexpr char kSpeedOfLight[] = "speed of light: below 60 % in every unit latency bounds (Nsight Compute's rule); "
                                 "roofline, Williams et al. 2009";

constexpr Rule kRules[] = {
    {"memory-bound", kSpeedOfLight, SavedFrom::kWork, MemoryBound},
    {"compute-bound", kSpeedOfLight, SavedFrom::kIdleUnits, ComputeBound},
    {"instruction-issue-bound", "issue slots the busiest unit, 60 % or more; speed of light", SavedFrom::kWork, IssueBound},
    {"latency-bound", kSpeedOfLight, SavedFrom::kIdleUnits, LatencyBound},
    {"occupancy-bound", "Little's law: throughput = warps in flight ÷ latency", SavedFrom::kIdleUnits, OccupancyBound},
    {"low-tensor-pipe-use", "tensor pipe below 50 % busy in a kernel that uses it 5 % or more", SavedFrom::kIdleUnits, LowTensorUse},
    {"launch-bound", "gaps 20 % or more, ten of them or more, between kernels of less than 20 µs", SavedFrom::kBetween, LaunchBound},
};

}  // namespace

absl::Span<const Rule> BoundRules() { return kRules; }

}  // namespace sextant::analysis
