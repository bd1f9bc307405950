// The importer on files made by hand: exact, wrapped, hostile.
#include "workers/backends/host/importer.h"

#include <algorithm>
#include <cerrno>
#include <random>

#include "tests/catch.h"
#include "workers/backends/host/testing/files.h"

namespace sextant::backends::host {
namespace {

using testing::Begin;
using testing::Bytes;
using testing::CounterFile;
using testing::End;
using testing::ProcessFile;
using testing::ThreadEnd;
using testing::ThreadFile;
using testing::ThreadStart;

Imported Import(const Bytes& process, const std::vector<Bytes>& threads, ImportLimits limits = {}) {
  HostImporter importer(/*began_ns=*/400, {}, limits);
  REQUIRE(importer.AddProcess(process).ok());
  for (const Bytes& thread : threads) REQUIRE(importer.AddThread(thread).ok());
  return importer.Finish();
}

bool HasNote(const Imported& imported, const std::string& part) {
  return std::any_of(imported.notes.begin(), imported.notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

TEST_CASE("a begin and an end are one instance in ns since the pass began") {
  const Imported imported =
      Import(ProcessFile({"load", "producer"}),
             {ThreadFile({ThreadStart(0, 100), Begin(1, 1500), End(1, 1750), ThreadEnd(0, 2, 3)})});
  REQUIRE(imported.instances.size() == 1);
  CHECK(imported.instances[0] ==
        chunk::Instance{.track = 0, .region = 0, .start = 1100, .duration = 250});
  CHECK(imported.trace.regions == std::vector<std::string>{"load"});
  CHECK(imported.trace.roles == std::vector<std::string>{"producer"});
  CHECK(imported.trace.kernel == "by_hand");
  REQUIRE(imported.trace.tracks.size() == 1);
  CHECK(imported.trace.tracks[0] == chunk::Track{.sm = 3});
}

TEST_CASE("ticks wrap at 48 bits without a jump in time") {
  const uint64_t wrap = uint64_t{1} << 48;
  Bytes process = ProcessFile({"load"});
  auto* header = reinterpret_cast<sextant_process_file*>(process.data());
  header->first_ticks = wrap - 100;
  const Imported imported =
      Import(process, {ThreadFile({Begin(1, (wrap - 50) % wrap), End(1, (wrap + 70) % wrap)})});
  REQUIRE(imported.instances.size() == 1);
  CHECK(imported.instances[0].start == 600 + 50);
  CHECK(imported.instances[0].duration == 120);
}

TEST_CASE("threads are numbered in the order of the system's thread ids") {
  const Imported imported =
      Import(ProcessFile({"a", "b"}),
             {ThreadFile({ThreadStart(0, 203), Begin(1, 2000), End(1, 2001), ThreadEnd(0, 0, 0)}),
              ThreadFile({ThreadStart(1, 202), Begin(2, 2000), End(2, 2001), ThreadEnd(1, 0, 0),
                          ThreadStart(2, 204), Begin(2, 3000), End(2, 3001), ThreadEnd(2, 0, 0)})});
  REQUIRE(imported.instances.size() == 3);
  std::map<uint32_t, std::string> region_of_warp;
  for (const auto& i : imported.instances) {
    region_of_warp[imported.trace.tracks[i.track].warp] = imported.trace.regions[i.region];
  }
  CHECK(region_of_warp == std::map<uint32_t, std::string>{{0, "b"}, {1, "a"}, {2, "b"}});
}

TEST_CASE("a wrapped buffer is read from its oldest record and keeps the scope across the seam") {
  // Written: begin 5000 was overwritten; the seam lies between begin 5200 and end 5300.
  const Imported imported =
      Import(ProcessFile({"load"}),
             {ThreadFile({End(1, 5300), End(1, 5100), Begin(1, 5200)}, /*laps=*/1, /*next=*/1)});
  REQUIRE(imported.instances.size() == 1);
  CHECK(imported.instances[0].start == 5200 - 400);
  CHECK(imported.instances[0].duration == 100);
  CHECK(imported.dropped == 1);
  CHECK(imported.trace.tracks[0].from_tail);
  CHECK(imported.trace.tracks[0].dropped == 1);
  CHECK_FALSE(HasNote(imported, "not balanced"));
}

TEST_CASE("a buffer filled to its last record is not yet wrapped") {
  const Imported imported =
      Import(ProcessFile({"load"}), {ThreadFile({Begin(1, 2000), End(1, 2010)})});
  CHECK(imported.instances.size() == 1);
  CHECK(imported.dropped == 0);
}

TEST_CASE("names that are not text are made text, and equal ones become one region") {
  const Imported imported = Import(ProcessFile({"a\x01", "a\x02", "a\xff"}),
                                   {ThreadFile({Begin(1, 2000), End(1, 2001), Begin(2, 2002),
                                                End(2, 2003), Begin(3, 2004), End(3, 2005)})});
  CHECK(imported.trace.regions == std::vector<std::string>{"a?"});
  CHECK(imported.instances.size() == 3);
}

TEST_CASE("a clock that runs backwards gives scopes of 0 ns, counted") {
  const Imported imported =
      Import(ProcessFile({"load"}), {ThreadFile({Begin(1, 3000), End(1, 2000)})});
  REQUIRE(imported.instances.size() == 1);
  CHECK(imported.instances[0].duration == 0);
  CHECK(HasNote(imported, "clock went backwards in 1 scopes"));
}

TEST_CASE("records that no recorder writes are counted and left out") {
  const Imported imported =
      Import(ProcessFile({"load"}), {ThreadFile({0, Begin(9, 2000), End(9, 2001), End(0x7ffe, 1),
                                                 Begin(1, 2002), End(1, 2003)})});
  CHECK(imported.instances.size() == 1);
  CHECK(HasNote(imported, "3 records were malformed"));
}

TEST_CASE("more than the limits is left out and counted") {
  ImportLimits limits;
  limits.max_instances = 2;
  limits.max_regions = 1;
  const Imported imported =
      Import(ProcessFile({"a", "b"}),
             {ThreadFile({Begin(1, 2000), End(1, 2001), Begin(2, 2002), End(2, 2003),
                          Begin(1, 2004), End(1, 2005), Begin(1, 2006), End(1, 2007)})},
             limits);
  CHECK(imported.instances.size() == 2);
  CHECK(imported.dropped == 2);
  CHECK(HasNote(imported, "2 scopes were left out"));
}

TEST_CASE("deep nesting without ends costs linear time") {
  std::vector<uint64_t> records;
  for (uint64_t i = 0; i < 60'000; ++i) records.push_back(Begin(1 + i % 2, 2000 + i));
  for (uint64_t i = 0; i < 60'000; ++i) records.push_back(End(3, 90'000 + i));  // never begun
  const Imported imported = Import(ProcessFile({"a", "b", "c"}), {ThreadFile(records)});
  CHECK(imported.instances.empty());
  CHECK(imported.open_scopes > 0);
  CHECK(HasNote(imported, "60000 ends without a begin"));
}

TEST_CASE("files that claim more than they hold are refused by name") {
  HostImporter importer(0, {});
  const Bytes process = ProcessFile({"load"});
  Bytes thread = ThreadFile({Begin(1, 2000), End(1, 2001)});
  auto message = [](const absl::Status& status) {
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  CHECK(message(importer.AddThread(thread)).find("has no process file") != std::string::npos);
  REQUIRE(importer.AddProcess(process).ok());
  CHECK(message(importer.AddProcess(process)).find("has two") != std::string::npos);
  CHECK(message(importer.AddProcess({})).find("less than its header") != std::string::npos);
  CHECK(message(importer.AddThread(process)).find("magic") != std::string::npos);

  Bytes truncated = thread;
  truncated.resize(truncated.size() - 1);
  CHECK(message(importer.AddThread(truncated)).find("cannot hold the 2 records") !=
        std::string::npos);
  auto* header = reinterpret_cast<sextant_thread_file*>(thread.data());
  header->capacity = UINT32_MAX;
  CHECK(message(importer.AddThread(thread)).find("capacity") != std::string::npos);
  CHECK(UsedBytesUntrusted(thread) == 0);
  header->capacity = 2;
  header->position = 3;
  CHECK(message(importer.AddThread(thread)).find("position") != std::string::npos);
  header->version = 99;
  CHECK(message(importer.AddThread(thread)).find("version 99") != std::string::npos);
}

TEST_CASE("clock readings that do not fit this machine are replaced by the worker's rate") {
  Bytes process = ProcessFile({"load"});
  auto* header = reinterpret_cast<sextant_process_file*>(process.data());
  header->clock = SEXTANT_CLOCK_TSC;
  header->first_ticks = 5000;
  const ClockReference reference = {
      .clock = SEXTANT_CLOCK_TSC, .ticks = 10'000'000'000, .ns = 100'000'000, .ns_per_tick = 0.5};
  HostImporter importer(0, {reference});
  REQUIRE(importer.AddProcess(process).ok());
  REQUIRE(importer.AddThread(ThreadFile({Begin(1, 6000), End(1, 6200)})).ok());
  const Imported imported = importer.Finish();
  REQUIRE(imported.instances.size() == 1);
  CHECK(imported.instances[0].duration == 100);
  CHECK(HasNote(imported, "do not fit this machine"));
}

TEST_CASE("counters of two buffers add up, and one refusal takes the counter out") {
  HostImporter importer(0, {});
  REQUIRE(importer.AddProcess(ProcessFile({"load", "producer"})).ok());
  sextant_counter_slot slot = {.key = 2u << 16 | 1u, .instances = 3, .sums = {10, 20}};
  Bytes first = CounterFile({slot}, {"instructions", "cycles"});
  Bytes second = first;
  reinterpret_cast<sextant_counter_file*>(second.data())->errors[1] = EACCES;
  REQUIRE(importer.AddCounters(first).ok());
  REQUIRE(importer.AddCounters(second).ok());
  const Imported imported = importer.Finish();
  REQUIRE(imported.counters.size() == 1);
  CHECK(imported.counters[0].name() == "instructions");
  CHECK(imported.counters[0].role() == "producer");
  CHECK(imported.counters[0].region() == "load");
  CHECK(imported.counters[0].value() == 20);
  CHECK(imported.counters[0].instances() == 6);
  CHECK(HasNote(imported, "counter cycles was not recorded in 1 thread"));
  CHECK(HasNote(imported, "perf_event_paranoid"));
}

TEST_CASE("any change of any byte is refused or read without harm") {
  const Bytes process = ProcessFile({"load", "store", "producer"});
  const Bytes thread = ThreadFile({ThreadStart(0, 5), Begin(1, 2000), Begin(2, 2001), End(2, 2002),
                                   End(1, 2003), ThreadEnd(0, 3, 1)},
                                  /*laps=*/2, /*next=*/3);
  const Bytes counters = CounterFile({{.key = 1, .instances = 1, .sums = {5}}}, {"cycles"});
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::vector<Bytes> files = {process, thread, counters};
    for (int change = 0; change < 4; ++change) {
      Bytes& file = files[random() % files.size()];
      // Headers hold the interesting bytes at their beginning.
      const size_t at = random() % 2 ? random() % 128 : random() % file.size();
      file[at % file.size()] = static_cast<uint8_t>(random());
      if (random() % 64 == 0) file.resize(random() % file.size() + 1);
    }
    HostImporter importer(random() % 2 ? 0 : UINT64_MAX, {});
    (void)importer.AddProcess(files[0]);
    (void)importer.AddThread(files[1]);
    (void)importer.AddCounters(files[2]);
    const Imported imported = importer.Finish();
    // What comes out is always a trace that the encoder takes.
    CHECK(chunk::EncodeTrace(imported.trace, imported.instances).ok());
  }
}

}  // namespace
}  // namespace sextant::backends::host
