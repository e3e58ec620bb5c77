#include "wire/gcs.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace isthmus::wire::gcs {
namespace {

using nlohmann::json;

constexpr const char* kSha256 = "isthmus-sha256";
constexpr std::size_t kMostReason = 64;
constexpr std::size_t kMostMessage = 300;

Error malformed(const char* what) {
  return permanent_error("gcs.malformed", std::string("The answer is no ") + what + ".");
}

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

Result<Object> object_of(const json& resource) {
  if (!resource.is_object()) return malformed("object resource");
  Object object;
  object.name = text_in(resource, "name");
  const auto size = number<std::uint64_t>(text_in(resource, "size"));
  const auto generation = number<std::int64_t>(text_in(resource, "generation"));
  if (object.name.empty() || !size || !generation) return malformed("object resource");
  object.size_bytes = *size;
  object.generation = *generation;
  object.crc32c = text_in(resource, "crc32c");
  object.etag = text_in(resource, "etag");
  const auto metadata = resource.find("metadata");
  if (metadata != resource.end() && metadata->is_object()) {
    object.sha256 = text_in(*metadata, kSha256);
  }
  return object;
}

}  // namespace

Result<Object> parse_object(std::string_view text) {
  return object_of(json::parse(text, nullptr, false));
}

Result<Listing> parse_listing(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return malformed("listing");
  Listing listing;
  listing.next_page_token = text_in(document, "nextPageToken");
  const auto items = document.find("items");
  if (items == document.end()) return listing;
  if (!items->is_array()) return malformed("listing");
  for (const json& item : *items) {
    TRY_ASSIGN(Object object, object_of(item));
    listing.objects.push_back(std::move(object));
  }
  return listing;
}

std::string print_metadata(const NewObject& object) {
  return json{{"contentType", object.content_type},
              {"crc32c", object.crc32c},
              {"metadata", {{kSha256, object.sha256}}}}
      .dump();
}

ErrorBody read_error(std::string_view body) {
  ErrorBody said;
  const json document = json::parse(body, nullptr, false);
  if (!document.is_object() || !document.contains("error")) return said;
  const json& error = document["error"];
  if (!error.is_object()) return said;
  said.message = text_in(error, "message").substr(0, kMostMessage);
  const auto errors = error.find("errors");
  if (errors != error.end() && errors->is_array() && !errors->empty() && (*errors)[0].is_object()) {
    said.reason = text_in((*errors)[0], "reason");
  }
  if (said.reason.empty()) said.reason = text_in(error, "status");
  said.reason = said.reason.substr(0, kMostReason);
  const bool plain = std::ranges::all_of(said.reason, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!plain) said.reason.clear();
  return said;
}

std::string crc32c_text(std::uint32_t crc32c) {
  std::array<std::byte, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((crc32c >> (24 - 8 * i)) & 0xFFU);
  }
  return to_base64(bytes);
}

std::string crc32c_of_hash_header(std::string_view header) {
  constexpr std::string_view kName = "crc32c=";
  while (!header.empty()) {
    const std::size_t end = std::min(header.find(','), header.size());
    std::string_view one = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    if (one.starts_with(kName)) return std::string(one.substr(kName.size()));
  }
  return {};
}

std::optional<std::uint64_t> kept_bytes(std::optional<std::string_view> range_header) {
  constexpr std::string_view kFromStart = "bytes=0-";
  if (!range_header) return 0;
  if (!range_header->starts_with(kFromStart)) return std::nullopt;
  const auto last = number<std::uint64_t>(range_header->substr(kFromStart.size()));
  return last ? std::optional(*last + 1) : std::nullopt;
}

}  // namespace isthmus::wire::gcs
