#include "server/gateway/json.h"

#include "sextant/v1/sextant.pb.h"
#include "tests/catch.h"

namespace sextant::gateway {

TEST_CASE("query parameters become fields, also of messages inside and of lists") {
  v1::GetTimelineRequest timeline;
  CHECK(SetField("job_id", "7", &timeline).ok());
  CHECK(SetField("quantiles", "0.5", &timeline).ok());
  CHECK(SetField("quantiles", "0.9", &timeline).ok());
  CHECK(SetField("exact", "true", &timeline).ok());
  CHECK(SetField("origin", "SINCE_CTA", &timeline).ok());
  CHECK(timeline.job_id() == 7);
  CHECK(timeline.quantiles_size() == 2);
  CHECK(timeline.exact());
  CHECK(timeline.origin() == v1::SINCE_CTA);
  v1::GetHotspotsRequest hotspots;
  CHECK(SetField("subject.kernel", "mm", &hotspots).ok());
  CHECK(hotspots.subject().kernel() == "mm");
  v1::GetBlobRequest blob;
  CHECK(SetField("digest", "00ff", &blob).ok());
  CHECK(blob.digest() == std::string("\0\xff", 2));
}

TEST_CASE("a query parameter that fits no field is refused with what would fit") {
  v1::GetTimelineRequest timeline;
  const auto message = [&](const char* name, const char* value) {
    const absl::Status status = SetField(name, value, &timeline);
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  CHECK(message("job", "7").find("job_id") != std::string::npos);
  CHECK(message("job_id", "seven") == "job_id: expected a whole number");
  CHECK(message("buckets", "-1") == "buckets: expected a whole number from 0");
  CHECK(message("origin", "cta").find("SINCE_CTA") != std::string::npos);
  CHECK(message("job_id.x", "1").find("no dot") != std::string::npos);
  v1::GetBlobRequest blob;
  CHECK(absl::IsInvalidArgument(SetField("digest", "0", &blob)));
  CHECK(absl::IsInvalidArgument(SetField("digest", "zz", &blob)));
}

TEST_CASE("an error is taken apart into field and remedy") {
  const Problem wrong = Explain(absl::InvalidArgumentError("graph.tasks[3].name: is empty; give it one"));
  CHECK(wrong.code == "INVALID_ARGUMENT");
  CHECK(wrong.field == "graph.tasks[3].name");
  CHECK(wrong.remedy == "give it one");
  CHECK(Explain(absl::InvalidArgumentError("No: not a field")).field.empty());
  CHECK(Explain(absl::NotFoundError("job: not a field either")).field.empty());
  CHECK(Explain(absl::UnimplementedError("")).message.find("update") != std::string::npos);
  CHECK(ErrorJson(absl::NotFoundError("no \"job\"")) ==
        R"({"code":"NOT_FOUND","message":"no \"job\"","field":"","remedy":""})");
}

TEST_CASE("JSON that is no message is refused") {
  v1::GetJobRequest request;
  CHECK(FromJson("", &request).ok());
  CHECK(FromJson(R"({"job_id": "7", "withTasks": true})", &request).ok());
  CHECK(request.job_id() == 7);
  CHECK(request.with_tasks());
  for (const char* json : {"{", "[]", "7", R"({"job": 7})", R"({"job_id": "x"})", R"({"job_id": {}})"})
    CHECK(absl::IsInvalidArgument(FromJson(json, &request)));
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  CHECK(absl::IsInvalidArgument(FromJson("{\"job_id\":" + deep + "}", &request)));
}

}  // namespace sextant::gateway
