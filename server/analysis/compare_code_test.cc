#include "server/analysis/compare_code.h"

#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/table/table.h"
#include "server/analysis/region_code.h"
#include "server/analysis/sass.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

std::string File(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A job with one pass that kept code.
class Job {
 public:
  Job() {
    pass_.set_pass_id(1);
    pass_.set_state(v1::DONE);
    pass_.mutable_spec()->set_backend("ir");
  }
  // A kernel launched so often with the code of that digest.
  Job& Kernel(const std::string& name, const std::string& digest, int launches = 1) {
    kernels_.Set(kernel_, name);
    kernels_.Set(mangled_, name);
    kernels_.Set(digest_, digest);
    kernels_.EndRow();
    for (int i = 0; i < launches; ++i) {
      launches_.Set(launched_, digest);
      launches_.EndRow();
    }
    return *this;
  }
  Job& Form(const std::string& file, std::string text) {
    Add(file, "ir");
    texts_[file] = std::move(text);
    return *this;
  }
  void Finish() {
    Add("kernels.table", "table");
    Add("launches.table", "table");
    tables_["kernels"] = std::make_shared<const v1::DataTable>(kernels_.Finish());
    tables_["launches"] = std::make_shared<const v1::DataTable>(launches_.Finish());
  }

  v1::PassInfo pass_;
  std::map<std::string, std::string> texts_;   // by digest, which is the artifact's name here
  std::map<std::string, Table> tables_;

 private:
  void Add(const std::string& name, const std::string& kind) {
    v1::Artifact* artifact = pass_.mutable_result()->add_artifacts();
    artifact->set_name(name);
    artifact->set_kind(kind);
    artifact->set_digest(name);
  }
  table::Builder kernels_{"kernels"}, launches_{"launches"};
  const table::Builder::TextColumn kernel_ = kernels_.Text("kernel"), mangled_ = kernels_.Text("mangled"),
                                   digest_ = kernels_.Text("sass_digest");
  const table::Builder::TextColumn launched_ = launches_.Text("sass_digest");
};

v1::Comparison Compared(Job a, Job b, v1::Comparison comparison = {}) {
  a.Finish();
  b.Finish();
  b.pass_.set_pass_id(2);
  const CodeSources sources = {
      .table = [&](const v1::PassInfo& pass, absl::string_view name) -> absl::StatusOr<Table> {
        return (pass.pass_id() == 1 ? a : b).tables_.at(std::string(name));
      },
      .artifact = [&](const v1::Artifact& artifact, uint64_t) -> absl::StatusOr<std::string> {
        for (const Job* job : {&a, &b})
          if (const auto found = job->texts_.find(artifact.digest()); found != job->texts_.end()) return found->second;
        return absl::NotFoundError("removed");
      }};
  const absl::Status status = CompareCode(sources, {a.pass_}, {b.pass_}, &comparison);
  INFO(status.ToString());
  REQUIRE(status.ok());
  return comparison;
}

v1::Comparison WithMoved(const std::vector<std::string>& regions) {
  v1::Comparison comparison;
  for (const std::string& region : regions) {
    v1::Delta* row = comparison.add_deltas();
    row->set_kind("region");
    row->set_name(region);
    row->set_verdict("slower");
  }
  return comparison;
}

constexpr char kTriton[] = "workers/backends/ir/testdata/triton/triton/";

TEST_CASE("every level that both jobs kept is compared, the highest first") {
  const std::string four = absl::StrCat(kTriton, "QIXHPYWXXJKCR2IAAC6WPHTAYVRVV5LLPOGN7MHFNY6P4CBGLKVQ/add."),
                    two = absl::StrCat(kTriton, "YGW3LUQSX7L4O6EBN5HLHX37ZGE4I3G3AWHHCPGXTMI2BSGUDLWQ/add.");
  Job a, b;
  a.Kernel("add", "aaaaaaaa11");
  b.Kernel("add", "bbbbbbbb22");
  for (const char* form : {"sass", "ptx", "llir", "ttgir", "ttir"}) {
    a.Form(absl::StrCat("add.aaaaaaaa.", form), File(four + form));
    b.Form(absl::StrCat("add.bbbbbbbb.", form), File(two + form));
  }
  const v1::Comparison comparison = Compared(a, b);
  std::vector<std::string> levels;
  for (const v1::CodeDifference& one : comparison.code()) levels.push_back(one.level());
  CHECK(levels == std::vector<std::string>{"ttir", "ttgir", "llir", "ptx", "sass"});
  // Blocks of 256 instead of 512, by 2 warps instead of 4: another shape of every tensor, and as many instructions.
  CHECK(comparison.code(0).removed() == 16);
  CHECK(comparison.code(0).added() == 16);
  CHECK(comparison.code(1).removed() == 18);
  CHECK(absl::StrContains(comparison.code(1).diff(), "+#blocked = #ttg.blocked<{sizePerThread = [4], threadsPerWarp = [32], "
                                                     "warpsPerCTA = [2], order = [0]}>\n"));
  CHECK(absl::StrContains(comparison.code(3).diff(), "-.reqntid 128\n+.reqntid 64\n"));
  CHECK_FALSE(comparison.code(4).same());
  CHECK(comparison.code(4).removed() < 6);
  CHECK(comparison.code(4).mix_change().empty());
}

TEST_CASE("regions that moved are named where their code changed") {
  const std::string nested = File("server/analysis/testdata/nested.sass");
  const auto function = ParseSassUntrusted(nested);
  REQUIRE(function.ok());
  const RegionCode regions = FindRegionCode(*function, FlowOf(*function));
  const std::vector<std::string> names = {"outer", "inner", "half", "elsewhere"};
  // The first instruction of each region that is not part of a record.
  size_t checked = 0;
  for (size_t region = 0; region < regions.regions.size(); ++region) {
    const std::string name = NameOfScopeId(regions.regions[region].id, regions.regions[region].wait, names);
    for (size_t i = 0; i < function->code.size() && !name.empty(); ++i) {
      const SassInstruction& one = function->code[i];
      if (regions.innermost[i] != static_cast<int32_t>(region) || regions.recording[i]) continue;
      const std::string at = absl::StrCat("/*", absl::Hex(one.pc, absl::kZeroPad4), "*/");
      std::string changed = nested;
      const size_t line = changed.find(at);
      REQUIRE(line != std::string::npos);
      changed.replace(changed.find(one.opcode, line), one.opcode.size(), one.opcode + ".FTZ");
      Job a, b;
      a.Kernel("nested", "aaaaaaaa11").Form("nested.aaaaaaaa.sass", nested);
      b.Kernel("nested", "bbbbbbbb22").Form("nested.bbbbbbbb.sass", changed);
      const v1::Comparison comparison = Compared(a, b, WithMoved({names[0], names[1], names[2], names[3]}));
      REQUIRE(comparison.code_size() == 1);
      const auto& found = comparison.code(0).regions();
      CHECK(std::find(found.begin(), found.end(), name) != found.end());
      CHECK(std::find(found.begin(), found.end(), "elsewhere") == found.end());
      ++checked;
      break;
    }
  }
  CHECK(checked >= 2);

  const std::string ttgir = "  proton.record start \"load\"\n  %0 = tt.load %1 : i32\n  proton.record end \"load\"\n  tt.return\n";
  Job a, b;
  a.Kernel("k", "aaaaaaaa11").Form("k.aaaaaaaa.ttgir", ttgir);
  b.Kernel("k", "bbbbbbbb22").Form("k.bbbbbbbb.ttgir", absl::StrReplaceAll(ttgir, {{"i32", "i64"}}));
  const v1::Comparison comparison = Compared(a, b, WithMoved({"load", "dot"}));
  REQUIRE(comparison.code(0).regions_size() == 1);
  CHECK(comparison.code(0).regions(0) == "load");
}

TEST_CASE("regions of a Triton kernel that moved are named by the source lines of what changed") {
  const std::string sass = File("server/analysis/testdata/scoped.sass"), ttgir = File("server/analysis/testdata/scoped.ttgir");
  const auto regions = [&](const std::string& changed_sass, const std::string& changed_ttgir, size_t level) {
    Job a, b;
    a.Kernel("scoped", "aaaaaaaa11").Form("scoped.aaaaaaaa.sass", sass).Form("scoped.aaaaaaaa.ttgir", ttgir);
    a.Form("scoped.0.scopes.mlir", File("server/analysis/testdata/scoped.source"));
    b.Kernel("scoped", "bbbbbbbb22").Form("scoped.bbbbbbbb.sass", changed_sass).Form("scoped.bbbbbbbb.ttgir", changed_ttgir);
    const v1::Comparison comparison = Compared(a, b, WithMoved({"load", "step", "inner"}));
    REQUIRE(comparison.code_size() == 2);
    const auto& found = comparison.code(static_cast<int>(level)).regions();
    return std::vector<std::string>(found.begin(), found.end());
  };
  using R = std::vector<std::string>;
  // The first instruction under a line of the source, one of Triton's library, and one in no region that moved.
  const auto with = [&](const std::string& file, int line) {
    std::string text = sass;
    const size_t at = text.find(absl::StrCat(file, "\", line ", line, "\n"));
    REQUIRE(at != std::string::npos);
    const size_t operand = text.find(" R", at);
    REQUIRE(operand != std::string::npos);
    return text.insert(operand, " 0x7,");
  };
  CHECK(regions(with("scoped.py", 24), ttgir, 1) == R{"load"});
  CHECK(regions(with("standard.py", 263), ttgir, 1) == R{"step"});   // tl.sum
  CHECK(regions(with("scoped.py", 14), ttgir, 1) == R{"inner", "step"});
  CHECK(regions(with("standard.py", 170), ttgir, 1) == R{});          // tl.max in "work"
  CHECK(regions(sass, absl::StrReplaceAll(ttgir, {{"tt.load %x", "tt.load volatile %x"}}), 0) == R{"load"});
}

TEST_CASE("of SASS the mix changes by class, then by opcode") {
  const std::string sass = File("server/analysis/testdata/scoped.sass");
  Job a, b;
  a.Kernel("k", "aaaaaaaa11").Form("k.aaaaaaaa.sass", sass);
  b.Kernel("k", "bbbbbbbb22").Form("k.bbbbbbbb.sass", absl::StrReplaceAll(sass, {{"MUFU.EX2", "HMMA.16816.F32"}, {" FADD ", " FMUL "}}));
  const v1::Comparison comparison = Compared(a, b);
  REQUIRE(comparison.code_size() == 1);
  std::map<std::string, double> mix;
  for (const v1::NamedShare& one : comparison.code(0).mix_change()) mix[one.name()] = one.value();
  CHECK(mix["tensor"] == 16);
  CHECK(mix["special"] == -16);
  CHECK(mix["HMMA"] == 16);
  CHECK(mix["MUFU"] == -16);
  CHECK(mix["FADD"] == -mix["FMUL"]);
  CHECK(mix["FMUL"] > 0);
  CHECK_FALSE(mix.contains("fp32"));   // as many as before
  CHECK(comparison.code(0).mix_change(0).name() == "special");
}

TEST_CASE("the code launched most stands for a kernel; equal codes are not compared") {
  Job a, b;
  a.Kernel("k", "aaaaaaaa11", 1).Kernel("k", "cccccccc33", 5).Kernel("same", "dddddddd44");
  a.Form("k.aaaaaaaa.ttir", "tt.a\n").Form("k.cccccccc.ttir", "tt.c\n").Form("same.dddddddd.ttir", "tt.d\n");
  b.Kernel("k", "bbbbbbbb22", 2).Kernel("same", "dddddddd44").Kernel("only_b", "eeeeeeee55");
  b.Form("k.bbbbbbbb.ttir", "tt.c {x = 1}\n");
  const v1::Comparison comparison = Compared(a, b);
  REQUIRE(comparison.code_size() == 1);
  CHECK(comparison.code(0).diff() == "@@ -1,1 +1,1 @@\n-tt.c\n+tt.c {x = 1}\n");
  REQUIRE(comparison.notes_size() == 1);
  CHECK(absl::StrContains(comparison.notes(0), "k ran 2 codes in A"));
}

TEST_CASE("what cannot be compared is said") {
  Job a, b;
  a.Kernel("k", "aaaaaaaa11").Form("k.aaaaaaaa.sass", "hello").Form("k.aaaaaaaa.ptx", "ret;\n");
  b.Kernel("k", "bbbbbbbb22").Form("k.bbbbbbbb.sass", "EXIT ;").Form("k.bbbbbbbb.ptx", "ret;\n");
  b.texts_.erase("k.bbbbbbbb.ptx");
  const v1::Comparison comparison = Compared(a, b);
  CHECK(comparison.code().empty());
  REQUIRE(comparison.notes_size() == 2);
  CHECK(absl::StrContains(comparison.notes(0), "ptx of k was not compared: removed"));
  CHECK(absl::StrContains(comparison.notes(1), "sass of k was not compared"));

  v1::Comparison differs;
  differs.add_environment()->set_what("code of k");
  CodeSources none;
  v1::PassInfo other;
  REQUIRE(CompareCode(none, {other}, {other}, &differs).ok());
  CHECK(absl::StrContains(differs.notes(0), "a pass `ir` in both jobs"));
}

}  // namespace
}  // namespace sextant::analysis
