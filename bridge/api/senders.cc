#include "api/senders.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/problem.h"

namespace isthmus::api {
namespace {

using nlohmann::json;

constexpr std::uint64_t kOrderBytes = 64 * KiB;

constexpr std::array<std::string_view, 3> kKinds{"admit", "block", "remove"};

struct TextMember {
  const char* name;
  std::string SenderOrder::*member;
};
constexpr std::array kTexts{TextMember{"who", &SenderOrder::who},
                            TextMember{"name", &SenderOrder::name},
                            TextMember{"report_to", &SenderOrder::report_to},
                            TextMember{"report_tls_name", &SenderOrder::report_tls_name},
                            TextMember{"report_tls_pin", &SenderOrder::report_tls_pin}};

struct ListMember {
  const char* name;
  std::vector<std::string> SenderOrder::*member;
};
constexpr std::array kLists{ListMember{"from", &SenderOrder::from},
                            ListMember{"called", &SenderOrder::called},
                            ListMember{"tls_identities", &SenderOrder::tls_identities},
                            ListMember{"sop_classes", &SenderOrder::sop_classes},
                            ListMember{"destinations", &SenderOrder::destinations}};

struct NumberMember {
  const char* name;
  std::optional<double> SenderOrder::*member;
};
constexpr std::array kNumbers{
    NumberMember{"associations", &SenderOrder::associations},
    NumberMember{"instances_per_second", &SenderOrder::instances_per_second},
    NumberMember{"bytes_per_second", &SenderOrder::bytes_per_second}};

Error bad_request(const std::string& what) {
  return permanent_error("api.bad_request", "An order must have " + what + ".");
}

bool is_list_of_texts(const json& value) {
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [](const json& item) { return item.is_string(); });
}

http::Response carry_out(SenderDesk& desk, const std::string& body) {
  const auto order = order_from(body);
  if (!order.ok()) return problem(order.error());
  const auto done = desk.carry_out(*order);
  if (!done.ok()) return problem(done.error());
  return json_answer(200, json{{"done", *done}});
}

}  // namespace

std::string order_json(const SenderOrder& order) {
  json body{{"kind", kKinds[static_cast<std::size_t>(order.kind)]},
            {"report_tls", order.report_tls}};
  for (const TextMember& text : kTexts) body[text.name] = order.*(text.member);
  for (const ListMember& list : kLists) body[list.name] = order.*(list.member);
  for (const NumberMember& number : kNumbers) {
    if (const auto& value = order.*(number.member)) body[number.name] = *value;
  }
  return body.dump();
}

namespace {

Result<void> read_numbers(const json& body, SenderOrder& order) {
  for (const NumberMember& member : kNumbers) {
    if (!body.contains(member.name)) continue;
    if (!body[member.name].is_number()) {
      return bad_request(std::string("a number as ") + member.name);
    }
    order.*(member.member) = body[member.name].get<double>();
  }
  return {};
}

}  // namespace

Result<SenderOrder> order_from(const std::string& text) {
  const json body = json::parse(text, nullptr, false);
  if (!body.is_object() || !body.contains("kind") || !body["kind"].is_string()) {
    return bad_request("a kind: admit, block or remove");
  }
  SenderOrder order;
  const auto kind = std::find(kKinds.begin(), kKinds.end(), body["kind"].get<std::string>());
  if (kind == kKinds.end()) return bad_request("a kind: admit, block or remove");
  order.kind = static_cast<SenderOrder::Kind>(kind - kKinds.begin());
  for (const TextMember& member : kTexts) {
    if (!body.contains(member.name)) continue;
    if (!body[member.name].is_string()) return bad_request(std::string("text as ") + member.name);
    order.*(member.member) = body[member.name].get<std::string>();
  }
  for (const ListMember& member : kLists) {
    if (!body.contains(member.name)) continue;
    if (!is_list_of_texts(body[member.name])) {
      return bad_request(std::string("a list of texts as ") + member.name);
    }
    order.*(member.member) = body[member.name].get<std::vector<std::string>>();
  }
  if (body.contains("report_tls") && !body["report_tls"].is_boolean()) {
    return bad_request("true or false as report_tls");
  }
  order.report_tls = body.value("report_tls", false);
  TRY(read_numbers(body, order));
  if (order.who.empty()) return bad_request("an AE title or a name as who");
  return order;
}

void add_sender_routes(GuardedRouter& router, SenderDesk& desk) {
  router.add("POST", "/control/senders", Scope::admin, [&desk](const Call&) {
    return http::gather(kOrderBytes,
                        [&desk](const std::string& body) { return carry_out(desk, body); });
  });
}

}  // namespace isthmus::api
