#include "model/layout.h"

namespace isthmus::layout {
namespace {

constexpr std::string_view kFileSuffix = ".dcm";
constexpr std::string_view kPartSuffix = ".part";

std::string joined(std::string_view prefix) {
  std::string text(prefix);
  while (!text.empty() && text.back() == '/') text.pop_back();
  if (!text.empty()) text += '/';
  return text;
}

std::optional<InstanceId> stripped(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  return InstanceId::parse(name.substr(0, name.size() - suffix.size()));
}

}  // namespace

std::string batch_prefix(std::string_view prefix, const BatchId& batch) {
  return joined(prefix) + batch.text() + "/in/";
}

ObjectKey staged_object(std::string_view prefix, const BatchId& batch, const InstanceId& instance) {
  return {batch_prefix(prefix, batch) + instance.text() + std::string(kFileSuffix)};
}

std::optional<InstanceId> instance_of(const ObjectKey& key) {
  const auto slash = key.text.rfind('/');
  const std::string_view name =
      std::string_view(key.text).substr(slash == std::string::npos ? 0 : slash + 1);
  return stripped(name, kFileSuffix);
}

std::string job_output_prefix(std::string_view prefix, const BatchId& batch,
                              const ImportJobId& job) {
  return joined(prefix) + batch.text() + "/out/" + job.text() + "/";
}

std::string job_name(const ImportJobId& job) {
  return "isthmus-" + job.text();
}

// An id ends in random digits, so its last two spread files over 256 folders.
std::string spool_file(const InstanceId& instance) {
  return instance.text().substr(30) + "/" + instance.text() + std::string(kFileSuffix);
}

std::string spool_part(const InstanceId& instance) {
  return instance.text().substr(30) + "/" + instance.text() + std::string(kPartSuffix);
}

std::optional<InstanceId> instance_of_spool_name(std::string_view name) {
  if (auto instance = stripped(name, kFileSuffix)) return instance;
  return stripped(name, kPartSuffix);
}

}  // namespace isthmus::layout
