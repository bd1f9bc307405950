// Every rule with facts on both sides of its threshold, and with what it needs missing.
#include "server/analysis/diagnosis.h"

#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/rules/test_facts.h"
#include "server/analysis/rules/units.h"

namespace sextant::analysis {
namespace {

TEST_CASE("memory bounds a kernel whose memory is 60 % busy or more and busier than its pipes") {
  Facts facts = Idle();
  Set(&facts, kDram, 59.9);
  Nothing(Judge("memory-bound", facts));
  Set(&facts, kDram, 90);
  const v1::Finding finding = Only(Judge("memory-bound", facts), 1 - 30.0 / 90);
  CHECK(finding.confidence() == "high");
  CHECK(absl::StrContains(finding.evidence(0), kDram));
  CHECK(finding.pass_ids(0) == 7);
  Set(&facts, kTensor, 95);   // that bounds it then
  Nothing(Judge("memory-bound", facts));
  facts.metrics.erase(kDram);
  Abstains(Judge("memory-bound", facts), "counters:set=memory");
  Facts alone;
  Set(&alone, kDram, 90);
  Only(Judge("memory-bound", alone), NAN);
}

TEST_CASE("computation bounds a kernel whose pipe is 60 % busy or more") {
  Facts facts = Idle();
  Set(&facts, kTensor, 59.9);
  Nothing(Judge("compute-bound", facts));
  Set(&facts, kTensor, 65);
  Only(Judge("compute-bound", facts), 0.35);
  Set(&facts, kDram, 80);
  Nothing(Judge("compute-bound", facts));
  Abstains(Judge("compute-bound", Facts()), "counters:set=ipc+tensor");
}

TEST_CASE("issue bounds a kernel whose schedulers issue in 60 % of cycles or more, and are busiest") {
  Facts facts = Idle();
  Set(&facts, kIssue, 59.9);
  Nothing(Judge("instruction-issue-bound", facts));
  Set(&facts, kIssue, 60);
  // A pipe that nobody counted may bound it just as well: nothing is promised, and the pass is named.
  Judgement uncounted = Judge("instruction-issue-bound", facts);
  REQUIRE(uncounted.findings.size() == 1);
  CHECK(std::isnan(uncounted.findings[0].saves_share()));
  REQUIRE(uncounted.abstentions.size() == 1);
  CHECK(uncounted.abstentions[0].pass() == kPipesPass);
  Set(&facts, "sm__pipe_alu_cycles_active.avg.pct_of_peak_sustained_active", 45);
  CHECK(Judge("instruction-issue-bound", facts).abstentions.size() == 1);
  Set(&facts, "sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_elapsed", 15);
  CHECK(Only(Judge("instruction-issue-bound", facts), 1 - 45.0 / 60).confidence() == "medium");
  Set(&facts, kIssue, 90);
  CHECK(Only(Judge("instruction-issue-bound", facts), 1 - 45.0 / 90).confidence() == "high");
  // One that is as busy as a unit must be to bound is enough to say what is left.
  facts.metrics.erase("sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_elapsed");
  Set(&facts, "sm__pipe_alu_cycles_active.avg.pct_of_peak_sustained_active", 72);
  CHECK(Only(Judge("instruction-issue-bound", facts), 1 - 72.0 / 90).confidence() == "medium");
  Set(&facts, kDram, 91);
  Nothing(Judge("instruction-issue-bound", facts));
  Nothing(Judge("compute-bound", facts));
  Abstains(Judge("instruction-issue-bound", Facts()), "counters:set=ipc");
}

TEST_CASE("latency bounds a kernel of which no unit is 60 % busy") {
  Facts facts = Idle();
  Stall(&facts, "long_scoreboard", 0.5);
  Stall(&facts, "wait", 0.2);
  Stall(&facts, "selected", 0.3);
  const auto judgement = Judge("latency-bound", facts);
  const v1::Finding finding = Only(judgement, 1 - 30.0 / 60);
  CHECK(finding.try_this_size() == 2);
  CHECK(absl::StrContains(finding.try_this(0), "prefetch"));
  Set(&facts, kTensor, 60);
  Nothing(Judge("latency-bound", facts));
  facts = Idle();
  const auto without = Judge("latency-bound", facts);   // a finding, and what would explain it
  CHECK(without.findings.size() == 1);
  REQUIRE(without.abstentions.size() == 1);
  CHECK(without.abstentions.front().pass() == "pcsampling");
  Nothing(Judge("latency-bound", Facts()));
}

TEST_CASE("occupancy bounds a kernel with few warps that wait for latencies, unless tensor cores carry it") {
  Facts facts = Idle();
  facts.registers.emplace();
  facts.registers->set_occupancy_pct(25);
  facts.registers->set_limiter("registers");
  auto* better = facts.registers->add_cases();
  better->set_change("+1 block an SM");
  better->set_occupancy_pct(50);
  better->set_needs("registers ≤ 64 (now 96)");
  Set(&facts, "sm__warps_active.avg.pct_of_peak_sustained_active", 20);
  Stall(&facts, "long_scoreboard", 0.4);
  const auto judgement = Judge("occupancy-bound", facts);
  CHECK(Only(judgement, 1 - 20.0 / 50).try_this(0) == "+1 block an SM: registers ≤ 64 (now 96)");
  Facts dense = facts;
  Set(&dense, kTensor, 55);
  Nothing(Judge("occupancy-bound", dense));
  Facts busy = facts;
  Set(&busy, kDram, 85);
  Nothing(Judge("occupancy-bound", busy));
  Facts few = facts;   // 100 SMs, two CTAs each: more would find nothing to do
  few.ctas = MakeFact("activity", "CTAs", 200, "", {1});
  few.ctas_per_sm = MakeFact("activity", "CTAs an SM holds", 2, "", {1});
  Nothing(Judge("occupancy-bound", few));
  few.ctas.value = 201;
  Only(Judge("occupancy-bound", few), 1 - 20.0 / 50);
  Facts full = facts;
  Set(&full, "sm__warps_active.avg.pct_of_peak_sustained_active", 50);
  Nothing(Judge("occupancy-bound", full));
  Facts issuing = facts;
  Stall(&issuing, "long_scoreboard", 0.29);
  Nothing(Judge("occupancy-bound", issuing));
  facts.stalls.clear();
  Abstains(Judge("occupancy-bound", facts), "pcsampling");
  Abstains(Judge("occupancy-bound", Facts()), "counters:set=occupancy");
}

TEST_CASE("tensor cores that are used and half of the time idle are said") {
  Facts facts = Idle();
  Set(&facts, "sm__inst_executed_pipe_tensor.sum", 1000, "instructions");
  Only(Judge("low-tensor-pipe-use", facts), 0.6);   // were it half busy, not a fifth
  Set(&facts, kDram, 60);      // memory bounds it
  Nothing(Judge("low-tensor-pipe-use", facts));
  Set(&facts, kDram, 10);
  Set(&facts, kTensor, 50);
  Nothing(Judge("low-tensor-pipe-use", facts));
  Set(&facts, kTensor, 4.9);   // hardly: not what it lives by
  Nothing(Judge("low-tensor-pipe-use", facts));
  Set(&facts, kTensor, 10);
  Set(&facts, "sm__inst_executed_pipe_tensor.sum", 0, "instructions");
  Nothing(Judge("low-tensor-pipe-use", facts));
  Abstains(Judge("low-tensor-pipe-use", Facts()), "counters:set=tensor");
}

TEST_CASE("launches bound a program that idles between short kernels") {
  Facts facts;
  facts.idle_share = MakeFact("activity", "idle", 0.4, "", {1});
  facts.mean_kernel_ns = MakeFact("activity", "mean kernel", 5000, "ns", {1});
  facts.gaps_per_pass = 50;
  Only(Judge("launch-bound", facts), 0.4);
  Facts other = facts;
  other.idle_share.value = 0.19;
  Nothing(Judge("launch-bound", other));
  other = facts;
  other.mean_kernel_ns.value = 20'001;
  Nothing(Judge("launch-bound", other));
  other = facts;
  other.gaps_per_pass = 9;
  Nothing(Judge("launch-bound", other));
  Abstains(Judge("launch-bound", Facts()), "activity");
}

TEST_CASE("bank conflicts count against the SMs' cycles") {
  Facts facts = Idle();
  Set(&facts, "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum", 3000, "conflicts");
  Set(&facts, "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum", 2000, "conflicts");
  Set(&facts, "sm__cycles_active.avg", 1000, "cycles");
  Only(Judge("bank-conflicts", facts), 0.05);
  Set(&facts, "sm__cycles_active.avg", 1001, "cycles");
  Nothing(Judge("bank-conflicts", facts));
  facts.sms = NAN;
  Abstains(Judge("bank-conflicts", facts), "counters:set=ipc+memory");
}

TEST_CASE("stores that stand in a region of the critical path cost its time, not bandwidth alone") {
  Facts facts = Idle();
  Set(&facts, "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum", 0);
  Set(&facts, "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum", 0);
  Set(&facts, "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum", 1000, "requests");
  Set(&facts, "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum", 8000, "sectors");
  Set(&facts, "lts__t_sectors_op_write.sum", 8000, "sectors");
  facts.store_bytes_per_thread = MakeFact("ir", "bytes a thread", 4, "bytes", {3});
  CodeSite& site = facts.sites.emplace_back();
  site.opcode = "STG.E";
  site.where = "k.cu:7";
  site.region = "store";
  site.executed = 1000;
  facts.path.emplace();
  auto* share = facts.path->add_paths()->add_shares();
  share->set_region("store");
  share->set_share(0.3);
  const v1::Finding finding = Only(Judge("uncoalesced-access", facts), 0.15);   // half of the sectors are in excess
  CHECK(finding.region() == "store");
  bool named = false;
  for (const std::string& one : finding.evidence()) named |= absl::StrContains(one, "STG.E at k.cu:7");
  CHECK(named);
  facts.sites[0].recorder = true;   // the instrument's own: nothing of the program stands there
  Only(Judge("uncoalesced-access", facts), 0.05);
}

TEST_CASE("sectors a request are judged by the width of the accesses, where the code tells it") {
  Facts facts = Idle();
  constexpr char kRequests[] = "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum";
  constexpr char kSectors[] = "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum";
  const auto stores = [&] { return Judge("uncoalesced-access", facts); };
  Set(&facts, "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum", 0);
  Set(&facts, "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum", 0);
  Set(&facts, kRequests, 1000, "requests");
  Set(&facts, kSectors, 8000, "sectors");
  Set(&facts, "lts__t_sectors_op_write.sum", 8000, "sectors");
  Abstains(stores(), "ir");
  facts.store_bytes_per_thread = MakeFact("ir", "bytes a thread", 4, "bytes", {3});
  // Half of the sectors are in excess, of memory that is busy 10 %.
  CHECK(Only(stores(), 0.5 * 0.1).confidence() == "high");
  facts.store_bytes_per_thread.value = 8;
  Nothing(stores());
  facts.store_bytes_per_thread = {};
  Set(&facts, kSectors, 30000, "sectors");   // more than any width needs
  Set(&facts, "lts__t_sectors_op_write.sum", 30000, "sectors");
  CHECK(stores().findings.size() == 1);
  Set(&facts, "lts__t_sectors_op_write.sum", 3e6, "sectors");   // which hardly anything is
  Nothing(stores());
  Set(&facts, kSectors, 4000, "sectors");
  Nothing(stores());
  facts.metrics.erase(kSectors);
  Abstains(stores(), "counters:set=memory");
}

TEST_CASE("spills count by the instructions they cost") {
  Facts facts = Idle();
  Set(&facts, "smsp__sass_inst_executed_op_local_ld.sum", 80, "instructions");
  Set(&facts, "smsp__sass_inst_executed_op_local_st.sum", 20, "instructions");
  Set(&facts, "smsp__inst_executed.sum", 1000, "instructions");
  facts.registers.emplace();
  facts.registers->set_spill_store_bytes(16);
  facts.registers->add_spills()->set_where("k.cu:7");
  const auto judgement = Judge("spills", facts);
  const v1::Finding finding = Only(judgement, 0.1);
  CHECK(finding.confidence() == "high");
  CHECK(absl::StrContains(finding.evidence(4), "k.cu:7") != absl::StrContains(finding.evidence(5), "k.cu:7"));
  Set(&facts, "smsp__inst_executed.sum", 10001, "instructions");
  Nothing(Judge("spills", facts));
  Facts compiled;
  compiled.registers = facts.registers;
  Abstains(Judge("spills", compiled), "counters:set=ipc+spills");
  compiled.registers->set_spill_store_bytes(0);
  Nothing(Judge("spills", compiled));
  Abstains(Judge("spills", Facts()), "ir");
}

// A path on which "wait full" has the share `wait`, the wait for "empty" `empty`, and "store" the rest.
Facts WithPath(double wait, double empty) {
  Facts facts = Idle();
  facts.path.emplace();
  auto* set = facts.path->mutable_basis()->add_passes();
  set->set_backend("scopes");
  set->set_used_for("critical path");
  set->add_pass_ids(4);
  auto* at = facts.path->add_paths();
  at->set_quantile(0.5);
  at->set_span_ns(1000);
  for (const auto& [role, region, share] :
       {std::tuple{"consumer", "wait full", wait}, std::tuple{"producer", "wait empty", empty},
        std::tuple{"consumer", "store", 1 - wait - empty}}) {
    auto* one = at->add_shares();
    one->set_role(role);
    one->set_region(region);
    one->set_share(share);
    one->set_on_path_ns(1000 * share);
  }
  const auto what_if = [&](const char* role, const char* region, double pct, double speedup) {
    auto* one = facts.path->add_what_if();
    one->mutable_what()->set_role(role);
    one->mutable_what()->set_region(region);
    one->mutable_what()->set_shorten_pct(pct);
    one->set_speedup_pct(speedup);
  };
  what_if("consumer", "wait full", 10, 2);
  what_if("consumer", "wait full", 100, 15);
  what_if("consumer", "store", 10, 4);
  return facts;
}

TEST_CASE("latency is exposed where the critical path waits for signals to take effect") {
  const auto judgement = Judge("exposed-latency", WithPath(0.2, 0));
  const v1::Finding finding = Only(judgement, 0.15);
  CHECK(finding.region() == "wait full");
  CHECK(absl::StrContains(finding.try_this(0), "earlier"));
  CHECK(finding.pass_ids(0) == 4);
  const auto ring = Judge("exposed-latency", WithPath(0.2, 0.05));
  CHECK(absl::StrContains(Only(ring, 0.15).claim(), "round the ring"));
  Nothing(Judge("exposed-latency", WithPath(0.09, 0)));
  Facts busy = WithPath(0.2, 0);   // no more than the busiest unit leaves
  Set(&busy, kTensor, 95);
  Only(Judge("exposed-latency", busy), 0.05);
  Facts sampled;
  Stall(&sampled, "long_scoreboard", 0.3);
  Only(Judge("exposed-latency", sampled), 0.3);
  Stall(&sampled, "long_scoreboard", 0.29);
  Nothing(Judge("exposed-latency", sampled));
  Abstains(Judge("exposed-latency", Facts()), "pcsampling");
}

TEST_CASE("regions with a tenth of the critical path are critical, with what half of them would save") {
  const auto judgement = Judge("critical-region", WithPath(0.3, 0));
  CHECK(Only(judgement, 0.2).region() == "store");
  Nothing(Judge("critical-region", WithPath(0.95, 0)));
  Facts elsewhere = WithPath(0.3, 0);   // another way is as long
  elsewhere.path->mutable_what_if(2)->set_speedup_pct(0.4);
  Nothing(Judge("critical-region", elsewhere));
  Abstains(Judge("critical-region", Facts()), "scopes");
  Facts proton;
  proton.path.emplace();
  auto* abstention = proton.path->mutable_basis()->add_abstentions();
  abstention->set_why("Proton does not tell");
  const auto without = Judge("critical-region", proton);
  Abstains(without, "");
  CHECK(without.abstentions[0].why() == "Proton does not tell");
}

TEST_CASE("warps that stand at barriers 15 % of their time are out of balance") {
  Facts facts = Idle();
  Stall(&facts, "barrier", 0.15);
  Only(Judge("barrier-imbalance", facts), 0.15);
  Stall(&facts, "barrier", 0.149);
  Nothing(Judge("barrier-imbalance", facts));
  // Tensor cores of Hopper are waited for at a "barrier" too.
  Stall(&facts, "barrier", 0.4);
  Set(&facts, "sm__inst_executed_pipe_tensor_op_gmma.sum", 100, "instructions");
  Abstains(Judge("barrier-imbalance", facts), "pcsampling");
  facts.product_wait_share = MakeFact("pcsampling", "waits for products", 0.2, "", {9});
  Only(Judge("barrier-imbalance", facts), 0.2);
  facts.product_wait_share.value = 0.26;
  Nothing(Judge("barrier-imbalance", facts));
  Abstains(Judge("barrier-imbalance", Facts()), "pcsampling");
}

TEST_CASE("roles that stand at a barrier outside their regions delay nobody") {
  Facts facts = Idle();
  Stall(&facts, "barrier", 0.4);
  facts.costs.emplace();
  for (const char* role : {"producer", "consumer"}) facts.costs->add_regions()->set_role(role);
  const auto add = [&](const char* region, double samples) {
    CodeSite& site = facts.sites.emplace_back();
    site.pc = 16 * facts.sites.size();
    site.opcode = "BAR.SYNC";
    site.where = absl::StrCat("k.cu:", facts.sites.size());
    site.region = region;
    site.stalls["barrier"] = samples;
  };
  add("", 0.3);
  add("mma", 0.149);
  Abstains(Judge("barrier-imbalance", facts), "");
  add("mma", 0.001);
  const v1::Finding finding = Only(Judge("barrier-imbalance", facts), 0.15);
  CHECK(absl::StrContains(finding.evidence(finding.evidence_size() - 1), "BAR.SYNC at k.cu:1"));
}

TEST_CASE("a role starves that waits 40 % of its time, where that is on the path") {
  const auto with_waits = [](Facts facts, double share) {
    facts.costs.emplace();
    facts.costs->mutable_basis()->add_passes()->add_pass_ids(4);
    for (const auto& [region, part] : {std::pair{"wait full", share}, std::pair{"mma", 1 - share}}) {
      auto* cost = facts.costs->add_regions();
      cost->set_role("consumer");
      cost->set_region(region);
      cost->set_time_share(part);
      cost->set_warp(-1);
    }
    return facts;
  };
  Only(Judge("role-starvation", with_waits(WithPath(0.3, 0), 0.4)), 0.3);
  Nothing(Judge("role-starvation", with_waits(WithPath(0.3, 0), 0.39)));
  Nothing(Judge("role-starvation", with_waits(WithPath(0.05, 0), 0.4)));   // others do not wait for it
  CHECK(Only(Judge("role-starvation", with_waits(Idle(), 0.5)), 0.5).confidence() == "medium");
  Abstains(Judge("role-starvation", Facts()), "scopes");
}

TEST_CASE("a tail matters that costs a tenth of the SMs' time") {
  Facts facts = Idle();
  facts.occupancy.emplace();
  facts.occupancy->add_resident_ctas(1);
  facts.occupancy->mutable_basis()->add_passes()->add_pass_ids(4);
  facts.occupancy->set_tail_loss_share(0.1);
  facts.occupancy->set_tail_ns(500);
  Only(Judge("tail-wave", facts), 0.1);
  facts.occupancy->set_tail_loss_share(0.099);
  Nothing(Judge("tail-wave", facts));
  Abstains(Judge("tail-wave", Facts()), "scopes");
  Facts calculated = Idle();   // 100 SMs
  calculated.ctas = MakeFact("activity", "CTAs", 250, "", {1});
  calculated.ctas_per_sm = MakeFact("activity", "CTAs an SM holds", 2, "", {1});
  CHECK(Only(Judge("tail-wave", calculated), 1 - 1.25 / 2).confidence() == "low");
  calculated.ctas.value = 380;   // 1.9 waves
  Nothing(Judge("tail-wave", calculated));
  calculated.ctas.value = 110;   // all at once
  Nothing(Judge("tail-wave", calculated));
}

TEST_CASE("a grid is small that leaves a tenth of the SMs without a CTA") {
  Facts facts = Idle();
  facts.ctas = MakeFact("activity", "CTAs", 90, "", {1});
  Only(Judge("small-grid", facts), 0.1);
  facts.ctas.value = 91;
  Nothing(Judge("small-grid", facts));
  facts.sms = NAN;
  Abstains(Judge("small-grid", facts), "activity");
}

TEST_CASE("a region varies that spreads by half, in a tenth of its role's time") {
  Facts facts = Idle();
  facts.variation.emplace();
  facts.variation->mutable_basis()->add_passes()->add_pass_ids(4);
  auto* one = facts.variation->add_regions();
  one->set_region("load");
  one->set_spread(0.5);
  one->set_time_share(0.1);
  one->set_count(200);
  CHECK(Only(Judge("varying-region", facts), NAN).region() == "load");
  one->set_spread(0.49);
  Nothing(Judge("varying-region", facts));
  one->set_spread(0.5);
  one->set_time_share(0.09);
  Nothing(Judge("varying-region", facts));
}

TEST_CASE("findings come by the time they could save, with rule, source and kernel, at most so many") {
  Facts large = Idle(), small = Idle();
  large.kernel = "void large<int>(int)";
  large.share_of_gpu_time = 0.9;
  Set(&large, kTensor, 80);   // saves 20 % of 90 %
  small.kernel = "small";
  small.share_of_gpu_time = 0.1;
  Set(&small, kDram, 90);     // saves 67 % of 10 %
  const std::vector<Facts> kernels = {large, small};
  v1::Diagnosis diagnosis = Diagnose(kernels, 0);
  REQUIRE(diagnosis.findings_size() >= 2);
  CHECK(diagnosis.findings(0).rule() == "compute-bound");
  CHECK(diagnosis.findings(0).kernel() == "void large<int>(int)");
  CHECK(absl::StrContains(diagnosis.findings(0).source(), "speed of light"));
  CHECK(diagnosis.findings(1).rule() == "memory-bound");
  CHECK(diagnosis.rules_size() == static_cast<int>(Rules().size()));
  CHECK(absl::StrContains(diagnosis.verdict(), "large: Compute-bound"));
  CHECK(absl::StrContains(diagnosis.verdict(), "small: Memory-bound"));
  REQUIRE(diagnosis.abstentions_size() > 2);
  bool named = false;
  for (const auto& one : diagnosis.abstentions()) named |= absl::StartsWith(one.question(), "large: ");
  CHECK(named);
  diagnosis = Diagnose(kernels, 1);
  CHECK(diagnosis.findings_size() == 1);
  REQUIRE(diagnosis.basis().notes_size() == 1);
  CHECK(absl::StrContains(diagnosis.basis().notes(0), "left out"));
}

TEST_CASE("without any fact every rule abstains or is silent, and nothing is claimed") {
  const std::vector<Facts> none(1);
  const v1::Diagnosis diagnosis = Diagnose(none, 0);
  CHECK(diagnosis.findings().empty());
  CHECK(diagnosis.abstentions_size() >= 10);
  CHECK(absl::StrContains(diagnosis.verdict(), "could not be judged"));
  CHECK(Diagnose({}, 0).findings().empty());
}

TEST_CASE("rules have names of their own, sources, and stay quiet about NaN") {
  std::set<std::string> names;
  for (const Rule& rule : Rules()) {
    CHECK(names.insert(rule.name).second);
    CHECK(std::string(rule.source).size() > 10);
  }
  Facts facts = Idle();
  for (auto& [name, fact] : facts.metrics) fact.value = NAN;
  Stall(&facts, "barrier", NAN);
  for (const Rule& rule : Rules()) {
    Judgement judgement;
    rule.judge(facts, &judgement);
    INFO(rule.name);
    CHECK(judgement.findings.empty());
  }
}

}  // namespace
}  // namespace sextant::analysis
