// What `sextant up`, and `sextant` alone, say about the service of this machine.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

struct Door {
  const char* name;    // as the service calls the address
  const char* use;
};

// In the order in which somebody new wants them. What else the service names comes after these.
constexpr Door kDoors[] = {
    {"web", "the page, in a browser"},
    {"mcp", "for agents, as an MCP server of type http; over stdio: sextant mcp (docs/mcp.md)"},
    {"http", "any call as JSON: POST /api/sextant.v1.Sextant/METHOD (docs/gateway.md)"},
    {"openapi", "what those calls take and answer"},
    {"metrics", "for Prometheus"},
};

}  // namespace

std::string DescribeAddresses(const std::string& grpc, const v1::ServiceDescription& service) {
  size_t width = grpc.size();
  for (const auto& [name, address] : service.addresses())
    if (name != "grpc") width = std::max(width, address.size());
  const auto line = [&](absl::string_view name, absl::string_view address, absl::string_view use) {
    return absl::StrFormat("\n  %-8s %s", Escape(name), Escape(address)) +
           (use.empty() ? "" : absl::StrCat(std::string(width + 2 - std::min(width, address.size()), ' '), use));
  };
  std::string text = line("grpc", grpc, "sextant, and Python: sextant.connect()");
  std::map<std::string, std::string> rest(service.addresses().begin(), service.addresses().end());
  rest.erase("grpc");
  for (const Door& door : kDoors) {
    const auto found = rest.find(door.name);
    if (found == rest.end()) continue;
    absl::StrAppend(&text, line(door.name, found->second, door.use));
    rest.erase(found);
  }
  for (const auto& [name, address] : rest) absl::StrAppend(&text, line(name, address, ""));
  return text;
}

int Overview(Context& context) {
  context.out << "Sextant, a multi-pass profiling service: runs a program many times under different instruments\n"
                 "and joins what they saw.\n\n"
                 "  sextant up                             start the service of this machine\n"
                 "  sextant run -- ./program               profile a program, show its timeline\n"
                 "  sextant run --pass auto:bottleneck …   what bounds it; sextant diagnosis JOB\n"
                 "  sextant jobs                           what ran; sextant report JOB, sextant compare A B\n"
                 "  sextant doctor                         what this machine can and cannot do, and why\n"
                 "  sextant --help                         all commands\n";
  const auto service = context.service().Describe();
  context.out << (service.ok()
                      ? absl::StrCat("\nthe service runs", DescribeAddresses(context.address(), *service), "\n")
                      : absl::StrCat("\nno service answers at ", Escape(context.address()), "; start it: sextant up\n"));
  return kOk;
}

}  // namespace sextant::cli
