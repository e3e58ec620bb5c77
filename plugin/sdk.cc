#include "plugin/sdk.h"

#include <limits>

namespace isthmus::plugin {
namespace {

// Of our choice; those of plugins begin at 1024 (OrthancCPlugin.h, OrthancPluginSetGlobalProperty).
constexpr std::int32_t kNoteProperty = 47'001;

// What Orthanc holds of a job. No exception leaves its callbacks.
struct HeldJob {
  std::unique_ptr<BatchJob> job;
  std::string content;  // Orthanc reads it after the call
};

HeldJob& held(void* job) {
  return *static_cast<HeldJob*>(job);
}

void finalize_job(void* job) {
  delete static_cast<HeldJob*>(job);
}

float progress_of_job(void* job) {
  return held(job).job->progress();
}

const char* content_of_job(void* job) {
  try {
    held(job).content = held(job).job->content();
    return held(job).content.c_str();
  } catch (...) {
    return nullptr;
  }
}

const char* serialize_no_job(void*) {
  return nullptr;
}

OrthancPluginJobStepStatus step_job(void* job) {
  try {
    switch (held(job).job->step()) {
      case BatchJob::Step::goes_on:
        return OrthancPluginJobStepStatus_Continue;
      case BatchJob::Step::succeeded:
        return OrthancPluginJobStepStatus_Success;
      case BatchJob::Step::failed:
        break;
    }
  } catch (...) {  // Orthanc shows it as failed
  }
  return OrthancPluginJobStepStatus_Failure;
}

OrthancPluginErrorCode stop_job(void* job, OrthancPluginJobStopReason) {
  held(job).job->leave();
  return OrthancPluginErrorCode_Success;
}

OrthancPluginErrorCode reset_job(void*) {
  return OrthancPluginErrorCode_Success;
}

}  // namespace

std::string take_text(OrthancPluginContext* context, char* text) {
  if (text == nullptr) return {};
  std::string owned(text);
  OrthancPluginFreeString(context, text);
  return owned;
}

Result<std::string> SdkArchive::call(OrthancPluginHttpMethod method, const std::string& path,
                                     const std::string& body) {
  if (body.size() > std::numeric_limits<std::uint32_t>::max()) {
    return permanent_error("orthanc.refused", "The body of a request to Orthanc is too large.");
  }
  OrthancPluginMemoryBuffer answer{};
  std::uint16_t status = 0;
  const OrthancPluginErrorCode code = OrthancPluginCallRestApi(
      context_, &answer, nullptr, &status, method, path.c_str(), 0, nullptr, nullptr, body.data(),
      static_cast<std::uint32_t>(body.size()), /*afterPlugins=*/0);
  std::string text;
  if (code == OrthancPluginErrorCode_Success) {
    text.assign(static_cast<const char*>(answer.data), answer.size);
    OrthancPluginFreeMemoryBuffer(context_, &answer);
  }
  const bool unknown = code == OrthancPluginErrorCode_UnknownResource ||
                       code == OrthancPluginErrorCode_InexistentItem;
  if (status == 404 || unknown) {
    return permanent_error("orthanc.not_found", "Orthanc does not have it (any more).");
  }
  if (status >= 400 && status < 500) {
    return permanent_error("orthanc.refused",
                           "Orthanc refused a request with status " + std::to_string(status) + ".");
  }
  if (code != OrthancPluginErrorCode_Success || status >= 300) {
    return transient_error("orthanc.failed", "Orthanc failed to answer: error " +
                                                 std::to_string(static_cast<int>(code)) +
                                                 ", status " + std::to_string(status) + ".");
  }
  return text;
}

Result<std::string> SdkArchive::get(const std::string& path) {
  return call(OrthancPluginHttpMethod_Get, path, {});
}

Result<std::string> SdkArchive::post(const std::string& path, const std::string& body) {
  return call(OrthancPluginHttpMethod_Post, path, body);
}

Result<void> SdkArchive::put(const std::string& path, const std::string& body) {
  TRY(call(OrthancPluginHttpMethod_Put, path, body));
  return {};
}

Result<void> SdkArchive::remove(const std::string& path) {
  TRY(call(OrthancPluginHttpMethod_Delete, path, {}));
  return {};
}

Result<std::string> SdkArchive::note() {
  char* text = OrthancPluginGetGlobalProperty(context_, kNoteProperty, "");
  if (text == nullptr) return transient_error("orthanc.failed", "Orthanc's database says nothing.");
  return take_text(context_, text);
}

Result<void> SdkArchive::keep_note(const std::string& line) {
  const auto code = OrthancPluginSetGlobalProperty(context_, kNoteProperty, line.c_str());
  if (code == OrthancPluginErrorCode_Success) return {};
  return transient_error("orthanc.failed", "Orthanc's database takes nothing.");
}

Result<void> SdkJobBoard::submit(std::unique_ptr<BatchJob> job) {
  auto given = std::make_unique<HeldJob>(HeldJob{std::move(job), {}});
  OrthancPluginJob* const made =
      OrthancPluginCreateJob(context_, given.get(), finalize_job, "IsthmusImport", progress_of_job,
                             content_of_job, serialize_no_job, step_job, stop_job, reset_job);
  if (made == nullptr) return transient_error("orthanc.failed", "Orthanc makes no job.");
  given.release();  // finalize_job() takes it back
  char* const id = OrthancPluginSubmitJob(context_, made, /*priority=*/-10);
  // Whether it is Orthanc's by then is not known: better lost than freed twice.
  if (id == nullptr) return transient_error("orthanc.failed", "Orthanc takes no job.");
  OrthancPluginFreeString(context_, id);
  return {};
}

void SdkLog::event(LogLevel level, std::string_view name, std::initializer_list<LogField> fields) {
  if (level < least_) return;
  std::string line = "isthmus " + std::string(name);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += log_value(field.value);
  }
  if (level == LogLevel::error) {
    OrthancPluginLogError(context_, line.c_str());
  } else if (level == LogLevel::warn) {
    OrthancPluginLogWarning(context_, line.c_str());
  } else {
    OrthancPluginLogInfo(context_, line.c_str());
  }
}

}  // namespace isthmus::plugin
