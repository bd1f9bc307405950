// GetJob through MCP and through JSON at 2,000 calls a second while 500 watchers listen, and what each MCP
// tool's answer costs its reader, on the largest recording of an H200 (--sizes: this alone). `--tokens`: with
// tokens required.
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/http.h"
#include "bench/service.h"
#include "client/mcp/values.h"

namespace sextant::bench {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kWatchers = 500;
constexpr int kConnections = 16;
constexpr double kRate = 2000;
constexpr double kSeconds = 5;

struct Load {
  double calls_per_s = 0;
  double p50_ms = 0, p99_ms = 0;
};

// Where the gateway is, and the token it is shown.
struct Place {
  int port = 0;
  std::string headers;

  Http Open() const { return Http(port, headers); }
};

// Calls from kConnections threads: `rate` a second in all, timed from when each was due, or (rate 0) one
// after the other.
Load Drive(const Place& place, double rate, const std::function<void(Http&)>& call) {
  std::vector<std::vector<double>> times(kConnections);
  std::vector<std::thread> threads;
  const double begin = NowS() + 0.1;
  for (int i = 0; i < kConnections; ++i) {
    threads.emplace_back([&, i] {
      Http http = place.Open();
      const double every = rate > 0 ? kConnections / rate : 0;
      for (double due = begin + (rate > 0 ? i / rate : 0); due < begin + kSeconds;) {
        const double now = NowS();
        if (now < due) std::this_thread::sleep_for(std::chrono::duration<double>(due - now));
        const double from = rate > 0 ? due : NowS();
        call(http);
        const double end = NowS();
        times[i].push_back((end - from) * 1e3);
        due = rate > 0 ? due + every : end;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double took = NowS() - begin;
  std::vector<double> all;
  for (const auto& each : times) all.insert(all.end(), each.begin(), each.end());
  return {static_cast<double>(all.size()) / took, Quantile(all, 0.5), Quantile(all, 0.99)};
}

std::string McpHeaders(const std::string& tool) {
  return "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: " + tool + "\r\n";
}

std::string McpBody(const std::string& tool, const json& arguments) {
  return json{{"jsonrpc", "2.0"},
              {"id", 1},
              {"method", "tools/call"},
              {"params",
               {{"name", tool},
                {"arguments", arguments},
                {"_meta",
                 {{"io.modelcontextprotocol/protocolVersion", "2026-07-28"},
                  {"io.modelcontextprotocol/clientCapabilities", json::object()}}}}}}
      .dump();
}

// Listeners on one job, read by one thread.
class Watchers {
 public:
  Watchers(const Place& place, int64_t job) {
    for (int i = 0; i < kWatchers; ++i) {
      sockets_.push_back(place.Open());
      sockets_.back().Send("GET /api/sextant.v1.Sextant/WatchJob?job_id=" + std::to_string(job) +
                           " HTTP/1.1\r\nHost: localhost\r\n" + place.headers + "\r\n");
    }
  }
  // How many have seen `text` within `seconds`.
  int Seen(const std::string& text, double seconds) {
    std::vector<std::string> tails(sockets_.size());
    std::vector<pollfd> polled;
    for (const Http& socket : sockets_) polled.push_back({socket.fd(), POLLIN, 0});
    int seen = 0;
    for (const double end = NowS() + seconds; seen < kWatchers && NowS() < end;) {
      if (poll(polled.data(), polled.size(), 100) <= 0) continue;
      for (size_t i = 0; i < polled.size(); ++i) {
        if ((polled[i].revents & (POLLIN | POLLHUP)) == 0) continue;
        char buffer[4096];
        const ssize_t n = recv(polled[i].fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n <= 0) {
          polled[i].fd = -1;
          continue;
        }
        tails[i].append(buffer, static_cast<size_t>(n));
        if (tails[i].find(text) != std::string::npos) {
          ++seen;
          polled[i].fd = -1;
        }
      }
    }
    return seen;
  }

 private:
  std::vector<Http> sockets_;
};

// The recording folder with most bytes.
std::string Largest(const std::string& root) {
  std::pair<uintmax_t, std::string> largest;
  for (const auto& folder : fs::directory_iterator(root)) {
    uintmax_t bytes = 0;
    if (!folder.is_directory()) continue;
    for (const auto& file : fs::directory_iterator(folder))
      if (file.path().extension() == ".rec") bytes += file.file_size();
    largest = std::max(largest, {bytes, folder.path().string()});
  }
  return largest.second;
}

int64_t SubmitExternal(Service& service, const std::string& id) {
  v1::SubmitJobRequest request;
  request.set_request_id(id);
  auto* task = request.mutable_graph()->add_tasks();
  task->set_name("ask");
  task->mutable_external();
  grpc::ClientContext context;
  v1::SubmitJobResponse response;
  Must(service.client().SubmitJob(&context, request, &response), "SubmitJob");
  return response.job_id();
}

// Plays the recording twice through the command line, asks every tool, prints bytes and tokens.
size_t AnswerSizes(Service& service, const Place& place) {
  const std::string recording = Largest("tests/recordings/h200");
  const std::string sextant = std::string(std::getenv("SEXTANT_BUILD")) + "/client/cli/sextant --server unix://" +
                              service.directory() + "/sextantd.sock --format json run --no-timeline --fresh --pass replay:" +
                              recording + " >/dev/null 2>&1";
  for (int i = 0; i < 2; ++i)
    if (std::system(sextant.c_str()) != 0) std::fprintf(stderr, "the recording did not play to its end\n");
  Http http = place.Open();
  const auto ask = [&](const std::string& tool, const json& arguments) {
    return json::parse(http.Post("/mcp", McpHeaders(tool), McpBody(tool, arguments)))["result"];
  };
  const json jobs = ask("query", {{"sql", "SELECT max(job_id) FROM jobs WHERE state = 'done'"}})["structuredContent"]["rows"];
  const int64_t job = std::stoll(jobs[0][0].get<std::string>());
  const std::vector<std::pair<std::string, json>> calls = {
      {"describe_service", json::object()},
      {"submit_job", {{"argv", {"./program"}}, {"preset", "deep"}, {"plan_only", true}}},
      {"get_job", {{"job_id", job}, {"tasks", true}, {"after", ""}}},
      {"explain_bottleneck", {{"job_id", job}}},
      {"region_timeline", {{"job_id", job}}},
      {"region_timeline", {{"job_id", job}, {"detail", "instances"}}},
      {"counters", {{"job_id", job}}},
      {"hotspots", {{"job_id", job}}},
      {"compare_jobs", {{"job_a", job - 1}, {"job_b", job}}},
      {"critical_path", {{"job_id", job}}},
      {"next_pass", {{"job_id", job}}},
      {"query", {{"sql", "SELECT * FROM events"}}},
      {"get_artifact", {{"job_id", job}}},
      {"complete_task", {{"job_id", SubmitExternal(service, "completed")}, {"task", "ask"}}},
      {"cancel_job", {{"job_id", SubmitExternal(service, "cancelled")}}},
  };
  std::printf("\nanswers about %s\n%-40s %8s %8s\n", recording.c_str(), "tool", "bytes", "tokens");
  size_t most = 0;
  for (const auto& [tool, arguments] : calls) {
    const json result = ask(tool, arguments);
    const std::string text = result["content"][0]["text"].get<std::string>();
    const size_t bytes = text.size(), tokens = mcp::Tokens(text);
    most = std::max(most, tokens);
    std::printf("%-40s %8zu %8zu%s\n",
                (tool + (arguments.contains("detail") ? " (instances)" : "")).c_str(), bytes, tokens,
                result["isError"].get<bool>() ? "  (error)" : "");
  }
  return most;
}

std::string TokenHeader(Service& service) {
  v1::CreateTokenRequest request;
  request.set_name("load");
  request.add_scopes(v1::SUBMIT);
  grpc::ClientContext context;
  v1::CreateTokenResponse response;
  Must(service.client().CreateToken(&context, request, &response), "CreateToken");
  return "Authorization: Bearer " + response.secret() + "\r\n";
}

void Main(bool tokens_required, bool sizes_alone) {
  Service service(tokens_required ? std::vector<std::string>{"--require-tokens"} : std::vector<std::string>{});
  Place place;
  std::ifstream(service.directory() + "/state/http_port") >> place.port;
  if (tokens_required) place.headers = TokenHeader(service);
  if (sizes_alone) {
    service.StartWorker("w", {});
    Figures line;
    line.Add("longest_answer_tokens", static_cast<double>(AnswerSizes(service, place)));
    line.Print("gateway_sizes");
    return;
  }
  const int64_t job = SubmitExternal(service, "watched"), asked = SubmitExternal(service, "asked");
  Watchers watchers(place, job);
  const int attached = watchers.Seen("accepted", 60);

  const std::string json_body = json{{"job_id", asked}}.dump();
  const auto by_json = [&](Http& http) { http.Post("/api/sextant.v1.Sextant/GetJob", "", json_body); };
  const std::string mcp_body = McpBody("get_job", {{"job_id", asked}}), mcp_headers = McpHeaders("get_job");
  const auto by_mcp = [&](Http& http) { http.Post("/mcp", mcp_headers, mcp_body); };
  const Load json_paced = Drive(place, kRate, by_json), mcp_paced = Drive(place, kRate, by_mcp);
  const Load json_most = Drive(place, 0, by_json), mcp_most = Drive(place, 0, by_mcp);

  grpc::ClientContext context;
  v1::CompleteTaskRequest complete;
  v1::TaskInfo task;
  complete.set_job_id(job);
  complete.set_task("ask");
  Must(service.client().CompleteTask(&context, complete, &task), "CompleteTask");
  const int served = std::min(attached, watchers.Seen("event: end", 60));

  service.StartWorker("w", {});
  const size_t tokens = AnswerSizes(service, place);

  std::printf("\n%-52s %10s %10s\n", "", "measured", "target");
  const auto row = [](const char* what, double value, const char* unit, const char* target) {
    std::printf("%-52s %10.2f %-5s %s\n", what, value, unit, target);
  };
  row("get_job by JSON, asked 2,000 a second", json_paced.calls_per_s, "/s", ">= 2000");
  row("  p50", json_paced.p50_ms, "ms", "");
  row("  p99", json_paced.p99_ms, "ms", "<= 20");
  row("get_job by MCP, asked 2,000 a second", mcp_paced.calls_per_s, "/s", ">= 2000");
  row("  p50", mcp_paced.p50_ms, "ms", "");
  row("  p99", mcp_paced.p99_ms, "ms", "<= 20");
  row("get_job by JSON, as fast as 16 connections can", json_most.calls_per_s, "/s", "");
  row("get_job by MCP, as fast as 16 connections can", mcp_most.calls_per_s, "/s", "");
  row("watchers served, over HTTP", served, "", "500");
  row("longest answer of a tool", static_cast<double>(tokens), "token", "<= 2000");
  Figures line;
  line.Add("mcp_calls_per_s", mcp_most.calls_per_s);
  line.Add("json_calls_per_s", json_most.calls_per_s);
  line.Add("p99_ms", std::max(json_paced.p99_ms, mcp_paced.p99_ms));
  line.Add("mcp_paced_calls_per_s", mcp_paced.calls_per_s);
  line.Add("json_paced_calls_per_s", json_paced.calls_per_s);
  line.Add("watchers", served);
  line.Add("longest_answer_tokens", static_cast<double>(tokens));
  line.Print("gateway");
}

}  // namespace
}  // namespace sextant::bench

int main(int argc, char** argv) {
  const std::string option = argc > 1 ? argv[1] : "";
  sextant::bench::Main(option == "--tokens", option == "--sizes");
  return 0;
}
