// JSON of this API, behind a strict reader for requests, a tolerant one for answers, and a writer.
// Private to wire/healthimaging.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "http/http.h"
#include "wire/healthimaging.h"

namespace isthmus::wire::healthimaging {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Text as it goes on the wire. Octets that are not UTF-8 become U+FFFD: they must not end the
// process.
std::string dumped(const OrderedJson& json);
// Nothing when it is not JSON.
std::optional<Json> parsed_json(std::string_view text);
// Seconds since the epoch.
double seconds_of(WallTime time);
std::optional<WallTime> time_of(double seconds);

Error validation_error(std::string_view member, std::string_view constraint);
Error malformed_error(std::string_view what);

// --- writing
// --------------------------------------------------------------------------------------
template <typename T>
void put(OrderedJson& json, const char* name, const std::optional<T>& value) {
  if (value) json[name] = *value;
}
inline void put(OrderedJson& json, const char* name, const std::optional<WallTime>& value) {
  if (value) json[name] = seconds_of(*value);
}

// --- reading requests
// ----------------------------------------------------------------------------- The first fault
// found; everything read after it does not matter.
class Faults {
 public:
  void note(Error error) {
    if (!first_) first_ = std::move(error);
  }
  void note(const Result<void>& result) {
    if (!result.ok()) note(result.error());
  }
  const std::optional<Error>& first() const { return first_; }

 private:
  std::optional<Error> first_;
};

// Members of one JSON object, checked by shape. null counts as absent; another type is a fault.
class Checked {
 public:
  // `where` goes before a member's name in messages: "sort." or "".
  Checked(const Json& object, std::string where, Faults& faults);

  std::optional<std::string> text(const char* name, Shape shape);
  std::string required_text(const char* name, Shape shape);
  std::optional<WallTime> time(const char* name);
  std::optional<bool> boolean(const char* name);
  // An object or an array; null pointer when absent or at fault.
  const Json* object(const char* name);
  const Json* array(const char* name, std::size_t min, std::size_t max);
  void require(const char* name);
  void fault(const char* name, std::string_view constraint);
  // Members that are there and not null.
  std::size_t present() const;
  std::string where(const char* name) const { return where_ + name; }

 private:
  const Json* find(const char* name) const;

  const Json& object_;
  std::string where_;
  Faults& faults_;
};

// Path and query parameters of one request.
class Parameters {
 public:
  Parameters(const Incoming& incoming, Faults& faults);
  std::string path(const char* name, Shape shape);
  std::optional<std::string> query(const char* name, Shape shape);
  std::optional<int> query_count(const char* name, int min, int max);
  std::string required_query(const char* name, Shape shape);
  std::optional<bool> query_flag(const char* name);
  // Every value of a repeated parameter, at least one and at most `max`.
  std::vector<std::string> query_all(const char* name, Shape shape, std::size_t max);

 private:
  std::optional<std::string> find(const char* name) const;

  const Incoming& incoming_;
  std::vector<std::pair<std::string, std::string>> pairs_;
  Faults& faults_;
};

// --- reading answers
// ------------------------------------------------------------------------------ Members of one
// JSON object: absent, null or of another type is nothing, unless required.
class Fields {
 public:
  Fields(const Json& object, std::optional<Error>& error) : object_(object), error_(error) {}

  std::optional<std::string> text(const char* name) const;
  std::string required_text(const char* name);
  std::optional<std::int64_t> integer(const char* name) const;
  std::optional<bool> boolean(const char* name) const;
  std::optional<WallTime> time(const char* name) const;
  // An empty object or array when absent.
  const Json& object(const char* name) const;
  const Json& array(const char* name) const;
  const Json& required_object(const char* name);

 private:
  const Json& object_;
  std::optional<Error>& error_;
};

// Reads `body` as an object with `read(Fields&)`, then says what was missing.
template <typename T, typename Read>
Result<T> read_object(std::string_view body, std::string_view what, Read read) {
  const std::optional<Json> json = parsed_json(body);
  if (!json || !json->is_object()) return malformed_error(what);
  std::optional<Error> error;
  Fields fields(*json, error);
  T value = read(fields, error);
  if (error) return *error;
  return value;
}

// Path and query of a call that is being put together.
class Target {
 public:
  // The template with its parameters, in their order.
  Target(std::string_view path_template, std::initializer_list<std::string_view> values);
  Target& with(const char* name, const std::optional<std::string>& value);
  Target& with(const char* name, const std::optional<int>& value);
  Target& with_flag(const char* name, const std::optional<bool>& value);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// The body of a request as an object. `payload` is the member that it is the whole of, if any; that
// one may be left out.
Json body_of(std::string_view body, const char* payload, Faults& faults);

template <typename T>
Result<T> done(T request, const Faults& faults) {
  if (faults.first()) return *faults.first();
  return request;
}

// Shared by requests and answers.
void read_tags(Checked& members, const char* name, std::map<std::string, std::string>& tags,
               Faults& faults);
ImportConfiguration read_import_configuration(const Json& union_json, const std::string& where,
                                              Faults& faults);
OrderedJson json_of(const ImportConfiguration& configuration);
OrderedJson json_of(const SearchSort& sort);

}  // namespace isthmus::wire::healthimaging
