// `sextant mcp`: the MCP server over standard input and output, for clients that start programs.
#include <string>

#include "absl/strings/ascii.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/commands.h"
#include "client/mcp/server.h"

namespace sextant::cli {

int Mcp(Context& context, bool up) {
  if (up && context.server.empty() && !context.service().Healthy(2).ok()) {
    if (const int code = Up(context, {}); code != kOk) return code;
  }
  absl::Mutex mutex;   // one message a line, whole
  const auto write = [&](const mcp::Json& message) {
    absl::MutexLock lock(&mutex);
    context.out << mcp::Dump(message) << "\n" << std::flush;
  };
  // Its end cancels what is under way and waits for it.
  const auto server = context.service().Mcp();
  std::string line;
  while (std::getline(context.in, line)) {
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    auto message = mcp::Parse(line);
    if (!message.ok()) {
      write(mcp::Error(nullptr, mcp::kParseError, message.status().message()));
      continue;
    }
    mcp::Server::Reply reply;
    reply.notify = write;
    reply.finish = [&write](const mcp::Json& response, int status) {
      if (!response.is_null()) write(response);
    };
    server->Handle(*std::move(message), {}, "stdio", std::move(reply));
  }
  return kOk;
}

}  // namespace sextant::cli
