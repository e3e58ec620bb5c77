// HTTP without sockets: what a request and a response are, who handles one coming in (Handler,
// Exchange) and who sends one out (Transport). Servers, clients, the loopback and tests meet here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/env.h"

namespace isthmus::http {

// Header fields in order; names compare without regard to case (RFC 9110 section 5.1).
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  // The first value, if any.
  std::optional<std::string_view> find(std::string_view name) const;
  std::string_view get(std::string_view name, std::string_view otherwise = "") const;
  bool contains(std::string_view name) const { return find(name).has_value(); }
  // set replaces every field of that name; add appends one.
  void set(std::string_view name, std::string value);
  void add(std::string_view name, std::string value);
  void remove(std::string_view name);
  const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// The first part of a request that came in. `target` is the raw origin-form target, percent-encoding
// untouched: "/datastore/abc?maxResults=5".
struct Head {
  std::string method;
  std::string target;
  Headers headers;
  std::string peer_address;
  std::optional<std::uint64_t> content_length;  // absent when chunked or without a body

  std::string_view path() const;   // before '?', raw
  std::string_view query() const;  // after '?', raw; empty without one
};

// Query parameters in order, percent-decoded ('+' stays '+').
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);
// Percent-decodes; nothing for a broken escape.
std::optional<std::string> percent_decode(std::string_view text);
// RFC 3986 unreserved characters stay, '/' stays when asked, everything else becomes %XX.
std::string percent_encode(std::string_view text, bool keep_slash);

struct Response {
  int status = 200;
  Headers headers;
  std::unique_ptr<ByteSource> body;  // none means empty; Content-Length is set by who sends it
};

Response text_response(int status, std::string_view content_type, std::string body);

// One request in progress. feed() gets the body in pieces as they come and may block (that is the
// back-pressure to the socket); finish() is called once, after the last piece, and gives the answer.
// A refusal may come earlier: feed() returns false when the rest of the body is not wanted, then
// finish() is called at once. Destroyed without finish(): the peer went away; leave nothing behind.
// One thread at a time.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual bool feed(ByteSpan piece) = 0;
  virtual Response finish() = 0;
};

// Any thread, many at once.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual std::unique_ptr<Exchange> open(const Head& head) = 0;
};

// An exchange that gathers up to `limit` body bytes, then calls `answer` once; 413 beyond the limit.
std::unique_ptr<Exchange> gather(std::uint64_t limit,
                                 std::function<Response(std::string body)> answer);
// An exchange that wants no body and answers this.
std::unique_ptr<Exchange> answer_with(Response response);

struct Request {
  std::string method = "GET";
  std::string url;   // absolute: "http://127.0.0.1:8080/bucket/key?partNumber=1"; already encoded
  Headers headers;
  std::shared_ptr<ByteSource> body;  // shared because a retry sends it again; rewound before each try
  Milliseconds timeout{60'000};      // for the whole exchange, no progress counting
};

// Sends one request. An HTTP error status is a Response, not an Error. Errors, all transient:
// "http.connect", "http.timeout", "http.closed" (the connection ended in the middle); and
// "http.bad_url" (permanent). Any thread, many at once. The response body may be read after the call.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Result<Response> send(Request request) = 0;
};

}  // namespace isthmus::http
