#include "tls/session.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/digest.h"
#include "tls/openssl/identity.h"
#include "tls/openssl/reasons.h"
#include "tls/openssl/socket_bio.h"

namespace isthmus::tls {
namespace {

// Reads of the socket in one call (SocketState::reads_left): a handshake's flight is a few, and it
// shares its thread with others.
constexpr int kReadsInHandshake = 4;
constexpr int kReadsOfData = 64;

bool is_numeric_address(const std::string& host) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
  const bool numeric = address != nullptr;
  ASN1_OCTET_STRING_free(address);
  ERR_clear_error();
  return numeric;
}

int bounded(std::size_t size) {
  return static_cast<int>(std::min<std::size_t>(size, 1 * GiB));
}

}  // namespace

struct Session::State {
  SocketState socket;
  OwnedSsl ssl;
  std::string pin;
  PeerIdentity peer;
  const char* failure = "";

  Step step_of(int outcome) {
    switch (SSL_get_error(ssl.get(), outcome)) {
      case SSL_ERROR_NONE:
        return Step::done;
      case SSL_ERROR_WANT_READ:
        return Step::wants_read;
      case SSL_ERROR_WANT_WRITE:
        return Step::wants_write;
      case SSL_ERROR_ZERO_RETURN:
      case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        return Step::closed;
      default:
        failure = failure_reason(ssl.get());
        return Step::failed;
    }
  }
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::open(Env& env, const Context& context, int descriptor, Bytes received) {
  ERR_clear_error();
  auto state = std::make_unique<State>();
  state->socket.descriptor = descriptor;
  state->socket.received = std::move(received);
  state->ssl.reset(SSL_new(context.native()));
  if (state->ssl == nullptr) {
    return transient_error("tls.openssl", "OpenSSL has no memory for another connection.");
  }
  BIO* const bio = make_socket_bio(state->socket).release();
  SSL_set_bio(state->ssl.get(), bio, bio);  // takes it
  // Certificates are judged by the clock of the Env, as everything else is.
  X509_VERIFY_PARAM_set_time(
      SSL_get0_param(state->ssl.get()),
      std::chrono::duration_cast<std::chrono::seconds>(env.clock.wall_now().time_since_epoch())
          .count());
  return Session(std::move(state));
}

Result<Session> Session::accept(Env& env, const Context& context, int descriptor, Bytes received) {
  ASSERT(context.role() == Role::server);
  TRY_ASSIGN(Session session, open(env, context, descriptor, std::move(received)));
  SSL_set_accept_state(session.state_->ssl.get());
  return session;
}

Result<Session> Session::connect(Env& env, const Context& context, int descriptor,
                                 const ExpectedServer& expected) {
  ASSERT(context.role() == Role::client);
  ASSERT(!expected.host.empty() || !expected.pin_sha256.empty());
  TRY_ASSIGN(Session session, open(env, context, descriptor, {}));
  SSL* ssl = session.state_->ssl.get();
  SSL_set_connect_state(ssl);
  const bool numeric = is_numeric_address(expected.host);
  if (!numeric && !expected.host.empty()) SSL_set_tlsext_host_name(ssl, expected.host.c_str());
  if (!expected.pin_sha256.empty()) {
    session.state_->pin = expected.pin_sha256;
    SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);  // what it shows is compared by handshake()
    return session;
  }
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const int set = numeric ? X509_VERIFY_PARAM_set1_ip_asc(rules, expected.host.c_str())
                          : X509_VERIFY_PARAM_set1_host(rules, expected.host.c_str(), 0);
  if (set == 1) return session;
  ERR_clear_error();
  return permanent_error("tls.host_name", "The host name cannot be checked: it is malformed.");
}

Step Session::handshake() {
  ERR_clear_error();
  state_->socket.reads_left = kReadsInHandshake;
  SSL* ssl = state_->ssl.get();
  const Step step = state_->step_of(SSL_do_handshake(ssl));
  if (step != Step::done) return step;
  const OwnedCertificate certificate(SSL_get1_peer_certificate(ssl));
  state_->peer = identity_of(certificate.get());
  if (state_->pin.empty() || equal_secrets(state_->pin, state_->peer.fingerprint_sha256)) {
    return Step::done;
  }
  state_->failure = "wrong_pin";
  return Step::failed;
}

const char* Session::failure() const {
  return state_->failure;
}

Moved Session::read(MutableByteSpan into) {
  ERR_clear_error();
  state_->socket.reads_left = kReadsOfData;
  const int count = SSL_read(state_->ssl.get(), into.data(), bounded(into.size()));
  if (count > 0) return {Step::done, static_cast<std::size_t>(count)};
  return {state_->step_of(count), 0};
}

Moved Session::write(ByteSpan bytes) {
  ERR_clear_error();
  state_->socket.reads_left = kReadsOfData;
  const int count = SSL_write(state_->ssl.get(), bytes.data(), bounded(bytes.size()));
  if (count > 0) return {Step::done, static_cast<std::size_t>(count)};
  return {state_->step_of(count), 0};
}

void Session::close_notify() {
  ERR_clear_error();
  // Not after a fatal failure, which OpenSSL forbids, nor to somebody who is gone.
  if (state_->socket.closed || *state_->failure != '\0') return;
  state_->socket.reads_left = 0;
  (void)SSL_shutdown(state_->ssl.get());
  ERR_clear_error();
}

bool Session::has_pending() const {
  return state_->socket.given < state_->socket.received.size() ||
         SSL_has_pending(state_->ssl.get()) == 1;
}

void Session::set_quick_ack(bool on) {
  state_->socket.quick_ack = on;
}

const PeerIdentity& Session::peer() const {
  return state_->peer;
}

const char* Session::version() const {
  return SSL_get_version(state_->ssl.get());
}

const char* Session::suite() const {
  return SSL_get_cipher_name(state_->ssl.get());
}

}  // namespace isthmus::tls
