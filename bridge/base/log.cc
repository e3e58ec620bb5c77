#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cmath>

namespace isthmus {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

class StderrLog : public Log {
 public:
  explicit StderrLog(LogLevel least)
      : logger_("isthmus", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_level(spdlog_level(least));
    logger_.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    logger_.flush_on(spdlog::level::debug);
  }

  void event(LogLevel level, std::string_view name,
             std::initializer_list<LogField> fields) override {
    if (!logger_.should_log(spdlog_level(level))) return;
    std::string line(name);
    for (const LogField& field : fields) {
      line += ' ';
      line += field.key;
      line += '=';
      line += log_value(field.value);
    }
    logger_.log(spdlog_level(level), "{}", line);
  }

 private:
  spdlog::logger logger_;
};

class NullLog : public Log {
 public:
  void event(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '_' || c == '-' || c == ':' || c == '/' || c == '+' || c == '@';
}

}  // namespace

std::string LogField::number_text(long double value) {
  if (std::floor(value) == value && std::fabs(value) < 1e18L) {
    return fmt::format("{}", static_cast<long long>(value));
  }
  return fmt::format("{:.3f}", static_cast<double>(value));
}

std::string log_value(std::string_view value) {
  bool plain = !value.empty();
  for (const char c : value) plain = plain && is_plain(c);
  if (plain) return std::string(value);
  std::string text = "\"";
  for (const char c : value) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (code < 0x20 || code >= 0x7F) {
      text += fmt::format("\\x{:02x}", code);
    } else {
      text += c;
    }
  }
  return text + '"';
}

std::unique_ptr<Log> make_stderr_log(LogLevel least) {
  return std::make_unique<StderrLog>(least);
}

Log& null_log() {
  static NullLog log;
  return log;
}

}  // namespace isthmus
