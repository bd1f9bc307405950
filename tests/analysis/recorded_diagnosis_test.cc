// Golden diagnoses: what the rules say of every recorded example. A wanted change is blessed with
// SEXTANT_BLESS=1; read the difference.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/analysis/all_facts.h"
#include "server/analysis/diagnosis.h"
#include "server/analysis/test_sample.h"
#include "tests/analysis/recorded_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

std::string Text(const v1::Diagnosis& diagnosis) {
  std::string text = absl::StrCat(diagnosis.verdict(), "\n");
  for (const v1::Finding& finding : diagnosis.findings()) {
    absl::StrAppend(&text, "\n[", finding.rule(), "] ", finding.claim(), "\n  ", finding.confidence(),
                    std::isnan(finding.saves_share()) ? "" : absl::StrFormat(", saves at most %.1f %%", 100 * finding.saves_share()),
                    ", passes ", absl::StrJoin(finding.pass_ids(), " "), "\n");
    for (const std::string& evidence : finding.evidence()) absl::StrAppend(&text, "  - ", evidence, "\n");
    for (const std::string& what : finding.try_this()) absl::StrAppend(&text, "  > ", what, "\n");
  }
  absl::StrAppend(&text, "\n");
  for (const v1::Abstention& one : diagnosis.abstentions())
    absl::StrAppend(&text, "not judged: ", one.question(), ": ", one.why(), one.pass().empty() ? "" : absl::StrCat(" [", one.pass(), "]"), "\n");
  for (const std::string& note : diagnosis.basis().notes()) absl::StrAppend(&text, "note: ", note, "\n");
  return text;
}

std::string DiagnosisOf(const std::string& example, const std::string& kernel) {
  TestJob job;
  AddRecordings("tests/recordings/h200/" + example, &job);
  v1::Subject subject;
  subject.set_kernel(kernel);
  const Evidence evidence = job.Gather(subject);
  v1::Basis basis;
  auto facts = AllFacts(evidence, subject, {.samples = TestSamples()}, &basis);
  INFO(facts.status().ToString());
  REQUIRE(facts.ok());
  v1::Diagnosis diagnosis = Diagnose({&*facts, 1}, 0);
  for (const std::string& note : basis.notes()) diagnosis.mutable_basis()->add_notes(note);
  return Text(diagnosis);
}

TEST_CASE("the diagnosis of every recorded example is the blessed one") {
  const std::map<std::string, std::string> kernels = {
      {"gemm_ws", "gemm_ws"}, {"triton_matmul", "matmul_kernel"}, {"cuda_graph", ""}, {"gluon_ws", ""},
      {"pytorch_mlp", ""},    {"triton_attention", ""},           {"truth_spins", ""}};
  for (const auto& entry : std::filesystem::directory_iterator("tests/recordings/h200")) {
    const std::string example = entry.path().filename().string();
    DYNAMIC_SECTION(example) {
      REQUIRE(kernels.count(example) == 1);
      const std::string text = DiagnosisOf(example, kernels.at(example));
      const std::string path = "tests/analysis/golden/" + example + ".diagnosis.txt";
      if (std::getenv("SEXTANT_BLESS") != nullptr) std::ofstream(path) << text;
      std::ostringstream blessed;
      blessed << std::ifstream(path).rdbuf();
      INFO("bless a wanted change with SEXTANT_BLESS=1");
      CHECK(text == blessed.str());
    }
  }
}

}  // namespace
}  // namespace sextant::analysis
