// What a request names: jobs, passes, tenants. Found by the names of its fields, in messages within it
// too, so that a new request is covered by how it is written:
//   int64   job_id, job_a, job_b         jobs
//   int64   pass_id, pass_ids            passes
//   string  tenant                       tenants
// Blobs are named by digests; server/store/blobs.h asks whose each is where it is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "google/protobuf/message.h"

namespace sextant::access {

enum class Names { kNothing, kJob, kPass, kTenant };
Names WhatNames(const google::protobuf::FieldDescriptor& field);

struct Subject {
  Names what = Names::kNothing;
  std::string field;   // its path in the request: "subject.job_id"
  int64_t id = 0;      // of a job or pass; never 0
  std::string tenant;  // not empty, where it names one
};

// In the order of the fields. Graphs and tasks to run are not looked into: they name jobs nowhere.
std::vector<Subject> SubjectsOf(const google::protobuf::Message& request);

// "job 12", "token sx_4f3a", "tenant a", "worker w": what the audit trail says a call was about. The
// answer may name what the request could not; null: none.
std::string AuditSubject(const google::protobuf::Message* request,
                         const google::protobuf::Message* response);

}  // namespace sextant::access
