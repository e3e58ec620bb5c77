// The constrained strings of the service model, as data and small scanners. Patterns are matched by
// hand: std::regex recurses per character and could be made to overflow the stack by a long value.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "wire/healthimaging.h"
#include "wire/text.h"

namespace isthmus::wire::healthimaging {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_letter(char c) {
  return is_lower(c) || is_upper(c);
}
bool is_lower_or_digit(char c) {
  return is_lower(c) || is_digit(c);
}
bool is_alphanumeric(char c) {
  return is_letter(c) || is_digit(c);
}
bool is_letter_or_hyphen(char c) {
  return is_letter(c) || c == '-';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

template <typename Predicate>
bool all(std::string_view text, Predicate predicate) {
  return std::ranges::all_of(text, predicate);
}
template <typename Predicate>
bool all_of_length(std::string_view text, std::size_t length, Predicate predicate) {
  return text.size() == length && all(text, predicate);
}

// Takes `prefix` off the front; false when it is not there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}
// Takes what stands before the next ':' and the colon itself; nothing without one.
std::optional<std::string_view> take_to_colon(std::string_view& text) {
  const std::size_t at = text.find(':');
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view piece = text.substr(0, at);
  text.remove_prefix(at + 1);
  return piece;
}

// ".": Java's dot takes no line terminator (LF, CR, NEL, LS, PS).
bool one_line(std::string_view text) {
  return text.find_first_of("\n\r") == std::string_view::npos &&
         text.find("\xC2\x85") == std::string_view::npos &&
         text.find("\xE2\x80\xA8") == std::string_view::npos &&
         text.find("\xE2\x80\xA9") == std::string_view::npos;
}

bool id_pattern(std::string_view text) {
  return all_of_length(text, 32, is_lower_or_digit);
}

bool arn_pattern(std::string_view text) {
  if (!take(text, "arn:aws")) return false;
  const auto partition = take_to_colon(text);
  constexpr std::array<std::string_view, 5> kPartitions = {"", "-us-gov", "-iso", "-iso-b", "-cn"};
  if (!partition || std::ranges::find(kPartitions, *partition) == kPartitions.end()) return false;
  if (!take(text, "medical-imaging:")) return false;
  const auto region = take_to_colon(text);
  if (!region || region->empty() ||
      !all(*region, [](char c) { return is_lower_or_digit(c) || c == '-'; })) {
    return false;
  }
  const auto account = take_to_colon(text);
  if (!account || !all_of_length(*account, 12, is_digit) || !take(text, "datastore/")) return false;
  if (!id_pattern(text.substr(0, 32))) return false;
  text.remove_prefix(32);
  return text.empty() || (take(text, "/imageset/") && id_pattern(text));
}

bool account_pattern(std::string_view text) {
  return !text.empty() && all(text, is_digit);
}

bool token_pattern(std::string_view text) {
  return !text.empty() &&
         all(text, [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

bool name_pattern(std::string_view text) {
  return !text.empty() && all(text, [](char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '/' || c == '#' || c == '-';
  });
}

bool uid_pattern(std::string_view text) {
  return !text.empty() && all(text, [](char c) { return is_digit(c) || c == '.'; });
}

bool version_pattern(std::string_view text) {
  return account_pattern(text);
}

bool job_id_pattern(std::string_view text) {
  return !text.empty() && all(text, is_lower_or_digit);
}

bool kms_pattern(std::string_view text) {
  if (!take(text, "arn:aws")) return false;
  const auto partition = take_to_colon(text);
  if (!partition || partition->size() > 16 || !all(*partition, is_letter_or_hyphen)) return false;
  if (!take(text, "kms:")) return false;
  const auto region = take_to_colon(text);
  if (!region) return false;
  const std::vector<std::string_view> parts = split(*region, '-');
  if (parts.size() < 3 || parts.size() > 5 || !all_of_length(parts.front(), 2, is_lower) ||
      !all_of_length(parts.back(), 1, is_digit)) {
    return false;
  }
  for (std::size_t at = 1; at + 1 < parts.size(); ++at) {
    if (parts[at].empty() || parts[at].size() > 16 || !all(parts[at], is_lower)) return false;
  }
  const auto account = take_to_colon(text);
  if (!account || !all_of_length(*account, 12, is_digit)) return false;
  if (take(text, "alias/")) {
    return !text.empty() && text.size() <= 256 && all(text, [](char c) {
      return is_alphanumeric(c) || c == ':' || c == '/' || c == '_' || c == '-';
    });
  }
  if (!take(text, "key/")) return false;
  const std::vector<std::string_view> uuid = split(text, '-');
  constexpr std::array<std::size_t, 5> kLengths = {8, 4, 4, 4, 12};
  if (uuid.size() != kLengths.size()) return false;
  for (std::size_t at = 0; at < uuid.size(); ++at) {
    if (!all_of_length(uuid[at], kLengths[at], is_hex)) return false;
  }
  return true;
}

bool lambda_region(std::string_view region) {
  const std::vector<std::string_view> parts = split(region, '-');
  if (parts.size() != 3 && parts.size() != 4) return false;
  if (!all_of_length(parts.front(), 2, is_lower) || !all_of_length(parts.back(), 1, is_digit)) {
    return false;
  }
  if (parts.size() == 4 && parts[1] != "gov" && parts[1] != "iso" && parts[1] != "isob") {
    return false;
  }
  const std::string_view area = parts[parts.size() - 2];
  return !area.empty() && all(area, is_lower);
}

bool lambda_pattern(std::string_view text) {
  if (!take(text, "arn:")) return false;
  auto partition = take_to_colon(text);
  if (!partition) return false;
  if (!partition->empty() && (!take(*partition, "aws") || !all(*partition, is_letter_or_hyphen))) {
    return false;
  }
  if (!take(text, "lambda:")) return false;
  const auto region = take_to_colon(text);
  if (!region || !lambda_region(*region)) return false;
  const auto account = take_to_colon(text);
  if (!account || !all_of_length(*account, 12, is_digit) || !take(text, "function:")) return false;
  const auto word = [](std::string_view piece) {
    return !piece.empty() &&
           all(piece, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
  };
  const std::size_t colon = text.find(':');
  if (!word(text.substr(0, colon))) return false;
  if (colon == std::string_view::npos) return true;
  const std::string_view version = text.substr(colon + 1);
  return version == "$LATEST" || word(version);
}

bool message_pattern(std::string_view text) {  // [\w -:`]+ where " -:" is a range
  return !text.empty() && all(text, [](char c) {
    return is_letter(c) || c == '_' || (c >= ' ' && c <= ':') || c == '`';
  });
}

bool file_path_pattern(std::string_view text) {
  return !text.empty() && text.front() != ' ' && text.back() != ' ' &&
         all(text, [](char c) { return c >= ' ' && c <= '~'; });
}

bool ascii_pattern(std::string_view text) {
  return all(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool role_pattern(std::string_view text) {
  if (!take(text, "arn:aws")) return false;
  const auto partition = take_to_colon(text);
  if (!partition) return false;
  if (!partition->empty() && (partition->front() != '-' || partition->size() < 2)) return false;
  if (!take(text, "iam::")) return false;
  const auto account = take_to_colon(text);
  return account && all_of_length(*account, 12, is_digit) && take(text, "role/") && !text.empty() &&
         one_line(text);
}

bool s3_uri_pattern(std::string_view text) {
  if (!take(text, "s3://")) return false;
  const std::size_t slash = text.find('/');
  const std::string_view bucket = text.substr(0, slash);
  if (bucket.size() < 3 || bucket.size() > 63 || !is_lower_or_digit(bucket.front()) ||
      !is_lower_or_digit(bucket.back()) ||
      !all(bucket, [](char c) { return is_lower_or_digit(c) || c == '.' || c == '-'; })) {
    return false;
  }
  return slash == std::string_view::npos || one_line(text.substr(slash));
}

bool tag_key_pattern(std::string_view text) {  // (?!aws:)[a-zA-Z+-=._:/]+ where "+-=" is a range
  return !text.empty() && !text.starts_with("aws:") &&
         all(text, [](char c) { return is_letter(c) || (c >= '+' && c <= '=') || c == '_'; });
}

struct Constraint {
  Shape shape;
  std::string_view name;
  std::size_t min = 0;
  std::size_t max = 0;  // 0: none
  bool (*matches)(std::string_view) = nullptr;
  std::string_view pattern = {};      // for the message
  std::string_view enumerators = {};  // separated by '|'
};

constexpr std::string_view kIdPattern = "[0-9a-z]{32}";
constexpr std::string_view kUidPattern = "[0-9.]+";

// Names, numbers and patterns: service-2.json of API version 2023-07-19.
constexpr Constraint kConstraints[] = {
    {Shape::Arn, "Arn", 0, 0, arn_pattern,
     "arn:aws((-us-gov)|(-iso)|(-iso-b)|(-cn))?:medical-imaging:[a-z0-9-]+:[0-9]{12}:datastore/"
     "[0-9a-z]{32}(/imageset/[0-9a-z]{32})?"},
    {Shape::AwsAccountId, "AwsAccountId", 12, 12, account_pattern, "\\d+"},
    {Shape::ClientToken, "ClientToken", 1, 64, token_pattern, "[A-Za-z0-9._-]+"},
    {Shape::CopiableAttributes, "CopiableAttributes", 1, 260000},
    {Shape::DICOMAccessionNumber, "DICOMAccessionNumber", 0, 512},
    {Shape::DICOMPatientBirthDate, "DICOMPatientBirthDate", 0, 36},
    {Shape::DICOMPatientId, "DICOMPatientId", 0, 512},
    {Shape::DICOMPatientName, "DICOMPatientName", 0, 512},
    {Shape::DICOMPatientSex, "DICOMPatientSex", 0, 16},
    {Shape::DICOMSeriesBodyPart, "DICOMSeriesBodyPart", 0, 128},
    {Shape::DICOMSeriesInstanceUID, "DICOMSeriesInstanceUID", 0, 512, uid_pattern, kUidPattern},
    {Shape::DICOMSeriesModality, "DICOMSeriesModality", 0, 32},
    {Shape::DICOMStudyDate, "DICOMStudyDate", 0, 36},
    {Shape::DICOMStudyDescription, "DICOMStudyDescription", 0, 512},
    {Shape::DICOMStudyId, "DICOMStudyId", 0, 512},
    {Shape::DICOMStudyInstanceUID, "DICOMStudyInstanceUID", 0, 512, uid_pattern, kUidPattern},
    {Shape::DICOMStudyTime, "DICOMStudyTime", 0, 56},
    {Shape::DatastoreId, "DatastoreId", 0, 0, id_pattern, kIdPattern},
    {Shape::DatastoreName, "DatastoreName", 1, 256, name_pattern, "[A-Za-z0-9._/#-]+"},
    {Shape::DatastoreStatus,
     "DatastoreStatus",
     0,
     0,
     nullptr,
     {},
     "CREATING|CREATE_FAILED|ACTIVE|DELETING|DELETED"},
    {Shape::ImageFrameId, "ImageFrameId", 0, 0, id_pattern, kIdPattern},
    {Shape::ImageSetExternalVersionId, "ImageSetExternalVersionId", 0, 0, version_pattern, "\\d+"},
    {Shape::ImageSetId, "ImageSetId", 0, 0, id_pattern, kIdPattern},
    {Shape::ImageSetState, "ImageSetState", 0, 0, nullptr, {}, "ACTIVE|LOCKED|DELETED"},
    {Shape::ImageSetWorkflowStatus,
     "ImageSetWorkflowStatus",
     0,
     0,
     nullptr,
     {},
     "CREATED|COPIED|COPYING|COPYING_WITH_READ_ONLY_ACCESS|COPY_FAILED|UPDATING|"
     "UPDATING_FOR_STUDY_CONSISTENCY|UPDATED|UPDATE_FAILED|DELETING|DELETED|IMPORTING|IMPORTED|"
     "IMPORT_FAILED"},
    {Shape::JobId, "JobId", 1, 32, job_id_pattern, "[0-9a-z]+"},
    {Shape::JobName, "JobName", 1, 64, name_pattern, "[A-Za-z0-9._/#-]+"},
    {Shape::JobStatus, "JobStatus", 0, 0, nullptr, {}, "SUBMITTED|IN_PROGRESS|COMPLETED|FAILED"},
    {Shape::KmsKeyArn, "KmsKeyArn", 1, 512, kms_pattern,
     "arn:aws[a-zA-Z-]{0,16}:kms:[a-z]{2}(-[a-z]{1,16}){1,3}-\\d{1}:\\d{12}:((key/[a-fA-F0-9]{8}-"
     "[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12})|(alias/[a-zA-Z0-9:/"
     "_-]{1,256}))"},
    {Shape::LambdaArn, "LambdaArn", 0, 0, lambda_pattern,
     "arn:(aws[a-zA-Z-]*)?:lambda:[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1}:\\d{12}:function:"
     "[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?"},
    {Shape::LosslessStorageFormat,
     "LosslessStorageFormat",
     0,
     0,
     nullptr,
     {},
     "HTJ2K|JPEG_2000_LOSSLESS"},
    {Shape::Message, "Message", 1, 2048, message_pattern, "[\\w -:`]+"},
    {Shape::MetadataFilePath, "MetadataFilePath", 1, 1024, file_path_pattern,
     "[a-zA-Z0-9!-~]+([a-zA-Z0-9!-~ ]*[a-zA-Z0-9!-~]+)*"},
    {Shape::NextToken, "NextToken", 1, 8192, ascii_pattern, "\\p{ASCII}{0,8192}"},
    {Shape::Operator, "Operator", 0, 0, nullptr, {}, "EQUAL|BETWEEN"},
    {Shape::RoleArn, "RoleArn", 20, 2048, role_pattern, "arn:aws(-[^:]+)?:iam::[0-9]{12}:role/.+"},
    {Shape::S3Uri, "S3Uri", 1, 1024, s3_uri_pattern,
     "s3://[a-z0-9][\\.\\-a-z0-9]{1,61}[a-z0-9](/.*)?"},
    {Shape::SortField, "SortField", 0, 0, nullptr, {}, "updatedAt|createdAt|DICOMStudyDateAndTime"},
    {Shape::SortOrder, "SortOrder", 0, 0, nullptr, {}, "ASC|DESC"},
    {Shape::StorageTier,
     "StorageTier",
     0,
     0,
     nullptr,
     {},
     "FREQUENT_ACCESS|ARCHIVE_INSTANT_ACCESS"},
    {Shape::TagKey, "TagKey", 1, 128, tag_key_pattern, "(?!aws:)[a-zA-Z+-=._:/]+"},
    {Shape::TagValue, "TagValue", 0, 256},
};

// The table is in the order of the enumerators, so that a shape is its own index.
constexpr bool in_order() {
  for (std::size_t at = 0; at < std::size(kConstraints); ++at) {
    if (static_cast<std::size_t>(kConstraints[at].shape) != at) return false;
  }
  return std::size(kConstraints) == static_cast<std::size_t>(Shape::TagValue) + 1;
}
static_assert(in_order());

constexpr auto kShapes = [] {
  std::array<Shape, std::size(kConstraints)> shapes{};
  for (std::size_t at = 0; at < shapes.size(); ++at) shapes[at] = kConstraints[at].shape;
  return shapes;
}();

const Constraint& constraint_of(Shape shape) {
  return kConstraints[static_cast<std::size_t>(shape)];
}

// Unicode characters of UTF-8 text.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// The service's own wording, but for the value.
Error failed(std::string_view member, const std::string& constraint) {
  return permanent_error(
      "ValidationException",
      fmt::format("1 validation error detected: Value at '{}' failed to satisfy constraint: {}",
                  member, constraint));
}

}  // namespace

std::string_view to_string(Shape shape) {
  return constraint_of(shape).name;
}

std::span<const Shape> all_shapes() {
  return kShapes;
}

Result<void> check(Shape shape, std::string_view member, std::string_view value) {
  const Constraint& constraint = constraint_of(shape);
  const std::size_t length = characters(value);
  if (length < constraint.min) {
    return failed(
        member, fmt::format("Member must have length greater than or equal to {}", constraint.min));
  }
  if (constraint.max != 0 && length > constraint.max) {
    return failed(member,
                  fmt::format("Member must have length less than or equal to {}", constraint.max));
  }
  if (constraint.matches != nullptr && !constraint.matches(value)) {
    return failed(member, fmt::format("Member must satisfy regular expression pattern: {}",
                                      constraint.pattern));
  }
  if (!constraint.enumerators.empty()) {
    const std::vector<std::string_view> known = split(constraint.enumerators, '|');
    if (std::ranges::find(known, value) == known.end()) {
      return failed(
          member, fmt::format("Member must satisfy enum value set: [{}]", fmt::join(known, ", ")));
    }
  }
  return {};
}

}  // namespace isthmus::wire::healthimaging
