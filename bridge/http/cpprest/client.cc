// cpprestsdk behind Transport. It measures time only between two pieces, follows redirects with all
// headers, and tells errors apart by text; what is done about each is said where it is done.
#include "http/client.h"

#include <openssl/ssl.h>
#include <pplx/threadpool.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <charconv>
#include <map>

#include "http/cpprest/bodies.h"
#include "http/rules/rules.h"

namespace isthmus::http {
namespace {

using cpprest::Download;
using cpprest::Upload;

constexpr std::size_t kPieceBytes = 256 * KiB;
// A body of this size is worth waiting for: the connection is free for the next request at once,
// and a break in its middle is an error of send(), which is tried again, not of a read() far from
// it.
constexpr std::uint64_t kWholeBytes = 1 * MiB;
constexpr std::uint64_t kUntoldBytes = 64 * MiB;
constexpr std::size_t kHosts = 64;

// cpprestsdk runs all clients of a process in one pool; only the first one made can choose its
// size.
void set_pool_size(std::size_t threads) {
  static std::once_flag once;
  std::call_once(once, [&] {
    // At exit the pool must end before OpenSSL does: what starts first is cleaned up last.
    OPENSSL_init_ssl(0, nullptr);
    try {
      crossplat::threadpool::initialize_with_threads(threads);
    } catch (const std::exception&) {
      // Somebody else in this process (Orthanc, another plugin) has started it: its size stands.
    }
  });
}

bool broke(const Error& error) {
  return error.code == "http.closed" || error.code == "http.connect";
}

// RFC 9110 section 9.2.2.
bool idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS";
}

Error timed_out() {
  return transient_error("http.timeout", "The server did not answer in the time allowed.");
}

// One request on its way: what cpprestsdk's threads and the waiting caller share.
struct Call {
  pplx::cancellation_token_source cancel;
  std::shared_ptr<Upload> upload;
  std::shared_ptr<Download> download = std::make_shared<Download>();
  std::atomic<bool> header_sent = false;

  std::mutex mutex;
  std::condition_variable changed;
  bool answered = false;
  std::optional<web::http::http_response> answer;
  bool timed_out_inside = false;

  void finish(std::optional<web::http::http_response> response, bool timeout) {
    {
      const std::lock_guard lock(mutex);
      answered = true;
      answer = std::move(response);
      timed_out_inside = timeout;
    }
    changed.notify_all();
  }
  // Nobody waits any more: the connection is closed, and the bodies are not touched again.
  void give_up() {
    if (upload) upload->detach();
    download->abandon();
    cancel.cancel();
  }
};

// A body that is still coming. Reading it all gives the connection back, dropping it closes it.
class Incoming : public ByteSource {
 public:
  Incoming(Clock& clock, SteadyTime deadline, std::shared_ptr<Call> call, std::uint64_t size)
      : clock_(clock), deadline_(deadline), call_(std::move(call)), size_(size) {}
  ~Incoming() override {
    if (taken_ < size_) call_->give_up();
  }

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> read(MutableByteSpan into) override {
    if (taken_ == size_ || into.empty()) return std::size_t{0};
    TRY_ASSIGN(const std::size_t got, call_->download->read(into, clock_, deadline_));
    if (got == 0) {
      return transient_error("http.closed", "The answer's body ended before its length.");
    }
    taken_ += got;
    return got;
  }

  Result<void> rewind() override {
    if (taken_ == 0) return {};
    return permanent_error("http.not_rewindable", "An answer of this size is read only once.");
  }

 private:
  Clock& clock_;
  const SteadyTime deadline_;
  const std::shared_ptr<Call> call_;  // shared with the library's threads
  const std::uint64_t size_;
  std::uint64_t taken_ = 0;
};

class CpprestClient : public Transport {
 public:
  CpprestClient(Env& env, ClientOptions options) : env_(env), options_(std::move(options)) {
    set_pool_size(std::max<std::size_t>(options_.threads, 1));
  }

  Result<Response> send(Request request) override {
    TRY_ASSIGN(const Url url, parse_url(request.url));
    if (!rules::safe(request.headers)) {
      return permanent_error("http.bad_header", "A header to send holds a line end or a control.");
    }
    const SteadyTime deadline = env_.clock.steady_now() + request.timeout;
    bool reused = false;
    Result<Response> response = send_once(url, request, deadline, reused);
    // Servers close idle connections without a word. When that may be all that happened, and doing
    // it twice is the same as once (RFC 9110 section 9.2.2), it goes out once more, on a new
    // connection.
    if (!response.ok() && reused && broke(response.error()) && idempotent(request.method)) {
      response = send_once(url, request, deadline, reused);
    }
    return response;
  }

 private:
  // One host's connections.
  struct Host {
    explicit Host(const web::uri& base, const web::http::client::http_client_config& config)
        : client(base, config) {}
    web::http::client::http_client client;
    std::atomic<bool> answered = false;  // so there may be idle connections
  };

  Result<Response> send_once(const Url& url, const Request& request, SteadyTime deadline,
                             bool& reused);
  std::shared_ptr<Host> host_of(const Url& url);
  void forget(const std::shared_ptr<Host>& host);
  web::http::client::http_client_config config(bool secure) const;
  static void start(Host& host, const Url& url, const Request& request,
                    const std::shared_ptr<Call>& call);
  Result<Response> wait(const Request& request, const std::shared_ptr<Call>& call,
                        SteadyTime deadline);
  Result<void> take_body(const Request& request, const std::shared_ptr<Call>& call,
                         SteadyTime deadline, Response& response);

  Env& env_;
  const ClientOptions options_;
  std::mutex mutex_;
  // Shared: a host that is forgotten here lives until its last request has ended.
  std::map<std::string, std::shared_ptr<Host>> hosts_;
};

// A body's last bytes are a small write behind a large one: Nagle's algorithm would keep them until
// the peer's delayed acknowledgement (RFC 9293 section 3.7.4, RFC 1122 section 4.2.3.2). The
// library calls this before each request: a connection's first one has no socket yet, and goes
// without.
void no_delay(web::http::client::native_handle handle, bool secure) {
  using Socket = boost::asio::ip::tcp::socket;
  const boost::asio::ip::tcp::no_delay option(true);
  boost::system::error_code ignored;
  if (secure) {
    static_cast<boost::asio::ssl::stream<Socket&>*>(handle)->lowest_layer().set_option(option,
                                                                                       ignored);
  } else {
    static_cast<Socket*>(handle)->set_option(option, ignored);
  }
}

web::http::client::http_client_config CpprestClient::config(bool secure) const {
  web::http::client::http_client_config config;
  config.set_chunksize(kPieceBytes);
  // Its own time is between two pieces; ours is the whole exchange, kept by wait().
  config.set_timeout(std::chrono::hours(1));
  // A redirect would be followed with all headers, Authorization included, and a stale signature.
  config.set_max_redirects(0);
  if (options_.proxy_url.empty()) {
    config.set_nativehandle_options([secure](auto handle) { no_delay(handle, secure); });
  } else {  // whether such a connection has TLS yet is not told to that callback
    config.set_proxy(web::web_proxy(web::uri(options_.proxy_url)));
  }
  config.set_ssl_context_callback([file = options_.ca_file](boost::asio::ssl::context& context) {
    using boost::asio::ssl::context_base;
    context.set_options(context_base::no_sslv2 | context_base::no_sslv3 | context_base::no_tlsv1 |
                        context_base::no_tlsv1_1);  // RFC 8996
    if (!file.empty()) context.load_verify_file(file);
  });
  return config;
}

std::shared_ptr<CpprestClient::Host> CpprestClient::host_of(const Url& url) {
  const std::string base = std::string(url.scheme) + "://" + std::string(url.authority);
  const std::lock_guard lock(mutex_);
  const auto known = hosts_.find(base);
  if (known != hosts_.end()) return known->second;
  if (hosts_.size() >= kHosts) hosts_.clear();
  const web::uri uri(base);  // its scheme is in small letters, whatever ours is
  return hosts_.emplace(base, std::make_shared<Host>(uri, config(uri.scheme() == "https")))
      .first->second;
}

// After one connection broke, the idle ones are likely to be closed too, and each would cost a try.
void CpprestClient::forget(const std::shared_ptr<Host>& host) {
  const std::lock_guard lock(mutex_);
  std::erase_if(hosts_, [&](const auto& known) { return known.second == host; });
}

Result<Response> CpprestClient::send_once(const Url& url, const Request& request,
                                          SteadyTime deadline, bool& reused) {
  if (request.body) TRY(request.body->rewind());
  const auto call = std::make_shared<Call>();
  std::shared_ptr<Host> host;
  try {
    host = host_of(url);
    reused = host->answered;
    start(*host, url, request, call);
  } catch (const std::exception&) {
    return permanent_error("http.bad_url", "The HTTP library does not take the URL or method.");
  }
  Result<Response> response = wait(request, call, deadline);
  if (call->upload) call->upload->detach();
  if (response.ok()) {
    host->answered = true;
  } else {
    call->give_up();
    if (broke(response.error())) forget(host);
  }
  return response;
}

void CpprestClient::start(Host& host, const Url& url, const Request& request,
                          const std::shared_ptr<Call>& call) {
  web::http::http_request message(request.method);
  // Set as a path and a query: parsed as one text, "//a/b" would become host "a" and path "/b".
  message.set_request_uri(web::uri_builder()
                              .set_path(std::string(url.path()))
                              .set_query(std::string(url.query()))
                              .to_uri());
  if (request.body) {
    call->upload = std::make_shared<Upload>(request.body);
    message.set_body(
        concurrency::streams::istream(concurrency::streams::streambuf<std::uint8_t>(
            std::static_pointer_cast<concurrency::streams::details::basic_streambuf<std::uint8_t>>(
                call->upload))),
        request.body->size());
    message.headers().remove(web::http::header_names::content_type);
  }
  const web::uri& base = host.client.base_uri();
  const std::string own_host =
      base.host() + (base.is_port_default() ? "" : ":" + std::to_string(base.port()));
  for (const auto& [name, value] : request.headers.all()) {
    message.headers().add(name, value);
  }
  message.headers().remove("Content-Length");
  if (request.body) message.headers().set_content_length(request.body->size());
  message.headers().remove("Transfer-Encoding");
  message.headers().remove("Connection");
  message.headers().remove("Expect");  // a "100 Continue" would be taken for the answer
  // A Host of the caller's would become the name in the certificate, port and all; the same one is
  // sent without it.
  if (request.headers.get("Host") == own_host) message.headers().remove("Host");
  message.set_response_stream(
      concurrency::streams::ostream(concurrency::streams::streambuf<std::uint8_t>(
          std::static_pointer_cast<concurrency::streams::details::basic_streambuf<std::uint8_t>>(
              call->download))));
  // The first report comes when the header has been written: before it, the server knows nothing.
  message.set_progress_handler([call](web::http::message_direction::direction, utility::size64_t) {
    call->header_sent = true;
  });
  host.client.request(message, call->cancel.get_token())
      .then([call](pplx::task<web::http::http_response> done) {
        try {
          const web::http::http_response response = done.get();
          response.content_ready().then([call](pplx::task<web::http::http_response> ended) {
            try {
              ended.get();
              call->download->end(true);
            } catch (const std::exception&) {
              call->download->end(false);
            }
          });
          call->finish(response, false);
        } catch (const web::http::http_exception& error) {
          call->finish(std::nullopt, error.error_code() == std::errc::timed_out);
        } catch (const std::exception&) {
          call->finish(std::nullopt, false);
        }
      });
}

Result<Response> CpprestClient::wait(const Request& request, const std::shared_ptr<Call>& call,
                                     SteadyTime deadline) {
  std::optional<web::http::http_response> answer;
  {
    std::unique_lock lock(call->mutex);
    while (!call->answered) {
      const Milliseconds left = deadline - env_.clock.steady_now();
      if (left <= Milliseconds(0)) return timed_out();
      call->changed.wait_for(lock, left);
    }
    if (call->timed_out_inside) return timed_out();
    answer.swap(call->answer);
  }
  if (!answer) {
    if (call->upload) {
      if (std::optional<Error> error = call->upload->error()) return *std::move(error);
    }
    if (!call->header_sent) {
      return transient_error("http.connect", "The server could not be reached.");
    }
    return transient_error("http.closed", "The connection ended before the server had answered.");
  }
  Response response;
  response.status = answer->status_code();
  for (const auto& [name, value] : answer->headers()) response.headers.add(name, value);
  TRY(take_body(request, call, deadline, response));
  return response;
}

Result<void> CpprestClient::take_body(const Request& request, const std::shared_ptr<Call>& call,
                                      SteadyTime deadline, Response& response) {
  const bool none = request.method == "HEAD" || response.status == 204 || response.status == 304;
  std::optional<std::uint64_t> size;
  if (none) {
    size = 0;
  } else if (!response.headers.contains("Transfer-Encoding")) {
    const std::string_view text = response.headers.get("Content-Length");
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size()) size = length;
  }
  if (size && *size > kWholeBytes) {
    response.body = std::make_unique<Incoming>(env_.clock, deadline, call, *size);
    return {};
  }
  const std::uint64_t limit = size.value_or(kUntoldBytes);
  std::string whole;
  std::vector<std::byte> piece(64 * KiB);
  while (!none) {
    TRY_ASSIGN(const std::size_t got, call->download->read(piece, env_.clock, deadline));
    if (got == 0) break;
    if (got > limit - whole.size()) {
      return permanent_error("http.too_large", "The answer has no length and does not end.");
    }
    whole.append(as_text(ByteSpan(piece).first(got)));
  }
  response.body = source_of(std::move(whole));
  return {};
}

}  // namespace

std::unique_ptr<Transport> make_client(Env& env, ClientOptions options) {
  return std::make_unique<CpprestClient>(env, std::move(options));
}

}  // namespace isthmus::http
