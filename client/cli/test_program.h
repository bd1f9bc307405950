// The program, run by a test.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/app.h"

namespace sextant::cli {

// One run of the program against the fake service.
struct Ran {
  int code;
  std::string out, err;
};

class Program {
 public:
  explicit Program(const std::string& server) : server_(server) {}

  Ran operator()(std::vector<std::string> arguments, const std::string& input = "") {
    std::ostringstream out, err;
    std::istringstream in(input);
    const Environment environment = [this](const std::string& name) -> std::optional<std::string> {
      if (const auto set = variables.find(name); set != variables.end()) return set->second;
      if (name == "SEXTANT_SERVER" && !server_.empty()) return server_;
      if (name == "SEXTANT_HOME") return "/nonexistent/sextant";
      if (name == "SEXTANT_SUBMITTER") return "tester";
      if (name == "PATH") return "/usr/bin:/bin";
      return std::nullopt;
    };
    Context context(out, err, in, environment, interrupts);
    context.home = FindHome(environment, false);
    context.own_executable = "/nonexistent/bin/sextant";
    context.reconnect_s = reconnect_s;
    context.out_terminal.color = color;
    const int code = Main(context, std::move(arguments));
    return {code, out.str(), err.str()};
  }

  std::map<std::string, std::string> variables;   // of its environment
  Interrupts interrupts;
  double reconnect_s = 20;
  bool color = false;

 private:
  std::string server_;
};

}  // namespace sextant::cli
