#include "server/analysis/code_diff.h"

#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/analysis/line_diff.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

CodeText Read(std::string_view level, const std::string& text, const std::string& kernel = "") {
  auto code = ReadCodeUntrusted(level, text, kernel);
  INFO(code.status().ToString());
  REQUIRE(code.ok());
  return *std::move(code);
}

CodeDiff Diff(std::string_view level, const std::string& a, const std::string& b) {
  return DiffCode(Read(level, a), Read(level, b));
}

bool Same(const CodeDiff& diff) { return diff.removals == 0 && diff.additions == 0; }

std::string Sass(std::initializer_list<const char*> code) {
  std::string text;
  int pc = 0;
  for (const char* one : code) {
    if (one[0] == '.') absl::StrAppend(&text, one, ":\n");
    else absl::StrAppend(&text, "        /*", absl::Hex(pc++ * 16, absl::kZeroPad4), "*/   ", one, " ;\n");
  }
  return text;
}

// ---- lines -------------------------------------------------------------------------------------

// The least number of edits by the textbook table.
size_t Least(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  std::vector<std::vector<size_t>> common(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < b.size(); ++j)
      common[i + 1][j + 1] = a[i] == b[j] ? common[i][j] + 1 : std::max(common[i][j + 1], common[i + 1][j]);
  return common[a.size()][b.size()];
}

TEST_CASE("as many lines are common as can be, in ascending pairs of equal ones") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<uint32_t> a(random() % 30), b(random() % 30);
    for (uint32_t& one : a) one = random() % 4;
    for (uint32_t& one : b) one = random() % 4;
    for (const int32_t edits : {1024, 3}) {
      const auto pairs = CommonLines(a, b, edits);
      for (size_t i = 0; i < pairs.size(); ++i) {
        REQUIRE(a[pairs[i].first] == b[pairs[i].second]);
        if (i > 0) REQUIRE((pairs[i - 1].first < pairs[i].first && pairs[i - 1].second < pairs[i].second));
      }
      if (edits == 1024) REQUIRE(pairs.size() == Least(a, b));
    }
  }
}

TEST_CASE("texts of a hundred thousand lines that have little in common are compared too") {
  std::mt19937 random(1);
  std::vector<uint32_t> a(100'000), b(100'000);
  for (uint32_t& one : a) one = random() % 50;
  for (uint32_t& one : b) one = random() % 50;
  CHECK(CommonLines(a, b).size() > 10'000);
}

// ---- names -------------------------------------------------------------------------------------

TEST_CASE("registers, labels, addresses, reuse hints and lines of source are no difference in SASS") {
  const std::string a = Sass({"LDC R1, c[0x0][0x28]", "S2R R0, SR_TID.X", "IMAD.WIDE R2, R0.reuse, 0x4, R4", ".L_x_1",
                              "@P0 LDG.E.128 R8, desc[UR4][R2.64]", "FADD R9, R9, R8", "BRA `(.L_x_1)", "EXIT"});
  std::string b = Sass({"LDC R1, c[0x0][0x28]", "S2R R5, SR_TID.X", "IMAD.WIDE R12, R5, 0x4, R14", ".L_x_7",
                        "@P3 LDG.E.128 R20, desc[UR8][R12.64]", "FADD R21, R21, R20", "BRA `(.L_x_7)", "EXIT", "NOP"});
  CHECK(Same(Diff("sass", a, b)));
  CHECK(Same(Diff("sass", a, absl::StrCat("\t//## File \"/x/k.cu\", line 7\n", b))));
  // Names are no difference, which of them is meant is one.
  const CodeDiff other = Diff("sass", a, absl::StrReplaceAll(b, {{"FADD R21, R21, R20", "FADD R21, R21, R21"}}));
  CHECK(other.removals == 1);
  CHECK(other.additions == 1);
  CHECK(absl::StrContains(other.unified, "-FADD R9, R9, R8\n+FADD R21, R21, R21\n"));
}

TEST_CASE("a register that is written again is another value") {
  const std::string a = Sass({"MOV R0, 0x1", "MOV R1, 0x2", "FADD R2, R0, R1", "MOV R0, 0x3", "FADD R3, R0, R2", "EXIT"});
  const std::string b = Sass({"MOV R0, 0x1", "MOV R1, 0x2", "FADD R2, R0, R1", "MOV R9, 0x3", "FADD R3, R9, R2", "EXIT"});
  CHECK(Same(Diff("sass", a, b)));
  CHECK_FALSE(Same(Diff("sass", a, absl::StrReplaceAll(b, {{"FADD R3, R9, R2", "FADD R3, R0, R2"}}))));
}

TEST_CASE("one more instruction shifts no name; the mix says what came") {
  const std::string a = Sass({"MOV R0, 0x1", "FADD R2, R0, R0", "STG.E desc[UR4][R4.64], R2", "EXIT"});
  const std::string b = Sass({"MOV R7, 0x1", "MOV R0, 0x9", "FMUL R1, R0, R0", "FADD R3, R7, R7", "STG.E desc[UR4][R4.64], R3", "EXIT"});
  const CodeDiff diff = Diff("sass", a, b);
  CHECK(diff.removals == 0);
  CHECK(diff.additions == 2);
  CHECK(diff.mix_change == std::map<std::string, int64_t>{{"FMUL", 1}, {"MOV", 1}});
  CHECK(diff.instructions_a == 4);
}

TEST_CASE("values, aliases of attributes, comments and locations are no difference in TTGIR") {
  const std::string a =
      "#blocked = #ttg.blocked<{sizePerThread = [4]}>\n#loc = loc(\"/x/k.py\":3:0)\n#loc7 = loc(\"m\"(#loc))\n"
      "  tt.func public @k(%x: !tt.ptr<f32> {tt.divisibility = 16 : i32} loc(\"x\"(#loc))) {\n"
      "    %c = arith.constant 512 : i32 loc(#loc7)\n"
      "    %0:2 = scf.for %i = %c to %c step %c iter_args(%acc = %x) -> (i32, #blocked) {\n"
      "      scf.yield %0#1 : i32\n    }\n";
  const std::string b =
      "#mma = #ttg.blocked<{sizePerThread = [4]}>\n  tt.func  public @kernel(%y: !tt.ptr<f32> {tt.divisibility = 16 : i32}) {\n"
      "    %c512 = arith.constant 512 : i32 // the size\n"
      "    %5:2 = scf.for %arg0 = %c512 to %c512 step %c512 iter_args(%arg1 = %y) -> (i32, #mma) {\n"
      "      scf.yield %5#1 : i32\n    }\n";
  const CodeDiff same = Diff("ttgir", a, b);
  INFO(same.unified);
  CHECK(Same(same));
  CHECK(Read("ttgir", a).lines[2].where == "k.py:3");
  CHECK(Read("ttgir", a).lines[2].opcode == "arith.constant");
  CHECK_FALSE(Same(Diff("ttgir", a, absl::StrReplaceAll(b, {{"sizePerThread = [4]", "sizePerThread = [8]"}}))));
  CHECK_FALSE(Same(Diff("ttgir", a, absl::StrReplaceAll(b, {{"iter_args(%arg1 = %y)", "iter_args(%arg1 = %c512)"}}))));
}

TEST_CASE("registers, labels, debug sections and the other entries are no difference in PTX") {
  const std::string a =
      ".version 8.7\n.visible .entry other(\n)\n{\nret;\n}\n.visible .entry add(\n\t.param .u64 add_param_0\n)\n{\n"
      "\t.reg .b32 \t%r<20>;\n\t.loc\t1 3 0  // k.py:3:0\n\tld.param.u64 \t%rd1, [add_param_0];\n"
      "$L__BB0_1:\n\tmov.u32 \t%r1, %tid.x;\n\t@%p1 bra \t$L__BB0_1;\n\tret;\n$L__tmp0:\n}\n"
      "\t.file\t1 \"/x/k.py\"\n\t.section\t.debug_info\n\t{\n.b8 1\n\t}\n";
  const std::string b =
      ".visible .entry add2(.param .u64 add2_param_0)\n";
  const CodeText text = Read("ptx", a, "add");
  CHECK(text.lines[0].text == ".visible .entry add(");
  CHECK(text.lines.size() == 10);
  CHECK(text.lines[4].opcode == "ld.param");
  CHECK(text.lines[4].where == "k.py:3");
  const CodeText renamed = Read("ptx", absl::StrReplaceAll(a, {{"%r1", "%r7"}, {"%rd1", "%rd9"}, {"BB0_1", "BB0_4"},
                                                               {"add", "sum"}, {"1 3 0", "1 9 9"}}), "sum");
  CHECK(Same(DiffCode(text, renamed)));
  CHECK_FALSE(Same(DiffCode(text, Read("ptx", absl::StrReplaceAll(a, {{"%tid.x", "%tid.y"}}), "add"))));
  CHECK(Read("ptx", b).lines.size() == 1);
}

TEST_CASE("values, metadata and attributes' numbers are no difference in LLVM IR") {
  const std::string a =
      "; ModuleID = 'm'\nsource_filename = \"m\"\ndefine void @add(ptr %0) #0 !dbg !4 {\n  %7 = tail call i32 @llvm.x(), !dbg !7\n"
      "  br label %9\n9:                     ; preds = %1\n  %8 = shl i32 %7, 9, !dbg !8\n  ret void\n}\nattributes #0 = { nounwind }\n!4 = !{}\n";
  const std::string b =
      "define void @sum(ptr %p) #3 {\n  %tid = tail call i32 @llvm.x()\n  br label %body\nbody:\n  %s = shl i32 %tid, 9\n  ret void\n}\n"
      "attributes #3 = { nounwind }\n";
  const CodeDiff same = Diff("llir", a, b);
  INFO(same.unified);
  CHECK(Same(same));
  CHECK_FALSE(Same(Diff("llir", a, absl::StrReplaceAll(b, {{"shl i32 %tid", "shl i32 9"}}))));
}

TEST_CASE("a diff shows hunks with context, within its limit") {
  std::string a, b;
  for (int i = 0; i < 3000; ++i) {
    absl::StrAppend(&a, "  tt.a {x = ", i, "}\n");
    absl::StrAppend(&b, "  tt.a {x = ", i % 100 == 50 ? -i : i, "}\n");
  }
  const CodeDiff diff = Diff("ttir", a, b);
  CHECK(diff.removals == 30);
  CHECK(absl::StrContains(diff.unified, "@@ -48,7 +48,7 @@\n tt.a {x = 47}\n tt.a {x = 48}\n tt.a {x = 49}\n-tt.a {x = 50}\n+tt.a {x = -50}\n tt.a {x = 51}\n"));
  CHECK_FALSE(diff.shortened);
  const CodeDiff whole = Diff("ttir", a, "tt.b\n");
  CHECK(whole.shortened);
  CHECK(whole.unified.size() <= kMaxDiffBytes);
  CHECK(whole.unified.back() == '\n');
}

TEST_CASE("what is no code is refused, and nothing makes the readers fail") {
  CHECK_FALSE(ReadCodeUntrusted("sass", "hello").ok());
  CHECK_FALSE(ReadCodeUntrusted("ptx", "// nothing\n").ok());
  for (const char* text : {"%", "@", "#", "^", "%a =", "\"", "%\"", "loc(", "x loc(\"", "!dbg !", "!", "@!P0", ".section\n{", "/*", "$",
                           "%a:2", "%a#1", ".loc", ".loc 1", ".file \"", "#loc1 = loc(#loc1)\nx loc(#loc1)", ":", " :", "@P"})
    for (const char* level : {"ttgir", "llir", "ptx", "sass"})
      (void)ReadCodeUntrusted(level, text);
}

}  // namespace
}  // namespace sextant::analysis
