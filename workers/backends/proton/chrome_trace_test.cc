// Proton's texts: Chrome traces of both kinds, and the Hatchet tree.
#include "workers/backends/proton/chrome_trace.h"

#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "tests/catch.h"
#include "workers/backends/proton/hatchet.h"
#include "workers/backends/proton/testing.h"

namespace sextant::backends::proton {
namespace {

TEST_CASE("a Chrome trace of two kernels becomes two launches") {
  Recording recording;
  REQUIRE(AddChromeTraceUntrusted(testing::Recording("add_mm.chrome_trace"), recording).ok());
  const Recorded recorded = recording.Finish(1);
  CHECK(recorded.instances.size() == 25'600);
  CHECK(recorded.kernels == std::vector<std::string>{"add_kernel", "mm_kernel"});
  std::map<uint32_t, std::set<uint32_t>> ctas;
  for (const chunk::Track& track : recorded.trace.tracks) ctas[track.launch].insert(track.cta);
  CHECK(ctas[0].size() == 1024);
  CHECK(ctas[1].size() == 64);
  REQUIRE(chunk::EncodeTrace(recorded.trace, recorded.instances).ok());
}

TEST_CASE("a warp that appears again is in another launch") {
  const auto event = [](int cta, int warp, double ts, double dur) {
    return R"e({"name":"load","cat":"k","ph":"X","pid":"a b Core7 CTA)e" + std::to_string(cta) +
           R"e(","tid":"warp )e" + std::to_string(warp) + R"e( (line 0)","ts":)e" + std::to_string(ts) +
           R"e(,"dur":)e" + std::to_string(dur) + R"e(,"args":{"Frequency (MHz)":1000.0}})e";
  };
  Recording recording;
  const std::string text = R"({"displayTimeUnit":"ns","traceEvents":[)" + event(0, 0, 0.1, 0.05) +
                           "," + event(0, 0, 0.2, 0.06) + "," + event(0, 1, 0.15, 0.07) + "," +
                           event(0, 0, 0.3, 0.08) + "]}\n";
  REQUIRE(AddChromeTraceUntrusted(text, recording).ok());
  const Recorded recorded = recording.Finish(1);
  REQUIRE(recorded.instances.size() == 4);
  CHECK(recorded.kernels == std::vector<std::string>{"a b", "a b"});
  CHECK(recorded.trace.tracks[0].origin_ns == 100);  // the CTA's first record
  CHECK(recorded.instances[1].start == 100);
  CHECK(recorded.instances[1].duration == 60);
  CHECK(recorded.trace.tracks[2].launch == 1);
}

TEST_CASE("kernels of the host's view are sorted by start over all streams") {
  const std::string text =
      R"({"displayTimeUnit":"us","traceEvents":[{"name":"b","cat":"kernel","ph":"X","ts":7.5,"dur":1.25,"tid":7,"args":{"call_stack":["ROOT","b"]}}]})"
      "\n"
      R"({"displayTimeUnit":"us","traceEvents":[{"name":"a","cat":"kernel","ph":"X","ts":0.0,"dur":2.0,"tid":13}]})"
      "\n";
  const auto kernels = ReadHostKernelsUntrusted(text, 10);
  REQUIRE(kernels.ok());
  REQUIRE(kernels->size() == 2);
  CHECK((*kernels)[0].kernel == "a");
  CHECK((*kernels)[1].stream == "7");
  CHECK((*kernels)[1].start_ns == 7500);
  CHECK((*kernels)[1].duration_ns == 1250);
  CHECK(ReadHostKernelsUntrusted(text, 1).status().code() == absl::StatusCode::kResourceExhausted);
}

TEST_CASE("a trace that breaks off keeps what came before, and says where") {
  Recording recording;
  const std::string whole = testing::Recording("add_mm.chrome_trace");
  const absl::Status status =
      AddChromeTraceUntrusted(std::string_view(whole).substr(0, whole.size() / 2), recording);
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(status.message()), Catch::Contains("line 1"));
  CHECK(recording.instances() > 10'000);
}

TEST_CASE("odd events are none") {
  const std::string text = GENERATE(
      R"({"traceEvents":[{"name":1,"ph":"X","pid":[{"ph":"X"}],"ts":1e300,"dur":-5}]})",
      R"({"traceEvents":[{"ph":"X","pid":"k Core1 CTA99999999999","tid":"warp 1"}]})",
      R"({"traceEvents":{"a":[{"ph":"X","pid":"k Core1 CTA1","tid":"warp 1"}]}})",
      R"([[{"ph":"X","pid":"k Core1 CTA1","tid":"warp 1"}]])", "\n\n", "");
  Recording recording;
  REQUIRE(AddChromeTraceUntrusted(text, recording).ok());
  CHECK(recording.instances() == 0);
}

TEST_CASE("a Hatchet tree gives a counter for each kernel and metric") {
  std::ifstream file("tests/recordings/proton/host.hatchet");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto counters = ReadHatchetUntrusted(text);
  REQUIRE(counters.ok());
  REQUIRE(counters->size() == 2);
  CHECK((*counters)[0].kernel() == "add_kernel");
  CHECK((*counters)[0].name() == "time");
  CHECK((*counters)[0].unit() == "ns");
  CHECK((*counters)[0].value() == 23168);
  CHECK((*counters)[0].instances() == 10);
  CHECK((*counters)[1].kernel() == "mm_kernel");
}

TEST_CASE("a kernel launched from several places is summed over them") {
  const auto counters = ReadHatchetUntrusted(R"tree([{"frame":{"name":"ROOT"},"metrics":{"count":0},"children":[
    {"frame":{"name":"f"},"metrics":{"count":0},"children":[
      {"frame":{"name":"k"},"metrics":{"count":2,"time (ns)":10,"flops8":5,"device_id":"0"},"children":[]}]},
    {"frame":{"name":"k"},"metrics":{"count":1,"time (ns)":7,"device_id":"0"},"children":[]}]}])tree");
  REQUIRE(counters.ok());
  REQUIRE(counters->size() == 2);
  CHECK((*counters)[0].name() == "flops8");
  CHECK((*counters)[1].value() == 17);
  CHECK((*counters)[1].instances() == 3);
}

TEST_CASE("what is no tree is refused") {
  CHECK_FALSE(ReadHatchetUntrusted("").ok());
  CHECK_FALSE(ReadHatchetUntrusted("{}").ok());
  CHECK_FALSE(ReadHatchetUntrusted("[]").ok());
  CHECK_FALSE(ReadHatchetUntrusted(std::string(100'000, '[')).ok());
}

}  // namespace
}  // namespace sextant::backends::proton
