// Routes are few and tried in order: a list that can be read beats a tree that must be understood.
#include "http/router.h"

#include <algorithm>

namespace isthmus::http {
namespace {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  for (;;) {
    const std::size_t slash = path.find('/');
    segments.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.starts_with('{') && segment.ends_with('}');
}

std::string_view parameter_name(std::string_view segment) {
  segment = segment.substr(1, segment.size() - 2);
  if (segment.ends_with('+')) segment.remove_suffix(1);
  return segment;
}

using RawParameters = std::vector<std::pair<std::string_view, std::string_view>>;

// The parameters, still percent-encoded; nothing when the path is not of this template.
std::optional<RawParameters> match(const std::vector<std::string>& segments,
                                   std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  path.remove_prefix(1);
  RawParameters parameters;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string_view segment = segments[i];
    const bool last = i + 1 == segments.size();
    const bool takes_rest = is_parameter(segment) && segment.ends_with("+}");
    const std::size_t slash = takes_rest ? std::string_view::npos : path.find('/');
    if (last != (slash == std::string_view::npos)) return std::nullopt;
    const std::string_view part = path.substr(0, slash);
    if (is_parameter(segment)) {
      if (part.empty()) return std::nullopt;
      parameters.emplace_back(parameter_name(segment), part);
    } else if (segment != part) {
      return std::nullopt;
    }
    if (!last) path.remove_prefix(slash + 1);
  }
  return parameters;
}

std::optional<PathParameters> decode(const RawParameters& raw) {
  PathParameters decoded;
  for (const auto& [name, value] : raw) {
    std::optional<std::string> text = percent_decode(value);
    if (!text) return std::nullopt;
    decoded[std::string(name)] = *std::move(text);
  }
  return decoded;
}

}  // namespace

void Router::add(std::string method, std::string path_template, RouteAction action) {
  std::vector<std::string> segments = split(path_template);
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    ASSERT(!segments[i].ends_with("+}"));  // only the last one may take the rest
  }
  routes_.push_back(
      {std::move(method), std::move(path_template), std::move(segments), std::move(action)});
}

void Router::on_not_found(RouteAction action) {
  not_found_ = std::move(action);
}

std::unique_ptr<Exchange> Router::open(const Head& head) {
  auto found = find(head);
  if (const Match* match = std::get_if<Match>(&found)) {
    return routes_[match->place].action(head, match->parameters);
  }
  Response& refused = std::get<Response>(found);
  if (refused.status == 404 && not_found_) return not_found_(head, {});
  return answer_with(std::move(refused));
}

std::variant<Router::Match, Response> Router::find(const Head& head) const {
  const auto take = [&](std::size_t place,
                        const RawParameters& raw) -> std::variant<Match, Response> {
    std::optional<PathParameters> parameters = decode(raw);
    if (!parameters) return text_response(400, "text/plain", "The path holds a broken escape.\n");
    return Match{place, *std::move(parameters)};
  };

  std::vector<std::string> allowed;
  const Route* get = nullptr;  // answers HEAD when nothing else does (RFC 9110 section 9.3.2)
  for (const Route& route : routes_) {
    const std::optional<RawParameters> raw = match(route.segments, head.path());
    if (!raw) continue;
    const auto place = static_cast<std::size_t>(&route - routes_.data());
    if (route.method == head.method) return take(place, *raw);
    if (route.method == "GET" && get == nullptr) get = &route;
    if (std::ranges::find(allowed, route.method) == allowed.end()) allowed.push_back(route.method);
  }
  if (head.method == "HEAD" && get != nullptr) {
    return take(static_cast<std::size_t>(get - routes_.data()), *match(get->segments, head.path()));
  }
  if (allowed.empty()) return text_response(404, "text/plain", "There is nothing here.\n");
  if (get != nullptr && std::ranges::find(allowed, "HEAD") == allowed.end()) {
    allowed.emplace_back("HEAD");
  }
  std::string methods;
  for (const std::string& method : allowed) methods += (methods.empty() ? "" : ", ") + method;
  Response refused = text_response(405, "text/plain", "The method is not allowed here.\n");
  refused.headers.set("Allow", methods);
  return refused;
}

std::vector<std::string> Router::routes() const {
  std::vector<std::string> lines;
  for (const Route& route : routes_) lines.push_back(route.method + " " + route.path_template);
  return lines;
}

}  // namespace isthmus::http
