// The port that speaks TLS: the same service as on the plain one, for those who prove who they are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dimse/commitment.h"
#include "support/tls_receiver.h"

namespace isthmus::test {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

constexpr int kTls10 = 0x0301, kTls11 = 0x0302, kTls12 = 0x0303, kTls13 = 0x0304;

// The receiver counts and logs in threads of its own, after the client has its answer: waits for
// both.
bool becomes(TlsReceiver& gate, const std::function<bool()>& true_of_it) {
  for (int i = 0; i < 500; ++i) {
    if (true_of_it()) return true;
    gate.receiver->env.env().clock.sleep_for(Milliseconds(10));
  }
  return false;
}

bool is_counted(TlsReceiver& gate, const std::string& reason, double times = 1) {
  return becomes(gate, [&] { return gate.receiver->handshakes(reason) >= times; });
}

bool is_logged(TlsReceiver& gate, const std::string& text) {
  return becomes(gate, [&] { return gate.receiver->env.log.contains(text); });
}

void expect_refused(TlsReceiver& gate, const RawTls& client, const std::string& reason) {
  EXPECT_FALSE(gate.echo(client).ok()) << reason;
  EXPECT_TRUE(is_counted(gate, reason)) << reason;
  EXPECT_TRUE(is_logged(gate, "reason=" + reason)) << reason;
  EXPECT_EQ(gate.receiver->handshakes("completed"), 0) << reason;
}

TEST(TlsReceiving, KeepsADataSetByteForByteInBothVersions) {
  for (const int version : {kTls12, kTls13}) {
    TlsReceiver gate;
    RawTls client = gate.client();
    client.least_version = client.most_version = version;
    DicomRecipe recipe;
    recipe.rows = recipe.columns = 512;  // half a megabyte, some thirty records
    const std::string dataset = make_dataset(recipe);

    ASSERT_OK_AND_ASSIGN(auto scu,
                         gate.associate(client, request_for(kCtImageStorage, kExplicitLittle)));
    ASSERT_OK_AND_ASSIGN(const auto response,
                         scu->store(3, kCtImageStorage, recipe.sop_instance_uid, dataset));

    EXPECT_EQ(response.status, 0);
    EXPECT_THAT(scu->release(), IsOk());
    EXPECT_EQ(gate.receiver->spool.instances().at(0).dataset(), dataset);
    EXPECT_EQ(scu->socket().tls_version(), version == kTls12 ? "TLSv1.2" : "TLSv1.3");
    EXPECT_TRUE(gate.receiver->becomes_idle());
  }
}

TEST(TlsReceiving, DoesNotCareHowADataSetIsCut) {
  TlsReceiver gate;
  const RawTls client = gate.client();
  const DicomRecipe recipe;
  const std::string dataset = make_dataset(recipe);
  for (const std::uint32_t pdu : {14U, 4096U, 131072U}) {
    ASSERT_OK_AND_ASSIGN(auto scu,
                         gate.associate(client, request_for(kCtImageStorage, kExplicitLittle)));
    scu->set_pdu_bytes(pdu);
    ASSERT_OK_AND_ASSIGN(const auto response,
                         scu->store(3, kCtImageStorage, recipe.sop_instance_uid, dataset));
    EXPECT_EQ(response.status, 0) << pdu;
    EXPECT_EQ(gate.receiver->spool.instances().back().dataset(), dataset) << pdu;
  }
}

TEST(TlsReceiving, LogsHowAnAssociationIsProtected) {
  TlsReceiver gate;
  const IssuedCertificate ct1 = gate.authority.issue({.common_name = "ct1"});

  ASSERT_THAT(gate.echo(TlsReceiver::client(ct1)), IsOk());

  EXPECT_TRUE(is_logged(gate,
                        "version=TLSv1.3 suite=TLS_AES_128_GCM_SHA256 "
                        "certificate=" +
                            ct1.fingerprint_sha256));
  EXPECT_EQ(gate.receiver->handshakes("completed"), 1);
}

TEST(TlsReceiving, OffersThePlainPortBesideIt) {
  TlsReceiver gate;

  EXPECT_THAT(gate.receiver->echo(), IsOk());
  EXPECT_THAT(gate.echo(gate.client()), IsOk());
}

TEST(TlsReceiving, MayBeTheOnlyPort) {
  DimseOptions options;
  options.plain = false;
  TlsReceiver gate(options);

  EXPECT_EQ(gate.receiver->port(), 0);
  EXPECT_THAT(gate.echo(gate.client()), IsOk());
}

TEST(TlsReceiving, AsksForNoCertificateWhenToldSo) {
  TlsReceiver gate({}, {.require_peer_certificate = false});

  EXPECT_THAT(gate.echo({}), IsOk());
}

TEST(TlsReceiving, RefusesTheWrongCertificates) {
  const auto refused = [](const CertificateRecipe& recipe, const std::string& reason) {
    TlsReceiver gate;
    expect_refused(gate, gate.client(recipe), reason);
  };
  refused({.key = CertificateRecipe::Key::rsa_1024}, "weak_certificate");
  refused({.sha1_signature = true}, "weak_certificate");
  refused({.from = hours(-48), .until = hours(-24)}, "certificate_expired");
  refused({.from = hours(24), .until = hours(48)}, "certificate_not_yet_valid");
  refused({.key_usage = "serverAuth"}, "wrong_purpose");
}

TEST(TlsReceiving, RefusesWhoShowsNoCertificate) {
  TlsReceiver gate;
  expect_refused(gate, {}, "no_certificate");
}

TEST(TlsReceiving, RefusesCertificatesOfOthersAuthorities) {
  TlsReceiver gate;
  TestAuthority other(gate.files_env.env().clock.wall_now(), "Another Authority");
  expect_refused(gate, TlsReceiver::client(other.issue()), "unknown_ca");
}

TEST(TlsReceiving, RefusesAForgedAuthorityOfTheSameName) {
  TlsReceiver gate;
  TestAuthority forged(gate.files_env.env().clock.wall_now());
  EXPECT_FALSE(gate.echo(TlsReceiver::client(forged.issue())).ok());
  EXPECT_EQ(gate.receiver->handshakes("completed"), 0);
}

TEST(TlsReceiving, RefusesWhatWasRevokedAfterAReload) {
  TestEnv folder(3, posix_files(), true);
  TestAuthority unused(folder.env().clock.wall_now(), "Another Authority");
  write_private_file(folder.folder() / "crl.pem", unused.crl_pem());
  TlsReceiver gate({}, {.crl = folder.folder() / "crl.pem"});
  const IssuedCertificate ct1 = gate.authority.issue({.common_name = "ct1"});
  const IssuedCertificate ct2 = gate.authority.issue({.common_name = "ct2"});
  expect_refused(gate, TlsReceiver::client(ct1), "crl_missing");  // no list of our authority

  write_private_file(folder.folder() / "crl.pem", gate.authority.crl_pem());
  ASSERT_TRUE(gate.certificates->reload().value());
  EXPECT_THAT(gate.echo(TlsReceiver::client(ct1)), IsOk());
  gate.authority.revoke(ct1);
  write_private_file(folder.folder() / "crl.pem", gate.authority.crl_pem());
  ASSERT_TRUE(gate.certificates->reload().value());

  EXPECT_FALSE(gate.echo(TlsReceiver::client(ct1)).ok());
  EXPECT_TRUE(is_counted(gate, "certificate_revoked"));
  EXPECT_THAT(gate.echo(TlsReceiver::client(ct2)), IsOk());

  write_private_file(folder.folder() / "crl.pem", gate.authority.crl_pem(hours(-24)));
  ASSERT_TRUE(gate.certificates->reload().value());
  EXPECT_FALSE(gate.echo(TlsReceiver::client(ct2)).ok());
  EXPECT_TRUE(is_counted(gate, "crl_expired"));
}

TEST(TlsReceiving, RefusesOldVersionsAndSuites) {
  TlsReceiver gate;
  for (const int version : {kTls10, kTls11}) {
    RawTls client = gate.client();
    client.least_version = client.most_version = version;
    EXPECT_FALSE(gate.echo(client).ok());
  }
  EXPECT_TRUE(is_counted(gate, "protocol_version", 2));
  RawTls client = gate.client();
  client.most_version = kTls12;
  for (const char* suites : {"AES128-SHA", "ECDHE-ECDSA-AES128-SHA",
                             "ECDHE-ECDSA-CHACHA20-POLY1305", "DHE-RSA-AES128-GCM-SHA256"}) {
    client.suites = suites;
    EXPECT_FALSE(gate.echo(client).ok()) << suites;
  }
  EXPECT_TRUE(is_counted(gate, "no_shared_suite", 4));
  EXPECT_EQ(gate.receiver->handshakes("completed"), 0);
}

TEST(TlsReceiving, OffersTheSuitesOfTheModifiedProfile) {
  TlsReceiver gate({}, {.profile = tls::Profile::bcp195_modified});
  RawTls client = gate.client();
  client.most_version = kTls12;
  for (const char* suites : {"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-CCM"}) {
    client.suites = suites;
    EXPECT_THAT(gate.echo(client), IsOk()) << suites;
  }
}

TEST(TlsReceiving, TellsAPlainClientNothingAndLetsItGo) {
  TlsReceiver gate;
  const auto socket = RawSocket::connect("127.0.0.1", gate.receiver->tls_port());
  ASSERT_THAT(socket, IsOk());

  ASSERT_THAT((*socket)->send(raw_associate_rq(request_for(kCtImageStorage, kExplicitLittle))),
              IsOk());

  EXPECT_EQ((*socket)->receive_until_closed(Milliseconds(3000)), "");
  EXPECT_TRUE(is_counted(gate, "plain_on_tls_port"));
}

TEST(TlsReceiving, RecognisesATlsClientOnThePlainPort) {
  TlsReceiver gate;
  const auto socket = RawSocket::connect("127.0.0.1", gate.receiver->port());
  ASSERT_THAT(socket, IsOk());

  EXPECT_THAT((*socket)->secure(gate.client()), FailsWith("raw.tls"));

  EXPECT_EQ(gate.receiver->refused("tls_on_plain_port"), 1);
}

TEST(TlsReceiving, GivesRenegotiationNoChance) {
  TlsReceiver gate;
  RawTls client = gate.client();
  client.most_version = kTls12;
  ASSERT_OK_AND_ASSIGN(auto scu,
                       gate.associate(client, request_for(kCtImageStorage, kExplicitLittle)));
  EXPECT_FALSE(scu->socket().renegotiate());
  EXPECT_TRUE(gate.receiver->becomes_idle());
  EXPECT_THAT(gate.echo(client), IsOk());
}

// The certificate of one device does not let it in under the name of another.
TEST(TlsReceiving, BindsASenderToItsCertificate) {
  SenderPolicy policy;
  policy.mode = SenderMode::known;
  Sender ct1, mr1;
  ct1.name = "ct1";
  ct1.calling_ae_titles = {"CT1"};
  ct1.tls_identities = {"ct1.example"};
  mr1.name = "mr1";
  mr1.calling_ae_titles = {"MR1"};
  mr1.tls_identities = {"mr1.example"};
  policy.senders = {ct1, mr1};
  TlsReceiver gate({}, {}, policy);
  const RawTls of_ct1 = gate.client({.common_name = "x", .subject_names = "DNS:ct1.example"});
  RawAssociate request = request_for(kCtImageStorage, kExplicitLittle);

  request.calling_ae_title = "CT1";
  EXPECT_THAT(gate.associate(of_ct1, request), IsOk());
  EXPECT_FALSE(RawScu::associate("127.0.0.1", gate.receiver->port(), request).ok()) << "plain";
  request.calling_ae_title = "MR1";
  EXPECT_THAT(gate.associate(of_ct1, request), FailsWith("raw.rejected"));
  EXPECT_EQ(gate.receiver->refused("sender_tls"), 2);
}

TEST(TlsReceiving, TakesNewCertificatesWhileAssociationsRun) {
  TlsReceiver gate;
  const RawTls client = gate.client();
  ASSERT_OK_AND_ASSIGN(auto before,
                       gate.associate(client, request_for(kCtImageStorage, kExplicitLittle)));
  const IssuedCertificate next = gate.authority.issue({.subject_names = "IP:127.0.0.1"});
  gate.install(next);

  ASSERT_TRUE(gate.certificates->reload().value());

  ASSERT_OK_AND_ASSIGN(auto after,
                       gate.associate(client, request_for(kCtImageStorage, kExplicitLittle)));
  EXPECT_EQ(before->socket().tls_server_fingerprint(), gate.own.fingerprint_sha256);
  EXPECT_EQ(after->socket().tls_server_fingerprint(), next.fingerprint_sha256);
  EXPECT_EQ(before->echo(1).value().status, 0);
}

// The way out, to a requester that wants its reports by TLS; the requester is a receiver of ours.
class Reporting : public ::testing::Test {
 protected:
  Reporting() {
    const auto mine = gate_.authority.issue({.common_name = "gate's own client"});
    write_private_file(gate_.file("client.pem"), mine.certificate_pem);
    write_private_file(gate_.file("client.key"), mine.key_pem);
    auto opened = tls::Certificates::open(gate_.files_env, "dimse_reports",
                                          {.role = tls::Role::client,
                                           .certificate = gate_.file("client.pem"),
                                           .key = gate_.file("client.key"),
                                           .ca = gate_.file("ca.pem")});
    EXPECT_THAT(opened, IsOk());
    certificates_ = std::move(opened).value();
  }
  Result<std::unique_ptr<ReportConnection>> connect(const std::string& host,
                                                    const std::string& name = {},
                                                    const std::string& pin = {}) {
    Env& env = gate_.receiver->env.env();
    const auto connect = connect_by_tcp(env, desk_, certificates_.get());
    Requester requester;
    requester.host = host;
    requester.port = gate_.receiver->tls_port();
    requester.tls = true;
    requester.tls_name = name;
    requester.tls_pin_sha256 = pin;
    return connect(requester, soon());
  }
  SteadyTime soon() { return gate_.receiver->env.env().clock.steady_now() + Milliseconds(5000); }

  TlsReceiver gate_;
  ReportDesk desk_;
  std::unique_ptr<tls::Certificates> certificates_;
};

TEST_F(Reporting, ReachesARequesterWhoseCertificateIsForIt) {
  for (const char* host : {"127.0.0.1", "localhost"}) {
    ASSERT_OK_AND_ASSIGN(auto connection, connect(host));
    const std::string request = raw_associate_rq(request_for(kCtImageStorage, kExplicitLittle));
    ASSERT_THAT(connection->write(as_bytes(request), soon()), IsOk());

    Bytes answer(1024);
    ASSERT_OK_AND_ASSIGN(const std::size_t count, connection->read(answer, soon()));

    EXPECT_GT(count, 6U);
    EXPECT_EQ(answer[0], std::byte{2}) << "an A-ASSOCIATE-AC";
  }
}

TEST_F(Reporting, RefusesARequesterOfAnotherName) {
  gate_.install(gate_.authority.issue({.subject_names = "DNS:elsewhere.example"}));
  ASSERT_TRUE(gate_.certificates->reload().value());

  const auto connection = connect("127.0.0.1");

  EXPECT_THAT(connection, FailsWith("report.tls", Fate::transient));
  EXPECT_THAT(connection.error().message, HasSubstr("wrong_name"));
  EXPECT_TRUE(is_counted(gate_, "refused_by_peer"));
}

TEST_F(Reporting, TakesTheNameThatWasWrittenDownForTheHosts) {
  gate_.install(gate_.authority.issue({.subject_names = "DNS:inside.example"}));
  ASSERT_TRUE(gate_.certificates->reload().value());

  EXPECT_THAT(connect("127.0.0.1", "inside.example"), IsOk());
  EXPECT_THAT(connect("127.0.0.1", "outside.example").error().message, HasSubstr("wrong_name"));
}

TEST_F(Reporting, TakesTheOneCertificateThatIsPinnedWhoeverSignedIt) {
  TestAuthority other(gate_.files_env.env().clock.wall_now(), "Another Authority");
  const auto theirs = other.issue({.subject_names = "DNS:elsewhere.example"});
  gate_.install(theirs);
  ASSERT_TRUE(gate_.certificates->reload().value());

  EXPECT_THAT(connect("127.0.0.1", "", theirs.fingerprint_sha256), IsOk());
  EXPECT_THAT(connect("127.0.0.1", "", std::string(64, 'a')).error().message,
              HasSubstr("wrong_pin"));
}

TEST_F(Reporting, RefusesARequesterOfAnotherAuthority) {
  TestAuthority other(gate_.files_env.env().clock.wall_now(), "Another Authority");
  gate_.install(other.issue({.subject_names = "IP:127.0.0.1"}));
  ASSERT_TRUE(gate_.certificates->reload().value());

  EXPECT_THAT(connect("127.0.0.1").error().message, HasSubstr("unknown_ca"));
}

TEST_F(Reporting, NeedsCertificatesOfOurs) {
  certificates_.reset();

  EXPECT_THAT(connect("127.0.0.1"), FailsWith("report.tls"));
}

}  // namespace
}  // namespace isthmus::test
