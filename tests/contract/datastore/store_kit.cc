#include "contract/datastore/store_kit.h"

#include <thread>

#include "base/digest.h"
#include "datastore/engine/pixel_layout.h"
#include "sql/sql.h"

namespace isthmus::test {

namespace hi = wire::healthimaging;

namespace {

// What the worker says of two frames of 4 × 4 pixels of 16 bits each.
nlohmann::json pixel_data() {
  datastore::PixelDescription description;
  description.form = datastore::FrameForm::transcoded;
  description.transfer_syntax_uid = "1.2.840.10008.1.2.1";
  description.rows = 4;
  description.columns = 4;
  description.bits_allocated = 16;
  description.bits_stored = 12;
  description.photometric = "MONOCHROME2";
  Bytes records;
  for (const std::uint64_t offset : {0U, 32U}) {
    datastore::FrameRecord frame;
    frame.offset = offset;
    frame.length = 32;
    frame.state = datastore::FrameState::measured;
    frame.size_bytes = 32;
    append_record(frame, records);
  }
  return {{"description", to_json(description)}, {"records", to_base64(records)}};
}

}  // namespace

std::string FakeInstance::text() const {
  const auto or_null = [](const std::string& value) {
    return value.empty() ? nlohmann::json(nullptr) : nlohmann::json(value);
  };
  nlohmann::json answer = {
      {"ok", true},
      {"transferSyntaxUID", "1.2.840.10008.1.2.1"},
      {"identity",
       {{"sopClassUID", "1.2.840.10008.5.1.4.1.1.2"},
        {"sopInstanceUID", sop},
        {"studyInstanceUID", study},
        {"seriesInstanceUID", series}}},
      {"grouping",
       {{"study",
         {{"StudyDate", or_null(study_date)},
          {"AccessionNumber", or_null(accession)},
          {"PatientID", or_null(patient_id)},
          {"StudyInstanceUID", study},
          {"StudyID", nullptr}}},
        {"series", {{"SeriesInstanceUID", series}, {"SeriesNumber", or_null(series_number)}}}}},
      {"tags",
       {{"PatientID", or_null(patient_id)},
        {"PatientName", or_null(patient_name)},
        {"StudyInstanceUID", study},
        {"StudyDate", or_null(study_date)},
        {"StudyTime", or_null(study_time)},
        {"AccessionNumber", or_null(accession)},
        {"SeriesInstanceUID", series},
        {"SeriesNumber", or_null(series_number)},
        {"Modality", "CT"}}},
      {"rows", 4},
      {"columns", 4},
      {"frames", 2},
      {"hasPixelData", true},
      {"pixelData", pixel_data()},
      {"datasetOffset", 200},
      {"metadata",
       {{"patient", {{"PatientID", or_null(patient_id)}, {"PatientName", or_null(patient_name)}}},
        {"study",
         {{"StudyInstanceUID", study},
          {"StudyDate", or_null(study_date)},
          {"StudyTime", or_null(study_time)},
          {"AccessionNumber", or_null(accession)}}},
        {"series",
         {{"SeriesInstanceUID", series},
          {"SeriesNumber", or_null(series_number)},
          {"Modality", "CT"}}},
        {"instance", {{"SOPInstanceUID", sop}, {"00191001", "vendor"}}},
        {"DICOMVRs", {{"00191001", "LO"}}}}},
      {"warnings", warnings}};
  return answer.dump();
}

StoreKit::StoreKit(datastore::DataStoreOptions options) : options_(std::move(options)) {
  if (options_.access_keys.empty()) options_.access_keys = {kKey};
  if (options_.worker_program.empty()) options_.worker_program = program("fake-import-worker");
  open();
}

datastore::DataStoreOptions StoreKit::options(const std::string& folder) const {
  datastore::DataStoreOptions options = options_;
  options.directory = env_.folder() / folder;
  return options;
}

void StoreKit::open(const std::string& folder) {
  store_.reset();
  auto opened = datastore::open_data_store(env_, options(folder));
  if (!opened) throw std::runtime_error(describe(opened.error()));
  store_ = std::move(*opened);
}

http::Request StoreKit::request(const std::string& method, const std::string& target,
                                std::string body, http::Headers headers) {
  http::Request request;
  request.method = method;
  request.url = "http://store.test" + target;
  request.headers = std::move(headers);
  if (!body.empty() || method == "PUT" || method == "POST") {
    request.body = source_of(std::move(body));
  }
  return request;
}

Answer StoreKit::raw(http::Request request) {
  const auto transport = http::make_loopback(store_->handler());
  auto response = transport->send(std::move(request));
  if (!response) throw std::runtime_error(describe(response.error()));
  Answer answer{response->status, response->headers, ""};
  if (response->body) {
    auto body = read_all(*response->body, 256 * MiB);
    if (!body) throw std::runtime_error(describe(body.error()));
    answer.body = std::move(*body);
  }
  return answer;
}

Answer StoreKit::s3(const std::string& method, const std::string& target, std::string body,
                    http::Headers headers) {
  const std::string hash = sha256(body).hex();
  http::Request made = request(method, target, std::move(body), std::move(headers));
  const auto signed_ok = wire::sigv4::sign(made, {kKey.access_key_id, kKey.secret_access_key, ""},
                                           "us-east-1", "s3", env_.clock.wall_now(), hash);
  EXPECT_THAT(signed_ok, IsOk());
  return raw(std::move(made));
}

Answer StoreKit::imaging(const std::string& method, const std::string& target, std::string body) {
  const std::string hash = sha256(body).hex();
  http::Request made = request(method, target, std::move(body));
  const auto signed_ok =
      wire::sigv4::sign(made, {kKey.access_key_id, kKey.secret_access_key, ""}, "us-east-1",
                        "medical-imaging", env_.clock.wall_now(), hash);
  EXPECT_THAT(signed_ok, IsOk());
  return raw(std::move(made));
}

std::int64_t StoreKit::names_kept() const {
  auto database = sql::Database::open(env_.folder() / "store" / "catalogue.sqlite",
                                      {.error_area = "test", .read_only = true});
  EXPECT_THAT(database, IsOk());
  if (!database) return -1;
  const auto kept = database->query_integer(
      "SELECT (SELECT COUNT(*) FROM image_sets WHERE patient_name <> '')"
      " + (SELECT COUNT(*) FROM name_words)");
  EXPECT_THAT(kept, IsOk());
  return kept ? kept->value_or(-1) : -1;
}

std::string StoreKit::make_data_store(const std::string& name) {
  for (const char* bucket : {"in-bucket", "out-bucket"}) {
    EXPECT_EQ(s3("PUT", std::string("/") + bucket).status, 200);
  }
  hi::CreateDatastoreRequest request;
  request.datastore_name = name;
  request.client_token = "make-" + name;
  const Answer answer = imaging(hi::to_call(request));
  EXPECT_EQ(answer.status, 200) << answer.body;
  return answer.json().value("datastoreId", "");
}

std::string StoreKit::start_import(const std::string& data_store, const std::string& prefix,
                                   const std::string& token) {
  hi::StartDICOMImportJobRequest request;
  request.datastore_id = data_store;
  request.job_name = "job-" + prefix;
  request.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
  request.client_token = token;
  request.input_s3_uri = "s3://in-bucket/" + prefix + "/";
  request.output_s3_uri = "s3://out-bucket/" + prefix;
  const Answer answer = imaging(hi::to_call(request));
  EXPECT_EQ(answer.status, 200) << answer.body;
  return answer.json().value("jobId", "");
}

nlohmann::json StoreKit::wait_for(const std::string& data_store, const std::string& job) {
  nlohmann::json properties;
  for (int i = 0; i < 6000; ++i) {
    const Answer answer = imaging(hi::to_call(hi::GetDICOMImportJobRequest{data_store, job}));
    EXPECT_EQ(answer.status, 200) << answer.body;
    properties = answer.json()["jobProperties"];
    const std::string status = properties.value("jobStatus", "");
    if (status == "COMPLETED" || status == "FAILED") return properties;
    // Processes are waited for here: real time, and a limit far above what is needed.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ADD_FAILURE() << "the import job did not end: " << properties;
  return properties;
}

nlohmann::json StoreKit::import(const std::string& data_store, const std::string& prefix,
                                const std::map<std::string, std::string>& files) {
  for (const auto& [name, content] : files) {
    EXPECT_EQ(s3("PUT", "/in-bucket/" + prefix + "/" + name, content).status, 200);
  }
  const std::string job = start_import(data_store, prefix, "token-" + prefix);
  store_->start();
  return wait_for(data_store, job);
}

std::string StoreKit::output(const nlohmann::json& job, const std::string& name) {
  const std::string folder = job.value("outputS3Uri", "");
  EXPECT_TRUE(folder.starts_with("s3://") && folder.ends_with("/")) << folder;
  const Answer answer = s3("GET", "/" + folder.substr(5) + name);
  EXPECT_EQ(answer.status, 200) << folder << name << " " << answer.body;
  return answer.body;
}

std::vector<nlohmann::json> StoreKit::lines(const nlohmann::json& job, const std::string& name) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(output(job, name));
  for (std::string line; std::getline(text, line);) {
    lines.push_back(nlohmann::json::parse(line, nullptr, false));
  }
  return lines;
}

nlohmann::json StoreKit::manifest(const nlohmann::json& job) {
  return nlohmann::json::parse(output(job, "job-output-manifest.json"), nullptr, false)
      .value("jobSummary", nlohmann::json());
}

}  // namespace isthmus::test
