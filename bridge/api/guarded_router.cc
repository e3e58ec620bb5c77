#include "api/guarded_router.h"

#include <algorithm>

#include "api/problem.h"
#include "base/ids.h"

namespace isthmus::api {
namespace {

constexpr std::size_t kAccounts = 1024;  // callers that are remembered for their rate
constexpr double kBurstSeconds = 2;

// What every answer says to browsers: nothing of it runs, is framed, guessed at or kept.
void harden(http::Response& response, bool over_tls) {
  const auto say = [&](const char* name, const char* value) {
    if (!response.headers.contains(name)) response.headers.set(name, value);
  };
  say("X-Content-Type-Options", "nosniff");
  say("X-Frame-Options", "DENY");
  say("Referrer-Policy", "no-referrer");
  say("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  say("Cache-Control", "no-store");
  if (over_tls) say("Strict-Transport-Security", "max-age=31536000");
}

// The parameters of the path, as the audit log has them: "1.2.3 4.5.6".
std::string subject_of(const http::PathParameters& parameters) {
  std::string text;
  for (const auto& [name, value] : parameters) {
    if (!text.empty()) text += ' ';
    text += value;
  }
  constexpr std::size_t kMost = 512;
  if (text.size() > kMost) text.resize(kMost);
  const auto odd = [](char c) { return c < 32 || c > 126; };
  std::ranges::replace_if(text, odd, '?');
  return text;
}

}  // namespace

// Counts what each caller has in progress, and how many calls it may still make.
class GuardedRouter::Permits {
 public:
  Permits(Env& env, CallerLimits limits) : env_(env), limits_(limits) {}

  // Given back when destroyed.
  class Permit {
   public:
    Permit(Permits* of, std::string caller) : of_(of), caller_(std::move(caller)) {}
    Permit(Permit&& other) noexcept
        : of_(std::exchange(other.of_, nullptr)), caller_(std::move(other.caller_)) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (of_ != nullptr) of_->give_back(caller_);
    }

   private:
    Permits* of_;
    std::string caller_;
  };

  Result<Permit> take(const Caller& caller, Scope scope) {
    const bool unlimited = caller.how == Authentication::local ||
                           caller.how == Authentication::control_token ||
                           (limits_.calls_per_second <= 0 && limits_.calls_at_once == 0);
    if (unlimited) return Permit(nullptr, "");
    const std::lock_guard lock(mutex_);
    const SteadyTime now = env_.clock.steady_now();
    Account& account = account_of(caller, now);
    if (limits_.calls_at_once > 0 && account.in_progress >= limits_.calls_at_once) {
      return transient_error("api.too_many_calls", "This caller has too many calls in progress.");
    }
    if (limits_.calls_per_second > 0 && scope != Scope::store) {
      refill(account, now);
      if (account.left < 1) {
        return transient_error("api.too_many_calls", "This caller calls too often.");
      }
      account.left -= 1;
    }
    ++account.in_progress;
    return Permit(this, key_of(caller));
  }

 private:
  struct Account {
    std::size_t in_progress = 0;
    double left = 0;
    SteadyTime at{};
  };

  // Two kinds of callers may have one name.
  static std::string key_of(const Caller& caller) {
    return std::string(to_string(caller.how)) + " " + caller.name;
  }

  Account& account_of(const Caller& caller, SteadyTime now) {
    const std::string key = key_of(caller);
    if (const auto known = accounts_.find(key); known != accounts_.end()) return known->second;
    if (accounts_.size() >= kAccounts) {
      std::erase_if(accounts_, [](const auto& one) { return one.second.in_progress == 0; });
    }
    return accounts_.emplace(key, Account{0, limits_.calls_per_second * kBurstSeconds, now})
        .first->second;
  }

  void refill(Account& account, SteadyTime now) {
    const double seconds = static_cast<double>((now - account.at).count()) / 1000.0;
    account.at = now;
    account.left = std::min(account.left + seconds * limits_.calls_per_second,
                            std::max(1.0, limits_.calls_per_second * kBurstSeconds));
  }

  void give_back(const std::string& key) {
    const std::lock_guard lock(mutex_);
    if (const auto known = accounts_.find(key); known != accounts_.end()) {
      --known->second.in_progress;
    }
  }

  Env& env_;
  const CallerLimits limits_;
  std::mutex mutex_;
  std::map<std::string, Account> accounts_;
};

namespace {

// Around a handler's exchange: the permit is held while it lives, the answer is hardened, and the
// audit log has it.
template <typename Permit>
class GuardedExchange : public http::Exchange {
 public:
  GuardedExchange(Env& env, AccessRows& audit, Permit permit, std::optional<AuditEntry> entry,
                  bool over_tls, std::unique_ptr<http::Exchange> inner)
      : env_(env),
        audit_(audit),
        permit_(std::move(permit)),
        entry_(std::move(entry)),
        over_tls_(over_tls),
        inner_(std::move(inner)) {}

  bool feed(ByteSpan piece) override { return inner_->feed(piece); }
  Milliseconds pause() override { return inner_->pause(); }
  http::Response finish() override {
    http::Response response = inner_->finish();
    if (entry_) {
      entry_->at = env_.clock.wall_now();
      entry_->status = response.status;
      // It is done, and that it was ordered is in the log: the answer stands.
      if (const auto kept = audit_.append(*entry_); !kept.ok()) {
        env_.log.warn("api.audit_incomplete",
                      {{"call", entry_->call_id}, {"code", kept.error().code}});
      }
    }
    harden(response, over_tls_);
    return response;
  }

 private:
  Env& env_;
  AccessRows& audit_;
  const Permit permit_;
  std::optional<AuditEntry> entry_;
  const bool over_tls_;
  std::unique_ptr<http::Exchange> inner_;
};

}  // namespace

GuardedRouter::GuardedRouter(Env& env, Authenticator& authenticator, AccessRows& audit,
                             GuardedRouterOptions options)
    : env_(env),
      authenticator_(authenticator),
      audit_(audit),
      options_(options),
      permits_(std::make_unique<Permits>(env, options.limits)) {}

GuardedRouter::~GuardedRouter() = default;

void GuardedRouter::add(std::string method, std::string path_template, Scope scope, Action action) {
  ASSERT(action != nullptr);
  router_.add(method, path_template, nullptr);
  table_.push_back({std::move(method), std::move(path_template), scope});
  actions_.push_back(std::move(action));
}

void GuardedRouter::add_open(std::string path, std::function<http::Response()> answer) {
  ASSERT(path == "/healthz" || path == "/readyz");
  router_.add("GET", path, nullptr);
  table_.push_back({"GET", std::move(path), std::nullopt});
  actions_.push_back([answer = std::move(answer), tls = options_.over_tls](const Call&) {
    http::Response response = answer();
    harden(response, tls);
    return http::answer_with(std::move(response));
  });
}

std::unique_ptr<http::Exchange> GuardedRouter::open(const http::Head& head) {
  auto found = router_.find(head);
  const auto* match = std::get_if<http::Router::Match>(&found);
  if (match != nullptr && !table_[match->place].scope) {
    return actions_[match->place]({head, match->parameters, Caller{}});
  }
  const auto caller = authenticator_.identify(head);
  if (!caller.ok()) return refuse(caller.error());
  if (match != nullptr) return guarded(head, *caller, *match);
  const http::Response& refused = std::get<http::Response>(found);
  switch (refused.status) {
    case 405:
      return refuse(permanent_error("api.method_not_allowed", "See Allow for those that are."),
                    refused.headers.get("Allow"));
    case 404:
      return refuse(permanent_error("api.not_found", "No route has this path."));
    default:
      return refuse(permanent_error("api.bad_path", "The path holds a broken escape."));
  }
}

std::unique_ptr<http::Exchange> GuardedRouter::guarded(const http::Head& head, const Caller& caller,
                                                       const http::Router::Match& match) {
  const Entry& route = table_[match.place];
  if (!caller.scopes.has(*route.scope)) {
    return refuse(permanent_error(
        "api.forbidden", "This needs the scope " + std::string(to_string(*route.scope)) + "."));
  }
  auto permit = permits_->take(caller, *route.scope);
  if (!permit.ok()) return refuse(permit.error());

  std::optional<AuditEntry> entry;
  const bool reads = head.method == "GET" || head.method == "HEAD";
  if (!reads && *route.scope != Scope::store) {
    entry = AuditEntry{0,
                       env_.clock.wall_now(),
                       make_id_text(env_),
                       caller.name,
                       std::string(to_string(caller.how)),
                       caller.address,
                       route.method + " " + route.path_template,
                       subject_of(match.parameters),
                       0};
    // What cannot be audited is not done.
    if (const auto kept = audit_.append(*entry); !kept.ok()) return refuse(kept.error());
  }
  auto inner = actions_[match.place]({head, match.parameters, caller});
  return std::make_unique<GuardedExchange<Permits::Permit>>(
      env_, audit_, std::move(*permit), std::move(entry), options_.over_tls, std::move(inner));
}

std::unique_ptr<http::Exchange> GuardedRouter::refuse(const Error& error, std::string_view allow) {
  env_.metrics
      .counter("api_refused_total", "Calls that reached no handler, by the error's code.",
               {{"code", error.code}})
      .add();
  http::Response response = problem(error);
  if (!allow.empty()) response.headers.set("Allow", std::string(allow));
  harden(response, options_.over_tls);
  return http::answer_with(std::move(response));
}

}  // namespace isthmus::api
