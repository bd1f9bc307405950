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
  return Answer(door_, context, "SubmitJob", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    v1::SubmitJobRequest filled = *request;
    if (filled.submitter().empty()) filled.set_submitter("anonymous");
    ASSIGN_OR_RETURN(const auto graph, job::Expand(limits(), filled.mutable_graph()));
    ASSIGN_OR_RETURN(const auto accepted, rooms_(caller).jobs->Submit(
        filled, graph, limits(), {caller.tenant(), caller.files()}));
    rooms_(caller).engine->Wake();
    response->set_job_id(accepted.job_id);
    response->set_existing(accepted.existing);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::PlanJob(grpc::CallbackServerContext* context,
                                                  const v1::PlanJobRequest* request,
                                                  v1::PlanJobResponse* response) {
  return Answer(door_, context, "PlanJob", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    v1::JobGraph filled = request->graph();
    ASSIGN_OR_RETURN(const auto graph, job::Expand(limits(), &filled));
    ASSIGN_OR_RETURN(*response, rooms_(caller).reads->PreviewPlan(filled, graph, caller.tenant()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::AddTasks(grpc::CallbackServerContext* context,
                                                   const v1::AddTasksRequest* request,
                                                   v1::AddTasksResponse* response) {
  return Answer(door_, context, "AddTasks", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    v1::AddTasksRequest filled = *request;
    ASSIGN_OR_RETURN(const auto graph, job::ExpandAdded(limits(), filled.mutable_tasks()));
    ASSIGN_OR_RETURN(*response, rooms_(caller).jobs->AddTasks(filled, graph, limits(), caller.files()));
    rooms_(caller).engine->Wake();
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::SealJob(grpc::CallbackServerContext* context,
                                                  const v1::SealJobRequest* request,
                                                  v1::JobInfo* response) {
  return Answer(door_, context, "SealJob", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    RETURN_IF_ERROR(rooms_(caller).jobs->Seal(*request));
    rooms_(caller).engine->Wake();
    ASSIGN_OR_RETURN(*response, rooms_(caller).reads->Job(request->job_id()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetJob(grpc::CallbackServerContext* context,
                                                 const v1::GetJobRequest* request,
                                                 v1::GetJobResponse* response) {
  return Begin(door_, context, "GetJob", quick_, request, response,
               [=, this](const access::Caller& caller, const Done& done) {
    if (const absl::Status status = Check(limits(), *request); !status.ok()) return done(status);
    store::JobReads* const reads = rooms_(caller).reads;
    if (request->wait_s() > 0)
      return LongPoll::Begin({reads, door_.access, quick_, streams_}, caller, context, *request,
                             limits().max_page_size(), response, done);
    auto answer = reads->Get(*request, limits().max_page_size());
    if (answer.ok()) *response = *std::move(answer);
    done(answer.status());
  });
}

grpc::ServerWriteReactor<v1::Event>* SextantService::WatchJob(
    grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) {
  return WatchCall::Begin(watch_rooms_, {door_, quick_, streams_}, *context, *request,
                          Check(limits(), *request));
}

grpc::ServerUnaryReactor* SextantService::ListJobs(grpc::CallbackServerContext* context,
                                                   const v1::ListJobsRequest* request,
                                                   v1::ListJobsResponse* response) {
  return Answer(door_, context, "ListJobs", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).reads->List(*request, limits().max_page_size(), caller.reach()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* request,
                                                    v1::JobInfo* response) {
  return Answer(door_, context, "CancelJob", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    RETURN_IF_ERROR(rooms_(caller).jobs->Cancel(*request));
    rooms_(caller).engine->Wake();
    ASSIGN_OR_RETURN(*response, rooms_(caller).reads->Job(request->job_id()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::CompleteTask(grpc::CallbackServerContext* context,
                                                       const v1::CompleteTaskRequest* request,
                                                       v1::TaskInfo* response) {
  return Answer(door_, context, "CompleteTask", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    RETURN_IF_ERROR(rooms_(caller).jobs->CompleteExternal(*request, caller.files()));
    rooms_(caller).engine->Wake();
    ASSIGN_OR_RETURN(*response, rooms_(caller).reads->Task(request->job_id(), request->task()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::ExplainJob(grpc::CallbackServerContext* context,
                                                     const v1::ExplainJobRequest* request,
                                                     v1::ExplainJobResponse* response) {
  return Answer(door_, context, "ExplainJob", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).reads->Explain(request->job_id()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::ListPasses(grpc::CallbackServerContext* context,
                                                     const v1::ListPassesRequest* request,
                                                     v1::ListPassesResponse* response) {
  return Answer(door_, context, "ListPasses", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).reads->Passes(*request, limits().max_page_size()));
    return absl::OkStatus();
  });
}

}  // namespace sextant::rpc
