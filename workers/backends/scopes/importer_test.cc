// The importer on files built here, and on recordings of an H200.
#include "workers/backends/scopes/importer.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/encoder.h"
#include "tests/catch.h"
#include "workers/backends/scopes/testing/files.h"
#include "workers/backends/scopes/testing/recording.h"

namespace sextant::backends::scopes {
namespace {

using namespace testing;  // NOLINT: names of one header

constexpr uint64_t kBegan = 1'000'000;  // CLOCK_MONOTONIC; the timer's 1,000,000 is 500,000 later

Imported Import(const std::vector<TestFile>& files, std::vector<KnownLaunch> known = {},
                ImportLimits limits = {}) {
  ScopesImporter importer(kBegan, std::move(known), limits);
  for (const TestFile& file : files) {
    const absl::Status status = importer.Add(file.Write());
    INFO(status.message());
    REQUIRE(status.ok());
  }
  return importer.Finish();
}

bool HasNote(const Imported& imported, const std::string& words) {
  return std::any_of(imported.notes.begin(), imported.notes.end(),
                     [&](const std::string& note) { return absl::StrContains(note, words); });
}

// "load 100+50" for each instance, in the order of their start.
std::vector<std::string> Instances(const Imported& imported) {
  std::vector<chunk::Instance> sorted = imported.instances;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::tie(a.track, a.start, b.duration) < std::tie(b.track, b.start, a.duration);
  });
  std::vector<std::string> lines;
  for (const chunk::Instance& instance : sorted) {
    lines.push_back(absl::StrCat(imported.trace.regions[instance.region], " ", instance.start, "+",
                                 instance.duration));
  }
  return lines;
}

const v1::DataTable* TableNamed(const Imported& imported, const std::string& name) {
  for (const v1::DataTable& table : imported.tables) {
    if (table.name() == name) return &table;
  }
  return nullptr;
}

// The rows of a table as text, its columns in the order given.
std::vector<std::string> Rows(const v1::DataTable* table, const std::vector<std::string>& columns) {
  std::vector<std::string> rows;
  REQUIRE(table != nullptr);
  REQUIRE(table::Check(*table).ok());
  for (uint64_t row = 0; row < table->rows(); ++row) {
    std::string line;
    for (const std::string& name : columns) {
      const v1::DataColumn* const column = table::Find(*table, name);
      REQUIRE(column != nullptr);
      absl::StrAppend(&line, line.empty() ? "" : " ",
                      column->texts_size() > 0 ? std::string(table::TextAt(*column, row))
                                               : absl::StrCat(table::NumberAt(*column, row)));
    }
    rows.push_back(line);
  }
  return rows;
}

TEST_CASE("scopes, waits and nested scopes become instances in cycles since the CTA began") {
  TestFile file;
  file.warps = {{.role = "consumer",
                 .begin_clock = 1000,
                 .end_clock = 16'000,
                 .records = {WaitBegin("full", 2, 1100), WaitEnd("full", 2, 1400),
                             Begin("mma", 1500), Begin("load", 1600), End("load", 1700),
                             End("mma", 2000)}}};
  const Imported imported = Import({file});
  CHECK(Instances(imported) ==
        std::vector<std::string>{"wait full 100+300", "mma 500+500", "load 600+100"});
  REQUIRE(imported.trace.tracks.size() == 1);
  CHECK(imported.trace.tracks[0].origin_ns == 500'000);
  CHECK(imported.trace.roles[imported.trace.tracks[0].role] == "consumer");
  CHECK(imported.trace.kernel == "gemm");
  CHECK(imported.trace.unit == v1::CYCLES);
  CHECK(imported.clock_hz == Approx(1.5e9));
  CHECK(imported.dropped == 0);
  CHECK(imported.notes.empty());
}

TEST_CASE("warps of a CTA share the origin of the one that came first") {
  TestFile file;
  file.warps = {{.warp = 0, .begin_timer = 1'000'064, .begin_clock = 100, .end_clock = 15'100,
                 .records = {Begin("load", 150), End("load", 160)}},
                {.warp = 1, .begin_timer = 1'000'032, .begin_clock = 70, .end_clock = 15'070,
                 .records = {Begin("load", 150), End("load", 160)}}};
  const Imported imported = Import({file});
  CHECK(Instances(imported) == std::vector<std::string>{"load 80+10", "load 80+10"});
  CHECK(imported.trace.tracks[0].origin_ns == 500'032);
  CHECK(imported.trace.tracks[1].origin_ns == 500'032);
}

TEST_CASE("waits and signals are rows of the table barriers, counted for each slot") {
  TestFile file;
  file.warps = {{.warp = 3,
                 .records = {WaitBegin("empty", 0, 10), WaitEnd("empty", 0, 30),
                             Arrive("full", 0, 40), WaitBegin("empty", 1, 50),
                             WaitEnd("empty", 1, 51), Arrive("full", 1, 60),
                             WaitBegin("empty", 0, 70), WaitEnd("empty", 0, 90)}}};
  const Imported imported = Import({file});
  CHECK(Rows(TableNamed(imported, "barriers"),
             {"launch", "cta", "warp", "barrier", "slot", "kind", "ordinal", "at_cycles",
              "duration_cycles"}) ==
        std::vector<std::string>{"0 0 3 empty 0 wait 0 10 20", "0 0 3 full 0 signal 0 40 0",
                                 "0 0 3 empty 1 wait 0 50 1", "0 0 3 full 1 signal 0 60 0",
                                 "0 0 3 empty 0 wait 1 70 20"});
}

TEST_CASE("the 32-bit clock may go round between two records") {
  TestFile file;
  file.warps = {{.begin_clock = 0xffffff00u, .end_timer = 1'010'000, .end_clock = 14'744,
                 .records = {Begin("load", 0xfffffff0u), End("load", 0x10)}}};
  CHECK(Instances(Import({file})) == std::vector<std::string>{"load 240+32"});
}

TEST_CASE("a clock that went round unseen is told, by what the timer says") {
  TestFile file;
  // 10 s at 1.5 GHz are 3.49 rounds.
  file.warps = {{.end_timer = 10'001'000'000, .end_clock = static_cast<uint32_t>(15'000'000'000u),
                 .records = {Begin("load", 100), End("load", 200)}}};
  CHECK(HasNote(Import({file}), "more than 2^32 cycles passed"));
}

TEST_CASE("a ring that wrapped keeps the tail, and counts what it lost") {
  TestFile file;
  file.ring_records = 16;
  // 21 records were made; the ring has the last 16, the oldest of them at 5.
  std::vector<Record> all;
  for (uint32_t i = 0; i < 10; ++i) {
    all.push_back(Begin("load", 100 * i));
    all.push_back(End("load", 100 * i + 10));
  }
  all.push_back(Arrive("full", 0, 1000));
  std::vector<Record> ring(16);
  for (uint32_t i = 5; i < 21; ++i) ring[i % 16] = all[i];
  file.warps = {{.count = 21, .records = ring}};
  const Imported imported = Import({file});
  // The end of the third lost its begin.
  CHECK(Instances(imported) ==
        std::vector<std::string>{"load 300+10", "load 400+10", "load 500+10", "load 600+10",
                                 "load 700+10", "load 800+10", "load 900+10"});
  REQUIRE(imported.trace.tracks.size() == 1);
  CHECK(imported.trace.tracks[0].dropped == 5);
  CHECK(imported.trace.tracks[0].from_tail);
  CHECK(imported.dropped == 5);
  CHECK(HasNote(imported, "5 records were overwritten"));
  CHECK(!HasNote(imported, "not balanced"));
}

TEST_CASE("a warp that did not end is read to the first place never written") {
  TestFile file;
  file.packed = false;
  file.slots = 2;
  file.ended = 0;
  file.warps = {{.cta = 4, .warp = 1, .role = "producer", .end_timer = 0,
                 .records = {Begin("load", 100), End("load", 110), Begin("mma", 200),
                             WaitBegin("empty", 3, 250)}}};
  const Imported imported = Import({file});
  CHECK(Instances(imported) == std::vector<std::string>{"load 100+10"});
  CHECK(imported.open_scopes == 2);
  CHECK(imported.unfinished);
  CHECK(HasNote(imported,
                "warp 1 (producer) of CTA 4, launch 0 of gemm, was inside \"wait empty\" slot 3"));
  CHECK(Rows(TableNamed(imported, "open_scopes"),
             {"launch", "cta", "warp", "kernel", "role", "region", "slot", "depth",
              "since_cycles"}) ==
        std::vector<std::string>{"0 4 1 gemm producer mma -1 0 200",
                                 "0 4 1 gemm producer wait empty 3 1 250"});
}

TEST_CASE("a wrapped ring of a warp that did not end is put in order by its clock") {
  TestFile file;
  file.packed = false;
  file.slots = 1;
  std::vector<Record> ring;
  for (uint32_t i = 0; i < 8; ++i) {
    const uint32_t clock = i < 2 ? 1600 + i * 100 : i * 100;  // the first two are of the second lap
    ring.push_back(Begin("load", clock));
    ring.push_back(End("load", clock + 10));
  }
  file.warps = {{.end_timer = 0, .records = ring}};
  const Imported imported = Import({file});
  REQUIRE(imported.instances.size() == 8);
  CHECK(Instances(imported).front() == "load 200+10");
  CHECK(Instances(imported).back() == "load 1700+10");
  CHECK(imported.trace.tracks[0].from_tail);
}

TEST_CASE("runs of a graph's node share a grid and are launches of their own") {
  TestFile file;
  const std::vector<Record> records = {Begin("load", 10), End("load", 20)};
  for (uint32_t run = 0; run < 3; ++run) {
    for (uint32_t cta = 0; cta < 2; ++cta) {
      file.warps.push_back({.grid = 9,
                            .cta = cta,
                            .begin_timer = 1'000'000 + run * 100'000,
                            .end_timer = 1'010'000 + run * 100'000,
                            .records = records});
    }
  }
  const Imported imported = Import({file});
  std::map<uint32_t, int> warps;
  for (const chunk::Track& track : imported.trace.tracks) ++warps[track.launch];
  CHECK(warps == std::map<uint32_t, int>{{0, 2}, {1, 2}, {2, 2}});
  CHECK(Rows(TableNamed(imported, "launches"),
             {"launch", "kernel", "start_ns", "end_ns", "ctas", "ctas_recorded", "source"}) ==
        std::vector<std::string>{"0 gemm 500000 510000 8 2 scopes",
                                 "1 gemm 600000 610000 8 2 scopes",
                                 "2 gemm 700000 710000 8 2 scopes"});
}

TEST_CASE("launches that another instrument saw give theirs their numbers") {
  TestFile file;
  const std::vector<Record> records = {Begin("load", 10), End("load", 20)};
  for (uint32_t i = 0; i < 3; ++i) {
    file.warps.push_back({.grid = 5 + i,
                          .cta = i,
                          .begin_timer = 1'000'000 + i * 200'000,
                          .end_timer = 1'010'000 + i * 200'000,
                          .records = records});
  }
  const Imported imported =
      Import({file}, {{.launch = 0, .kernel = "fill(float*)", .start_ns = 400'000},
                      {.launch = 1, .kernel = "gemm(float*)", .start_ns = 499'000},
                      {.launch = 4, .kernel = "gemm(float*)", .start_ns = 699'000}});
  std::map<uint32_t, uint32_t> launch_of_cta;
  for (const chunk::Track& track : imported.trace.tracks) launch_of_cta[track.cta] = track.launch;
  CHECK(launch_of_cta == std::map<uint32_t, uint32_t>{{0, 1}, {1, 4}, {2, 5}});
  CHECK(TableNamed(imported, "launches") == nullptr);
  CHECK(HasNote(imported, "1 launches with scopes are not among those"));
}

TEST_CASE("names that the file does not have are numbers, and regions remain") {
  TestFile file;
  file.names.clear();
  file.warps = {{.records = {Begin("load", 10), End("load", 20)}}};
  const Imported imported = Import({file});
  REQUIRE(imported.instances.size() == 1);
  CHECK(absl::StartsWith(imported.trace.regions[0], "#"));
  CHECK(absl::StartsWith(imported.trace.kernel, "#"));
}

TEST_CASE("warps without a ring, unbalanced scopes and limits are counted") {
  TestFile file;
  file.claimed = 1030;
  file.warps = {{.records = {End("load", 5), Begin("load", 10), Begin("mma", 20), End("load", 30),
                             Begin("mma", 40), End("mma", 50), Begin("mma", 60), End("mma", 70)}}};
  const Imported imported = Import({file}, {}, {.max_instances = 2});
  CHECK(imported.instances.size() == 2);
  CHECK(imported.dropped == 6 + 1);
  CHECK(HasNote(imported, "6 warps were not recorded"));
  CHECK(HasNote(imported, "1 ends without a begin, 1 begins without an end"));
  CHECK(HasNote(imported, "1 scopes, marks or warps were left out"));
}

TEST_CASE("a file that was cut gives the warps that are whole") {
  TestFile file;
  file.warps = {{.cta = 0, .records = {Begin("load", 10), End("load", 20)}},
                {.cta = 1, .records = {Begin("load", 10), End("load", 20)}},
                {.cta = 2, .records = {Begin("load", 10), End("load", 20)}}};
  Bytes bytes = file.Write();
  bytes.resize(bytes.size() - 20);
  ScopesImporter importer(kBegan);
  REQUIRE(importer.Add(bytes).ok());
  const Imported imported = importer.Finish();
  CHECK(imported.warps == 1);
  CHECK(HasNote(imported, "the records of 2 warps are missing"));
}

TEST_CASE("what is no recorder's file is refused with the reason") {
  const auto refusal = [](const Bytes& bytes) {
    return std::string(ScopesImporter(kBegan).Add(bytes).message());
  };
  TestFile file;
  Bytes good = file.Write();
  CHECK(absl::StrContains(refusal({}), "less than its header"));
  Bytes bad = good;
  bad[0] = 'x';
  CHECK(absl::StrContains(refusal(bad), "magic"));
  bad = good;
  bad[8] = 9;
  CHECK(absl::StrContains(refusal(bad), "version 9, this worker reads 1"));
  file.ring_records = 24;
  CHECK(absl::StrContains(refusal(file.Write()), "ring_records 24 is no power of two"));
  file.ring_records = 16;
  file.slots = 0;
  file.warps.resize(1);
  CHECK(absl::StrContains(refusal(file.Write()), "slots_in_file 1 of 0"));
}

TEST_CASE("kernels are called by their base names") {
  CHECK(KernelBaseName("void gemm(const half *, int)") == "gemm");
  CHECK(KernelBaseName("void ns::gemm<Stages>(T) [with int Stages=4, T=float]") == "ns::gemm");
  CHECK(KernelBaseName("void gemm<4, float>(float)") == "gemm");
  CHECK(KernelBaseName("void (anonymous namespace)::gemm(int)") == "(anonymous namespace)::gemm");
  CHECK(KernelBaseName("matmul_kernel") == "matmul_kernel");
}

// ---- recordings ----

// What a person would check of a trace, as text.
std::string Summary(const Imported& imported) {
  std::ostringstream out;
  out << "kernel " << imported.trace.kernel << "\nwarps " << imported.warps << ", instances "
      << imported.instances.size() << ", dropped " << imported.dropped << ", open "
      << imported.open_scopes << "\nclock " << static_cast<int64_t>(imported.clock_hz / 1e6 + 0.5)
      << " MHz\n";
  std::map<std::string, std::vector<uint64_t>> durations;
  std::set<uint32_t> launches;
  for (const chunk::Track& track : imported.trace.tracks) launches.insert(track.launch);
  out << "launches " << launches.size() << "\n";
  for (const chunk::Instance& instance : imported.instances) {
    const chunk::Track& track = imported.trace.tracks[instance.track];
    durations[imported.trace.roles[track.role] + " / " + imported.trace.regions[instance.region]]
        .push_back(instance.duration);
  }
  for (auto& [name, values] : durations) {
    std::sort(values.begin(), values.end());
    out << name << ": " << values.size() << ", P20 " << values[values.size() / 5] << ", P50 "
        << values[values.size() / 2] << ", P80 " << values[values.size() * 4 / 5] << "\n";
  }
  for (const v1::DataTable& table : imported.tables) {
    out << "table " << table.name() << ": " << table.rows() << " rows\n";
  }
  for (const std::string& note : imported.notes) out << "note: " << note << "\n";
  return out.str();
}

TEST_CASE("recordings of an H200 read as they did") {
  for (const std::string name : {"gemm_ws", "cuda_graph", "truth_spins", "hang", "fault"}) {
    const std::string bytes = Recording(name);
    ScopesImporter importer(0);
    REQUIRE(importer.Add({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}).ok());
    Imported imported = importer.Finish();
    const std::string path = "workers/backends/scopes/testdata/" + name + ".txt";
    if (std::getenv("SEXTANT_BLESS") != nullptr) std::ofstream(path) << Summary(imported);
    std::ifstream golden(path);
    const std::string want((std::istreambuf_iterator<char>(golden)), {});
    INFO(name);
    CHECK(Summary(imported) == want);
    CHECK(chunk::EncodeTrace(imported.trace, imported.instances).ok());
    // Nothing overlaps but what nests: a region ends before the one around it.
    for (const chunk::Instance& instance : imported.instances) {
      REQUIRE(instance.duration < uint64_t{1} << 40);
    }
  }
}

TEST_CASE("every wait of the pipelined GEMM has its signal, and meets it in order") {
  const std::string bytes = Recording("gemm_ws");
  ScopesImporter importer(0);
  REQUIRE(importer.Add({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}).ok());
  const Imported imported = importer.Finish();
  const v1::DataTable* const barriers = TableNamed(imported, "barriers");
  REQUIRE(barriers != nullptr);
  const auto number = [&](const char* column, uint64_t row) {
    return static_cast<uint64_t>(table::NumberAt(*table::Find(*barriers, column), row));
  };
  const auto text = [&](const char* column, uint64_t row) {
    return std::string(table::TextAt(*table::Find(*barriers, column), row));
  };
  // (launch, cta, slot, ordinal) → when the producer filled the stage.
  std::map<std::vector<uint64_t>, uint64_t> filled;
  for (uint64_t row = 0; row < barriers->rows(); ++row) {
    if (text("barrier", row) != "full" || text("kind", row) != "signal") continue;
    filled[{number("launch", row), number("cta", row), number("slot", row),
            number("ordinal", row)}] = number("at_cycles", row);
  }
  uint64_t met = 0;
  for (uint64_t row = 0; row < barriers->rows(); ++row) {
    if (text("barrier", row) != "full" || text("kind", row) != "wait") continue;
    if (number("head_lost", row) != 0) continue;
    const auto found = filled.find({number("launch", row), number("cta", row), number("slot", row),
                                    number("ordinal", row)});
    REQUIRE(found != filled.end());
    // A stage cannot be full before its copies were asked for.
    CHECK(found->second < number("at_cycles", row) + number("duration_cycles", row));
    ++met;
  }
  CHECK(met > 1000);
}

}  // namespace
}  // namespace sextant::backends::scopes
