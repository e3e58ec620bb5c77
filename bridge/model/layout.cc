#include "model/layout.h"

#include <fmt/format.h>

#include <charconv>

namespace isthmus::layout {
namespace {

constexpr std::string_view kFileSuffix = ".dcm";
constexpr std::string_view kSegmentSuffix = ".segment";

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

// Digits 7 and 8 of an id are bits 12 to 19 of the millisecond it was made in: they change
// every 4.1 s and come round every 17.5 min. So instances that arrive together share a folder, and
// a group of them one directory sync, while the many that are held spread over all folders.
std::string spool_folder_of(const InstanceId& instance) {
  return instance.text().substr(7, 2);
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

std::string spool_folder(std::size_t index) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {kDigits[index / 16 % 16], kDigits[index % 16]};
}

std::string spool_file(const InstanceId& instance) {
  return spool_folder_of(instance) + "/" + instance.text() + std::string(kFileSuffix);
}

std::string spool_part(const InstanceId& instance) {
  return spool_folder_of(instance) + "/" + instance.text() + std::string(kSpoolPartSuffix);
}

std::optional<InstanceId> instance_of_spool_name(std::string_view name) {
  if (auto instance = stripped(name, kFileSuffix)) return instance;
  return stripped(name, kSpoolPartSuffix);
}

std::string segment_file(std::uint32_t number) {
  return fmt::format("{:08x}{}", number, kSegmentSuffix);
}

std::string segment_part(std::uint32_t number) {
  return fmt::format("{:08x}{}", number, kSpoolPartSuffix);
}

std::optional<std::uint32_t> segment_of_name(std::string_view name) {
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number, 16);
  if (parsed.ec != std::errc() || segment_file(number) != name) return std::nullopt;
  return number;
}

}  // namespace isthmus::layout
