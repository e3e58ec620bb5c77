#include "auth/aws_endpoint.h"

#include <algorithm>
#include <array>

namespace isthmus {
namespace {

struct Partition {
  std::string_view region_prefix;
  std::string_view suffix;
  std::string_view dual_stack_suffix;  // empty: it has none
};
// The last takes every other region.
constexpr std::array kPartitions{
    Partition{"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    Partition{"us-isob-", "sc2s.sgov.gov", ""},
    Partition{"us-isof-", "csp.hci.ic.gov", ""},
    Partition{"us-iso-", "c2s.ic.gov", ""},
    Partition{"eu-isoe-", "cloud.adc-e.uk", ""},
    Partition{"", "amazonaws.com", "api.aws"},
};

Error problem(const std::string& sentence) {
  return permanent_error("config.endpoint", sentence);
}

bool is_region(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

// S3 keeps its older names: "s3.dualstack.REGION.amazonaws.com" (Amazon S3 User Guide, "Using
// dual-stack endpoints").
std::string s3_host(const AwsEndpointChoice& choice, const Partition& partition) {
  return std::string(choice.fips ? "s3-fips." : "s3.") + (choice.dual_stack ? "dualstack." : "") +
         choice.region + "." + std::string(partition.suffix);
}

}  // namespace

Result<std::string> aws_endpoint(std::string_view service, const AwsEndpointChoice& choice) {
  if (!choice.custom.empty()) {
    if (choice.fips) return problem("FIPS and a custom endpoint do not go together.");
    if (choice.dual_stack) return problem("Dual-stack and a custom endpoint do not go together.");
    return choice.custom;
  }
  if (choice.region.empty()) return problem("The region is missing.");
  if (!is_region(choice.region)) return problem("The region is none: a-z, 0-9 and - only.");
  const Partition& partition = *std::ranges::find_if(kPartitions, [&](const Partition& one) {
    return choice.region.starts_with(one.region_prefix);
  });
  if (choice.dual_stack && partition.dual_stack_suffix.empty()) {
    return problem("There are no dual-stack endpoints in the region " + choice.region + ".");
  }
  if (service == "s3") return "https://" + s3_host(choice, partition);
  return "https://" + std::string(service) + (choice.fips ? "-fips." : ".") + choice.region + "." +
         std::string(choice.dual_stack ? partition.dual_stack_suffix : partition.suffix);
}

}  // namespace isthmus
