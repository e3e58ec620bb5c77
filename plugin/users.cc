#include "plugin/users.h"

#include <algorithm>

#include "base/digest.h"

namespace isthmus::plugin {
namespace {

constexpr std::size_t kLongestName = 100;
constexpr std::string_view kBasic = "basic ";

// Of "Basic am9objpzZWNyZXQ=" (RFC 7617): what stands before the first colon.
std::string name_in(std::string_view authorization) {
  if (authorization.size() < kBasic.size()) return {};
  const bool is_basic = std::equal(
      kBasic.begin(), kBasic.end(), authorization.begin(),
      [](char lower, char c) { return (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) == lower; });
  if (!is_basic) return {};
  authorization.remove_prefix(kBasic.size());
  while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
  while (!authorization.empty() && authorization.back() == ' ') authorization.remove_suffix(1);
  const auto decoded = from_base64(authorization);
  if (!decoded) return {};
  const std::string_view text = as_text(*decoded);
  return std::string(text.substr(0, text.find(':')));
}

std::string shown(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c <= ' ' || c > '~' || c == ';'; }, '_');
  return name.substr(0, kLongestName);
}

}  // namespace

api::Caller Users::of(std::string_view authorization) const {
  const std::string name = are_checked_ ? name_in(authorization) : std::string();
  const auto found = named_.find(name);
  api::Caller caller;
  caller.name = name.empty() ? "orthanc" : "orthanc/" + shown(name);
  caller.scopes = name.empty() || found == named_.end() ? others_ : found->second;
  caller.how = api::Authentication::control_token;
  return caller;
}

}  // namespace isthmus::plugin
