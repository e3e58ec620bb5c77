// The rules of HTTP/1.1 that need no socket: how a request is framed and whether that can be
// trusted, and what an answer must say besides what the handler said. Shared by the server and the
// loopback.
#pragma once

#include "http/http.h"

namespace isthmus::http::rules {

// What the request's fields say about its body and its connection.
struct Framing {
  bool chunked = false;
  std::optional<std::uint64_t> content_length;  // absent: no such field
  bool expects_continue = false;
  bool keep_alive = true;

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

// Why a request is answered at once, without a handler, and its connection closed.
struct Refusal {
  int status = 400;
  std::string why;

  bool operator==(const Refusal&) const = default;
};

// Refuses what two readers of the same bytes could frame in two ways (RFC 9112
// sections 3.2, 6.1, 6.3), and expectations that nobody meets (RFC 9110 section 10.1.1). `minor` is
// of HTTP/1.<minor>.
std::optional<Refusal> judge(int minor, const Headers& headers, Framing& framing);

// The origin-form of a request target: "http://host/a?b" becomes "/a?b" (RFC 9112 section 3.2.2).
// Nothing for what is neither.
std::optional<std::string> origin_form(std::string_view target);

// Whether every field is a token and a value without line ends or other controls: what may be sent.
bool safe(const Headers& headers);

// Sets Content-Length (RFC 9110 section 8.6), and takes the body away where there may be none.
// Gives false when a header would break the framing of the answer itself.
bool complete(Response& response, std::string_view method);

// "HTTP/1.1 200 OK", the fields, Connection, and the empty line.
std::string head_text(const Response& response, bool keep_alive);

}  // namespace isthmus::http::rules
