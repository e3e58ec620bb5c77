// Amazon S3 and AWS HealthImaging.
#include <fmt/format.h>

#include <set>

#include "app/aws_destination.h"
#include "app/doctor_cloud.h"
#include "wire/sigv4.h"
#include "wire/sts.h"

namespace isthmus::app {
namespace {

constexpr Milliseconds kAnswerWait{10'000};
constexpr std::size_t kShownOfKey = 4;
constexpr Rights kRights{
    "s3:ListBucket on the bucket",
    "s3:PutObject and s3:AbortMultipartUpload on its objects, and use of its KMS key",
    "s3:GetObject on its objects",
    "s3:DeleteObject on its objects",
    "medical-imaging:ListDICOMImportJobs and GetDICOMImportJob on the data store",
    "medical-imaging:StartDICOMImportJob on the data store and iam:PassRole of "
    "data_access_role_arn",
    "data_access_role_arn trusts medical-imaging.amazonaws.com and may list, get and put in the "
    "bucket"};

std::string shortened(const std::string& access_key_id) {
  const bool is_short = access_key_id.size() <= kShownOfKey;
  return "****" + (is_short ? "" : access_key_id.substr(access_key_id.size() - kShownOfKey));
}

bool examine_credentials(const Patient& patient, const Result<Credentials>& found) {
  if (!found.ok()) {
    patient.note("credentials", Verdict::bad, found.error().message);
    return false;
  }
  std::string text = "access key " + shortened(found->access_key_id);
  const auto until = found->expires_at;
  if (until) text += " until " + to_rfc3339(*until);
  const bool over = until && *until <= patient.env.clock.wall_now();
  if (over) text += "; expired: renew them";
  patient.note("credentials", over ? Verdict::bad : Verdict::well, text);
  return !over;
}

struct Answer {
  int status = 0;
  std::string body;
};

// GetCallerIdentity: every identity may ask it.
Result<Answer> ask_who(const Patient& patient, http::Transport& transport, const Credentials& who,
                       const std::string& sts) {
  const std::string form = wire::sts::print_caller_identity_request();
  http::Request request;
  request.method = "POST";
  request.url = sts.ends_with('/') ? sts : sts + "/";
  request.timeout = kAnswerWait;
  request.headers.set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
  request.body = source_of(form);
  TRY(wire::sigv4::sign(request, {who.access_key_id, who.secret_access_key, who.session_token},
                        patient.text("region"), "sts", patient.env.clock.wall_now(),
                        sha256(form).hex()));
  TRY_ASSIGN(http::Response response, transport.send(std::move(request)));
  Answer answer{response.status, ""};
  if (response.body) {
    TRY_ASSIGN(answer.body, read_all(*response.body, wire::sts::kMaxXmlBytes));
  }
  return answer;
}

// That STS cannot be asked, as in a network with endpoints for S3 alone, is no fault.
void examine_identity(const Patient& patient, const Result<Answer>& answer) {
  const auto unknown = [&](const std::string& why) {
    patient.note("identity", Verdict::warn,
                 why + " STS does not say who we are; the lines of the bucket show what we may.");
  };
  if (!answer.ok()) return unknown(answer.error().message);
  if (answer->status == 200) {
    const auto identity = wire::sts::parse_caller_identity(answer->body);
    if (!identity.ok()) return unknown(identity.error().message);
    return patient.note("identity", Verdict::well, identity->arn);
  }
  const auto error = wire::sts::parse_error(answer->body);
  if (answer->status != 403 || !error.ok()) {
    return unknown(fmt::format("The answer was {}.", answer->status));
  }
  patient.note("identity", Verdict::bad,
               fmt::format("STS answered {}: {} Have the keys renewed or corrected.", error->code,
                           error->message));
}

}  // namespace

void examine_aws(const Patient& patient, bool import) {
  const auto endpoints = aws_endpoints(patient.settings, patient.name);
  const auto made = make_aws_destination(patient.env, patient.settings, patient.name, nullptr);
  if (!endpoints.ok() || !made.ok()) {
    return patient.note("config", Verdict::bad,
                        (endpoints.ok() ? made.error() : endpoints.error()).message);
  }
  // Every server once: S3 and HealthImaging may well be the same.
  for (const std::string& url : std::set<std::string>{endpoints->s3, endpoints->imaging}) {
    examine_server(patient.env, {url, patient.text("ca_file"), patient.text("proxy")},
                   patient.findings);
  }
  const auto who = (*made)->credentials->credentials();
  if (!examine_credentials(patient, who)) return;
  examine_identity(patient, ask_who(patient, *(*made)->transport, *who, endpoints->sts));
  examine_bucket(patient, **made, kRights);
  examine_jobs(patient, **made, kRights);
  if (import) examine_import(patient, **made, kRights);
}

}  // namespace isthmus::app
