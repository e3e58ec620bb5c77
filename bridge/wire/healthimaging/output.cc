// What an import job leaves in its bucket: job-output-manifest.json and the ndjson files
// (contracts/healthimaging section 3).
#include <fmt/format.h>

#include "wire/healthimaging/json.h"

namespace isthmus::wire::healthimaging {

namespace {

constexpr std::string_view kScheme = "s3://";

OrderedJson import_response(const SuccessLine& line) {
  OrderedJson json;
  json["imageSetId"] = line.image_set_id;
  put(json, "imageSetVersion", line.image_set_version);
  put(json, "isPrimary", line.is_primary);
  return json;
}

SuccessLine read_success(Fields& fields, std::optional<Error>& error) {
  SuccessLine line;
  line.input_file = fields.required_text("inputFile");
  Fields response(fields.required_object("importResponse"), error);
  line.image_set_id = response.required_text("imageSetId");
  line.image_set_version = response.integer("imageSetVersion");
  line.is_primary = response.boolean("isPrimary");
  return line;
}

}  // namespace

std::optional<S3Uri> parse_s3_uri(std::string_view uri) {
  if (!check(Shape::S3Uri, "uri", uri).ok()) return std::nullopt;
  uri.remove_prefix(kScheme.size());
  const std::size_t slash = uri.find('/');
  S3Uri parts{std::string(uri.substr(0, slash)), ""};
  if (slash != std::string_view::npos) parts.key = uri.substr(slash + 1);
  return parts;
}

std::string print(const S3Uri& uri) {
  return fmt::format("{}{}/{}", kScheme, uri.bucket, uri.key);
}

std::string job_folder(std::string_view output_s3_uri, std::string_view datastore_id,
                       std::string_view job_id) {
  return fmt::format("{}{}{}-DicomImport-{}/", output_s3_uri,
                     output_s3_uri.ends_with('/') ? "" : "/", datastore_id, job_id);
}

std::string print(const JobOutputManifest& manifest) {
  OrderedJson summary;
  summary["jobId"] = manifest.job_id;
  summary["datastoreId"] = manifest.datastore_id;
  summary["inputS3Uri"] = manifest.input_s3_uri;
  summary["outputS3Uri"] = manifest.output_s3_uri;
  summary["successOutputS3Uri"] = manifest.success_output_s3_uri;
  summary["failureOutputS3Uri"] = manifest.failure_output_s3_uri;
  put(summary, "warningsOutputS3Uri", manifest.warnings_output_s3_uri);
  summary["numberOfScannedFiles"] = manifest.number_of_scanned_files;
  summary["numberOfImportedFiles"] = manifest.number_of_imported_files;
  summary["numberOfFilesWithCustomerError"] = manifest.number_of_files_with_customer_error;
  summary["numberOfFilesWithServerError"] = manifest.number_of_files_with_server_error;
  summary["numberOfGeneratedImageSets"] = manifest.number_of_generated_image_sets;
  OrderedJson& sets = summary["imageSetsSummary"] = OrderedJson::array();
  for (const ManifestImageSet& set : manifest.image_sets) {
    OrderedJson one;
    one["imageSetId"] = set.image_set_id;
    put(one, "imageSetVersion", set.image_set_version);
    put(one, "isPrimary", set.is_primary);
    put(one, "numberOfMatchedSOPInstances", set.number_of_matched_sop_instances);
    sets.push_back(std::move(one));
  }
  OrderedJson json;
  json["jobSummary"] = std::move(summary);
  return dumped(json);
}

Result<JobOutputManifest> parse_manifest(std::string_view text) {
  return read_object<JobOutputManifest>(
      text, "import job's manifest", [](Fields& outer, std::optional<Error>& error) {
        Fields fields(outer.required_object("jobSummary"), error);
        JobOutputManifest manifest;
        manifest.job_id = fields.required_text("jobId");
        manifest.datastore_id = fields.text("datastoreId").value_or("");
        manifest.input_s3_uri = fields.text("inputS3Uri").value_or("");
        manifest.output_s3_uri = fields.text("outputS3Uri").value_or("");
        manifest.success_output_s3_uri = fields.text("successOutputS3Uri").value_or("");
        manifest.failure_output_s3_uri = fields.text("failureOutputS3Uri").value_or("");
        manifest.warnings_output_s3_uri = fields.text("warningsOutputS3Uri");
        const auto count = [&](const char* name) { return fields.integer(name).value_or(0); };
        manifest.number_of_scanned_files = count("numberOfScannedFiles");
        manifest.number_of_imported_files = count("numberOfImportedFiles");
        manifest.number_of_files_with_customer_error = count("numberOfFilesWithCustomerError");
        manifest.number_of_files_with_server_error = count("numberOfFilesWithServerError");
        manifest.number_of_generated_image_sets = count("numberOfGeneratedImageSets");
        for (const Json& item : fields.array("imageSetsSummary")) {
          Fields set(item, error);
          manifest.image_sets.push_back({set.required_text("imageSetId"),
                                         set.integer("imageSetVersion"), set.boolean("isPrimary"),
                                         set.integer("numberOfMatchedSOPInstances")});
        }
        return manifest;
      });
}

std::string print(const SuccessLine& line) {
  OrderedJson json;
  json["inputFile"] = line.input_file;
  json["importResponse"] = import_response(line);
  return dumped(json);
}

std::string print(const FailureLine& line) {
  OrderedJson json;
  json["inputFile"] = line.input_file;
  json["exception"]["exceptionType"] = line.exception_type;
  json["exception"]["message"] = line.message;
  return dumped(json);
}

std::string print(const WarningLine& line) {
  OrderedJson json;
  json["inputFile"] = line.imported.input_file;
  OrderedJson& response = json["importResponse"] = import_response(line.imported);
  OrderedJson& warnings = response["warnings"] = OrderedJson::array();
  for (const ImportWarning& warning : line.warnings) {
    OrderedJson one;
    one["warning_reason_code"] = warning.reason_code;
    one["type"] = warning.type;
    one["message"] = warning.message;
    warnings.push_back(std::move(one));
  }
  return dumped(json);
}

Result<SuccessLine> parse_success_line(std::string_view json) {
  return read_object<SuccessLine>(json, "success line", read_success);
}

Result<FailureLine> parse_failure_line(std::string_view json) {
  return read_object<FailureLine>(
      json, "failure line", [](Fields& fields, std::optional<Error>& error) {
        FailureLine line;
        line.input_file = fields.required_text("inputFile");
        const Fields exception(fields.required_object("exception"), error);
        line.exception_type = exception.text("exceptionType").value_or("");
        line.message = exception.text("message").value_or("");
        return line;
      });
}

Result<WarningLine> parse_warning_line(std::string_view json) {
  return read_object<WarningLine>(
      json, "warning line", [](Fields& fields, std::optional<Error>& error) {
        WarningLine line;
        line.imported = read_success(fields, error);
        const Fields response(fields.object("importResponse"), error);
        for (const Json& item : response.array("warnings")) {
          const Fields warning(item, error);
          line.warnings.push_back({warning.integer("warning_reason_code").value_or(0),
                                   warning.text("type").value_or(""),
                                   warning.text("message").value_or("")});
        }
        return line;
      });
}

}  // namespace isthmus::wire::healthimaging
