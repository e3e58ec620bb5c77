// Events, one per line: a stable name and key=value fields. No patient data, no secrets: fields are
// ids, sizes, counts, states, codes. `error` means that a person must act (OPERATIONS.md has the
// recipe).
#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace isthmus {

enum class LogLevel { debug, info, warn, error };

struct LogField {
  template <typename Number>
  requires(std::integral<Number> || std::floating_point<Number>)
      LogField(std::string_view field_key, Number field_value)
      : key(field_key), value(number_text(field_value)) {}
  LogField(std::string_view field_key, bool field_value)
      : key(field_key), value(field_value ? "true" : "false") {}
  LogField(std::string_view field_key, std::string_view field_value)
      : key(field_key), value(field_value) {}
  LogField(std::string_view field_key, const char* field_value)
      : key(field_key), value(field_value) {}
  LogField(std::string_view field_key, const std::string& field_value)
      : key(field_key), value(field_value) {}

  std::string_view key;
  std::string value;

 private:
  static std::string number_text(long double value);
};

class Log {
 public:
  virtual ~Log() = default;
  // `name` is dotted and stable: "delivery.staged". Any thread. Values are escaped: a line stays a
  // line.
  virtual void event(LogLevel level, std::string_view name,
                     std::initializer_list<LogField> fields) = 0;

  void debug(std::string_view name, std::initializer_list<LogField> fields) {
    event(LogLevel::debug, name, fields);
  }
  void info(std::string_view name, std::initializer_list<LogField> fields) {
    event(LogLevel::info, name, fields);
  }
  void warn(std::string_view name, std::initializer_list<LogField> fields) {
    event(LogLevel::warn, name, fields);
  }
  void error(std::string_view name, std::initializer_list<LogField> fields) {
    event(LogLevel::error, name, fields);
  }
};

// `value` as it stands in a line: quoted and escaped when it holds anything but plain characters.
std::string log_value(std::string_view value);

// Writes "2026-01-31T09:30:00.125Z info delivery.staged instance=…" to standard error (spdlog).
std::unique_ptr<Log> make_stderr_log(LogLevel least);
// Keeps nothing.
Log& null_log();

}  // namespace isthmus
