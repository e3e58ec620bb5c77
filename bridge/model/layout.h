// Every file name and object key that we make, and their parsers. Made of our own ids only: nothing
// that came from outside is ever part of a path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace isthmus {

// A key in a bucket: no leading slash, characters [A-Za-z0-9._/-] when we made it.
struct ObjectKey {
  std::string text;
  bool operator==(const ObjectKey&) const = default;
  auto operator<=>(const ObjectKey&) const = default;
};

namespace layout {

// "<prefix>/<batch id>/in/": what an import job of this batch reads. `prefix` may be empty; a slash
// at its end does not count.
std::string batch_prefix(std::string_view prefix, const BatchId& batch);
// "<prefix>/<batch id>/in/<instance id>.dcm"
ObjectKey staged_object(std::string_view prefix, const BatchId& batch, const InstanceId& instance);
// The instance id in a key that staged_object made; nothing otherwise.
std::optional<InstanceId> instance_of(const ObjectKey& key);
// "<prefix>/<batch id>/out/<import job id>/": where a job leaves its output.
std::string job_output_prefix(std::string_view prefix, const BatchId& batch,
                              const ImportJobId& job);
// "isthmus-<import job id>": the name a job is found by after a crash.
std::string job_name(const ImportJobId& job);

// The spool's folders "00" to "ff". Instances made within the same 4 seconds share one.
constexpr std::size_t kSpoolFolders = 256;
std::string spool_folder(std::size_t index);
// "<folder>/<instance id>.dcm", and the name while receiving.
constexpr std::string_view kSpoolPartSuffix = ".part";
std::string spool_file(const InstanceId& instance);
std::string spool_part(const InstanceId& instance);
// The instance id in a plain file name of either kind.
std::optional<InstanceId> instance_of_spool_name(std::string_view name);

// The folder of the spool's segments, "0000002a.segment" in it, and the name while it is made.
constexpr std::string_view kSegmentFolder = "segments";
std::string segment_file(std::uint32_t number);
std::string segment_part(std::uint32_t number);
// The number in a plain file name of the first kind.
std::optional<std::uint32_t> segment_of_name(std::string_view name);

}  // namespace layout
}  // namespace isthmus
