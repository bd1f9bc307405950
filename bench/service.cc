#include "bench/service.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

extern char** environ;

namespace sextant::bench {
namespace {

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

std::string Build() {
  const char* build = std::getenv("SEXTANT_BUILD");
  return build != nullptr ? build : "build";
}

std::string Tail(const std::string& path) {
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
}

}  // namespace

void Must(const grpc::Status& status, const char* what) {
  if (!status.ok()) Die(std::string(what) + ": " + status.error_message());
}

Service::Service(std::vector<std::string> coordinator_arguments) {
  chmod(directory().c_str(), 0755);
  address_ = "unix://" + directory() + "/sextantd.sock";
  std::vector<std::string> argv = {Build() + "/server/sextantd", "--state", directory() + "/state",
                                   "--listen", address_, "--log-level", "warning"};
  argv.insert(argv.end(), coordinator_arguments.begin(), coordinator_arguments.end());
  coordinator_ = Spawn(argv, directory() + "/sextantd.log");
  client_ = v1::Sextant::NewStub(NewChannel());
  for (int i = 0; i < 600; ++i) {
    grpc::ClientContext context;
    v1::ServiceDescription description;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
    if (client_->DescribeService(&context, {}, &description).ok()) return;
    if (waitpid(coordinator_, nullptr, WNOHANG) != 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  Die("sextantd does not serve:\n" + Tail(directory() + "/sextantd.log"));
}

Service::~Service() {
  while (!workers_.empty()) StopWorker(workers_.begin()->first);
  kill(coordinator_, SIGTERM);
  waitpid(coordinator_, nullptr, 0);
}

void Service::StartWorker(const std::string& name, std::vector<std::string> arguments) {
  std::vector<std::string> argv = {Build() + "/workers/sextant-worker", "--coordinator", address_,
                                   "--state", directory() + "/" + name, "--name", name,
                                   "--log-level", "warn"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  workers_[name] = Spawn(argv, directory() + "/" + name + ".log");
  for (int i = 0; i < 300; ++i) {
    grpc::ClientContext context;
    v1::ServiceDescription description;
    Must(client_->DescribeService(&context, {}, &description), "DescribeService");
    for (const auto& worker : description.workers())
      if (worker.info().name() == name && worker.live()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  Die("worker " + name + " does not attach:\n" + Tail(directory() + "/" + name + ".log"));
}

void Service::StopWorker(const std::string& name) {
  kill(workers_.at(name), SIGKILL);
  waitpid(workers_.at(name), nullptr, 0);
  workers_.erase(name);
}

std::shared_ptr<grpc::Channel> Service::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
}

std::string Service::Conninfo() const {
  grpc::ClientContext context;
  v1::ServiceDescription description;
  Must(client_->DescribeService(&context, {}, &description), "DescribeService");
  // "PostgreSQL 15.7, embedded at DIR": the socket lies in a directory named in postmaster.pid.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory() + "/state")) {
    if (entry.path().filename() != "postmaster.pid") continue;
    std::ifstream in(entry.path());
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    if (lines.size() >= 5)
      return "host=" + lines[4] + " port=" + lines[3] + " dbname=postgres user=sextant";
  }
  Die("the private PostgreSQL was not found");
}

pid_t Service::Spawn(const std::vector<std::string>& argv, const std::string& log) {
  std::vector<char*> raw;
  for (const auto& arg : argv) raw.push_back(const_cast<char*>(arg.c_str()));
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, raw[0], &actions, nullptr, raw.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) Die("cannot start " + argv[0] + ": " + std::strerror(error));
  return pid;
}

}  // namespace sextant::bench
