#include "server/analysis/selection.h"

#include "tests/catch.h"

namespace sextant::analysis {
namespace {

v1::PassInfo Pass(uint32_t ordinal, const std::string& machine = "m") {
  v1::PassInfo pass;
  pass.set_pass_id(100 + ordinal);
  pass.set_ordinal(ordinal);
  pass.mutable_spec()->set_backend("host");
  pass.set_state(v1::DONE);
  pass.mutable_result()->set_trace_digest("x");
  pass.mutable_result()->mutable_provenance()->set_machine_class(machine);
  return pass;
}

}  // namespace

TEST_CASE("passes of another machine class are left out with a note") {
  const std::vector<v1::PassInfo> passes = {Pass(0, "zen2"), Pass(1, "icelake"), Pass(2, "icelake")};
  auto selection = SelectPasses(passes, "");
  REQUIRE(selection.ok());
  CHECK(selection->joined.size() == 2);
  CHECK(selection->left_out == 1);
  REQUIRE(selection->notes.size() == 1);
  CHECK(selection->notes[0] == "pass 0 left out: measured differently, by backend host on zen2");
}

TEST_CASE("replayed passes are joined as what they were when they were recorded") {
  std::vector<v1::PassInfo> passes = {Pass(0), Pass(1), Pass(2)};
  for (v1::PassInfo& pass : passes) {
    (*pass.mutable_spec()->mutable_options())["recording"] = std::to_string(pass.ordinal());
    pass.mutable_spec()->set_backend("replay");
    pass.mutable_result()->mutable_replayed()->set_backend(pass.ordinal() < 2 ? "scopes" : "host");
  }
  auto selection = SelectPasses(passes, "");
  REQUIRE(selection.ok());
  CHECK(selection->joined.size() == 2);
  CHECK(SelectPasses(passes, "host")->joined.size() == 1);
  CHECK_FALSE(SelectPasses(passes, "replay").ok());
}

TEST_CASE("regions inside kernels are joined rather than launches, however many") {
  std::vector<v1::PassInfo> passes = {Pass(0), Pass(1), Pass(2)};
  passes[0].mutable_spec()->set_backend("activity");
  passes[1].mutable_spec()->set_backend("activity");
  passes[2].mutable_spec()->set_backend("scopes");
  auto selection = SelectPasses(passes, "");
  REQUIRE(selection.ok());
  REQUIRE(selection->joined.size() == 1);
  CHECK(selection->joined[0]->spec().backend() == "scopes");
  CHECK(SelectPasses(passes, "activity")->joined.size() == 2);
}

TEST_CASE("the parts of split scopes are joined as one kind of pass") {
  std::vector<v1::PassInfo> passes = {Pass(0), Pass(1), Pass(2), Pass(3)};
  for (v1::PassInfo& pass : passes) {
    pass.mutable_spec()->set_backend("scopes");
    if (pass.ordinal() == 3) continue;
    (*pass.mutable_spec()->mutable_options())["split"] = "2";
    (*pass.mutable_spec()->mutable_options())["part"] = std::to_string(1 + pass.ordinal() % 2);
  }
  auto selection = SelectPasses(passes, "");
  REQUIRE(selection.ok());
  CHECK(selection->joined.size() == 3);
}

TEST_CASE("disturbed passes are left out with a note, and named when there is nothing else") {
  const std::vector<v1::PassInfo> passes = {Pass(0), Pass(1)};
  const auto second = [](const v1::PassInfo& pass) { return pass.ordinal() == 1; };
  auto selection = SelectPasses(passes, "", second);
  REQUIRE(selection.ok());
  CHECK(selection->joined.size() == 1);
  REQUIRE(selection->notes.size() == 1);
  CHECK_THAT(selection->notes[0], Catch::Contains("pass 1 left out: they lengthened kernels"));
  const auto none = SelectPasses(passes, "", [](const v1::PassInfo&) { return true; });
  CHECK_THAT(std::string(none.status().message()), Catch::Contains("--include-disturbed"));
}

TEST_CASE("passes that ran other code, other grids or at another clock are not joined, each with its reason") {
  std::vector<v1::PassInfo> passes = {Pass(0), Pass(1), Pass(2), Pass(3), Pass(4), Pass(5)};
  AllTraits traits;
  for (v1::PassInfo& pass : passes) {
    pass.mutable_spec()->set_backend("scopes");
    pass.mutable_result()->mutable_provenance()->set_clock_hz(1.98e9);
    traits[pass.pass_id()]["gemm(int)"] = {{"aa"}, {"132×1×1 of 384×1×1"}};
  }
  traits[101]["gemm(int)"].codes = {"bb"};
  traits[102]["gemm(int)"].shapes = {"64×1×1 of 384×1×1"};
  passes[3].mutable_result()->mutable_provenance()->set_clock_hz(1.755e9);
  (*passes[3].mutable_result()->mutable_provenance()->mutable_extra())["throttled_power_ms"] = "12.5";
  traits.erase(104);   // what is not known is no reason
  const auto nothing = [](const v1::PassInfo&) { return false; };
  const auto selection = SelectPasses(passes, "", nothing, traits);
  REQUIRE(selection.ok());
  REQUIRE(selection->joined.size() == 3);
  CHECK(selection->joined[0]->pass_id() == 100);
  CHECK(selection->left_out == 3);
  CHECK_THAT(selection->notes, Catch::VectorContains(std::string("pass 1 left out: ran other code of gemm")));
  CHECK_THAT(selection->notes, Catch::VectorContains(std::string(
                                   "pass 2 left out: launched gemm with another grid (64×1×1 of 384×1×1)")));
  CHECK_THAT(selection->notes,
             Catch::VectorContains(std::string(
                 "pass 3 left out: ran at 1755 MHz, the others at 1980 MHz: the clock was held back")));
  REQUIRE(selection->sets.size() == 4);
  CHECK(selection->sets[0].used_for() == "time");
  CHECK(selection->sets[0].pass_ids_size() == 3);
  CHECK(selection->sets[0].left_out().empty());
  // What was merged with all of them has another name.
  const auto all = SelectPasses(passes, "", nothing);
  CHECK(all->group != selection->group);
}

TEST_CASE("a gauge that read an idle clock is no reason, one that was held back is") {
  std::vector<v1::PassInfo> passes = {Pass(0), Pass(1), Pass(2)};
  const auto set = [&](int i, const char* name, const char* value) {
    (*passes[i].mutable_result()->mutable_provenance()->mutable_extra())[name] = value;
  };
  for (int i = 0; i < 3; ++i) {
    passes[i].mutable_spec()->set_backend("proton");
    set(i, "sm_clock_mhz_before", i == 0 ? "345" : "1980");
    set(i, "sm_clock_mhz_after", i == 2 ? "345" : "1980");
  }
  set(1, "sm_clock_mhz_before", "1500");
  set(1, "sm_clock_mhz_after", "1500");
  set(1, "throttle_after", "idle");
  CHECK(SelectPasses(passes, "")->joined.size() == 3);
  set(1, "throttle_after", "power cap");
  CHECK(SelectPasses(passes, "")->joined.size() == 2);
}

TEST_CASE("other kinds of passes are one note, however many") {
  std::vector<v1::PassInfo> passes;
  for (uint32_t i = 0; i < 12; ++i) {
    passes.push_back(Pass(i));
    passes.back().mutable_spec()->set_backend(i < 3 ? "scopes" : i < 8 ? "activity" : "pcsampling");
    if (i >= 3) (*passes.back().mutable_spec()->mutable_options())["period"] = std::to_string(i);
  }
  const auto selection = SelectPasses(passes, "");
  REQUIRE(selection.ok());
  REQUIRE(selection->notes.size() == 1);
  CHECK(selection->notes[0] == "9 passes of 9 other kinds are not joined: activity, pcsampling");
  CHECK(selection->sets.size() == 10);
  CHECK(selection->left_out == 9);
}

TEST_CASE("readings of a GPU do not make a provenance another one") {
  std::vector<v1::PassInfo> passes = {Pass(0), Pass(1), Pass(2)};
  const auto set = [&](int i, const char* name, const char* value) {
    (*passes[i].mutable_result()->mutable_provenance()->mutable_extra())[name] = value;
  };
  set(0, "power_w_after", "100");
  set(1, "power_w_after", "200");
  set(1, "energy_j", "5");
  set(2, "driver", "580");
  const std::vector<const v1::PassInfo*> all = {&passes[0], &passes[1], &passes[2]};
  CHECK(DistinctProvenance(all).size() == 2);
}

TEST_CASE("failed, partial and unfinished passes are left out, each with its reason") {
  std::vector<v1::PassInfo> passes = {Pass(0), Pass(1), Pass(2), Pass(3)};
  passes[1].set_state(v1::FAILED);
  passes[2].mutable_result()->set_partial(true);
  passes[3].set_state(v1::RUNNING);
  passes[3].clear_result();
  auto selection = SelectPasses(passes, "");
  REQUIRE(selection.ok());
  CHECK(selection->joined.size() == 1);
  CHECK(selection->left_out == 3);
  CHECK(selection->notes.size() == 3);
}

TEST_CASE("what is missing is said together with what to do") {
  using Catch::Contains;
  CHECK_THAT(std::string(SelectPasses({}, "").status().message()),
             Contains("no pass is planned yet"));
  std::vector<v1::PassInfo> passes = {Pass(0)};
  CHECK_THAT(std::string(SelectPasses(passes, "ncu").status().message()),
             Contains("no pass of backend ncu; this task's passes use: host"));
  passes[0].mutable_result()->clear_trace_digest();
  CHECK_THAT(std::string(SelectPasses(passes, "").status().message()),
             Contains("no pass recorded regions: backend host leaves no trace"));
  passes[0].set_state(v1::FAILED);
  passes[0].mutable_result()->mutable_failure()->set_message("exit code 3");
  CHECK_THAT(std::string(SelectPasses(passes, "").status().message()), Contains("exit code 3"));
  passes[0].set_state(v1::READY);
  passes[0].clear_result();
  auto waiting = SelectPasses(passes, "");
  CHECK(waiting.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(waiting.status().message()), Contains("queued or running"));
}

TEST_CASE("provenance that differs in time and load alone is the same") {
  std::vector<v1::PassInfo> passes = {Pass(0), Pass(1), Pass(2)};
  passes[1].mutable_result()->mutable_provenance()->set_load_average(3);
  passes[2].mutable_result()->mutable_provenance()->set_kernel("6.2");
  auto selection = SelectPasses(passes, "");
  REQUIRE(selection.ok());
  CHECK(DistinctProvenance(selection->joined).size() == 2);
}

}  // namespace sextant::analysis
