// Seeds for proton_fuzz: one small input for each reader.
#include <fstream>
#include <string>
#include <vector>

#include "workers/backends/proton/testing.h"

int main(int argc, char** argv) {
  using namespace sextant::backends::proton::testing;
  if (argc != 2) return 2;
  const auto write = [&](const char* name, char reader, const std::string& bytes) {
    std::ofstream(std::string(argv[1]) + "/" + name, std::ios::binary) << reader << bytes;
  };
  const std::vector<uint8_t> raw = RawFile(
      {Block{.warps = {{Begin(0, 1), End(0, 5), Begin(1, 6), End(1, 9)}, {Begin(1, 2), End(1, 3)}}}}, 2, 3);
  write("raw", 0, std::string(1, 0) + std::string(raw.begin(), raw.end()));
  write("chrome", 1,
        R"e({"traceEvents":[{"name":"load","cat":"k","ph":"X","pid":"k Core1 CTA2","tid":"warp 3 (line 0)","ts":0.5,"dur":0.1,"args":{"Frequency (MHz)":1000.0}}]})e");
  write("host", 2, R"({"traceEvents":[{"name":"k","ph":"X","tid":7,"ts":0.5,"dur":0.1}]})");
  write("hatchet", 3,
        R"e([{"frame":{"name":"k"},"metrics":{"count":2,"time (ns)":5,"device_id":"0"},"children":[]}])e");
  write("log", 4, R"({"kind":"launch","launch":0,"kernel":"k","file":"1-0.raw","scopes":["a"]})");
  return 0;
}
