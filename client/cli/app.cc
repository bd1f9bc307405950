#include "client/cli/app.h"

#include <algorithm>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/command_line.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

bool HasCommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return true;
  }
  return false;
}

void CollectOptions(const CLI::App& command, std::vector<std::string>& options) {
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if (std::find(options.begin(), options.end(), "--" + name) == options.end()) options.push_back("--" + name);
    }
  }
}

}  // namespace

int Main(Context& context, std::vector<std::string> arguments) {
  if (arguments.empty()) {
    context.server = context.environment("SEXTANT_SERVER").value_or("");
    context.given = endpoint::WithEnvironment({}, context.environment);
    if (const auto endpoint = context.Endpoint(); !endpoint.ok()) return context.Usage(endpoint.status().message());
    return Overview(context);
  }
  CommandLine app;
  // Everything after the first "--" is the program's, whatever it looks like.
  std::vector<std::string> rest;
  bool separated = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] != "--") continue;
    separated = true;
    rest.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
    arguments.resize(i);
    break;
  }
  for (const std::string& argument : arguments) {
    if (argument == "--token" || absl::StartsWith(argument, "--token="))
      return context.Usage("--token: who may run ps sees what stands here; write the token into a file of mode 600 and give "
                           "--token-file FILE, or set SEXTANT_TOKEN");
  }
  if (!arguments.empty() && !arguments[0].empty() && arguments[0][0] != '-' &&
      !HasCommand(app.app(), arguments[0])) {
    return context.Usage(absl::StrCat("there is no command \"", Escape(arguments[0], 40), "\"\n  See:  sextant --help"));
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.app().parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    const int code = app.app().exit(error, out, err);
    context.out << out.str() << std::flush;
    if (code == 0) return kOk;
    context.Usage(absl::StrCat(error.what(), "\n  See:  sextant ",
                               app.app().get_subcommands().empty() ? "" : app.app().get_subcommands()[0]->get_name() + " ",
                               "--help",
                               !separated && app.app().got_subcommand("run")
                                   ? "\n  Options of the program belong after --:  sextant run -- ./program --option" : ""));
    return kUsage;
  }
  Values& v = app.values();
  if (separated) {
    if (app.app().got_subcommand("run")) {
      if (!v.run.argv.empty()) {
        return context.Usage(absl::StrCat("\"", Escape(v.run.argv[0], 60),
                                          "\" stands before --; the program and its arguments come after it"));
      }
      v.run.argv = rest;
    } else {
      v.words.insert(v.words.end(), rest.begin(), rest.end());
    }
  }
  context.server = !app.server().empty() ? app.server() : context.environment("SEXTANT_SERVER").value_or("");
  context.given = endpoint::WithEnvironment(app.given(), context.environment);
  context.json = v.format == "json";
  if (v.no_color || context.json) context.out_terminal.color = context.err_terminal.color = false;
  if (app.calls()) {
    if (const auto endpoint = context.Endpoint(); !endpoint.ok()) return context.Usage(endpoint.status().message());
  }
  return app.action()(context);
}

std::vector<CommandNames> AllCommands() {
  CommandLine app;
  std::vector<CommandNames> commands;
  for (const CLI::App* command : app.app().get_subcommands([](const CLI::App*) { return true; })) {
    CommandNames names{command->get_name(), command->get_description()};
    CollectOptions(*command, names.options);
    for (const CLI::App* action : command->get_subcommands([](const CLI::App*) { return true; })) {
      names.actions.push_back(action->get_name());
      CollectOptions(*action, names.options);
    }
    commands.push_back(std::move(names));
  }
  return commands;
}

}  // namespace sextant::cli