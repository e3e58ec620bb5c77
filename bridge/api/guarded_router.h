// The one door of the gateway's HTTP faces: who calls is known, may do it, and does not do too much
// of it, before a handler sees the request; what changes something is in the audit log before it is
// done, and again with its answer. A route cannot be registered without the scope that it needs.
//
//   router.add("POST", "/v1/things/{id}", Scope::operate, [&](const Call& call) {
//     return http::gather(64 * KiB, [&, caller = call.caller, id = call.path.at("id")](
//         std::string body) { … return json_answer(200, …); });
//   });
//
// Refusals are problem documents: 401 before anything is told of what exists, 403, 404, 405, 429.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/access.h"
#include "http/router.h"
#include "ledger/access_rows.h"

namespace isthmus::api {

// Valid during the call it is given to; a handler that answers later copies what it needs.
struct Call {
  const http::Head& head;
  const http::PathParameters& path;
  const Caller& caller;
};
using Action = std::function<std::unique_ptr<http::Exchange>(const Call&)>;

// Of each caller. Nobody limits `local` and the command line but the listener itself, and storing
// is limited by admission.
struct CallerLimits {
  double calls_per_second = 0;    // 0: no limit; a burst of two seconds' worth is let pass
  std::size_t calls_at_once = 0;  // 0: no limit; storing counts, too
};

struct GuardedRouterOptions {
  CallerLimits limits = {};
  bool over_tls = false;  // then Strict-Transport-Security is said
};

// Routes are added before the first open(), from one thread. open(): any thread.
class GuardedRouter : public http::Handler {
 public:
  // All must outlive it.
  GuardedRouter(Env& env, Authenticator& authenticator, AccessRows& audit,
                GuardedRouterOptions options = {});
  ~GuardedRouter() override;

  // GET and HEAD only read; anything else is audited, but for Scope::store: an instance's own row
  // says who sent it and when.
  void add(std::string method, std::string path_template, Scope scope, Action action);
  // For "/healthz" and "/readyz" and nothing else: asked without saying who asks.
  void add_open(std::string path, std::function<http::Response()> answer);

  std::unique_ptr<http::Exchange> open(const http::Head& head) override;

  struct Entry {
    std::string method;
    std::string path_template;
    std::optional<Scope> scope;  // none: open
  };
  // In order; the API description and the table test are held against it.
  const std::vector<Entry>& table() const { return table_; }

 private:
  class Permits;
  std::unique_ptr<http::Exchange> guarded(const http::Head& head, const Caller& caller,
                                          const http::Router::Match& match);
  std::unique_ptr<http::Exchange> refuse(const Error& error, std::string_view allow = "");

  Env& env_;
  Authenticator& authenticator_;
  AccessRows& audit_;
  const GuardedRouterOptions options_;
  http::Router router_;  // matches; the actions are here
  std::vector<Entry> table_;
  std::vector<Action> actions_;
  const std::unique_ptr<Permits> permits_;
};

}  // namespace isthmus::api
