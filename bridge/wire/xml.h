// Reading and writing small XML documents (pugixml behind our own functions). Private to wire.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace isthmus::wire {

// An element of a parsed document; valid as long as the document. An absent one has no children and
// no text, so that paths can be followed without asking at every step.
class XmlElement {
 public:
  XmlElement() = default;
  explicit XmlElement(const void* node) : node_(node) {}
  bool present() const { return node_ != nullptr; }
  std::string name() const;
  // Empty when it is not there.
  std::string attribute(const char* name) const;
  // The first child element of that name.
  XmlElement child(const char* name) const;
  std::vector<XmlElement> children(const char* name) const;
  // All text directly inside, CDATA included, nothing trimmed.
  std::string text() const;
  // Of the first child of that name; nothing when there is none.
  std::optional<std::string> child_text(const char* name) const;

 private:
  const void* node_ = nullptr;
};

class XmlDocument {
 public:
  // Refuses what is not one well-formed element, any DOCTYPE (so no entities but the five), more
  // than `limit` bytes, nesting above `depth`, and a root of another name: `error_code`
  // (permanent).
  static Result<XmlDocument> parse(std::string_view text, std::string_view root_name,
                                   std::uint64_t limit, const char* error_code, int depth = 16);
  XmlElement root() const;
  ~XmlDocument();
  XmlDocument(XmlDocument&&) noexcept;
  XmlDocument& operator=(XmlDocument&&) noexcept;

 private:
  struct State;
  explicit XmlDocument(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Writes elements; text is escaped. Characters that XML 1.0 cannot hold are written as references,
// as Amazon does.
class XmlWriter {
 public:
  explicit XmlWriter(std::string_view root, std::string_view xml_namespace = {});
  // <name>…</name> with what `inside` writes.
  void element(std::string_view name, const std::function<void()>& inside);
  void element(std::string_view name, std::string_view text);
  void element(std::string_view name, std::uint64_t number);
  void element(std::string_view name, bool value);
  void element(std::string_view name, const char* text) { element(name, std::string_view(text)); }
  void text(std::string_view text);
  // Closes the root and gives the document.
  std::string finish();

 private:
  std::string root_;
  std::string out_;
};

}  // namespace isthmus::wire
