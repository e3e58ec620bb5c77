// What of a request's head is judged before a handler sees it: targets, fields, framing, dates,
// queries and URLs. What is passed on is safe to be passed on.
#include <algorithm>

#include "fuzz/fuzz.h"
#include "http/rules/rules.h"

namespace isthmus::fuzz {
namespace {

using http::Headers;

// "GET target" on the first line, then "Name: value" lines.
struct Text {
  std::string target;
  Headers headers;
};

Text split(std::string_view text) {
  Text head;
  const auto line_of = [&text] {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
  };
  head.target = line_of();
  for (int fields = 0; !text.empty() && fields < 64; ++fields) {
    const std::string_view line = line_of();
    const auto colon = std::min(line.find(':'), line.size());
    const std::string_view rest = line.substr(std::min(colon + 1, line.size()));
    head.headers.add(line.substr(0, colon), std::string(rest));
  }
  return head;
}

void check_target(const std::string& target) {
  const auto origin = http::rules::origin_form(target);
  if (!origin) return;
  check(origin->starts_with("/"), "an origin form begins with a slash");
  const auto again = http::rules::origin_form(*origin);
  check(!origin->starts_with("//") ? again == origin : true, "and is its own origin form");
}

void check_percent(std::string_view text) {
  const auto decoded = http::percent_decode(text);
  if (decoded) {
    check(decoded->size() <= text.size(), "decoding makes nothing longer");
    check_equal(http::percent_decode(http::percent_encode(*decoded, false)), decoded,
                "what was encoded is decoded to itself");
    check_equal(http::percent_decode(http::percent_encode(*decoded, true)), decoded,
                "slashes kept or not");
  }
  for (const auto& [name, value] : http::parse_query(text)) {
    check(name.size() + value.size() <= text.size(), "a query's parts are parts of it");
  }
}

void check_date(std::string_view text) {
  const auto time = http::from_http_date(text);
  if (!time) return;
  const std::string printed = http::to_http_date(*time);
  check(http::from_http_date(printed) == time, "a date is read back: " + printed);
}

void check_url(std::string_view text) {
  const auto url = http::parse_url(text);
  if (!url.ok()) return check_equal(url.error().code, "http.bad_url", "one code");
  check(!url->authority.empty() && url->target.starts_with("/"), "a host and a target");
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) <= 0x20; };
  check(std::none_of(text.begin(), text.end(), is_control), "without spaces and controls");
}

void run(ByteSpan input) {
  if (input.empty()) return;
  const int minor = std::to_integer<int>(input[0]) & 1;
  const std::string_view text = as_text(input.subspan(1));
  const Text head = split(text);
  http::rules::Framing framing;

  const auto refusal = http::rules::judge(minor, head.headers, framing);

  if (refusal) {
    check(refusal->status >= 400 && refusal->status < 600, "a refusal is an error status");
  } else {
    check(!(framing.chunked && framing.content_length), "framed in one way");
  }
  http::Response response;
  response.headers = head.headers;
  if (http::rules::complete(response, "GET")) {
    const std::string lines = http::rules::head_text(response, framing.keep_alive);
    check(lines.ends_with("\r\n\r\n"), "an answer's head ends with an empty line");
    check_equal(lines.find("\r\n\r\n"), lines.size() - 4, "and only there");
  }
  check_target(head.target);
  check_percent(head.target);
  check_date(head.target);
  check_url(head.target);
}

std::vector<std::string> seeds() {
  return {
      "\1/bucket/a%20key?list-type=2&prefix=a%2Fb&x\nHost: a\nContent-Length: 12\n",
      "\1http://127.0.0.1:80/a?b\nHost: a\nTransfer-Encoding: chunked\nExpect: 100-continue\n",
      std::string("\0", 1) + "Sun, 06 Nov 1994 08:49:37 GMT\nHost: a\nConnection: keep-alive\n",
      "\1Sunday, 06-Nov-94 08:49:37 GMT\nHost: a\nHost: b\n",
      "\1Sun Nov  6 08:49:37 1994\nHost: a\nContent-Length: 1\nTransfer-Encoding: chunked\n",
      "\1https://host.example/%zz?%41=%\nX-A: b\nContent-Type: text/plain\n",
  };
}

}  // namespace

Harness http_head_harness() {
  return {"http_head", run, 4 * KiB, seeds};
}

}  // namespace isthmus::fuzz
