// How the kernel reaches memory: bank conflicts, coalescing, spills.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/rules/sites.h"
#include "server/analysis/rules/units.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kConflictsMatter = 0.05;      // of the SMs' cycles
constexpr double kSectorsTooMany = 1.5;        // of what the width of the accesses needs
constexpr double kWidestSectors = 16;          // 32 threads of 16 bytes
constexpr double kNarrowestSectors = 4;        // 32 threads of 4 bytes
constexpr double kExcessMatters = 0.02;        // of the sectors L2 moves
constexpr double kSpillsMatter = 0.01;         // of the instructions

constexpr char kMemoryPass[] = "counters:set=memory";

// "KIND: STG.E at k.cu:143 (…), …", two places.
void AddPlaces(const std::vector<AccessPlace>& places, absl::string_view kind, v1::Finding* finding) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(places.size(), 2); ++i) absl::StrAppend(&text, i > 0 ? ", " : "", PlaceText(places[i]));
  if (!text.empty()) finding->add_evidence(absl::StrCat(kind, ": ", text));
}

// Of the median run's path, as a share of the kernel's time; NaN without a path.
double ShareOfPath(const Facts& facts, absl::string_view region) {
  if (!facts.path || facts.path->paths().empty()) return NAN;
  const v1::CriticalPathAt& at = facts.path->paths(facts.path->paths_size() / 2);
  double share = 0;
  for (const v1::PathShare& one : at.shares())
    if (one.region() == region) share += one.share();
  return OfKernel(facts, share, at.span_ns());
}

void BankConflicts(const Facts& facts, Judgement* out) {
  const Fact& loads = facts.Metric("l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum");
  const Fact& stores = facts.Metric("l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum");
  const Fact& cycles = facts.Metric("sm__cycles_active.avg");
  if ((!loads.known() && !stores.known()) || !cycles.known() || !(facts.sms > 0))
    return out->Abstain("whether shared memory has bank conflicts",
                        "no pass counted them beside the SMs' cycles", "counters:set=ipc+memory");
  const double conflicts = (loads.known() ? loads.value : 0) + (stores.known() ? stores.value : 0);
  const double share = cycles.value > 0 ? conflicts / (facts.sms * cycles.value) : 0;
  if (share < kConflictsMatter) return;
  v1::Finding* finding = out->Say(
      absl::StrCat("Bank conflicts: accesses to shared memory are repeated ", Figure(conflicts),
                   " times a launch, ", Percent(share), " of the SMs' cycles"),
      "medium",
      {.most = share, .formula = absl::StrCat(Figure(conflicts), " conflicts, one cycle each, ÷ (", Figure(facts.sms), " SMs × ",
                                              Figure(cycles.value), " cycles)")},
      {&loads, &stores, &cycles});
  AddPlaces(PlacesOfKind(facts, {"LDS", "STS", "LDSM", "STSM", "ATOMS"}), "accesses to shared memory executed most", finding);
  finding->add_try_this("swizzle or pad the shared-memory layout so that the threads of a warp use different banks");
}

struct Direction {
  const char* word;        // "loads"
  bool store;
  const char* requests;
  const char* sectors;
};

void Coalescing(const Facts& facts, const Direction& direction, const Fact& width, Judgement* out) {
  const Fact& requests = facts.Metric(direction.requests);
  const Fact& sectors = facts.Metric(direction.sectors);
  if (!requests.known() || !sectors.known())
    return out->Abstain(absl::StrCat("whether global ", direction.word, " are coalesced"),
                        "no pass counted their sectors", kMemoryPass);
  if (requests.value <= 0) return;
  const double each = sectors.value / requests.value;
  double all = 0;
  for (const char* name : {"lts__t_sectors_op_read.sum", "lts__t_sectors_op_write.sum"})
    if (facts.Metric(name).known()) all += facts.Metric(name).value;
  if (all > 0) all = std::max(all, sectors.value);   // L1 may absorb more than L2 sees
  const double needed = width.known() ? width.value : kWidestSectors;
  const double excess = std::max(sectors.value - needed * requests.value, 0.0);
  if (!width.known() && each > kSectorsTooMany * kNarrowestSectors && each <= kSectorsTooMany * kWidestSectors &&
      (all <= 0 || sectors.value / all >= kExcessMatters))
    return out->Abstain(
        absl::StrCat("whether global ", direction.word, " are coalesced"),
        absl::StrFormat("%.3g sectors a request are right for accesses of %.3g bytes a thread, too many for "
                        "narrower ones; the code tells how wide they are",
                        each, each),
        "ir");
  if (each < kSectorsTooMany * needed || (all > 0 && excess / all < kExcessMatters)) return;
  const auto memory = MemoryUse(facts);
  const double busy = memory.empty() ? NAN : memory.front().percent() / 100;
  const double share = all > 0 ? excess / all : NAN;
  const auto places = direction.store ? PlacesOfKind(facts, {"STG"}) : PlacesOfKind(facts, {"LDG", "LDGSTS"});
  Saving saving{.most = share * busy};
  if (!std::isnan(saving.most))
    saving.formula = absl::StrCat(Percent(share), " of the sectors that memory moves are in excess, × ", Percent(busy), " use of ",
                                  memory.front().unit);
  // Where they stand in a region of the critical path they cost its time too, whatever bandwidth is left.
  double on_path = NAN;
  std::string region;
  if (!places.empty() && !places.front().site->region.empty()) {
    region = places.front().site->region;
    on_path = ShareOfPath(facts, region);
  }
  if (on_path * excess / sectors.value > saving.most || (std::isnan(saving.most) && on_path > 0)) {
    saving.least = std::isnan(saving.most) ? 0 : saving.most;
    saving.most = on_path * excess / sectors.value;
    absl::StrAppend(&saving.formula, saving.formula.empty() ? "" : "; at most ", Percent(excess / sectors.value), " of the time of \"",
                    region, "\" on the critical path");
    saving = Within(LeftInside(facts), std::move(saving));
  }
  v1::Finding* finding = out->Say(
      absl::StrFormat("Uncoalesced access: a request of global %s moves %.3g sectors of 32 bytes where %.3g would do",
                      direction.word, each, needed),
      width.known() ? "high" : "medium", std::move(saving),
      {&requests, &sectors, &width, memory.empty() ? &width : memory.front().fact});
  finding->set_region(region);
  AddPlaces(places, absl::StrCat("global ", direction.word, " executed most"), finding);
  finding->add_try_this(absl::StrCat("let neighbouring threads ",
                                     direction.word[0] == 'l' ? "read" : "write",
                                     " neighbouring addresses: reorder through shared memory or shuffles, 16 bytes a "
                                     "thread"));
}

void Uncoalesced(const Facts& facts, Judgement* out) {
  Coalescing(facts,
             {"loads", false, "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum",
              "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"},
             facts.load_bytes_per_thread, out);
  Coalescing(facts,
             {"stores", true, "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum",
              "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum"},
             facts.store_bytes_per_thread, out);
}

void Spills(const Facts& facts, Judgement* out) {
  const Fact& loads = facts.Metric("smsp__sass_inst_executed_op_local_ld.sum");
  const Fact& stores = facts.Metric("smsp__sass_inst_executed_op_local_st.sum");
  const Fact& all = facts.Metric("smsp__inst_executed.sum");
  const uint64_t compiled =
      facts.registers ? facts.registers->spill_store_bytes() + facts.registers->spill_load_bytes() : 0;
  if (!loads.known() && !stores.known()) {
    if (!facts.registers)
      return out->Abstain("whether registers spill", "neither the compiler's report nor counters are there",
                          "ir");
    if (compiled > 0)
      out->Abstain("what spills cost",
                   absl::StrCat("the compiler spills ", compiled, " bytes a thread; no pass counted how often"),
                   "counters:set=ipc+spills");
    return;
  }
  const double local = (loads.known() ? loads.value : 0) + (stores.known() ? stores.value : 0);
  if (local <= 0 || !(all.value > 0) || local / all.value < kSpillsMatter) return;
  v1::Finding* finding = out->Say(
      absl::StrCat("Spills: ", Percent(local / all.value), " of the instructions load from or store to local memory"),
      compiled > 0 ? "high" : "medium",
      {.most = local / all.value, .formula = absl::StrCat(Figure(local), " ÷ ", Figure(all.value), " instructions, were they not there")},
      {&loads, &stores, &all});
  if (facts.registers) {
    finding->add_evidence(absl::StrCat(facts.registers->registers(), " registers a thread, ",
                                       facts.registers->spill_store_bytes(), " bytes stored and ",
                                       facts.registers->spill_load_bytes(), " loaded a thread by the compiler"));
    if (!facts.registers->spills().empty() && !facts.registers->spills(0).where().empty())
      finding->add_evidence(absl::StrCat("most at ", facts.registers->spills(0).where()));
  }
  finding->add_try_this("fewer live values: smaller tiles, less unrolling, or a higher register limit "
                        "(__launch_bounds__); arrays indexed at run time live in local memory too");
}

constexpr Rule kRules[] = {
    {"bank-conflicts", "5 % of the SMs' cycles or more", SavedFrom::kWork, BankConflicts},
    {"uncoalesced-access", "sectors a request ÷ bytes a thread; 1.5 or more, and 2 % of L2's traffic", SavedFrom::kWork, Uncoalesced},
    {"spills", "1 % of instructions to local memory or more", SavedFrom::kWork, Spills},
};

}  // namespace

absl::Span<const Rule> AccessRules() { return kRules; }

}  // namespace sextant::analysis
