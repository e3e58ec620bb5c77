// Headers, targets, percent-encoding, dates, and the two exchanges everybody needs.
#include "http/http.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace isthmus::http {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view before(std::string_view text, char mark) {
  return text.substr(0, text.find(mark));
}

std::string_view after(std::string_view text, char mark) {
  const std::size_t at = text.find(mark);
  return at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const char small = lower(c);
  if (small >= 'a' && small <= 'f') return static_cast<unsigned>(small - 'a' + 10);
  return std::nullopt;
}

// RFC 3986 section 2.3.
bool unreserved(char c) {
  const char small = lower(c);
  return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

class Gathering : public Exchange {
 public:
  Gathering(std::uint64_t limit, std::function<Response(std::string)> answer)
      : limit_(limit), answer_(std::move(answer)) {}

  bool feed(ByteSpan piece) override {
    if (piece.size() > limit_ - body_.size()) {
      too_large_ = true;
      return false;
    }
    body_.append(as_text(piece));
    return true;
  }
  Response finish() override {
    if (too_large_) {
      return text_response(413, "text/plain", "The request body is larger than allowed here.\n");
    }
    return answer_(std::move(body_));
  }

 private:
  const std::uint64_t limit_;
  std::function<Response(std::string)> answer_;
  std::string body_;
  bool too_large_ = false;
};

class Answering : public Exchange {
 public:
  explicit Answering(Response response) : response_(std::move(response)) {}
  bool feed(ByteSpan) override { return false; }
  Response finish() override { return std::move(response_); }

 private:
  Response response_;
};

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kWeekdays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0) {
    return std::nullopt;
  }
  return value;
}

std::string two_digits(long value) {
  return {static_cast<char>('0' + value / 10 % 10), static_cast<char>('0' + value % 10)};
}

// Words between spaces; a day of the month below ten is padded with a second space in asctime's
// form.
std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (!text.empty()) {
    const std::string_view word = before(text, ' ');
    if (!word.empty()) found.push_back(word);
    text = after(text, ' ');
  }
  return found;
}

std::optional<WallTime> moment(std::optional<int> year, std::string_view month_name,
                               std::optional<int> day, std::string_view time) {
  const auto month = std::ranges::find(kMonths, month_name);
  if (!year || !day || month == kMonths.end() || time.size() != 8 || time[2] != ':' ||
      time[5] != ':') {
    return std::nullopt;
  }
  // std::chrono keeps a year in 16 bits and a day in 8, and drops the rest without a word.
  if (*year > 9999 || *day > 31) return std::nullopt;
  const auto hour = number(time.substr(0, 2)), minute = number(time.substr(3, 2)),
             second = number(time.substr(6, 2));
  const std::chrono::year_month_day date{
      std::chrono::year(*year),
      std::chrono::month(static_cast<unsigned>(month - kMonths.begin() + 1)),
      std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || !hour || *hour > 23 || !minute || *minute > 59 || !second || *second > 60) {
    return std::nullopt;
  }
  return WallTime(std::chrono::sys_days(date) + std::chrono::hours(*hour) +
                  std::chrono::minutes(*minute) + std::chrono::seconds(*second));
}

}  // namespace

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (same_name(field, name)) return value;
  }
  return std::nullopt;
}

std::string_view Headers::get(std::string_view name, std::string_view otherwise) const {
  return find(name).value_or(otherwise);
}

void Headers::set(std::string_view name, std::string value) {
  const auto same = [&](const auto& field) { return same_name(field.first, name); };
  const auto first = std::ranges::find_if(fields_, same);
  if (first == fields_.end()) {
    add(name, std::move(value));
    return;
  }
  first->second = std::move(value);
  fields_.erase(std::remove_if(first + 1, fields_.end(), same), fields_.end());
}

void Headers::add(std::string_view name, std::string value) {
  fields_.emplace_back(std::string(name), std::move(value));
}

void Headers::remove(std::string_view name) {
  std::erase_if(fields_, [&](const auto& field) { return same_name(field.first, name); });
}

std::string_view Head::path() const {
  return before(target, '?');
}
std::string_view Head::query() const {
  return after(target, '?');
}
std::string_view Url::path() const {
  return before(target, '?');
}
std::string_view Url::query() const {
  return after(target, '?');
}

std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query) {
  // A broken escape is left as it came: the parameter's own check refuses it, with its name.
  const auto decoded = [](std::string_view text) {
    return percent_decode(text).value_or(std::string(text));
  };
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!query.empty()) {
    const std::string_view parameter = before(query, '&');
    if (!parameter.empty()) {
      parameters.emplace_back(decoded(before(parameter, '=')), decoded(after(parameter, '=')));
    }
    query = after(query, '&');
  }
  return parameters;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const auto high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (!high || !low) return std::nullopt;
    decoded.push_back(static_cast<char>(*high * 16 + *low));
    i += 2;
  }
  return decoded;
}

std::string percent_encode(std::string_view text, bool keep_slash) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (unreserved(c) || (keep_slash && c == '/')) {
      encoded.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded.push_back('%');
    encoded.push_back(kDigits[byte >> 4]);
    encoded.push_back(kDigits[byte & 15]);
  }
  return encoded;
}

std::string to_http_date(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time - day).count();
  const auto year = static_cast<int>(date.year());
  std::string text(kWeekdays[std::chrono::weekday(day).c_encoding()]);
  text += ", " + two_digits(static_cast<unsigned>(date.day())) + " ";
  text += kMonths[static_cast<unsigned>(date.month()) - 1];
  text += " " + two_digits(year / 100) + two_digits(year % 100) + " ";
  text += two_digits(seconds / 3600) + ":" + two_digits(seconds / 60 % 60) + ":" +
          two_digits(seconds % 60) + " GMT";
  return text;
}

std::optional<WallTime> from_http_date(std::string_view text) {
  const std::vector<std::string_view> parts = words(text);
  if (parts.size() == 6 && parts[5] == "GMT") {  // Sun, 06 Nov 1994 08:49:37 GMT
    return moment(number(parts[3]), parts[2], number(parts[1]), parts[4]);
  }
  if (parts.size() == 5) {  // asctime: Sun Nov  6 08:49:37 1994
    return moment(number(parts[4]), parts[1], number(parts[2]), parts[3]);
  }
  if (parts.size() == 4 && parts[3] == "GMT" && parts[1].size() == 9) {
    // RFC 850: Sunday, 06-Nov-94 08:49:37 GMT. A year more than 50 years ahead is in the past; with
    // two digits and dates that are about now, 70 is the border.
    auto year = number(parts[1].substr(7));
    if (year) year = *year + (*year < 70 ? 2000 : 1900);
    return moment(year, parts[1].substr(3, 3), number(parts[1].substr(0, 2)), parts[2]);
  }
  return std::nullopt;
}

Result<Url> parse_url(std::string_view url) {
  const auto bad = [](std::string why) { return permanent_error("http.bad_url", std::move(why)); };
  const auto visible = [](char c) { return c > ' ' && c < 127; };
  if (!std::ranges::all_of(url, visible)) {
    return bad("A URL holds a space, a control or a character that must be percent-encoded.");
  }
  const std::size_t colon = url.find("://");
  if (colon == std::string_view::npos) return bad("A URL must start with http:// or https://.");
  Url parts;
  parts.scheme = url.substr(0, colon);
  if (!same_name(parts.scheme, "http") && !same_name(parts.scheme, "https")) {
    return bad("A URL must start with http:// or https://.");
  }
  const std::string_view rest = url.substr(colon + 3);
  if (rest.find('#') != std::string_view::npos) return bad("A URL to send to has no fragment.");
  const std::size_t end = rest.find_first_of("/?");
  parts.authority = rest.substr(0, end);
  if (before(parts.authority, ':').empty()) return bad("A URL must name a host.");
  if (parts.authority.find('@') != std::string_view::npos) {
    return bad("A URL must hold no user or password.");
  }
  if (end == std::string_view::npos) {
    parts.target = "/";
  } else if (rest[end] == '?') {
    return bad("A URL with a query must have a path.");
  } else {
    parts.target = rest.substr(end);
  }
  return parts;
}

Response text_response(int status, std::string_view content_type, std::string body) {
  Response response;
  response.status = status;
  response.headers.set("Content-Type", std::string(content_type));
  response.body = source_of(std::move(body));
  return response;
}

std::unique_ptr<Exchange> gather(std::uint64_t limit,
                                 std::function<Response(std::string body)> answer) {
  return std::make_unique<Gathering>(limit, std::move(answer));
}

std::unique_ptr<Exchange> answer_with(Response response) {
  return std::make_unique<Answering>(std::move(response));
}

}  // namespace isthmus::http
