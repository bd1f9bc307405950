// The handlers of SextantService that concern jobs.
#include "proto/status/status.h"
#include "server/job/graph.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/rpc/long_poll.h"
#include "server/rpc/sextant_service.h"
#include "server/rpc/watch_call.h"

namespace sextant::rpc {

grpc::ServerUnaryReactor* SextantService::SubmitJob(grpc::CallbackServerContext* context,
                                                    const v1::SubmitJobRequest* request,
                                                    v1::SubmitJobResponse* response) {
  return Answer(context, "SubmitJob", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    v1::SubmitJobRequest filled = *request;
    if (filled.submitter().empty()) filled.set_submitter("anonymous");
    ASSIGN_OR_RETURN(const auto graph, job::Expand(limits(), filled.mutable_graph()));
    ASSIGN_OR_RETURN(const auto accepted, rooms_.jobs->Submit(filled, graph, limits()));
    rooms_.engine->Wake();
    response->set_job_id(accepted.job_id);
    response->set_existing(accepted.existing);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::PlanJob(grpc::CallbackServerContext* context,
                                                  const v1::PlanJobRequest* request,
                                                  v1::PlanJobResponse* response) {
  return Answer(context, "PlanJob", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    v1::JobGraph filled = request->graph();
    ASSIGN_OR_RETURN(const auto graph, job::Expand(limits(), &filled));
    ASSIGN_OR_RETURN(*response, rooms_.reads->PreviewPlan(filled, graph));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::AddTasks(grpc::CallbackServerContext* context,
                                                   const v1::AddTasksRequest* request,
                                                   v1::AddTasksResponse* response) {
  return Answer(context, "AddTasks", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    v1::AddTasksRequest filled = *request;
    ASSIGN_OR_RETURN(const auto graph, job::ExpandAdded(limits(), filled.mutable_tasks()));
    ASSIGN_OR_RETURN(*response, rooms_.jobs->AddTasks(filled, graph, limits()));
    rooms_.engine->Wake();
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::SealJob(grpc::CallbackServerContext* context,
                                                  const v1::SealJobRequest* request,
                                                  v1::JobInfo* response) {
  return Answer(context, "SealJob", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    RETURN_IF_ERROR(rooms_.jobs->Seal(*request));
    rooms_.engine->Wake();
    ASSIGN_OR_RETURN(*response, rooms_.reads->Job(request->job_id()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetJob(grpc::CallbackServerContext* context,
                                                 const v1::GetJobRequest* request,
                                                 v1::GetJobResponse* response) {
  if (absl::Status status = Check(limits(), *request); !status.ok() || request->wait_s() == 0) {
    return Answer(context, "GetJob", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
      RETURN_IF_ERROR(status);
      ASSIGN_OR_RETURN(*response, rooms_.reads->Get(*request, limits().max_page_size()));
      return absl::OkStatus();
    });
  }
  return LongPoll::Begin({rooms_.reads, rooms_.quick, rooms_.streams, rooms_.metrics}, context,
                         *request, limits().max_page_size(), response);
}

grpc::ServerWriteReactor<v1::Event>* SextantService::WatchJob(
    grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) {
  return WatchCall::Begin({rooms_.reads, rooms_.watches, rooms_.engine, rooms_.quick,
                           rooms_.streams, rooms_.metrics},
                          *request, Check(limits(), *request));
}

grpc::ServerUnaryReactor* SextantService::ListJobs(grpc::CallbackServerContext* context,
                                                   const v1::ListJobsRequest* request,
                                                   v1::ListJobsResponse* response) {
  return Answer(context, "ListJobs", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.reads->List(*request, limits().max_page_size()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* request,
                                                    v1::JobInfo* response) {
  return Answer(context, "CancelJob", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    RETURN_IF_ERROR(rooms_.jobs->Cancel(*request));
    rooms_.engine->Wake();
    ASSIGN_OR_RETURN(*response, rooms_.reads->Job(request->job_id()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::CompleteTask(grpc::CallbackServerContext* context,
                                                       const v1::CompleteTaskRequest* request,
                                                       v1::TaskInfo* response) {
  return Answer(context, "CompleteTask", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    RETURN_IF_ERROR(rooms_.jobs->CompleteExternal(*request));
    rooms_.engine->Wake();
    ASSIGN_OR_RETURN(*response, rooms_.reads->Task(request->job_id(), request->task()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::ExplainJob(grpc::CallbackServerContext* context,
                                                     const v1::ExplainJobRequest* request,
                                                     v1::ExplainJobResponse* response) {
  return Answer(context, "ExplainJob", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.reads->Explain(request->job_id()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::ListPasses(grpc::CallbackServerContext* context,
                                                     const v1::ListPassesRequest* request,
                                                     v1::ListPassesResponse* response) {
  return Answer(context, "ListPasses", rooms_.quick, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.reads->Passes(*request, limits().max_page_size()));
    return absl::OkStatus();
  });
}

}  // namespace sextant::rpc
