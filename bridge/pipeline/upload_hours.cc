#include "pipeline/upload_hours.h"

#include <algorithm>
#include <ctime>
#include <string_view>

namespace isthmus {
namespace {

constexpr Milliseconds kDay = std::chrono::hours(24);

// "06:30"; 24:00 is the end of the day.
std::optional<Milliseconds> parse_time(std::string_view text) {
  const auto digit = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '9'; };
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  if (!digit(0) || !digit(1) || !digit(3) || !digit(4)) return std::nullopt;
  const int hours = (text[0] - '0') * 10 + (text[1] - '0');
  const int minutes = (text[3] - '0') * 10 + (text[4] - '0');
  if (minutes > 59 || hours * 60 + minutes > 24 * 60) return std::nullopt;
  return std::chrono::minutes(hours * 60 + minutes);
}

}  // namespace

std::optional<UploadHours> UploadHours::parse(const std::vector<std::string>& windows) {
  UploadHours hours;
  for (const std::string& text : windows) {
    const std::size_t dash = text.find('-');
    if (dash == std::string::npos) return std::nullopt;
    const auto begin = parse_time(std::string_view(text).substr(0, dash));
    const auto end = parse_time(std::string_view(text).substr(dash + 1));
    if (!begin || !end || *begin == *end || *begin == kDay) return std::nullopt;
    hours.windows_.push_back({*begin, *end});
  }
  return hours;
}

Milliseconds UploadHours::until_open(Milliseconds time_of_day) const {
  if (is_always()) return Milliseconds{0};
  Milliseconds least = kDay;
  for (const Window& window : windows_) {
    const bool over_midnight = window.end < window.begin;
    const bool open = over_midnight ? time_of_day >= window.begin || time_of_day < window.end
                                    : time_of_day >= window.begin && time_of_day < window.end;
    if (open) return Milliseconds{0};
    const Milliseconds until = window.begin - time_of_day;
    least = std::min(least, until.count() > 0 ? until : until + kDay);
  }
  return least;
}

Milliseconds local_time_of_day(WallTime time) {
  const auto ms = time.time_since_epoch().count();
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) return Milliseconds{ms % kDay.count()};
  return std::chrono::hours(local.tm_hour) + std::chrono::minutes(local.tm_min) +
         std::chrono::seconds(local.tm_sec) + Milliseconds{ms % 1000};
}

}  // namespace isthmus
