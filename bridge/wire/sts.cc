#include "wire/sts.h"

#include <charconv>
#include <map>

#include "http/http.h"
#include "wire/xml.h"

namespace isthmus::wire::sts {
namespace {

constexpr const char* kVersion = "2011-06-15";
constexpr const char* kNamespace = "https://sts.amazonaws.com/doc/2011-06-15/";
constexpr const char* kMalformed = "sts.malformed";

void add(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form += std::string(name) + "=" + http::percent_encode(value, false);
}

std::string root_name(bool by_web_identity, const char* end) {
  return std::string(by_web_identity ? "AssumeRoleWithWebIdentity" : "AssumeRole") + end;
}

}  // namespace

std::string print(const AssumeRole& request) {
  std::string form;
  add(form, "Action", root_name(!request.web_identity_token.empty(), ""));
  add(form, "Version", kVersion);
  add(form, "RoleArn", request.role_arn);
  add(form, "RoleSessionName", request.session_name);
  if (!request.external_id.empty()) add(form, "ExternalId", request.external_id);
  if (!request.web_identity_token.empty()) {
    add(form, "WebIdentityToken", request.web_identity_token);
  }
  if (request.duration_seconds) {
    add(form, "DurationSeconds", std::to_string(*request.duration_seconds));
  }
  return form;
}

Result<AssumeRole> parse_assume_role(std::string_view form) {
  std::map<std::string, std::string> fields;
  for (auto& [name, value] : http::parse_query(form)) fields[name] = std::move(value);
  AssumeRole request{fields["RoleArn"], fields["RoleSessionName"], fields["ExternalId"],
                     fields["WebIdentityToken"], std::nullopt};
  if (fields["Action"] != root_name(!request.web_identity_token.empty(), "")) {
    return permanent_error(kMalformed, "The Action is none of those known here.");
  }
  if (request.role_arn.empty() || request.session_name.empty()) {
    return permanent_error(kMalformed, "RoleArn or RoleSessionName is missing.");
  }
  const std::string& seconds = fields["DurationSeconds"];
  int number = 0;
  const auto read = std::from_chars(seconds.data(), seconds.data() + seconds.size(), number);
  if (!seconds.empty() && read.ec == std::errc()) request.duration_seconds = number;
  return request;
}

std::string print(const AssumedRole& answer, bool by_web_identity) {
  XmlWriter xml(root_name(by_web_identity, "Response"), kNamespace);
  xml.element(root_name(by_web_identity, "Result"), [&] {
    xml.element("Credentials", [&] {
      xml.element("AccessKeyId", answer.access_key_id);
      xml.element("SecretAccessKey", answer.secret_access_key);
      xml.element("SessionToken", answer.session_token);
      xml.element("Expiration", to_rfc3339(answer.expires_at));
    });
  });
  return xml.finish();
}

Result<AssumedRole> parse_assumed_role(std::string_view xml) {
  const bool by_web_identity =
      xml.find("AssumeRoleWithWebIdentityResponse") != std::string_view::npos;
  const std::string root = root_name(by_web_identity, "Response");
  TRY_ASSIGN(const XmlDocument document, XmlDocument::parse(xml, root, kMaxXmlBytes, kMalformed));
  const XmlElement credentials =
      document.root().child(root_name(by_web_identity, "Result").c_str()).child("Credentials");
  AssumedRole answer{credentials.child("AccessKeyId").text(),
                     credentials.child("SecretAccessKey").text(),
                     credentials.child("SessionToken").text(),
                     {}};
  const auto expires_at = from_rfc3339(credentials.child("Expiration").text());
  if (answer.access_key_id.empty() || answer.secret_access_key.empty() ||
      answer.session_token.empty() || !expires_at) {
    return permanent_error(kMalformed, "The answer has no whole set of credentials.");
  }
  answer.expires_at = *expires_at;
  return answer;
}

std::string print_caller_identity_request() {
  std::string form;
  add(form, "Action", "GetCallerIdentity");
  add(form, "Version", kVersion);
  return form;
}

std::string print(const CallerIdentity& answer) {
  XmlWriter xml("GetCallerIdentityResponse", kNamespace);
  xml.element("GetCallerIdentityResult", [&] {
    xml.element("Arn", answer.arn);
    xml.element("UserId", answer.user_id);
    xml.element("Account", answer.account);
  });
  return xml.finish();
}

Result<CallerIdentity> parse_caller_identity(std::string_view xml) {
  TRY_ASSIGN(const XmlDocument document,
             XmlDocument::parse(xml, "GetCallerIdentityResponse", kMaxXmlBytes, kMalformed));
  const XmlElement result = document.root().child("GetCallerIdentityResult");
  CallerIdentity answer{result.child("Account").text(), result.child("Arn").text(),
                        result.child("UserId").text()};
  if (answer.arn.empty()) return permanent_error(kMalformed, "The answer names nobody.");
  return answer;
}

std::string print(const ErrorBody& error) {
  XmlWriter xml("ErrorResponse", kNamespace);
  xml.element("Error", [&] {
    xml.element("Type", "Sender");
    xml.element("Code", error.code);
    xml.element("Message", error.message);
  });
  return xml.finish();
}

Result<ErrorBody> parse_error(std::string_view xml) {
  TRY_ASSIGN(const XmlDocument document,
             XmlDocument::parse(xml, "ErrorResponse", kMaxXmlBytes, kMalformed));
  const XmlElement error = document.root().child("Error");
  if (!error.present()) return permanent_error(kMalformed, "There is no Error in the answer.");
  return ErrorBody{error.child("Code").text(), error.child("Message").text()};
}

}  // namespace isthmus::wire::sts
