#include "tls/context.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "tls/openssl/files.h"

namespace isthmus::tls {
namespace {

struct ProfileSuites {
  Profile profile;
  std::string_view name;
  const char* suites_1_2;  // OpenSSL's names, in the server's order of preference
  const char* suites_1_3;
};

// The four of RFC 9325 section 4.2.
#define ECDHE_GCM                                              \
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define DHE_GCM "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
#define SUITES_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

constexpr std::array kProfiles{
    ProfileSuites{Profile::bcp195, "bcp195", ECDHE_GCM, SUITES_1_3},
    ProfileSuites{Profile::bcp195_modified, "bcp195-modified",
                  ECDHE_GCM ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                            "ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES256-CCM:" DHE_GCM
                            ":DHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-CCM:DHE-RSA-AES256-CCM",
                  SUITES_1_3 ":TLS_AES_128_CCM_SHA256"},
    ProfileSuites{Profile::bcp195_rfc7525, "bcp195-rfc7525", ECDHE_GCM ":" DHE_GCM, SUITES_1_3}};
#undef ECDHE_GCM
#undef DHE_GCM
#undef SUITES_1_3

constexpr int kSecurityLevel = 2;  // 112 bits (NIST SP 800-57)
constexpr int kMaxChainDepth = 8;
constexpr long kMaxPeerChainBytes = 64 * 1024;  // OpenSSL allows 100 KB
// With read-ahead one recv() takes several records. Freed while a connection is idle.
constexpr std::size_t kReadBufferBytes = 64 * KiB;
// Names of authorities that a client is told we trust; beyond, it has to know.
constexpr int kMaxAuthorityNames = 32;

const ProfileSuites& suites_of(Profile profile) {
  return *std::find_if(kProfiles.begin(), kProfiles.end(),
                       [&](const ProfileSuites& one) { return one.profile == profile; });
}

Error openssl_error(const char* what) {
  return permanent_error("tls.openssl", std::string(what) + ": " + openssl_reason() + ".");
}

Result<void> set_rules(SSL_CTX* context, const ContextOptions& options) {
  SSL_CTX_set_security_level(context, kSecurityLevel);
  const ProfileSuites& suites = suites_of(options.profile);
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context, suites.suites_1_2) != 1 ||
      SSL_CTX_set_ciphersuites(context, suites.suites_1_3) != 1 ||
      SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384:P-521") != 1) {
    return openssl_error("OpenSSL cannot offer the profile's suites");
  }
  SSL_CTX_set_dh_auto(context, 1);  // of the security level: at least 2,048 bits
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadBufferBytes);
  SSL_CTX_set_verify_depth(context, kMaxChainDepth);
  SSL_CTX_set_max_cert_list(context, kMaxPeerChainBytes);
  return {};
}

Result<void> load_own(Env& env, SSL_CTX* context, const ContextOptions& options,
                      Validity& validity) {
  TRY_ASSIGN(const auto chain, read_certificates(env, options.certificate, "tls.certificate"));
  X509* own = chain.front().get();
  if (SSL_CTX_use_certificate(context, own) != 1) {
    return permanent_error("tls.certificate", options.certificate.string() + ": is not accepted (" +
                                                  openssl_reason() + ").");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) {
      return permanent_error("tls.certificate",
                             options.certificate.string() +
                                 ": a further certificate in it is not accepted (" +
                                 openssl_reason() + ").");
    }
  }
  TRY_ASSIGN(const auto key, read_key(env, options.key, options.passphrase));
  if (X509_check_private_key(own, key.get()) != 1) {
    ERR_clear_error();
    return permanent_error("tls.key_mismatch", options.key.string() +
                                                   ": is not the key of the certificate in " +
                                                   options.certificate.string() + ".");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return permanent_error("tls.key",
                           options.key.string() + ": is not accepted (" + openssl_reason() + ").");
  }
  validity.fingerprint_sha256 = fingerprint_of(own);
  validity.certificate_from = wall_time_of(X509_get0_notBefore(own));
  validity.certificate_until = wall_time_of(X509_get0_notAfter(own));
  return {};
}

Result<void> load_authorities(Env& env, SSL_CTX* context, const ContextOptions& options) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  TRY_ASSIGN(const auto files, authority_files(env, options.ca));
  int authorities = 0;
  STACK_OF(X509_NAME)* names = sk_X509_NAME_new_null();
  for (const FileSystem::Path& file : files) {
    const auto certificates = read_certificates(env, file, "tls.ca");
    if (!certificates.ok()) {
      sk_X509_NAME_pop_free(names, X509_NAME_free);
      return certificates.error();
    }
    for (const auto& certificate : *certificates) {
      X509_STORE_add_cert(store, certificate.get());
      if (++authorities > kMaxAuthorityNames) continue;
      sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(certificate.get())));
    }
  }
  if (options.role == Role::server && authorities <= kMaxAuthorityNames) {
    SSL_CTX_set_client_CA_list(context, names);  // takes them
  } else {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
  }
  ERR_clear_error();
  if (authorities > 0) return {};
  return permanent_error("tls.ca", options.ca.string() + ": holds no certificate in PEM form.");
}

void note_crl_dates(const std::vector<OwnedCrl>& crls, Validity& validity) {
  for (const auto& crl : crls) {
    const auto until = wall_time_of(X509_CRL_get0_nextUpdate(crl.get()));
    if (until && (!validity.crl_until || *until < *validity.crl_until)) {
      validity.crl_until = until;
    }
  }
}

Result<void> load_crls(Env& env, SSL_CTX* context, const ContextOptions& options,
                       Validity& validity) {
  TRY_ASSIGN(const auto crls, read_crls(env, options.crl));
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const auto& crl : crls) X509_STORE_add_crl(store, crl.get());
  ERR_clear_error();
  X509_STORE_set_flags(store, static_cast<unsigned long>(X509_V_FLAG_CRL_CHECK) |
                                  (options.crl_for_whole_chain
                                       ? static_cast<unsigned long>(X509_V_FLAG_CRL_CHECK_ALL)
                                       : 0UL));
  note_crl_dates(crls, validity);
  return {};
}

}  // namespace

std::string_view to_string(Profile profile) {
  return suites_of(profile).name;
}

std::optional<Profile> parse_profile(std::string_view word) {
  for (const ProfileSuites& one : kProfiles) {
    if (one.name == word) return one.profile;
  }
  return std::nullopt;
}

Result<std::shared_ptr<const Context>> Context::load(Env& env, const ContextOptions& options) {
  ERR_clear_error();
  const bool serves = options.role == Role::server;
  SSL_CTX* native = SSL_CTX_new(serves ? TLS_server_method() : TLS_client_method());
  if (native == nullptr) return openssl_error("OpenSSL gives no context");
  std::shared_ptr<Context> context(new Context(native, options.role));
  TRY(set_rules(native, options));
  if (serves || !options.certificate.empty()) {
    TRY(load_own(env, native, options, context->validity_));
  }
  const bool checks_peer = !serves || options.require_peer_certificate;
  if (checks_peer && !options.ca.empty()) {
    TRY(load_authorities(env, native, options));
  } else if (serves && checks_peer) {
    return permanent_error("tls.ca",
                           "Clients have to show a certificate, but no authority is named that "
                           "they may be from: set the CA file or folder.");
  }
  if (checks_peer && !options.crl.empty()) {
    TRY(load_crls(env, native, options, context->validity_));
  }
  SSL_CTX_set_verify(
      native, checks_peer ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE,
      nullptr);
  return std::shared_ptr<const Context>(std::move(context));
}

Context::~Context() {
  SSL_CTX_free(native_);
}

Result<Validity> read_validity(Env& env, const ContextOptions& options) {
  Validity validity;
  if (!options.certificate.empty()) {
    TRY_ASSIGN(const auto chain, read_certificates(env, options.certificate, "tls.certificate"));
    validity.fingerprint_sha256 = fingerprint_of(chain.front().get());
    validity.certificate_from = wall_time_of(X509_get0_notBefore(chain.front().get()));
    validity.certificate_until = wall_time_of(X509_get0_notAfter(chain.front().get()));
  }
  if (!options.crl.empty()) {
    TRY_ASSIGN(const auto crls, read_crls(env, options.crl));
    note_crl_dates(crls, validity);
  }
  return validity;
}

std::string fingerprint_files(Env& env, const ContextOptions& options) {
  Sha256 all;
  const auto add = [&](const FileSystem::Path& path) {
    if (path.empty()) return;
    const auto text = read_small_file(env, path);
    all.update(as_bytes(path.string() + '\0'));
    all.update(sha256(text.ok() ? *text : describe(text.error())).raw());
  };
  add(options.certificate);
  add(options.key);
  if (!options.key.empty()) {
    all.update(as_bytes(others_may_read(options.key) ? "readable" : "private"));
  }
  if (!options.ca.empty()) {
    const auto files = authority_files(env, options.ca);
    if (files.ok()) std::for_each(files->begin(), files->end(), add);
  }
  add(options.crl);
  return all.finish().hex();
}

}  // namespace isthmus::tls
