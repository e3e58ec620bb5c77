#include "wire/dicom_json_values.h"

#include <algorithm>
#include <array>

#include "base/digest.h"

namespace isthmus::wire {
namespace {

using nlohmann::json;

constexpr int kMostLevels = 16;  // of sequences

template <std::size_t N>
bool one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

constexpr std::array<std::string_view, 8> kNumbers{"US", "SS", "UL", "SL", "FL", "FD", "SV", "UV"};
constexpr std::array<std::string_view, 7> kBytes{"OB", "OW", "OD", "OF", "OL", "OV", "UN"};

bool is_tag(std::string_view name) {
  return name.size() == 8 && name.find_first_not_of("0123456789ABCDEF") == std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(const FormLookup& look_up) : look_up_(look_up) {}

  Result<json> element(const json& element, const ElementForm& form, int level) {
    if (!element.is_object()) return fault(form, "must be an object with vr and Value");
    std::string vr = form.vr;
    if (const auto given = element.find("vr"); given != element.end()) {
      if (!given->is_string()) return fault(form, "has a vr that is no text");
      vr = given->get<std::string>();
    }
    if (element.contains("BulkDataURI")) return fault(form, "cannot be given by reference");
    if (const auto bytes = element.find("InlineBinary"); bytes != element.end()) {
      const bool good = one_of(kBytes, vr) && bytes->is_string() &&
                        from_base64(bytes->get_ref<const std::string&>()).has_value();
      if (!good) return fault(form, "has an InlineBinary that is no base64 of a binary VR");
      return *bytes;
    }
    const auto values = element.find("Value");
    if (values == element.end()) return json(nullptr);
    if (!values->is_array()) return fault(form, "has a Value that is no list");
    if (values->empty()) return json(nullptr);
    json read = json::array();
    for (const json& value : *values) {
      TRY_ASSIGN(json one, vr == "SQ" ? item(value, form, level) : single(value, vr, form));
      read.push_back(std::move(one));
    }
    if (vr == "SQ" || form.several_values || read.size() > 1) return read;
    return read.front();
  }

 private:
  static Error fault(const ElementForm& form, const char* what) {
    return permanent_error("api.bad_attribute", form.key + " " + what + ".");
  }

  Result<json> item(const json& value, const ElementForm& form, int level) {
    if (!value.is_object()) return fault(form, "has an item that is no object");
    if (level >= kMostLevels) return fault(form, "has sequences nested too deeply");
    json read = json::object();
    for (const auto& [name, inner] : value.items()) {
      if (!look_up_(name) && !is_tag(name)) {
        return fault(form, "has an item with an element that nobody knows");
      }
      const ElementForm own = look_up_(name).value_or(ElementForm{name, "UN", false});
      TRY_ASSIGN(read[own.key], element(inner, own, level + 1));
    }
    return read;
  }

  static Result<json> single(const json& value, std::string_view vr, const ElementForm& form) {
    if (value.is_null()) return json("");
    if (vr == "PN") return person_name(value, form);
    if (one_of(kNumbers, vr)) {
      if (!value.is_number()) return fault(form, "has a value that is no number");
      return value;
    }
    // DS and IS may be numbers in the model; the document has them as text.
    const bool number_text = (vr == "DS" || vr == "IS") && value.is_number();
    if (number_text) return json(value.dump());
    if (!value.is_string()) return fault(form, "has a value that is no text");
    return value;
  }

  static Result<json> person_name(const json& value, const ElementForm& form) {
    if (value.is_string()) return value;
    if (!value.is_object()) return fault(form, "has a value that is no person name");
    std::string name;
    std::string pending;  // delimiters of groups that are empty so far
    for (const char* group : {"Alphabetic", "Ideographic", "Phonetic"}) {
      const auto found = value.find(group);
      if (found != value.end() && !found->is_string()) {
        return fault(form, "has a person name that is no text");
      }
      if (found != value.end() && !found->get_ref<const std::string&>().empty()) {
        name += pending + found->get<std::string>();
        pending.clear();
      }
      pending += '=';
    }
    return json(name);
  }

  const FormLookup& look_up_;
};

}  // namespace

Result<json> metadata_value(const json& element, const ElementForm& form,
                            const FormLookup& look_up) {
  return Reader(look_up).element(element, form, 0);
}

}  // namespace isthmus::wire
