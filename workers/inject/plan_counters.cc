// sextant-plan-counters: how many hardware passes metrics need on a chip, and which of them the chip
// has. Needs CUPTI, but no GPU: plans are made where there is none.
//
//   sextant-plan-counters [--cupti PATH] CHIP METRIC[+METRIC]…
//
// Prints one line of JSON for each argument: {"hardware_passes": N, "parts": [[…], …]}, where the parts
// are those of replay=application, or {"error": "…"}. Exit code 1: one line at least is an error.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "workers/inject/cupti_api.h"
#include "workers/inject/metric_plan.h"

namespace sextant::inject {
namespace {

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  return out + "\"";
}

std::vector<std::string> Split(const std::string& joined) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= joined.size();) {
    const size_t end = joined.find('+', begin) == std::string::npos ? joined.size()
                                                                     : joined.find('+', begin);
    if (end > begin) names.push_back(joined.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

bool Plan(const CuptiApi& api, const std::string& chip, const std::string& joined) {
  constexpr CUpti_ProfilerType kType = CUPTI_PROFILER_TYPE_RANGE_PROFILER;
  const std::vector<std::string> metrics = Split(joined);
  MetricPlan plan(api);
  Problem problem;
  if (!plan.Make(kType, chip, {}, metrics, &problem)) {
    printf("{\"error\": %s}\n", Quoted(problem.sentence).c_str());
    return false;
  }
  printf("{\"hardware_passes\": %zu, ", plan.passes());
  std::vector<std::vector<std::string>> parts;
  if (!SplitIntoPasses(api, kType, chip, {}, metrics, &parts, &problem)) {
    printf("\"no_parts\": %s}\n", Quoted(problem.sentence).c_str());
    return true;
  }
  printf("\"parts\": [");
  for (size_t i = 0; i < parts.size(); ++i) {
    printf("%s[", i == 0 ? "" : ", ");
    for (size_t k = 0; k < parts[i].size(); ++k) {
      printf("%s%s", k == 0 ? "" : ", ", Quoted(parts[i][k]).c_str());
    }
    printf("]");
  }
  printf("]}\n");
  return true;
}

int Main(int argc, char** argv) {
  const char* cupti = "";
  int at = 1;
  if (argc > 2 && strcmp(argv[1], "--cupti") == 0) {
    cupti = argv[2];
    at = 3;
  }
  if (argc - at < 2) {
    fprintf(stderr, "usage: sextant-plan-counters [--cupti PATH] CHIP METRIC[+METRIC]…\n");
    return 2;
  }
  CuptiApi api;
  std::string why;
  if (!LoadCupti(cupti, &api, &why)) {
    fprintf(stderr, "sextant-plan-counters: %s\n", why.c_str());
    return 2;
  }
  bool ok = true;
  for (int i = at + 1; i < argc; ++i) ok &= Plan(api, argv[at], argv[i]);
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace sextant::inject

int main(int argc, char** argv) { return sextant::inject::Main(argc, argv); }
