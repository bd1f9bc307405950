// The ir backend on what real programs left on a GPU (tests/programs/gpu).
#include "workers/backends/ir/ir_backend.h"

#include <stdlib.h>

#include <fstream>

#include "tests/catch.h"
#include "workers/backends/injected/testing/recording.h"
#include "workers/backends/ir/code.h"

namespace sextant::backends {
namespace {

const std::filesystem::path kTestData = "workers/backends/ir/testdata";

void CheckRecording(const std::string& name) {
  v1::Assignment assignment;
  const auto collected =
      IrBackend(Site{}).Collect(injected::RecordedRun(kTestData / name, &assignment));
  injected::CheckGolden(kTestData / name, injected::Describe(collected));
}

TEST_CASE("a CUDA program's kernels have cubin, SASS and the program's PTX") {
  CheckRecording("work");
}

TEST_CASE("one name with two codes has the files of both, and PTX where it was compiled from it") {
  CheckRecording("modptx");
}

TEST_CASE("a Triton kernel has all of Triton's forms, for each of its configurations") {
  CheckRecording("triton");
}

// A toolkit and the library's folder, as far as the backend looks.
class FakeSite {
 public:
  FakeSite() {
    char name[] = "/tmp/sextant-ir-test-XXXXXX";
    root_ = mkdtemp(name);
    for (const char* file :
         {"cuda/bin/nvdisasm", "cuda/bin/cuobjdump", "lib/sextant-disassemble"}) {
      std::filesystem::create_directories((root_ / file).parent_path());
      std::ofstream(root_ / file) << "x";
    }
    site_.cuda = root_ / "cuda";
    site_.libraries = root_ / "lib";
  }
  ~FakeSite() { std::filesystem::remove_all(root_); }
  const Site& site() const { return site_; }

 private:
  std::filesystem::path root_;
  Site site_;
};

TEST_CASE("the program is wrapped by the disassembler where the site has one") {
  const FakeSite fake;
  v1::Assignment assignment;
  assignment.mutable_workload()->add_argv("./program");
  const auto plan = IrBackend(fake.site()).Prepare(assignment);
  REQUIRE(plan.ok());
  CHECK(plan->argv == std::vector<std::string>{"/sextant/lib/sextant-disassemble",
                                               "/sextant/cuda/bin/nvdisasm",
                                               "/sextant/cuda/bin/cuobjdump", "./program"});
  CHECK(plan->env.at("TRITON_DUMP_DIR") == "/results/triton");
  CHECK(plan->env.at("SEXTANT_INJECT") == "activity,ir");

  auto& options = *assignment.mutable_spec()->mutable_options();
  options["sass"] = "0";
  options["triton"] = "0";
  const auto bare = IrBackend(fake.site()).Prepare(assignment);
  REQUIRE(bare.ok());
  CHECK(bare->argv == std::vector<std::string>{"./program"});
  CHECK_FALSE(bare->env.contains("TRITON_DUMP_DIR"));

  const auto without = IrBackend(Site{}).Prepare(assignment);
  REQUIRE(without.ok());
  CHECK(without->argv == std::vector<std::string>{"./program"});
}

TEST_CASE("local stores and loads are counted by their widths") {
  const ir::LocalTraffic traffic = ir::CountLocal(
      "_Z3Mix:\n"
      "        /*0010*/                   STL.64 [R1], R2 ;\n"
      "        /*0020*/              @!P0 STL [R1+0x8], R2 ;\n"
      "        /*0030*/                   STL.128 [R1+0x10], R4 ;\n"
      "        /*0040*/              @P1  LDL.LU.64 R2, [R1] ;\n"
      "        /*0050*/                   LDL.U8 R2, [R1] ;\n"
      "        /*0060*/                   STG.E [R2], R4 ;\n"
      "        //STL [R1], R2 ;\n");
  CHECK(traffic.store_bytes == 8 + 4 + 16);
  CHECK(traffic.load_bytes == 8 + 1);
}

TEST_CASE("Triton's compile options are read from its metadata, which may be anything") {
  CHECK(ir::TritonOptions(R"({"num_warps": 4, "num_stages": 3, "enable_fp_fusion": true,
                              "name": "add", "cluster_dims": [1, 1, 1]})") ==
        "num_warps=4 num_stages=3 enable_fp_fusion=1");
  CHECK(ir::TritonOptions("{").empty());
  CHECK(ir::TritonOptions("[]").empty());
  CHECK(ir::TritonOptions(R"({"num_warps": "four"})").empty());
}

TEST_CASE("files are named by what a kernel is called") {
  CHECK(ir::FileStem("matmul_kernel") == "matmul_kernel");
  CHECK(ir::FileStem("void add<float>(float*, float*)") == "add");
  CHECK(ir::FileStem("void (anonymous namespace)::softmax<4, (int)2>(float const*)") == "softmax");
  CHECK(ir::FileStem("void at::native::reduce_kernel<512, at::Op<float> >(int)") ==
        "at__native__reduce_kernel");
  CHECK(ir::FileStem("../../etc/passwd") == "kernel.._.._etc_passwd");
  CHECK(ir::FileStem("") == "kernel");
  CHECK(ir::FileStem(std::string(500, 'x')).size() == 80);
}

TEST_CASE("Triton's forms are found by the digest of their code, and links are not followed") {
  char name[] = "/tmp/sextant-ir-test-XXXXXX";
  const std::filesystem::path results = mkdtemp(name);
  const std::filesystem::path folder = results / "triton" / "HASH";
  std::filesystem::create_directories(folder);
  std::filesystem::copy("workers/inject/testdata/twice_sm90.cubin", folder / "twice.cubin");
  std::ofstream(folder / "twice.ttir") << "module {}";
  std::ofstream(folder / "twice.json") << R"({"num_warps": 1})";
  std::filesystem::create_symlink("/etc/passwd", folder / "twice.llir");
  std::filesystem::create_directory_symlink(folder, results / "triton" / "LINK");
  std::vector<std::string> notes;
  const auto codes = ir::FindCodes(injected::ResultsTree(results), &notes);
  std::filesystem::remove_all(results);
  REQUIRE(codes.size() == 1);
  const ir::Code& code = codes.begin()->second;
  CHECK(code.mangled == "twice");
  CHECK(code.triton);
  CHECK(code.options == "num_warps=1");
  CHECK(code.forms.at("ttir") == std::vector<std::string>{"triton", "HASH", "twice.ttir"});
  CHECK(code.forms.contains("cubin"));
  CHECK_FALSE(code.forms.contains("llir"));
  CHECK(notes.empty());
}

TEST_CASE("what is no option is refused") {
  v1::Assignment assignment;
  assignment.mutable_workload()->add_argv("./program");
  (*assignment.mutable_spec()->mutable_options())["ptx"] = "1";
  CHECK_THAT(std::string(IrBackend(Site{}).Prepare(assignment).status().message()),
             Catch::Contains("it has triton, sass"));
}

}  // namespace
}  // namespace sextant::backends
