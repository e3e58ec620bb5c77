#include "app/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/command_line.h"

namespace isthmus::app {
namespace {

using nlohmann::ordered_json;

void print(const Findings& findings, bool json) {
  if (!json) {
    for (const Finding& one : findings) {
      say(fmt::format("{:<8}{:<16}{:<28} {}", to_string(one.verdict), one.check, one.subject,
                      one.text));
    }
    return;
  }
  const bool well = std::ranges::none_of(
      findings, [](const Finding& one) { return one.verdict == Verdict::bad; });
  ordered_json body{{"ok", well}, {"findings", ordered_json::array()}};
  for (const Finding& one : findings) {
    body["findings"].push_back({{"check", one.check},
                                {"subject", one.subject},
                                {"verdict", to_string(one.verdict)},
                                {"text", one.text}});
  }
  say(body.dump(2));
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::well:
      return "ok";
    case Verdict::warn:
      return "warn";
    case Verdict::bad:
      return "bad";
    case Verdict::skipped:
      return "skipped";
  }
  return "bad";
}

int examine_site(const Invocation& invocation, const DoctorWishes& wishes) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const std::vector<std::string>& known = settings->destinations();
  if (!wishes.destination.empty() && std::ranges::find(known, wishes.destination) == known.end()) {
    complain("no destination is named " + wishes.destination);
    return kCannot;
  }
  Findings findings;
  if (wishes.destination.empty()) examine_machine(invocation.env, *settings, findings);
  for (const std::string& name : known) {
    if (!wishes.destination.empty() && name != wishes.destination) continue;
    examine_destination(invocation.env, *settings, name, wishes.import, findings);
  }
  print(findings, wishes.json);
  const bool bad =
      std::ranges::any_of(findings, [](const Finding& one) { return one.verdict == Verdict::bad; });
  return bad ? kWrong : kWell;
}

}  // namespace isthmus::app
