// Routes by method and path template on the raw (still percent-encoded) path.
#pragma once

#include <functional>
#include <map>
#include <variant>

#include "http/http.h"

namespace isthmus::http {

// Path parameters, percent-decoded.
using PathParameters = std::map<std::string, std::string, std::less<>>;
using RouteAction = std::function<std::unique_ptr<Exchange>(const Head&, const PathParameters&)>;

// Templates are of segments: "/datastore/{datastoreId}/imageSet/{imageSetId}". A parameter matches
// one segment; "{key+}" as the last matches the rest, slashes included. First match in order of
// registration. 404 when no template matches, 405 with Allow when only the method does not.
class Router : public Handler {
 public:
  void add(std::string method, std::string path_template, RouteAction action);
  void on_not_found(RouteAction action);
  std::unique_ptr<Exchange> open(const Head& head) override;
  // What open() would run: a route by its place in order of registration, with its parameters; or
  // the refusal (400, 404, 405 with Allow), whatever on_not_found() says.
  struct Match {
    std::size_t place = 0;
    PathParameters parameters = {};
  };
  std::variant<Match, Response> find(const Head& head) const;
  // "GET /healthz", in order; for tests that hold the API description against it.
  std::vector<std::string> routes() const;

 private:
  struct Route {
    std::string method;
    std::string path_template;
    std::vector<std::string> segments;
    RouteAction action;
  };
  std::vector<Route> routes_;
  RouteAction not_found_;
};

}  // namespace isthmus::http
