#include "datastore/engine/import_output.h"

#include <nlohmann/json.hpp>

#include "base/failpoint.h"
#include "wire/healthimaging.h"

namespace isthmus::datastore {

namespace hi = wire::healthimaging;

namespace {

constexpr std::size_t kFilesAtATime = 500;

// An object written line by line.
class LineObject {
 public:
  static Result<LineObject> begin(Blobs& blobs) {
    TRY_ASSIGN(std::unique_ptr<BlobWriter> blob, blobs.begin());
    return LineObject(std::move(blob));
  }
  Result<void> add(std::string line) {
    line += '\n';
    md5_.update(as_bytes(line));
    return blob_->append(as_bytes(line));
  }
  Result<void> put(Objects& objects, const ObjectName& name) {
    TRY_ASSIGN(const BlobPin pin, blob_->finish());
    ObjectRecord record;
    record.etag = to_hex(md5_.finish());
    record.headers = {{"Content-Type", "application/x-ndjson"}};
    TRY(objects.put(name, std::move(record), pin));
    return {};
  }

 private:
  explicit LineObject(std::unique_ptr<BlobWriter> blob) : blob_(std::move(blob)) {}
  std::unique_ptr<BlobWriter> blob_;
  Md5 md5_;
};

std::vector<hi::ImportWarning> warnings_of(const ImportedFile& file) {
  std::vector<hi::ImportWarning> warnings;
  const auto parsed = nlohmann::json::parse(file.warnings, nullptr, false);
  if (!parsed.is_array()) return warnings;
  for (const nlohmann::json& entry : parsed) {
    if (!entry.is_object()) continue;
    hi::ImportWarning warning;
    if (const auto code = entry.find("code"); code != entry.end() && code->is_number_integer()) {
      warning.reason_code = code->get<std::int64_t>();
    }
    if (const auto type = entry.find("type"); type != entry.end() && type->is_string()) {
      warning.type = type->get<std::string>();
    }
    if (const auto text = entry.find("message"); text != entry.end() && text->is_string()) {
      warning.message = text->get<std::string>();
    }
    warnings.push_back(std::move(warning));
  }
  return warnings;
}

// The three files of lines, and what was counted on the way.
struct Lines {
  LineObject success, failure, warning;
  hi::JobOutputManifest counts;

  Result<void> add(const ImportedFile& file) {
    ++counts.number_of_scanned_files;
    if (!file.imported) {
      const bool ours = file.failure_type == "InternalServerException";
      ++(ours ? counts.number_of_files_with_server_error
              : counts.number_of_files_with_customer_error);
      return failure.add(
          hi::print(hi::FailureLine{file.key, file.failure_type, file.failure_message}));
    }
    ++counts.number_of_imported_files;
    const hi::SuccessLine line{file.key, file.image_set, file.image_set_version, file.is_primary};
    TRY(success.add(hi::print(line)));
    std::vector<hi::ImportWarning> warnings = warnings_of(file);
    if (warnings.empty()) return {};
    return warning.add(hi::print(hi::WarningLine{line, std::move(warnings)}));
  }
};

Result<void> add_all(ImportJobs& jobs, const std::string& job, Lines& lines) {
  std::int64_t last = -1;
  while (true) {
    TRY_ASSIGN(const std::vector<ImportedFile> files, jobs.files(job, last, kFilesAtATime));
    if (files.empty()) return {};
    for (const ImportedFile& file : files) TRY(lines.add(file));
    last = files.back().ordinal;
  }
}

}  // namespace

Result<void> write_import_output(ImportJobs& jobs, Objects& objects, Blobs& blobs,
                                 const ImportJobRecord& job) {
  const std::string folder_uri = hi::job_folder(job.output_s3_uri, job.data_store, job.id);
  const std::optional<hi::S3Uri> folder = hi::parse_s3_uri(folder_uri);
  if (!folder || !objects.bucket(folder->bucket)) {
    return permanent_error("datastore.import_refused", "The bucket of outputS3Uri does not exist.");
  }
  TRY_ASSIGN(LineObject success, LineObject::begin(blobs));
  TRY_ASSIGN(LineObject failure, LineObject::begin(blobs));
  TRY_ASSIGN(LineObject warning, LineObject::begin(blobs));
  Lines lines{std::move(success), std::move(failure), std::move(warning), {}};
  TRY(add_all(jobs, job.id, lines));
  const auto named = [&](std::string_view sub_folder, std::string_view name) {
    return ObjectName{folder->bucket, folder->key + std::string(sub_folder) + std::string(name)};
  };
  TRY(lines.success.put(objects, named(hi::kSuccessFolder, hi::kSuccessName)));
  TRY(lines.failure.put(objects, named(hi::kFailureFolder, hi::kFailureName)));
  TRY(lines.warning.put(objects, named(hi::kWarningFolder, hi::kWarningName)));

  hi::JobOutputManifest manifest = lines.counts;
  manifest.job_id = job.id;
  manifest.datastore_id = job.data_store;
  manifest.input_s3_uri = job.input_s3_uri;
  manifest.output_s3_uri = folder_uri;
  manifest.success_output_s3_uri = folder_uri + std::string(hi::kSuccessFolder);
  manifest.failure_output_s3_uri = folder_uri + std::string(hi::kFailureFolder);
  manifest.warnings_output_s3_uri = folder_uri + std::string(hi::kWarningFolder);
  TRY_ASSIGN(const std::vector<ImportedImageSet> sets, jobs.image_sets(job.id));
  manifest.number_of_generated_image_sets = static_cast<std::int64_t>(sets.size());
  for (const ImportedImageSet& set : sets) {
    manifest.image_sets.push_back({set.id, set.version, set.is_primary, set.instances});
  }
  TRY(objects.put_text(named("", hi::kManifestName), "application/json", hi::print(manifest)));
  FAILPOINT(datastore_manifest_written);
  return {};
}

}  // namespace isthmus::datastore
