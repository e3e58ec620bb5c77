#include "wire/xml.h"

#include <fmt/format.h>

#include <pugixml.hpp>

namespace isthmus::wire {

namespace {

pugi::xml_node node_of(const void* node) {
  return pugi::xml_node(
      const_cast<pugi::xml_node_struct*>(static_cast<const pugi::xml_node_struct*>(node)));
}

XmlElement element_of(pugi::xml_node node) {
  return node ? XmlElement(node.internal_object()) : XmlElement();
}

// pugixml walks without recursion; so a hostile depth costs nothing but the walk up to the limit.
class DepthCheck : public pugi::xml_tree_walker {
 public:
  explicit DepthCheck(int most) : most_(most) {}
  bool for_each(pugi::xml_node&) override { return depth() <= most_; }

 private:
  const int most_;
};

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("&#x{:X};", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
}

}  // namespace

std::string XmlElement::name() const {
  return node_of(node_).name();
}

std::string XmlElement::attribute(const char* name) const {
  return node_of(node_).attribute(name).value();
}

XmlElement XmlElement::child(const char* name) const {
  return element_of(node_of(node_).child(name));
}

std::vector<XmlElement> XmlElement::children(const char* name) const {
  std::vector<XmlElement> all;
  for (const pugi::xml_node child : node_of(node_).children(name)) {
    all.push_back(element_of(child));
  }
  return all;
}

std::string XmlElement::text() const {
  std::string all;
  for (const pugi::xml_node child : node_of(node_).children()) {
    if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata) {
      all += child.value();
    }
  }
  return all;
}

std::optional<std::string> XmlElement::child_text(const char* name) const {
  const XmlElement found = child(name);
  if (!found.present()) return std::nullopt;
  return found.text();
}

struct XmlDocument::State {
  pugi::xml_document document;
};

XmlDocument::XmlDocument(std::unique_ptr<State> state) : state_(std::move(state)) {}
XmlDocument::~XmlDocument() = default;
XmlDocument::XmlDocument(XmlDocument&&) noexcept = default;
XmlDocument& XmlDocument::operator=(XmlDocument&&) noexcept = default;

Result<XmlDocument> XmlDocument::parse(std::string_view text, std::string_view root_name,
                                       std::uint64_t limit, const char* error_code, int max_depth) {
  const auto refused = [&](const char* why) {
    return permanent_error(error_code, fmt::format("Not a <{}> document: {}.", root_name, why));
  };
  if (text.size() > limit) return refused("it is too large");
  if (text.find('\0') != std::string_view::npos) return refused("it has a zero byte");
  auto state = std::make_unique<State>();
  // Declarations of types are kept, to be seen and refused. A text of blanks alone is a value.
  constexpr unsigned kOptions =
      pugi::parse_default | pugi::parse_doctype | pugi::parse_ws_pcdata_single;
  const pugi::xml_parse_result result =
      state->document.load_buffer(text.data(), text.size(), kOptions, pugi::encoding_utf8);
  if (!result) return refused(result.description());
  std::size_t roots = 0;
  for (const pugi::xml_node node : state->document.children()) {
    if (node.type() == pugi::node_doctype) return refused("document types are not accepted");
    if (node.type() == pugi::node_element) ++roots;
  }
  if (roots != 1) return refused("it has not exactly one root");
  if (root_name != state->document.document_element().name()) return refused("the root is another");
  DepthCheck depth(max_depth);
  if (!state->document.traverse(depth)) return refused("it is nested too deeply");
  return XmlDocument(std::move(state));
}

XmlElement XmlDocument::root() const {
  return element_of(state_->document.document_element());
}

XmlWriter::XmlWriter(std::string_view root, std::string_view xml_namespace) : root_(root) {
  out_ = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<" + root_;
  if (!xml_namespace.empty()) out_.append(" xmlns=\"").append(xml_namespace).append("\"");
  out_ += '>';
}

void XmlWriter::element(std::string_view name, const std::function<void()>& inside) {
  out_.append("<").append(name).append(">");
  inside();
  out_.append("</").append(name).append(">");
}

void XmlWriter::element(std::string_view name, std::string_view text) {
  out_.append("<").append(name).append(">");
  append_escaped(out_, text);
  out_.append("</").append(name).append(">");
}

void XmlWriter::element(std::string_view name, std::uint64_t number) {
  element(name, std::string_view(std::to_string(number)));
}

void XmlWriter::element(std::string_view name, bool value) {
  element(name, std::string_view(value ? "true" : "false"));
}

void XmlWriter::text(std::string_view text) {
  append_escaped(out_, text);
}

std::string XmlWriter::finish() {
  out_.append("</").append(root_).append(">");
  return std::move(out_);
}

}  // namespace isthmus::wire
