#include "imports/google/replacement_notes.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <set>

#include "base/ids.h"

namespace isthmus::google {
namespace {

namespace notes = wire::replacements;

constexpr std::uint64_t kMaxNoteBytes = 64 * MiB;
constexpr const char* kOrder = "order";
constexpr const char* kList = "list";
constexpr const char* kRefused = "refused";
constexpr const char* kEnd = "end";

std::string digest_of(const SeriesPath& series) {
  return sha256(series.text()).hex().substr(0, 32);
}

// What cannot be read may be read when somebody has looked at the bucket.
template <typename T>
Result<T> understood(Result<T> parsed) {
  if (parsed.ok()) return parsed;
  return transient_error("metadata.unavailable", "A note of a replacement cannot be read.");
}

Error gone(const char* what) {
  return transient_error("metadata.unavailable",
                         fmt::format("The {} of a replacement is not in the bucket.", what));
}

}  // namespace

std::optional<SeriesPath> SeriesPath::parse(std::string_view image_set_id) {
  constexpr std::string_view kStudies = "studies/", kSeries = "/series/";
  const std::size_t middle = image_set_id.find(kSeries);
  if (!image_set_id.starts_with(kStudies) || middle == std::string_view::npos) return std::nullopt;
  SeriesPath path{std::string(image_set_id.substr(kStudies.size(), middle - kStudies.size())),
                  std::string(image_set_id.substr(middle + kSeries.size()))};
  if (!Uid::parse(path.study) || !Uid::parse(path.series)) return std::nullopt;
  return path;
}

std::string ReplacementNotes::folder(const SeriesPath& series) const {
  return prefix_ + "replacements/" + digest_of(series) + "/";
}

ObjectKey ReplacementNotes::note(const SeriesPath& series, std::int64_t version,
                                 const char* what) const {
  return {fmt::format("{}{:06}/{}", folder(series), version, what)};
}

ObjectKey ReplacementNotes::original(const SeriesPath& series, std::int64_t version,
                                     std::size_t place) const {
  return {fmt::format("{}originals/{}/{:06}/{:06}", prefix_, digest_of(series), version, place)};
}

Result<ReplacementNotes::Newest> ReplacementNotes::newest(const SeriesPath& series) {
  const std::string prefix = folder(series);
  std::map<std::int64_t, std::set<std::string>> versions;
  TRY(bucket_.list(prefix, [&](const StoredObject& object) {
    const std::string_view rest = std::string_view(object.key.text).substr(prefix.size());
    std::int64_t version = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), version);
    if (error == std::errc() && end != rest.data() + rest.size() && *end == '/') {
      versions[version].insert(std::string(end + 1, rest.data() + rest.size()));
    }
    return true;
  }));
  for (auto one = versions.rbegin(); one != versions.rend(); ++one) {
    const auto& [version, there] = *one;
    if (!there.contains(kOrder)) continue;
    TRY_ASSIGN(const auto place, place_of(series, version));
    if (!place) continue;
    Newest newest{version, *place, std::nullopt};
    TRY_ASSIGN(newest.end, end(place->series, place->version));
    return newest;
  }
  return Newest{};
}

Result<std::optional<ReplacementNotes::Place>> ReplacementNotes::place_of(const SeriesPath& series,
                                                                          std::int64_t version) {
  TRY_ASSIGN(const notes::Order own, order(series, version));
  if (own.carrier_version == 0) return std::optional(Place{series, version});
  const auto carrier = SeriesPath::parse(own.carrier);
  if (!carrier) return std::optional<Place>();
  TRY_ASSIGN(const auto text, read(note(*carrier, own.carrier_version, kOrder)));
  if (!text) return std::optional<Place>();
  TRY_ASSIGN(const notes::Order theirs, understood(notes::parse_order(*text)));
  if (theirs.id != own.id) return std::optional<Place>();
  return std::optional(Place{*carrier, own.carrier_version});
}

Result<notes::Order> ReplacementNotes::order(const SeriesPath& series, std::int64_t version) {
  TRY_ASSIGN(const auto text, read(note(series, version, kOrder)));
  if (!text) return gone("order");
  return understood(notes::parse_order(*text));
}
Result<void> ReplacementNotes::keep_order(const SeriesPath& series, std::int64_t version,
                                          const notes::Order& order) {
  return write(note(series, version, kOrder), print(order));
}

Result<std::optional<std::vector<notes::Item>>> ReplacementNotes::items(const SeriesPath& series,
                                                                        std::int64_t version) {
  TRY_ASSIGN(const auto text, read(note(series, version, kList)));
  if (!text) return std::optional<std::vector<notes::Item>>();
  TRY_ASSIGN(auto items, understood(notes::parse_items(*text)));
  return std::optional(std::move(items));
}
Result<void> ReplacementNotes::keep_items(const SeriesPath& series, std::int64_t version,
                                          const std::vector<notes::Item>& items) {
  return write(note(series, version, kList), print(items));
}

Result<std::optional<std::string>> ReplacementNotes::refusal(const SeriesPath& series,
                                                             std::int64_t version) {
  return read(note(series, version, kRefused));
}
Result<void> ReplacementNotes::keep_refusal(const SeriesPath& series, std::int64_t version,
                                            const std::string& why) {
  return write(note(series, version, kRefused), why);
}

Result<std::optional<notes::End>> ReplacementNotes::end(const SeriesPath& series,
                                                        std::int64_t version) {
  TRY_ASSIGN(const auto text, read(note(series, version, kEnd)));
  if (!text) return std::optional<notes::End>();
  TRY_ASSIGN(notes::End end, understood(notes::parse_end(*text)));
  return std::optional(std::move(end));
}
Result<void> ReplacementNotes::keep_end(const SeriesPath& series, std::int64_t version,
                                        const notes::End& end) {
  return write(note(series, version, kEnd), print(end));
}

Result<std::optional<std::string>> ReplacementNotes::read(const ObjectKey& key) {
  auto bytes = bucket_.get(key);
  if (!bytes.ok() && bytes.error().code == "store.not_found") return std::optional<std::string>();
  if (!bytes.ok()) return bytes.error();
  TRY_ASSIGN(std::string text, read_all(**bytes, kMaxNoteBytes));
  return std::optional(std::move(text));
}

Result<void> ReplacementNotes::write(const ObjectKey& key, const std::string& text) {
  TRY(bucket_.put(key, source_of(text), sha256(text)));
  return {};
}

}  // namespace isthmus::google
