// The stream of events (HTML, section 9.2, server-sent events). They are read from history, by
// number: whoever comes back with Last-Event-ID misses none, whatever ended the stream.
//
// A client that says it takes text/event-stream is answered for as long as it listens, a quarter of
// an hour at most: then it comes back by itself, and is asked anew who it is. Others get what there
// is and the end.
#include <limits>

#include "api/rest/json.h"
#include "http/live.h"

namespace isthmus::api::rest {
namespace {

constexpr std::size_t kEventsMost = 500;
// How soon a browser comes back for more ("retry").
constexpr int kRetry_ms = 1000;
constexpr Milliseconds kLook{500};
constexpr Milliseconds kHeartbeat{15'000};
constexpr Milliseconds kLongest{15 * 60'000};

struct Piece {
  std::string text;
  std::int64_t last = 0;  // the number of the last event of it, or of where it began
};

Result<Piece> happened_since(const RestParts& parts, std::int64_t after) {
  TRY_ASSIGN(const auto happened, parts.overview.events(after, kEventsMost));
  Piece piece{"", after};
  for (const Event& event : happened) {
    piece.last = event.seq;
    piece.text += "id: " + std::to_string(event.seq) + "\nevent: " + event.entry.subject +
                  "\ndata: " + history_json(event.entry).dump() + "\n\n";
  }
  return piece;
}

Result<Piece> beginning(const RestParts& parts, std::optional<std::int64_t> after) {
  Piece piece;
  if (after) {
    TRY_ASSIGN(piece, happened_since(parts, *after));
  } else {
    TRY_ASSIGN(piece.last, parts.overview.newest_event());
    piece.text = "id: " + std::to_string(piece.last) + "\nevent: begin\ndata: {}\n\n";
  }
  piece.text = "retry: " + std::to_string(kRetry_ms) + "\n\n" + piece.text;
  return piece;
}

class EventStream : public http::LiveBody {
 public:
  EventStream(const RestParts& parts, Piece begin)
      : LiveBody(std::move(begin.text)),
        parts_(parts),
        last_(begin.last),
        began_(parts.env.clock.steady_now()),
        said_(began_) {}

  std::optional<std::string> next() override {
    const SteadyTime now = parts_.env.clock.steady_now();
    if (now - began_ > kLongest) return std::nullopt;
    auto piece = happened_since(parts_, last_);
    if (!piece.ok()) return std::nullopt;  // its client comes back, and hears why
    last_ = piece->last;
    if (piece->text.empty() && now - said_ < kHeartbeat) return "";
    said_ = now;
    // A comment tells a peer that went away from one that has nothing to hear.
    return piece->text.empty() ? ":\n\n" : std::move(piece->text);
  }
  Milliseconds pause() const override { return kLook; }

 private:
  const RestParts parts_;
  std::int64_t last_;
  const SteadyTime began_;
  SteadyTime said_;
};

// Last-Event-ID before ?after=; one that is no number of ours is as none.
Result<std::optional<std::int64_t>> asked_from(const http::Head& head) {
  const auto most = std::numeric_limits<std::int64_t>::max();
  const Query query(head);
  std::int64_t after = query.integer("after", -1, 0, most);
  if (auto bad = query.problem({"after"})) return *bad;
  if (const auto last = head.headers.find("Last-Event-ID")) {
    http::Head as_query;
    as_query.target = "/?after=" + std::string(*last);
    const Query given(as_query);
    after = given.integer("after", -1, 0, most);
    if (given.problem({"after"})) after = -1;
  }
  return after < 0 ? std::nullopt : std::optional(after);
}

Result<http::Response> events(const RestParts& parts, const http::Head& head) {
  TRY_ASSIGN(const auto after, asked_from(head));
  TRY_ASSIGN(Piece begin, beginning(parts, after));
  const bool listens =
      head.headers.get("Accept").find("text/event-stream") != std::string_view::npos;
  if (!listens) return http::text_response(200, "text/event-stream", std::move(begin.text));
  http::Response response = http::text_response(200, "text/event-stream", "");
  response.headers.set("Cache-Control", "no-store");
  response.body = std::make_unique<EventStream>(parts, std::move(begin));
  return response;
}

}  // namespace

void add_event_routes(GuardedRouter& router, const RestParts& parts) {
  router.add("GET", "/v1/events", Scope::read, [parts](const Call& call) {
    auto response = events(parts, call.head);
    return http::answer_with(response.ok() ? std::move(response).value()
                                           : problem(response.error()));
  });
}

}  // namespace isthmus::api::rest
