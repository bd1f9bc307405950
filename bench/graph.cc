// How long until a large graph is accepted durably: the SubmitJob call of a client, from serialized
// request to answer. Graphs are layers of 100 tasks, each waiting for one of the layer before.
#include <cstdio>
#include <string>
#include <vector>

#include "bench/service.h"

namespace sextant::bench {
namespace {

v1::SubmitJobRequest Graph(const std::string& name, int tasks) {
  v1::SubmitJobRequest request;
  request.set_request_id(name);
  request.mutable_graph()->set_name(name);
  for (int i = 0; i < tasks; ++i) {
    auto* task = request.mutable_graph()->add_tasks();
    task->set_name("t" + std::to_string(i));
    if (i >= 100) task->add_after("t" + std::to_string(i - 100));
    auto* workload = task->mutable_build()->mutable_workload();
    workload->add_argv("make");
    workload->add_argv(name + std::to_string(i));
  }
  return request;
}

double Submit(Service& service, const v1::SubmitJobRequest& request) {
  grpc::ClientContext context;
  v1::SubmitJobResponse response;
  const double begin = NowS();
  Must(service.client().SubmitJob(&context, request, &response), "SubmitJob");
  return NowS() - begin;
}

void Main() {
  Service service;
  Submit(service, Graph("warm", 1000));
  std::vector<double> single;
  for (int i = 0; i < 5; ++i)
    single.push_back(Submit(service, Graph("single" + std::to_string(i), 10'000)));
  std::vector<v1::SubmitJobRequest> ten;
  for (int i = 0; i < 10; ++i) ten.push_back(Graph("ten" + std::to_string(i), 10'000));
  double all = 0;
  for (const auto& request : ten) all += Submit(service, request);
  std::printf("%-44s %10s %10s\n", "", "measured", "target");
  std::printf("%-44s %9.3fs %9.3fs\n", "one graph of 10,000 tasks (median of 5)",
              Quantile(single, 0.5), 0.2);
  std::printf("%-44s %9.3fs %9.3fs\n", "ten graphs of 10,000 tasks, one after another", all, 2.0);
  Figures figures;
  figures.Add("submit_10k_s", Quantile(single, 0.5));
  figures.Add("submit_100k_s", all);
  figures.Print("graph");
}

}  // namespace
}  // namespace sextant::bench

int main() {
  sextant::bench::Main();
  return 0;
}
