// Signature Version 4: claims from strangers, and requests of any path, query and headers. What we
// sign, we verify; with anything else changed, we do not.
#include "wire/sigv4.h"

#include <algorithm>

#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

namespace sigv4 = wire::sigv4;

constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
constexpr WallTime kNow{Milliseconds(1'790'000'000'000)};

void check_claim(std::string_view text) {
  const auto claim = sigv4::parse_authorization(text);
  if (!claim.ok()) return check(claim.error().code.starts_with("sigv4."), "a code of its own");
  const http::Headers headers{{"Host", "a"}, {"X-Amz-Date", sigv4::to_amz_date(kNow)}};
  const sigv4::Parts parts{"GET", "/", "", headers};
  check(!sigv4::verify(parts, *claim, kSecret, "us-east-1", "s3", kNow, Milliseconds(60'000),
                       sigv4::kEmptyPayloadHash)
             .ok(),
        "nobody guesses a signature");
}

bool is_target(char c) {
  return c > 0x20 && c < 0x7f && c != '#';
}

// What is signed by us is verified by us, and not when the path says something else.
void check_signing(std::string_view target, std::string_view field, bool s3) {
  if (!std::all_of(target.begin(), target.end(), is_target)) return;
  if (!std::all_of(field.begin(), field.end(), is_target)) return;
  const std::string_view service = s3 ? "s3" : "medical-imaging";
  http::Request request;
  request.url = "http://host.example:81/" + std::string(target);
  request.headers.set("X-Amz-Meta-Field", std::string(field));
  const auto signing = sigv4::sign(request, {"AKIDEXAMPLE", std::string(kSecret), ""}, "us-east-1",
                                   service, kNow, sigv4::kEmptyPayloadHash);
  if (!signing.ok()) return;
  const auto url = http::parse_url(request.url);
  check(url.ok(), "what was signed can be sent");
  const auto claim = sigv4::parse_authorization(request.headers.get("Authorization"));
  check(claim.ok(), "our own claim is well formed");
  const auto verified = [&](std::string_view path) {
    const sigv4::Parts parts{"GET", path, url->query(), request.headers};
    return sigv4::verify(parts, *claim, kSecret, "us-east-1", service, kNow, Milliseconds(1'000),
                         sigv4::kEmptyPayloadHash)
        .ok();
  };
  check(verified(url->path()), "what we sign, we verify");
  check(!verified(std::string(url->path()) + "x"), "and nothing else");
}

void run(ByteSpan input) {
  if (input.empty()) return;
  const std::string_view text = as_text(input.subspan(1));
  check_claim(text);
  const auto line = std::min(text.find('\n'), text.size());
  check_signing(text.substr(0, line), text.substr(std::min(line + 1, text.size())),
                (std::to_integer<unsigned>(input[0]) & 1) != 0);
  if (const auto time = sigv4::from_amz_date(text)) {
    check_equal(sigv4::to_amz_date(*time), text, "a date is printed as it was read");
  }
}

std::vector<std::string> seeds() {
  return {
      "\1AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260921/us-east-1/s3/aws4_request, "
      "SignedHeaders=host;x-amz-date, Signature=" +
          std::string(64, 'a'),
      "\1"
      "20150830T123600Z",
      "\1bucket/a%20b/../c//d?prefix=a%2Fb&list-type=2&x\nvalue",
      std::string("\0", 1) + "datastore/abc/./imageSet?b=2&a=1&a=0\nvalue",
  };
}

}  // namespace

Harness sigv4_harness() {
  return {"sigv4", run, 2 * KiB, seeds};
}

}  // namespace isthmus::fuzz
