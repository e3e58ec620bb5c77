// GET /events: the event log for those who follow it. Our own operation, signed like the others.
//
// Server-sent events (WHATWG HTML section 9.2), or one JSON object per line for "Accept:
// application/x-ndjson". An answer holds what is there and ends; a client that follows comes again
// after `retry` with Last-Event-ID, as the standard's clients do by themselves. So nobody holds a
// connection, and nobody misses anything.
#include <charconv>

#include "datastore/api/healthimaging.h"

namespace isthmus::datastore {
namespace {

constexpr std::size_t kInOneAnswer = 1000;

std::int64_t number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc{} && end == text.data() + text.size() ? number : 0;
}

// Behind which event: Last-Event-ID, else `after` in the query; else from the first kept.
std::int64_t position_of(const http::Head& head) {
  if (const auto last = head.headers.find("Last-Event-ID")) return number_in(*last);
  for (const auto& [name, value] : http::parse_query(head.query())) {
    if (name == "after") return number_in(value);
  }
  return 0;
}

}  // namespace

http::Response HealthImagingApi::answer_events(const http::Head& head, const std::string& body) {
  const std::string request_id = make_id_text(env_);
  if (const Result<void> admitted = admit(head, body); !admitted) {
    return refusal(admitted.error(), request_id);
  }
  if (const Result<void> allowed = allow(head, {}, body); !allowed) {
    return refusal(allowed.error(), request_id);
  }
  const Result<std::vector<Event>> events = parts_.events.list(position_of(head), kInOneAnswer);
  if (!events) return refusal(events.error(), request_id);
  const bool lines = head.headers.get("Accept").find("application/x-ndjson") != std::string::npos;
  std::string text = lines ? "" : "retry: 1000\n\n";
  for (const Event& event : *events) {
    if (lines) {
      text += event.json + "\n";
    } else {
      text += "id: " + std::to_string(event.id) + "\ndata: " + event.json + "\n\n";
    }
  }
  http::Response response = http::text_response(
      200, lines ? "application/x-ndjson" : "text/event-stream", std::move(text));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

}  // namespace isthmus::datastore
