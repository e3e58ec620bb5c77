#include "http/loopback.h"

#include <array>
#include <exception>

#include "http/rules/rules.h"

namespace isthmus::http {
namespace {

constexpr std::size_t kPieceBytes = 64 * KiB;

class Loopback : public Transport {
 public:
  explicit Loopback(Handler& handler) : handler_(handler) {}

  Result<Response> send(Request request) override {
    TRY_ASSIGN(const Url url, parse_url(request.url));
    if (!rules::safe(request.headers)) {
      return permanent_error("http.bad_header", "A header to send holds a line end or a control.");
    }
    Head head;
    head.method = request.method;
    head.target = std::string(url.target);
    head.headers = request.headers;
    if (!head.headers.contains("Host")) head.headers.set("Host", std::string(url.authority));
    head.headers.remove("Content-Length");
    head.peer_address = "127.0.0.1";
    if (request.body) {
      TRY(request.body->rewind());
      head.content_length = request.body->size();
      head.headers.set("Content-Length", std::to_string(*head.content_length));
    }
    try {
      TRY_ASSIGN(Response response, run(head, request.body.get()));
      if (rules::complete(response, head.method)) {
        if (!response.body) response.body = source_of(std::string());
        return response;
      }
    } catch (const std::exception&) {
      // Answered as the server answers a handler that throws.
    }
    Response broken = text_response(500, "text/plain", "The request could not be worked on.\n");
    rules::complete(broken, head.method);
    if (!broken.body) broken.body = source_of(std::string());
    return broken;
  }

 private:
  Result<Response> run(const Head& head, ByteSource* body) {
    const std::unique_ptr<Exchange> exchange = handler_.open(head);
    std::uint64_t left = head.content_length.value_or(0);
    std::vector<std::byte> piece(left > 0 ? kPieceBytes : 0);
    while (left > 0) {
      const std::size_t wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(left, kPieceBytes));
      TRY_ASSIGN(const std::size_t got, body->read(MutableByteSpan(piece).first(wanted)));
      if (got == 0) {
        return transient_error("http.closed", "The request's body ended before its length.");
      }
      left -= got;
      if (!exchange->feed(ByteSpan(piece).first(got))) break;
    }
    return exchange->finish();
  }

  Handler& handler_;
};

}  // namespace

std::unique_ptr<Transport> make_loopback(Handler& handler) {
  return std::make_unique<Loopback>(handler);
}

}  // namespace isthmus::http
