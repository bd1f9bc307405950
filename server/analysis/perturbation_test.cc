#include "server/analysis/perturbation.h"

#include "absl/strings/match.h"
#include "proto/table/table.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

v1::PassInfo Pass(int64_t id, const std::string& backend,
                  const std::map<std::string, std::string>& options = {}) {
  v1::PassInfo pass;
  pass.set_pass_id(id);
  pass.set_state(v1::DONE);
  pass.mutable_spec()->set_backend(backend);
  for (const auto& [name, value] : options) (*pass.mutable_spec()->mutable_options())[name] = value;
  return pass;
}

struct Launch {
  const char* kernel;
  int64_t duration_ns;
  int64_t registers = 32;
  const char* code = "aa";
};

Table Launches(const std::vector<Launch>& launches) {
  table::Builder builder("launches");
  const auto kernel = builder.Text("kernel");
  const auto duration = builder.Int("duration_ns", "ns");
  const auto registers = builder.Int("registers");
  const auto code = builder.Text("sass_digest");
  for (const Launch& launch : launches) {
    builder.Set(kernel, launch.kernel);
    builder.Set(duration, launch.duration_ns);
    builder.Set(registers, launch.registers);
    builder.Set(code, launch.code);
    builder.EndRow();
  }
  return std::make_shared<const v1::DataTable>(builder.Finish());
}

TEST_CASE("a certificate is the median of instrumented launches over that of clean ones") {
  const v1::PassInfo clean = Pass(1, "activity", {{"light", "1"}});
  const v1::PassInfo also = Pass(2, "activity", {{"light", "1"}});
  const v1::PassInfo first = Pass(3, "scopes"), second = Pass(4, "scopes");
  const auto certificates = Perturbations(std::vector<PassLaunches>{
      {&clean, Launches({{"gemm", 100}, {"gemm", 102}, {"copy", 10}})},
      {&also, Launches({{"gemm", 98}, {"gemm", 5000}})},
      {&first, Launches({{"gemm", 110, 40, "bb"}, {"gemm", 112, 40, "bb"}})},
      {&second, Launches({{"gemm", 111, 40, "bb"}})}});
  REQUIRE(certificates.size() == 1);
  const v1::Perturbation& gemm = certificates[0];
  CHECK(gemm.kernel() == "gemm");
  CHECK(gemm.backend() == "scopes");
  CHECK(gemm.pass_ids_size() == 2);
  CHECK(gemm.clean_ns() == Approx(101));
  CHECK(gemm.instrumented_ns() == Approx(111));
  CHECK(gemm.ratio() == Approx(111.0 / 101));
  CHECK(gemm.clean_launches() == 4);
  CHECK(gemm.clean_registers() == 32);
  CHECK(gemm.instrumented_registers() == 40);
  CHECK_FALSE(gemm.same_code());
  CHECK(gemm.verdict() == "ok");
  CHECK(absl::StrContains(gemm.why(), "registers 32 → 40"));
}

TEST_CASE("a pass without launches has a certificate that says why nothing is known") {
  const v1::PassInfo patched = Pass(1, "sassmetrics"), again = Pass(2, "sassmetrics"), host = Pass(3, "host"),
                     counted = Pass(4, "counters", {{"set", "ipc"}});
  const auto certificates = WithoutLaunches(std::vector<const v1::PassInfo*>{&patched, &again, &host, &counted});
  REQUIRE(certificates.size() == 2);
  CHECK(certificates[0].backend() == "sassmetrics");
  CHECK(certificates[0].pass_ids_size() == 2);
  CHECK(certificates[0].verdict() == "unknown");
  CHECK(absl::StrContains(certificates[0].why(), "no launch was timed"));
  CHECK(certificates[1].backend() == "counters:set=ipc");
  CHECK(absl::StrContains(certificates[1].why(), "gpu__time_duration.sum"));
}

TEST_CASE("over 15 % is flagged, over twofold is disturbed, and only that pass's kind") {
  const v1::PassInfo clean = Pass(1, "activity"), slow = Pass(2, "proton"),
                     worse = Pass(3, "scopes", {{"buffer", "global"}}), good = Pass(4, "scopes");
  const auto certificates = Perturbations(
      std::vector<PassLaunches>{{&clean, Launches({{"k", 100}})},
                                {&slow, Launches({{"k", 116}})},
                                {&worse, Launches({{"k", 201}})},
                                {&good, Launches({{"k", 101}})}});
  REQUIRE(certificates.size() == 3);
  CHECK(certificates[0].verdict() == "flagged");
  CHECK(certificates[1].backend() == "scopes:buffer=global");
  CHECK(certificates[1].verdict() == "disturbed");
  CHECK(certificates[2].verdict() == "ok");
  CHECK(certificates[2].same_code());
  CHECK_FALSE(Disturbed(certificates, 2));
  CHECK(Disturbed(certificates, 3));
  CHECK_FALSE(Disturbed(certificates, 4));
}

TEST_CASE("without a clean pass, or without durations, nothing is claimed") {
  const v1::PassInfo scopes = Pass(2, "scopes"), clean = Pass(1, "activity"),
                     counters = Pass(3, "counters");
  auto certificates = Perturbations(std::vector<PassLaunches>{{&scopes, Launches({{"k", 100}})}});
  REQUIRE(certificates.size() == 1);
  CHECK(certificates[0].verdict() == "unknown");
  CHECK(absl::StrContains(certificates[0].why(), "--pass activity:light=1"));

  certificates = Perturbations(std::vector<PassLaunches>{
      {&clean, Launches({{"k", 100}})}, {&scopes, Launches({{"k", 0}})}});
  CHECK(certificates[0].verdict() == "unknown");
  CHECK(certificates[0].ratio() == 0);

  // Replayed kernels take as long as they like.
  certificates = Perturbations(std::vector<PassLaunches>{
      {&clean, Launches({{"k", 100}})}, {&counters, Launches({{"k", 9000}})}});
  CHECK(certificates[0].verdict() == "ok");
  CHECK(certificates[0].ratio() == 0);

  CHECK(Perturbations(std::vector<PassLaunches>{{&scopes, Launches({})}}).empty());
}

}  // namespace
}  // namespace sextant::analysis
