#include "http/rules/rules.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace isthmus::http::rules {
namespace {

bool same(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// Every value of the fields of that name, in order.
std::vector<std::string_view> values(const Headers& headers, std::string_view name) {
  std::vector<std::string_view> found;
  for (const auto& [field, value] : headers.all()) {
    if (same(field, name)) found.push_back(value);
  }
  return found;
}

bool lists(const Headers& headers, std::string_view name, std::string_view token) {
  for (std::string_view list : values(headers, name)) {
    while (!list.empty()) {
      const std::size_t comma = list.find(',');
      std::string_view item = list.substr(0, comma);
      while (item.starts_with(' ') || item.starts_with('\t')) item.remove_prefix(1);
      while (item.ends_with(' ') || item.ends_with('\t')) item.remove_suffix(1);
      if (same(item, token)) return true;
      list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    }
  }
  return false;
}

// Digits only: a sign, a list of equal lengths, or more than 64 bits is no length.
std::optional<std::uint64_t> length(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

// RFC 9110 section 5.6.2.
bool token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool safe_field(const std::pair<std::string, std::string>& field) {
  const auto printable = [](char c) { return c == '\t' || static_cast<unsigned char>(c) >= 32; };
  return !field.first.empty() && std::ranges::all_of(field.first, token_character) &&
         std::ranges::all_of(field.second, printable) &&
         field.second.find(char(127)) == std::string::npos;
}

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

}  // namespace

std::optional<Refusal> judge(int minor, const Headers& headers, Framing& framing) {
  const auto lengths = values(headers, "Content-Length");
  const auto codings = values(headers, "Transfer-Encoding");
  const auto hosts = values(headers, "Host");

  if (hosts.size() > 1 || (minor >= 1 && hosts.empty())) {
    return Refusal{400, "A request names its host once."};
  }
  if (!lengths.empty() && !codings.empty()) {
    return Refusal{400, "Content-Length and Transfer-Encoding exclude each other."};
  }
  if (lengths.size() > 1) return Refusal{400, "There is more than one Content-Length."};
  if (!lengths.empty()) {
    framing.content_length = length(lengths[0]);
    if (!framing.content_length) return Refusal{400, "Content-Length is not a length."};
  }
  if (!codings.empty()) {
    if (minor < 1) return Refusal{400, "HTTP/1.0 has no Transfer-Encoding."};
    if (codings.size() > 1) return Refusal{400, "There is more than one Transfer-Encoding."};
    if (!same(codings[0], "chunked")) return Refusal{501, "Only the chunked coding is known here."};
    framing.chunked = true;
  }
  if (const auto expected = headers.find("Expect"); expected && minor >= 1) {
    if (!same(*expected, "100-continue")) {
      return Refusal{417, "No expectation but 100-continue is known here."};
    }
    framing.expects_continue = framing.has_body();
  }
  framing.keep_alive = minor >= 1 ? !lists(headers, "Connection", "close")
                                  : lists(headers, "Connection", "keep-alive");
  // A final answer without 100 (nothing to continue with: RFC 9110 section 10.1.1) is right, but
  // stock botocore misreads every answer after it on that connection.
  if (headers.contains("Expect") && !framing.has_body()) framing.keep_alive = false;
  return std::nullopt;
}

std::optional<std::string> origin_form(std::string_view target) {
  if (target.starts_with('/')) return std::string(target);
  if (Result<Url> url = parse_url(target); url.ok()) return std::string(url->target);
  return std::nullopt;
}

bool safe(const Headers& headers) {
  return std::ranges::all_of(headers.all(), safe_field);
}

bool complete(Response& response, std::string_view method) {
  if (!safe(response.headers)) return false;
  response.headers.remove("Transfer-Encoding");
  response.headers.remove("Connection");
  if (response.status == 204 || response.status == 304) {
    response.headers.remove("Content-Length");
    response.body.reset();
    return true;
  }
  // A HEAD answer may tell the size of a body that nobody opened.
  const bool told = method == "HEAD" && response.body == nullptr &&
                    length(response.headers.get("Content-Length")).has_value();
  if (!told) {
    const std::uint64_t size = response.body ? response.body->size() : 0;
    response.headers.set("Content-Length", std::to_string(size));
  }
  if (method == "HEAD") response.body.reset();
  return true;
}

std::string head_text(const Response& response, bool keep_alive) {
  std::string text = "HTTP/1.1 " + std::to_string(response.status) + " ";
  text += reason(response.status);
  text += "\r\n";
  for (const auto& [name, value] : response.headers.all()) {
    text += name;
    text += ": ";
    text += value;
    text += "\r\n";
  }
  text += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return text;
}

}  // namespace isthmus::http::rules
