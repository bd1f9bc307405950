#include "server/job/hang.h"

#include <vector>

#include "tests/catch.h"

namespace sextant::job {
namespace {

EndedPass Pass(const char* backend, v1::Verdict verdict, double wall_s, bool light = false) {
  EndedPass pass;
  pass.spec.set_backend(backend);
  if (light) (*pass.spec.mutable_options())["light"] = "1";
  pass.exit.set_verdict(verdict);
  pass.exit.set_wall_s(wall_s);
  pass.done = verdict == v1::EXITED;
  return pass;
}

TEST_CASE("a hang that clean passes do not share is the instrument's") {
  const std::vector<EndedPass> others = {Pass("activity", v1::EXITED, 0.4, true),
                                         Pass("activity", v1::EXITED, 0.5, true),
                                         Pass("counters", v1::HANG, 60)};
  const std::string said = JudgeHang(Pass("scopes", v1::TIMED_OUT, 60), others);
  CHECK_THAT(said, Catch::Contains("the instrument causes it"));
  CHECK_THAT(said, Catch::Contains("2 of 2 times, in at most 0.5 s (activity:light=1)"));
}

TEST_CASE("a hang that clean passes share is the program's") {
  CHECK_THAT(JudgeHang(Pass("scopes", v1::HANG, 60), std::vector{Pass("run", v1::HANG, 60)}),
             Catch::Contains("the program's own fault"));
  CHECK_THAT(JudgeHang(Pass("run", v1::HANG, 60), {}), Catch::Contains("hangs by itself"));
  CHECK_THAT(JudgeHang(Pass("proton", v1::HANG, 60),
                       std::vector{Pass("run", v1::HANG, 60), Pass("run", v1::EXITED, 1)}),
             Catch::Contains("1 of 2 times"));
}

TEST_CASE("without a clean pass that ended nothing is claimed") {
  const std::vector<EndedPass> others = {Pass("activity", v1::EXITED, 1),
                                         Pass("activity", v1::SIGNALLED, 1, true)};
  CHECK_THAT(JudgeHang(Pass("scopes", v1::HANG, 60), others), Catch::Contains("is not known"));
}

}  // namespace
}  // namespace sextant::job
