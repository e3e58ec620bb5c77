// A DIMSE receiver with a port that speaks TLS, its authority, and clients of every fault.
#pragma once

#include <memory>
#include <string>

#include "support/certificates.h"
#include "support/matchers.h"
#include "support/receiver_under_test.h"
#include "tls/certificates.h"

namespace isthmus::test {

class TlsReceiver {
 public:
  explicit TlsReceiver(DimseOptions options = {}, tls::ContextOptions context = {},
                       SenderPolicy policy = open_policy()) {
    own = authority.issue({.common_name = "gate", .subject_names = "IP:127.0.0.1,DNS:localhost"});
    install(own);
    write_private_file(file("ca.pem"), authority.certificate_pem());
    context.certificate = file("own.pem");
    context.key = file("own.key");
    context.ca = file("ca.pem");
    auto opened = tls::Certificates::open(files_env, "dimse", context);
    EXPECT_THAT(opened, IsOk());
    certificates = std::move(opened).value();
    options.tls = certificates.get();
    receiver = std::make_unique<ReceiverUnderTest>(options, std::move(policy));
  }

  std::filesystem::path file(const char* name) { return files_env.folder() / name; }
  void install(const IssuedCertificate& issued) {
    write_private_file(file("own.pem"), issued.certificate_pem);
    write_private_file(file("own.key"), issued.key_pem);
  }
  // A client with a certificate of our authority.
  RawTls client(const CertificateRecipe& recipe = {}) { return client(authority.issue(recipe)); }
  static RawTls client(const IssuedCertificate& issued) {
    return {.certificate_pem = issued.certificate_pem, .key_pem = issued.key_pem};
  }
  Result<std::unique_ptr<RawScu>> associate(const RawTls& tls, const RawAssociate& request) {
    return RawScu::associate("127.0.0.1", receiver->tls_port(), request, Milliseconds(10'000),
                             &tls);
  }
  Result<void> echo(const RawTls& tls) {
    TRY_ASSIGN(auto scu, associate(tls, request_for(kCtImageStorage, kExplicitLittle)));
    TRY(scu->echo(1));
    return scu->release();
  }

  TestEnv files_env{2, posix_files(), true};
  TestAuthority authority{files_env.env().clock.wall_now()};
  IssuedCertificate own;
  std::unique_ptr<tls::Certificates> certificates;
  std::unique_ptr<ReceiverUnderTest> receiver;
};

}  // namespace isthmus::test
