// HTTP without sockets: what a request and a response are, who handles one coming in (Handler,
// Exchange) and who sends one out (Transport). Servers, clients, the loopback and tests meet here.
#pragma once

#include <cstdint>
#include <functional>
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

// The first part of a request that came in. `target` is the raw origin-form target,
// percent-encoding untouched: "/datastore/abc?maxResults=5".
struct Head {
  std::string method;
  std::string target;
  Headers headers = {};
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
  Headers headers = {};
  std::unique_ptr<ByteSource> body =
      nullptr;  // none means empty; Content-Length is set by who sends it
};

Response text_response(int status, std::string_view content_type, std::string body);

// "Sun, 06 Nov 1994 08:49:37 GMT", and back. All three forms of RFC 9110 section 5.6.7 are read;
// nothing when it is none of them.
std::string to_http_date(WallTime time);
std::optional<WallTime> from_http_date(std::string_view text);

// The parts of an absolute URL, raw; views into the text it was made from.
struct Url {
  std::string_view scheme;     // "http" or "https", as written
  std::string_view authority;  // host, with ":port" when there is one: what "Host" says
  std::string_view target;     // path and query, "/" when the URL has none

  std::string_view path() const;
  std::string_view query() const;
};
// "http.bad_url" (permanent) for another scheme, no host, a user, a fragment, spaces or controls.
Result<Url> parse_url(std::string_view url);

// One request in progress. feed() gets the body in pieces as they come and may block (that is the
// back-pressure to the socket); finish() is called once, after the last piece, and gives the
// answer. A refusal may come earlier: feed() returns false when the rest of the body is not wanted,
// then finish() is called at once. A request that expects "100-continue" is fed one empty piece
// before its body is asked for, so that a refusal costs the peer nothing. A HEAD request is
// answered as a GET; the body stays here, but its size (or the Content-Length set, when there is no
// body) is told. Destroyed without finish(): the peer went away; leave nothing behind. One thread
// at a time.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual bool feed(ByteSpan piece) = 0;
  // Asked after a feed() that wants more: how long nothing more is read, for a peer that may only
  // be so fast. Waiting holds no thread; the loopback does not wait.
  virtual Milliseconds pause() { return Milliseconds(0); }
  virtual Response finish() = 0;
};

// Any thread, many at once.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual std::unique_ptr<Exchange> open(const Head& head) = 0;
};

// An exchange that gathers up to `limit` body bytes, then calls `answer` once; 413 beyond the
// limit.
std::unique_ptr<Exchange> gather(std::uint64_t limit,
                                 std::function<Response(std::string body)> answer);
// An exchange that wants no body and answers this.
std::unique_ptr<Exchange> answer_with(Response response);

struct Request {
  std::string method = "GET";
  // Absolute and already encoded; path and query go out as they are, byte for byte:
  // "http://127.0.0.1:8080/bucket/key?partNumber=1".
  std::string url = {};
  Headers headers = {};
  // Shared because a retry sends it again; rewound before each try.
  std::shared_ptr<ByteSource> body = nullptr;
  Milliseconds timeout{60'000};  // for the whole exchange, no progress counting
};

// Sends one request. An HTTP error status is a Response, not an Error, and a redirect is not
// followed. Errors: "http.connect", "http.timeout", "http.closed" (the connection ended in the
// middle), all transient; "http.bad_url", "http.bad_header" and "http.too_large" (an answer of
// untold length that does not end), all permanent; and whatever reading request.body gave. Any
// thread, many at once. The response has a body, if an empty one, that may be read after the call;
// its read() can give the transient errors too, and its rewind() "http.not_rewindable" (permanent)
// once more was read of it than is kept.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Result<Response> send(Request request) = 0;
};

}  // namespace isthmus::http
