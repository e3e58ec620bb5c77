// The Orthanc SDK behind our types: its REST API, its log. The C header stays in sdk.cc, routes.cc
// and entry_points.cc.
#pragma once

#include <orthanc/OrthancCPlugin.h>

#include "base/log.h"
#include "plugin/archive.h"
#include "plugin/import_jobs.h"

namespace isthmus::plugin {

// References outlive what is made here. Any thread.
class SdkArchive final : public Archive {
 public:
  explicit SdkArchive(OrthancPluginContext* context) : context_(context) {}
  Result<std::string> get(const std::string& path) override;
  Result<std::string> post(const std::string& path, const std::string& body) override;
  Result<void> put(const std::string& path, const std::string& body) override;
  Result<void> remove(const std::string& path) override;
  Result<std::string> note() override;
  Result<void> keep_note(const std::string& line) override;

 private:
  Result<std::string> call(OrthancPluginHttpMethod method, const std::string& path,
                           const std::string& body);
  OrthancPluginContext* context_;
};

// Jobs of the type "IsthmusImport" in Orthanc's jobs engine, which keeps none of them over a
// restart. Any thread.
class SdkJobBoard final : public JobBoard {
 public:
  explicit SdkJobBoard(OrthancPluginContext* context) : context_(context) {}
  Result<void> submit(std::unique_ptr<BatchJob> job) override;

 private:
  OrthancPluginContext* context_;
};

// Our events as lines of Orthanc's log, each with "isthmus" in front; Orthanc shows those of level
// info only when it is told to be verbose.
class SdkLog final : public Log {
 public:
  explicit SdkLog(OrthancPluginContext* context) : context_(context) {}
  // Before the first event of another thread.
  void set_level(LogLevel least) { least_ = least; }
  void event(LogLevel level, std::string_view name,
             std::initializer_list<LogField> fields) override;

 private:
  OrthancPluginContext* context_;
  LogLevel least_ = LogLevel::info;
};

// A string that Orthanc allocated, given back to it; empty for none.
std::string take_text(OrthancPluginContext* context, char* text);

}  // namespace isthmus::plugin
