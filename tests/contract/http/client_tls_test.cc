// The client and certificates: whom it trusts, and for which name. The server is OpenSSL itself,
// with a certificate made here.
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/freed.h"
#include "contract/http/fixtures.h"
#include "http/client.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::http {
namespace {

using test::FailsWith;
using ::testing::HasSubstr;

using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Freed<SSL_free>>;

// Signed by itself, for an hour, for `names` ("IP:127.0.0.1").
Certificate make_certificate(EVP_PKEY* key, const std::string& names) {
  Certificate certificate(X509_new());
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -60);
  X509_gmtime_adj(X509_getm_notAfter(x), 3'600);
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("isthmus test"), -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(x));
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  X509_add_ext(x, extension, -1);
  X509_EXTENSION_free(extension);
  X509_sign(x, key, EVP_sha256());
  return certificate;
}

class ClientTlsTest : public ::testing::Test {
 protected:
  // A server with a certificate for `names`, which is written to trusted_.
  void serve(const std::string& names, int highest_version = 0) {
    key_.reset(EVP_EC_gen("P-256"));
    const Certificate certificate = make_certificate(key_.get(), names);
    trusted_ = (env_.folder() / "root.pem").string();
    FILE* file = std::fopen(trusted_.c_str(), "w");
    ASSERT_NE(file, nullptr);
    PEM_write_X509(file, certificate.get());
    std::fclose(file);
    context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_set_security_level(context_.get(), 0);  // or OpenSSL itself refuses what is old
    SSL_CTX_use_certificate(context_.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), key_.get());
    if (highest_version != 0) SSL_CTX_set_max_proto_version(context_.get(), highest_version);
    server_ = std::make_unique<CannedServer>([this](Peer& peer, int) { answer(peer); });
  }
  void answer(Peer& peer) {
    const Session session(SSL_new(context_.get()));
    SSL_set_fd(session.get(), peer.socket());
    if (SSL_accept(session.get()) != 1) return;
    const char* name = SSL_get_servername(session.get(), TLSEXT_NAMETYPE_host_name);
    asked_for_ = name == nullptr ? "" : name;
    std::string request(4'096, '\0');
    if (SSL_read(session.get(), request.data(), 4'096) <= 0) return;
    const std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
    SSL_write(session.get(), answer.data(), static_cast<int>(answer.size()));
    SSL_shutdown(session.get());
  }
  Result<std::string> get(const std::string& ca_file, const std::string& host = "127.0.0.1",
                          Headers headers = {}) {
    const auto client = make_client(env_, {.ca_file = ca_file, .proxy_url = ""});
    const std::string plain = server_->url();
    const std::string url = "https://" + host + plain.substr(plain.rfind(':'));
    TRY_ASSIGN(const Response response, client->send({.url = url, .headers = headers}));
    return read_all(*response.body, 100);
  }

  test::TestEnv env_{1, posix_files(), true};
  Key key_;
  Context context_;
  std::string trusted_;
  std::string asked_for_;
  std::unique_ptr<CannedServer> server_;
};

TEST_F(ClientTlsTest, ARootOfTheFileIsTrusted) {
  serve("IP:127.0.0.1");

  EXPECT_EQ(get(trusted_).value(), "secret");
}

TEST_F(ClientTlsTest, AnUnknownRootIsNot) {
  serve("IP:127.0.0.1");

  EXPECT_THAT(get(""), FailsWith("http.connect", Fate::transient));
}

TEST_F(ClientTlsTest, AFileThatIsNotThereIsAnErrorNotTrust) {
  serve("IP:127.0.0.1");

  EXPECT_FALSE(get(trusted_ + ".missing").ok());
}

TEST_F(ClientTlsTest, ACertificateForAnotherNameIsNotTrusted) {
  serve("IP:127.0.0.2,DNS:other.example");

  EXPECT_THAT(get(trusted_), FailsWith("http.connect"));
}

TEST_F(ClientTlsTest, TheNameIsThatOfTheUrl) {
  serve("DNS:localhost");

  EXPECT_EQ(get(trusted_, "localhost").value(), "secret");
  EXPECT_EQ(asked_for_, "localhost");
  EXPECT_FALSE(get(trusted_, "127.0.0.1").ok());
}

TEST_F(ClientTlsTest, AHostThatASignerSetDoesNotChangeTheName) {
  serve("DNS:localhost");
  const std::string url = server_->url();
  const std::string port = url.substr(url.rfind(':'), url.size() - url.rfind(':') - 1);

  EXPECT_EQ(get(trusted_, "localhost", {{"Host", "localhost" + port}}).value(), "secret");
}

TEST_F(ClientTlsTest, OldVersionsAreNotSpoken) {
  serve("IP:127.0.0.1", TLS1_1_VERSION);

  EXPECT_THAT(get(trusted_), FailsWith("http.connect"));
}

}  // namespace
}  // namespace isthmus::http
