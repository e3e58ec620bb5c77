#include "datastore/api/gcs_resource.h"

#include <algorithm>
#include <charconv>

#include "http/http.h"

namespace isthmus::datastore::gcs {
namespace {

using nlohmann::json;

constexpr std::string_view kMetadata = "x-amz-meta-";  // as S3 keeps it: the same objects
constexpr std::size_t kMostMetadataBytes = 8 * KiB;    // "Custom metadata", quotas and limits

Error invalid(std::string message) {
  return permanent_error("INVALID_ARGUMENT", std::move(message));
}

struct Field {
  const char* member;
  const char* header;
};
constexpr Field kFields[] = {{"contentType", "Content-Type"},
                             {"contentEncoding", "Content-Encoding"},
                             {"contentDisposition", "Content-Disposition"},
                             {"contentLanguage", "Content-Language"},
                             {"cacheControl", "Cache-Control"}};

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::string path_of(const std::string& bucket, const std::string& key) {
  return "b/" + http::percent_encode(bucket, false) + "/o/" + http::percent_encode(key, false);
}

bool header_text(const std::string& text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

void put_header(StoredHeaders& headers, const std::string& name, const json& value) {
  std::erase_if(headers, [&](const auto& field) { return field.first == name; });
  if (value.is_string()) headers.emplace_back(name, value.get<std::string>());
}

// Members that are headers, and `metadata`, over what there is.
Result<void> take_members(const json& object, StoredHeaders& headers) {
  for (const Field& field : kFields) {
    const auto found = object.find(field.member);
    if (found == object.end()) continue;
    if (!found->is_null() && (!found->is_string() || !header_text(found->get<std::string>()))) {
      return invalid(std::string("Invalid value for ") + field.member + ".");
    }
    put_header(headers, field.header, *found);
  }
  const auto metadata = object.find("metadata");
  if (metadata == object.end()) return {};
  if (metadata->is_null()) {
    std::erase_if(headers, [](const auto& one) { return one.first.starts_with(kMetadata); });
    return {};
  }
  if (!metadata->is_object()) return invalid("Invalid value for metadata.");
  std::size_t bytes = 0;
  for (const auto& [name, value] : metadata->items()) {
    const bool text = value.is_string() && header_text(value.get<std::string>());
    if (name.empty() || !header_text(name) || !(text || value.is_null())) {
      return invalid("Invalid value for metadata.");
    }
    bytes += name.size() + (text ? value.get<std::string>().size() : 0);
    put_header(headers, std::string(kMetadata) + name, value);
  }
  if (bytes > kMostMetadataBytes) return invalid("The metadata is too large.");
  return {};
}

Result<void> take_hash(std::string_view name, std::string_view value, ObjectWishes& wishes) {
  const std::optional<Bytes> raw = from_base64(value);
  if (name == "crc32c") {
    if (!raw || raw->size() != 4) return invalid("Invalid value for crc32c.");
    wishes.crc32c = value;
  } else if (name == "md5") {
    if (!raw || raw->size() != 16) return invalid("Invalid value for md5Hash.");
    wishes.md5 = to_hex(*raw);
  }
  return {};
}

// base64, or nothing when the tag is not an MD5.
std::optional<std::string> md5_of(const ObjectRecord& object) {
  const std::optional<Bytes> raw = from_hex(object.etag);
  if (!raw || raw->size() != 16) return std::nullopt;
  return to_base64(*raw);
}

}  // namespace

json print_object(const std::string& bucket, const ObjectRecord& object,
                  const std::string& origin) {
  const std::string generation = std::to_string(object.generation);
  const std::string path = path_of(bucket, object.key);
  json printed = {
      {"kind", "storage#object"},
      {"id", bucket + "/" + object.key + "/" + generation},
      {"selfLink", origin + "/storage/v1/" + path},
      {"mediaLink",
       origin + "/download/storage/v1/" + path + "?generation=" + generation + "&alt=media"},
      {"name", object.key},
      {"bucket", bucket},
      {"generation", generation},
      {"metageneration", std::to_string(object.metageneration)},
      {"storageClass", "STANDARD"},
      {"size", std::to_string(object.size_bytes)},
      {"timeCreated", to_rfc3339(object.created_at)},
      {"updated", to_rfc3339(object.modified_at)},
      {"timeStorageClassUpdated", to_rfc3339(object.created_at)},
      {"etag", to_base64(as_bytes(generation + "/" + std::to_string(object.metageneration)))}};
  if (const auto md5 = md5_of(object)) printed["md5Hash"] = *md5;
  if (!object.crc32c.empty()) printed["crc32c"] = object.crc32c;
  json metadata = json::object();
  for (const auto& [name, value] : object.headers) {
    for (const Field& field : kFields) {
      if (name == field.header) printed[field.member] = value;
    }
    if (name.starts_with(kMetadata)) metadata[name.substr(kMetadata.size())] = value;
  }
  if (!metadata.empty()) printed["metadata"] = std::move(metadata);
  return printed;
}

json print_bucket(const BucketRecord& bucket, const std::string& origin) {
  return {{"kind", "storage#bucket"},
          {"id", bucket.name},
          {"name", bucket.name},
          {"selfLink", origin + "/storage/v1/b/" + http::percent_encode(bucket.name, false)},
          {"projectNumber", "1"},
          {"metageneration", "1"},
          {"location", "US"},
          {"locationType", "multi-region"},
          {"storageClass", "STANDARD"},
          {"timeCreated", to_rfc3339(bucket.created_at)},
          {"updated", to_rfc3339(bucket.created_at)},
          {"etag", "CAE="}};
}

std::string print_hashes(const ObjectRecord& object) {
  std::string hashes = "crc32c=" + object.crc32c;
  if (const auto md5 = md5_of(object)) hashes += ",md5=" + *md5;
  return hashes;
}

Result<ObjectWishes> parse_wishes(const std::string& text, ObjectWishes wishes) {
  const json object = json::parse(text.empty() ? "{}" : text, nullptr, false);
  if (!object.is_object()) return invalid("Parse Error: the metadata is no JSON object.");
  TRY(take_members(object, wishes.headers));
  const auto of = [&](const char* member) {
    const auto found = object.find(member);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
  };
  if (wishes.name.empty()) wishes.name = of("name");
  if (const std::string crc = of("crc32c"); !crc.empty()) TRY(take_hash("crc32c", crc, wishes));
  if (const std::string md5 = of("md5Hash"); !md5.empty()) TRY(take_hash("md5", md5, wishes));
  return wishes;
}

Result<void> parse_hashes(std::string_view header, ObjectWishes& wishes) {
  while (!header.empty()) {
    const std::size_t comma = std::min(header.find(','), header.size());
    std::string_view one = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    const std::size_t equals = one.find('=');
    if (equals == std::string_view::npos) return invalid("Invalid value for X-Goog-Hash.");
    TRY(take_hash(one.substr(0, equals), one.substr(equals + 1), wishes));
  }
  return {};
}

Result<StoredHeaders> patched_headers(const StoredHeaders& headers, const std::string& text) {
  const json object = json::parse(text.empty() ? "{}" : text, nullptr, false);
  if (!object.is_object()) return invalid("Parse Error: the metadata is no JSON object.");
  StoredHeaders patched = headers;
  TRY(take_members(object, patched));
  return patched;
}

Result<PutCondition> parse_conditions(const std::map<std::string, std::string>& query) {
  PutCondition condition;
  const auto read = [&](const char* name, std::optional<std::int64_t>& into) -> Result<void> {
    const auto found = query.find(name);
    if (found == query.end()) return {};
    into = number<std::int64_t>(found->second);
    if (!into || *into < 0) return invalid(std::string("Invalid value for ") + name + ".");
    return {};
  };
  TRY(read("ifGenerationMatch", condition.generation_match));
  TRY(read("ifGenerationNotMatch", condition.generation_not_match));
  TRY(read("ifMetagenerationMatch", condition.metageneration_match));
  TRY(read("ifMetagenerationNotMatch", condition.metageneration_not_match));
  return condition;
}

std::string print_session(const ObjectWishes& wishes, const PutCondition& condition,
                          std::optional<std::uint64_t> size_bytes) {
  const auto or_null = [](const auto& value) { return value ? json(*value) : json(nullptr); };
  return json{{"crc32c", wishes.crc32c},
              {"md5", wishes.md5},
              {"generationMatch", or_null(condition.generation_match)},
              {"generationNotMatch", or_null(condition.generation_not_match)},
              {"metagenerationMatch", or_null(condition.metageneration_match)},
              {"metagenerationNotMatch", or_null(condition.metageneration_not_match)},
              {"size", or_null(size_bytes)}}
      .dump();
}

Session parse_session(const std::string& text) {
  Session session;
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return session;
  const auto integer = [&](const char* name) -> std::optional<std::int64_t> {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_number_integer()) return std::nullopt;
    return found->get<std::int64_t>();
  };
  session.wishes.crc32c = object.value("crc32c", "");
  session.wishes.md5 = object.value("md5", "");
  session.condition.generation_match = integer("generationMatch");
  session.condition.generation_not_match = integer("generationNotMatch");
  session.condition.metageneration_match = integer("metagenerationMatch");
  session.condition.metageneration_not_match = integer("metagenerationNotMatch");
  if (const auto size = integer("size")) session.size_bytes = static_cast<std::uint64_t>(*size);
  return session;
}

Result<ContentRange> parse_content_range(std::string_view header) {
  const Error wrong = invalid("Failed to parse Content-Range header.");
  constexpr std::string_view kUnit = "bytes ";
  const std::size_t slash = header.find('/');
  if (!header.starts_with(kUnit) || slash == std::string_view::npos) return wrong;
  ContentRange range;
  if (const std::string_view total = header.substr(slash + 1); total != "*") {
    range.total = number<std::uint64_t>(total);
    if (!range.total) return wrong;
  }
  const std::string_view span = header.substr(kUnit.size(), slash - kUnit.size());
  if (span == "*") return range;
  const std::size_t dash = span.find('-');
  if (dash == std::string_view::npos) return wrong;
  range.first = number<std::uint64_t>(span.substr(0, dash));
  if (!range.first) return wrong;
  if (const std::string_view last = span.substr(dash + 1); last != "*") {
    range.last = number<std::uint64_t>(last);
    if (!range.last || *range.last + 1 < *range.first) return wrong;
  }
  if (range.total && range.last && *range.last >= *range.total && *range.total > 0) return wrong;
  return range;
}

}  // namespace isthmus::datastore::gcs
