#include "bench/synthetic_job.h"

#include "absl/strings/str_cat.h"
#include "bench/fake_worker.h"
#include "bench/synthetic.h"
#include "proto/chunk/encoder.h"

namespace sextant::bench {
namespace {

constexpr size_t kPiece = 1 << 20;

// As many devices as passes: all are handed out at once.
v1::WorkerInfo Measures(int devices) {
  v1::WorkerInfo info;
  info.set_name("fake");
  info.set_machine_class("bench");
  for (int i = 0; i < devices; ++i) {
    auto* device = info.add_devices();
    device->set_name(absl::StrCat("cpu", i));
    device->set_kind("host");
  }
  auto* backend = info.add_backends();
  backend->set_name("host");
  backend->set_available(true);
  return info;
}

v1::TraceReceipt Upload(Service& service, const v1::PassRef& pass, uint64_t seed, uint64_t events) {
  auto workers = v1::Workers::NewStub(service.NewChannel());
  grpc::ClientContext context;
  v1::TraceReceipt receipt;
  auto writer = workers->UploadTrace(&context, &receipt);
  Synthetic source(seed);
  auto encoder = Check(chunk::Encoder::Create(
      source.Info(), [&](chunk::EncodedChunk chunk) -> absl::Status {
        v1::TraceUpload message;
        if (chunk.sequence == 0) *message.mutable_pass() = pass;
        message.set_chunk(std::move(chunk.bytes));
        message.set_digest(std::move(chunk.digest));
        return writer->Write(message) ? absl::OkStatus() : absl::InternalError("UploadTrace ended");
      }));
  for (uint64_t done = 0; done < events;) {
    auto piece = source.Next(std::min<uint64_t>(kPiece, events - done), kStepNs);
    done += piece.size();
    Check(encoder->Add(std::move(piece)));
  }
  Check(encoder->Finish());
  writer->WritesDone();
  Must(writer->Finish(), "UploadTrace");
  return receipt;
}

}  // namespace

int64_t MakeJob(Service& service, int passes, uint64_t events) {
  auto stub = v1::Workers::NewStub(service.NewChannel());
  FakeWorker worker(stub.get(), Measures(passes));
  v1::SubmitJobRequest request;
  request.set_request_id(absl::StrCat("passes", passes));
  request.mutable_graph()->set_salt(request.request_id());
  auto* task = request.mutable_graph()->add_tasks();
  task->set_name("profile");
  task->mutable_profile()->mutable_workload()->add_argv("synthetic");
  auto* spec = task->mutable_profile()->add_passes();
  spec->set_backend("host");
  spec->set_repeat(passes);
  v1::SubmitJobResponse accepted;
  {
    grpc::ClientContext context;
    Must(service.client().SubmitJob(&context, request, &accepted), "SubmitJob");
  }
  uint64_t seed = 0;
  for (const v1::Assignment& assignment : worker.WaitGiven(passes)) {
    const v1::TraceReceipt receipt =
        Upload(service, assignment.pass(), ++seed, events / passes);
    v1::CommitPassesRequest commits;
    commits.set_worker("fake");
    auto* commit = commits.add_commits();
    *commit->mutable_pass() = assignment.pass();
    auto* result = commit->mutable_result();
    result->mutable_exit()->set_verdict(v1::EXITED);
    result->mutable_provenance()->set_machine_class("bench");
    result->set_trace_digest(receipt.trace_digest());
    result->set_events(receipt.events());
    grpc::ClientContext context;
    v1::CommitPassesResponse response;
    Must(stub->CommitPasses(&context, commits, &response), "CommitPasses");
    if (response.outcomes(0).outcome() != v1::COMMITTED) {
      Check(absl::InternalError(absl::StrCat("commit: ", response.outcomes(0).message())));
    }
  }
  worker.End();
  return accepted.job_id();
}

}  // namespace sextant::bench
