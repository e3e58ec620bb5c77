// What is known of the replacements in a series: objects in the bucket. Private to imports. Any
// thread; one writer for one series.
//
//   <prefix>replacements/<series>/<version>/order     what is wanted; the version exists with it
//   <prefix>replacements/<series>/<version>/list      the instances that it is about
//   <prefix>replacements/<series>/<version>/refused   it is undone; why
//   <prefix>replacements/<series>/<version>/end       how it ended
//   <prefix>originals/<series>/<version>/<number>     the instance of that place in the list as it
//                                                     was; empty when there was none
//
// <series> is a digest: no UID is in a key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/object_store.h"
#include "wire/replacements.h"

namespace isthmus::google {

struct SeriesPath {
  std::string study;
  std::string series;

  // Of "studies/<uid>/series/<uid>"; nothing when it is something else.
  static std::optional<SeriesPath> parse(std::string_view image_set_id);
  std::string text() const { return "studies/" + study + "/series/" + series; }
};

class ReplacementNotes {
 public:
  // `bucket` must outlive it.
  ReplacementNotes(ObjectStore& bucket, std::string prefix)
      : bucket_(bucket), prefix_(std::move(prefix)) {}

  // Where a version's list, refusal, end and originals are: with the order that carries it, or its
  // own.
  struct Place {
    SeriesPath series;
    std::int64_t version = 0;
  };
  struct Newest {
    std::int64_t version = 1;  // what was imported, when nothing was replaced
    Place work;
    std::optional<wire::replacements::End> end;  // of a version that is still going on: nothing
    bool is_going_on() const { return version > 1 && !end; }
  };
  Result<Newest> newest(const SeriesPath& series);

  // Nothing of an order that waits for another one that was never noted.
  Result<std::optional<Place>> place_of(const SeriesPath& series, std::int64_t version);

  Result<wire::replacements::Order> order(const SeriesPath& series, std::int64_t version);
  Result<void> keep_order(const SeriesPath& series, std::int64_t version,
                          const wire::replacements::Order& order);
  // Nothing when it was not noted, or is not there any more.
  Result<std::optional<std::vector<wire::replacements::Item>>> items(const SeriesPath& series,
                                                                     std::int64_t version);
  Result<void> keep_items(const SeriesPath& series, std::int64_t version,
                          const std::vector<wire::replacements::Item>& items);
  // Why the version is undone; nothing when it is not.
  Result<std::optional<std::string>> refusal(const SeriesPath& series, std::int64_t version);
  Result<void> keep_refusal(const SeriesPath& series, std::int64_t version, const std::string& why);
  Result<std::optional<wire::replacements::End>> end(const SeriesPath& series,
                                                     std::int64_t version);
  Result<void> keep_end(const SeriesPath& series, std::int64_t version,
                        const wire::replacements::End& end);

  ObjectKey original(const SeriesPath& series, std::int64_t version, std::size_t place) const;

 private:
  ObjectKey note(const SeriesPath& series, std::int64_t version, const char* what) const;
  std::string folder(const SeriesPath& series) const;
  Result<std::optional<std::string>> read(const ObjectKey& key);
  Result<void> write(const ObjectKey& key, const std::string& text);

  ObjectStore& bucket_;
  const std::string prefix_;
};

}  // namespace isthmus::google
