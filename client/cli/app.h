// The command line of `sextant`: reads arguments, calls the command, returns its exit code.
#pragma once

#include <string>
#include <vector>

#include "client/cli/context.h"

namespace sextant::cli {

// `arguments` without the program's name. Everything `context` needs but the global options is set.
int Main(Context& context, std::vector<std::string> arguments);

// Names of commands and of their options, as completion offers them.
struct CommandNames {
  std::string name, summary;
  std::vector<std::string> actions;   // "list", "put", "get" of blobs
  std::vector<std::string> options;   // also of actions
};
std::vector<CommandNames> AllCommands();

}  // namespace sextant::cli
