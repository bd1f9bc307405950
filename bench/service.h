// A throwaway service for a benchmark: real sextantd with its private PostgreSQL in a temporary
// directory, and real workers. Everything ends with the object.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/support.h"
#include "sextant/v1/sextant.grpc.pb.h"
#include "sextant/v1/worker.grpc.pb.h"

namespace sextant::bench {

class Service {
 public:
  // Ends the program with a message when the service cannot be started.
  explicit Service(std::vector<std::string> coordinator_arguments = {});
  ~Service();

  // Starts a worker and waits until the coordinator has seen it.
  void StartWorker(const std::string& name, std::vector<std::string> arguments);
  void StopWorker(const std::string& name);

  v1::Sextant::Stub& client() { return *client_; }
  // A connection of its own.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  // libpq connection string of the private PostgreSQL.
  std::string Conninfo() const;
  const std::string& directory() const { return directory_.path(); }

 private:
  pid_t Spawn(const std::vector<std::string>& argv, const std::string& log);

  const Directory directory_;
  std::string address_;
  pid_t coordinator_ = 0;
  std::map<std::string, pid_t> workers_;
  std::unique_ptr<v1::Sextant::Stub> client_;
};

// Ends the program when a call fails: a benchmark without its calls has no result.
void Must(const grpc::Status& status, const char* what);

}  // namespace sextant::bench
