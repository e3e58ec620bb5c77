// One TLS connection over a connected, non-blocking socket that somebody else owns. Nothing here
// waits: whoever calls polls the descriptor for what is wanted, within times of its own.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "tls/context.h"

namespace isthmus::tls {

// Who the other side proved to be. Names as they stand in the certificate, which a trusted
// authority signed: they may still be anything it signs, and are not for logs unescaped.
struct PeerIdentity {
  std::string fingerprint_sha256;  // of the certificate (DER), 64 lower-case hex digits; "": none
  std::string common_name;         // of the subject; empty too when there are several
  std::vector<std::string> subject_names;  // alternative names: DNS names, addresses, URIs, mail
  std::optional<WallTime> valid_until;     // of the certificate
};

// What a client insists on.
struct ExpectedServer {
  // A DNS name or a numeric address that the certificate must be for (RFC 6125). Never empty
  // without a pin.
  std::string host = {};
  // SHA-256 of the server's certificate, 64 hex digits. Set, it takes the place of authority, name
  // and dates: exactly this certificate, whoever signed it.
  std::string pin_sha256 = {};
};

enum class Step {
  done,
  wants_read,
  wants_write,
  closed,  // the peer ended the connection, or the network did
  failed,  // see failure(); what the peer has to be told was sent
};
struct Moved {
  Step step = Step::failed;
  std::size_t bytes = 0;  // when done: at least one
};

// One thread at a time; may be moved to another one.
class Session {
 public:
  // `received`: what was read from the socket already. The context must be of the role.
  static Result<Session> accept(Env& env, const Context& context, int descriptor, Bytes received);
  static Result<Session> connect(Env& env, const Context& context, int descriptor,
                                 const ExpectedServer& expected);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Again and again until it says done. The peer's certificate is checked in it, at the time of the
  // Env's clock.
  Step handshake();
  // Stable words for metrics and logs, after `failed`: "unknown_ca", "certificate_expired",
  // "certificate_not_yet_valid", "certificate_revoked", "weak_certificate", "wrong_name",
  // "wrong_pin", "wrong_purpose", "crl_expired", "crl_missing", "certificate_invalid",
  // "no_certificate", "protocol_version", "no_shared_suite", "refused_by_peer",
  // "renegotiation", "malformed_tls".
  const char* failure() const;

  // Into the caller's buffer, at most one record (16 KB) at a time.
  Moved read(MutableByteSpan into);
  Moved write(ByteSpan bytes);
  // Tells the peer that nothing follows, if the socket takes it.
  void close_notify();
  // Bytes that came and were not read yet: the descriptor says nothing about them.
  bool has_pending() const;
  // TCP_QUICKACK before each read of the socket (dimse/guard, MEASURED section 12).
  void set_quick_ack(bool on);

  // After the handshake.
  const PeerIdentity& peer() const;
  const char* version() const;  // "TLSv1.3"
  const char* suite() const;    // "TLS_AES_128_GCM_SHA256"

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  static Result<Session> open(Env& env, const Context& context, int descriptor, Bytes received);
  std::unique_ptr<State> state_;
};

}  // namespace isthmus::tls
