// Certificates, keys and rules of one side of TLS connections, loaded from files and then
// immutable. OpenSSL stays behind this module: its headers are included in tls/ alone.
//
// Rules: TLS 1.2 and 1.3 only, OpenSSL's security level 2 (RSA and DH of at least 2,048 bits, ECC
// of 224, no SHA-1 in signatures), no renegotiation, no compression, no resumption: a resumed
// session would not look at the peer's certificate and the revocation list again, and associations
// are long and few (docs/decisions/0010).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace isthmus::tls {

// Which cipher suites are offered, in the words of PS3.15 Annex B.
enum class Profile {
  // B.12, BCP 195 RFC 8996: ECDHE with AES-GCM for TLS 1.2 (RFC 9325 section 4.2), and TLS 1.3.
  bcp195,
  // B.13, Modified BCP 195 RFC 8996, as far as OpenSSL has its suites: also ChaCha20, CCM and DHE
  // of at least 2,048 bits; no Camellia in GCM mode, which OpenSSL does not have.
  bcp195_modified,
  // B.10, Non-Downgrading BCP 195 of RFC 7525, retired but installed widely: B.12 and DHE with
  // AES-GCM.
  bcp195_rfc7525,
};
std::string_view to_string(Profile profile);  // "bcp195-modified"
std::optional<Profile> parse_profile(std::string_view word);

enum class Role { server, client };

struct ContextOptions {
  Role role = Role::server;
  Profile profile = Profile::bcp195;
  // PEM: the own certificate, then those between it and its root. A server needs it; a client shows
  // it when asked.
  FileSystem::Path certificate = {};
  FileSystem::Path key = {};  // PEM, may be encrypted; readable by others is refused
  std::string passphrase = {};
  // Whom we trust: PEM file, or a folder whose files (.pem, .crt, .cer) are read.
  FileSystem::Path ca = {};
  // Certificates that were revoked: lists in PEM, or one in DER. Empty: none is asked.
  FileSystem::Path crl = {};
  bool crl_for_whole_chain = false;  // else for the peer's own certificate alone
  // Server: a client without a certificate of a trusted authority is refused.
  bool require_peer_certificate = true;
};

// When what we show and what we check against runs out. Read from files without the key.
struct Validity {
  std::string fingerprint_sha256;  // of the own certificate
  std::optional<WallTime> certificate_from;
  std::optional<WallTime> certificate_until;
  std::optional<WallTime> crl_until;  // the earliest nextUpdate
};

// Immutable; any number of sessions of any threads at once. Shared because sessions of an older one
// go on after a newer one took its place.
class Context {
 public:
  // Errors are permanent and name the file and what is wrong with it: "tls.certificate", "tls.key",
  // "tls.key_readable" (others may read it), "tls.key_passphrase", "tls.key_mismatch", "tls.ca",
  // "tls.crl", "tls.openssl".
  static Result<std::shared_ptr<const Context>> load(Env& env, const ContextOptions& options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Validity& validity() const { return validity_; }
  Role role() const { return role_; }
  ssl_ctx_st* native() const { return native_; }

 private:
  Context(ssl_ctx_st* native, Role role) : native_(native), role_(role) {}

  ssl_ctx_st* native_;
  Role role_;
  Validity validity_;
};

// Only the dates of certificate and revocation lists: for `isthmus status`. Errors as of load().
Result<Validity> read_validity(Env& env, const ContextOptions& options);

// A digest of everything that load() would read, errors included: equal means unchanged.
std::string fingerprint_files(Env& env, const ContextOptions& options);

}  // namespace isthmus::tls
