#include "server/analysis/evidence.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/columns.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/synthetic.h"
#include "server/analysis/test_job.h"
#include "server/store/blobs.h"
#include "server/store/test_cluster.h"
#include "proto/chunk/chunk.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

const std::map<std::string, std::string> kLight = {{"light", "1"}};

std::vector<int64_t> Ids(const PassList& passes) {
  std::vector<int64_t> ids;
  for (const v1::PassInfo* pass : passes) ids.push_back(pass->pass_id());
  return ids;
}

std::string WhyLeftOut(const v1::Basis& basis, int64_t pass_id) {
  for (const v1::PassSet& set : basis.passes())
    for (const int64_t id : set.pass_ids())
      if (id == pass_id) return set.left_out();
  return "not mentioned";
}

TEST_CASE("a kernel whose regions were recorded is the subject rather than a longer one") {
  TestJob job;
  job.Pass("activity", kLight).Add(LaunchTable({{"check(int)", 1000}, {"gemm(int)", 100}, {"copy(int)", 20}}));
  SyntheticPass recorded({"mma"}, v1::CYCLES, 0.5);
  recorded.Did(recorded.Warp("consumer", {.launch = 1}), 0, 10, 20);
  recorded.Did(recorded.Warp("consumer", {.launch = 2}), 0, 10, 20);
  job.Pass("scopes").Add(LaunchTable({{"check(int)", 1000}, {"gemm(int)", 110}, {"copy(int)", 20}})).Trace(recorded.Chunks());
  CHECK(job.Gather().kernel() == "gemm(int)");
  v1::Subject subject;
  subject.set_kernel("check");
  CHECK(job.Gather(subject).kernel() == "check(int)");
}

TEST_CASE("the kernel that took most time is the subject, unless one is named") {
  TestJob job;
  job.Pass("activity", kLight).Add(LaunchTable({{"copy(int)", 10}, {"void gemm<float>(int)", 100}, {"copy(int)", 20}}));
  // A pass that disturbs has no say in it.
  job.Pass("scopes").Add(LaunchTable({{"copy(int)", 9000}, {"void gemm<float>(int)", 110}}));
  const Evidence evidence = job.Gather();
  CHECK(evidence.kernel() == "void gemm<float>(int)");
  REQUIRE(evidence.kernels().size() == 2);
  CHECK(evidence.kernels()[0].total_ns == 100);
  CHECK(evidence.kernels()[1].total_ns == 30);
  CHECK(evidence.kernels()[1].launches == 2);

  v1::Subject subject;
  subject.set_kernel("copy");   // as traces call it
  CHECK(job.Gather(subject).kernel() == "copy(int)");
  subject.set_kernel("sort");
  const absl::Status missing = job.TryGather(subject).status();
  CHECK(absl::IsNotFound(missing));
  CHECK(missing.message() == "kernel: task t launched no kernel \"sort\"; it launched void gemm<float>(int), copy(int)");
}

TEST_CASE("launches of other kernels are told apart by their number") {
  TestJob job;
  job.Pass("activity").Add(LaunchTable({{"a", 10}, {"b", 100}, {"a", 20}}));
  job.Pass("scopes").Add(LaunchTable({{"b", 100}}));
  job.Pass("pcsampling");
  const Evidence evidence = job.Gather();
  const auto passes = evidence.passes();
  CHECK_FALSE(evidence.IsOfKernel(passes[0], 0));
  CHECK(evidence.IsOfKernel(passes[0], 1));
  CHECK_FALSE(evidence.IsOfKernel(passes[0], 7));   // launched by nobody
  CHECK(evidence.IsOfKernel(passes[1], 0));
  CHECK(evidence.IsOfKernel(passes[2], 5));         // it does not tell
}

TEST_CASE("passes that ran other code are not joined, and the answer says so") {
  TestJob job;
  job.Pass("activity", kLight).Add(LaunchTable({{"k", 100, "c1ea0000000000"}}));
  job.Pass("sassmetrics").Add(LaunchTable({{"k", 900, "c1ea0000000000"}}));
  job.Pass("sassmetrics").Add(LaunchTable({{"k", 900, "0the40000000000"}}));
  job.Pass("sassmetrics").Add(LaunchTable({{"k", 900, ""}}));   // not known: joined
  const Evidence evidence = job.Gather();
  CHECK(evidence.code() == "c1ea0000000000");
  v1::Basis basis;
  evidence.Begin(&basis);
  CHECK(Ids(evidence.Take({"sassmetrics"}, {.used_for = "instructions"}, &basis)) == std::vector<int64_t>{2, 4});
  CHECK(WhyLeftOut(basis, 3) == "ran other code of the kernel (SASS 0the40000000, not c1ea00000000)");
  CHECK(basis.sass_digest() == "c1ea0000000000");
  CHECK(basis.provenance_size() == 1);
  v1::Basis other;
  CHECK(evidence.Take({"sassmetrics"}, {.same_code = false}, &other).size() == 3);
}

TEST_CASE("what did not end well, ran elsewhere, or lacks the table is left out with its reason") {
  TestJob job;
  job.Pass("pcsampling").Add(LaunchTable({{"k", 100}}));
  job.Pass("pcsampling").Add(LaunchTable({{"k", 100}}));
  job.Pass("pcsampling")->set_state(v1::RUNNING);
  job.Pass("pcsampling")->mutable_result()->mutable_failure()->set_message("broke");
  job.Pass("pcsampling")->mutable_result()->set_partial(true);
  job.Pass("pcsampling")->mutable_result()->mutable_provenance()->set_machine_class("other");
  job.Pass("pcsampling");
  job.Pass("pcsampling", {{"mode", "serial"}}).Add(LaunchTable({{"k", 100}}));
  const Evidence evidence = job.Gather();
  v1::Basis basis;
  CHECK(Ids(evidence.Take({"pcsampling"}, {.used_for = "stalls", .table = "launches"}, &basis)) ==
        std::vector<int64_t>{1, 2});
  CHECK(WhyLeftOut(basis, 1).empty());
  CHECK(WhyLeftOut(basis, 3) == "not ended yet");
  CHECK(WhyLeftOut(basis, 4) == "failed");
  CHECK(WhyLeftOut(basis, 5) == "ended early");
  CHECK(WhyLeftOut(basis, 6) == "another machine class: other");
  CHECK(WhyLeftOut(basis, 7) == "left no table launches");
  CHECK(WhyLeftOut(basis, 8) == "other options than those of pcsampling");
  v1::Basis all;
  CHECK(evidence.TakeAllKinds("pcsampling", {.table = "launches"}, &all).size() == 3);
  v1::Basis none;
  CHECK(evidence.Take({"sassmetrics"}, {}, &none).empty());
  CHECK(none.passes_size() == 0);
}

TEST_CASE("times of passes that lengthened the kernel more than twofold are used on request alone") {
  TestJob job;
  job.Pass("activity", kLight).Add(LaunchTable({{"k", 100}, {"small", 1}}));
  job.Pass("scopes").Add(LaunchTable({{"k", 300}, {"small", 1}}));
  job.Pass("proton").Add(LaunchTable({{"k", 110}, {"small", 50}}));
  const std::vector<std::string> timers = {"scopes", "proton"};
  v1::Basis basis;
  CHECK(Ids(job.Gather().Take(timers, {.times = true}, &basis)) == std::vector<int64_t>{3});
  CHECK(WhyLeftOut(basis, 2) == "launches take 3.00 times as long as clean ones: not joined");
  v1::Subject subject;
  subject.set_include_disturbed(true);
  v1::Basis also;
  CHECK(Ids(job.Gather(subject).Take(timers, {.times = true}, &also)) == std::vector<int64_t>{2});
  v1::Basis counts;   // counts do not mind
  CHECK(Ids(job.Gather().Take(timers, {}, &counts)) == std::vector<int64_t>{2});
}

TEST_CASE("the time of the kernel is that of clean passes, or says that it is not") {
  TestJob job;
  job.Pass("scopes").Add(LaunchTable({{"k", 120}, {"other", 7}}));
  v1::Basis basis;
  CHECK(job.Gather().CleanDurationsNs(&basis) == std::vector<double>{120});
  REQUIRE(basis.notes_size() == 1);
  CHECK(absl::StrContains(basis.notes(0), "add --pass activity:light=1*5"));
  job.Pass("activity").Add(LaunchTable({{"k", 101}}));
  job.Pass("activity", kLight).Add(LaunchTable({{"k", 100}, {"k", 102}}));
  v1::Basis clean;
  CHECK(job.Gather().CleanDurationsNs(&clean) == std::vector<double>{100, 102});
  CHECK(clean.notes().empty());
  REQUIRE(clean.passes_size() == 1);
  CHECK(clean.passes(0).backend() == "activity:light=1");
  CHECK(job.Gather().AnyLaunch().pass->pass_id() == 3);
}

TEST_CASE("a task without kernels has evidence too, one without passes that ended well has none") {
  TestJob host;
  host.Pass("host");
  CHECK(host.Gather().kernel().empty());
  CHECK(host.Gather().IsKernel("anything"));
  TestJob failed;
  failed.Pass("scopes")->set_state(v1::FAILED);
  CHECK(absl::IsFailedPrecondition(failed.TryGather().status()));
  CHECK(absl::IsFailedPrecondition(TestJob().TryGather().status()));
}

TEST_CASE("a thousand kernels with NaN and missing columns are told apart") {
  std::vector<TestLaunch> launches;
  for (int i = 0; i < 1000; ++i) launches.push_back({absl::StrCat("k", i), i == 500 ? 7 : 0});
  TestJob job;
  job.Pass("activity").Add(LaunchTable(launches));
  table::Builder nameless("launches");
  nameless.Set(nameless.Number("duration_ns"), NAN);
  nameless.EndRow();
  job.Pass("activity").Add(nameless.Finish());
  const Evidence evidence = job.Gather();
  CHECK(evidence.kernels().size() == 1000);
  CHECK(evidence.kernel() == "k500");
}

TEST_CASE("regions of a program of Python's are asked of proton, because it has no scopes of CUDA's") {
  TestJob python;
  python.Program("/opt/venv/bin/python3.12").Pass("activity", kLight);
  v1::Basis basis;
  python.Gather().Abstain("q", "why", "scopes*4", &basis);
  CHECK(basis.abstentions(0).pass() == "proton*4");
  CHECK(python.Gather().PassFor("pcsampling") == "pcsampling");
  TestJob other;
  other.Program("./pythonic/gemm").Pass("activity", kLight);
  CHECK(other.Gather().PassFor("scopes") == "scopes");
}

TEST_CASE("an abstention names the pass that would settle it, and what that costs") {
  TestJob job;
  job.Pass("activity", kLight)->mutable_result()->mutable_exit()->set_wall_s(2);
  job.Pass("scopes")->mutable_result()->mutable_exit()->set_wall_s(3);
  const Evidence evidence = job.Gather();
  v1::Basis basis;
  evidence.Abstain("q", "why", "scopes*4", &basis);
  evidence.Abstain("q", "again", "scopes*4", &basis);
  evidence.Abstain("r", "why", "", &basis);
  REQUIRE(basis.abstentions_size() == 2);
  CHECK(basis.abstentions(0).cost_s() == 12);
  CHECK(basis.abstentions(1).cost_s() == 0);
  const v1::PassSpec spec = ParsePass("counters:set=ipc+memory,replay=kernel*2");
  CHECK(KindOfPass(spec) == "counters:replay=kernel,set=ipc+memory");
  CHECK(spec.repeat() == 2);
}

TEST_CASE("columns that are not there read as nothing") {
  const v1::DataTable table = LaunchTable({{"k", 5}});
  CHECK(std::isnan(NumberColumn(table, "nothing")[0]));
  CHECK(std::isnan(NumberColumn(table, "kernel")[0]));   // a text
  CHECK(NumberColumn(table, "duration_ns")[0] == 5);
  CHECK(TextColumn(table, "duration_ns")[0].empty());
  CHECK(TextColumn(table, "kernel")[0] == "k");
}

TEST_CASE("decoded tables are kept while they fit, the latest used ones longest") {
  const auto database = store::TestDatabase::New();
  v1::ServiceLimits limits;
  limits.set_max_blob_bytes(64 << 20);
  limits.set_max_blob_chunk_bytes(1 << 20);
  limits.set_blob_quota_bytes(64 << 20);
  store::BlobStore blobs(database.get(), limits);
  std::vector<v1::PassInfo> passes(3);
  uint64_t bytes = 0;
  for (int i = 0; i < 3; ++i) {
    const v1::DataTable table = LaunchTable(std::vector<TestLaunch>(1000, {absl::StrCat("k", i), i}));
    bytes = std::max<uint64_t>(bytes, table.SpaceUsedLong());
    const std::string encoded = table::Encode(table);
    auto* artifact = passes[i].mutable_result()->add_artifacts();
    artifact->set_name("launches.table");
    artifact->set_kind("table");
    artifact->set_digest(chunk::Digest(encoded));
    REQUIRE(blobs.Put(artifact->digest(), encoded, "test").ok());
  }
  const PassTables tables(&blobs, 3 * bytes);
  const auto first = tables.Read(passes[0], "launches");
  REQUIRE(first.ok());
  CHECK(tables.Read(passes[0], "launches")->get() == first->get());
  REQUIRE(tables.Read(passes[1], "launches").ok());
  REQUIRE(tables.Read(passes[0], "launches").ok());
  REQUIRE(tables.Read(passes[2], "launches").ok());
  CHECK(tables.cached_bytes() <= 3 * bytes);
  CHECK(tables.Read(passes[0], "launches")->get() == first->get());   // used later than the second

  const PassTables small(&blobs, bytes / 2);
  const auto once = small.Read(passes[0], "launches");
  CHECK(small.cached_bytes() == 0);
  CHECK((*once)->rows() == 1000);
  CHECK(absl::IsNotFound(small.Read(passes[0], "copies").status()));
}

}  // namespace
}  // namespace sextant::analysis
