#include "app/conformance_document.h"

#include <fmt/format.h>

#include "app/settings.h"
#include "dicom/part10.h"
#include "dicom/sop_class.h"
#include "dicom/status.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::app {
namespace {

std::string_view default_of(std::string_view setting) {
  for (const SettingSpec& spec : setting_specs()) {
    if (spec.name == setting) return spec.default_json;
  }
  return "";
}

std::string identity() {
  std::string text = "### N.9.1 Identity\n\n| parameter | value |\n| --- | --- |\n";
  const auto row = [&text](std::string_view name, std::string_view value) {
    text += fmt::format("| {} | {} |\n", name, value);
  };
  row("application context", "1.2.840.10008.3.1.1.1");
  row("implementation class UID", dicom::implementation_class_uid());
  row("implementation version name", dicom::implementation_version_name());
  row("maximum PDU received (`dimse.max_pdu_bytes`)", default_of("dimse.max_pdu_bytes"));
  row("associations as acceptor at once (`dimse.max_associations`)",
      default_of("dimse.max_associations"));
  return text;
}

std::string transfer_syntaxes() {
  std::string text =
      "### N.9.2 Transfer syntaxes\n\nFor every storage SOP class. Whatever is accepted is stored "
      "as received, byte for byte.\n\n| transfer syntax | UID | accepted |\n| --- | --- | --- |\n";
  for (const auto& syntax : dicom::known_transfer_syntaxes()) {
    const std::string_view accepted = syntax.jpip    ? "never"
                                      : syntax.lossy ? "when nothing lossless is offered"
                                                     : "yes";
    text += fmt::format("| {} | {} | {} |\n", syntax.name, syntax.uid, accepted);
  }
  return text;
}

std::string sop_classes() {
  std::string text =
      "### N.9.3 SOP classes, Storage as SCP\n\nRetired ones included.\n\n"
      "| SOP class | UID |\n| --- | --- |\n";
  for (const std::string_view uid : dicom::storage_sop_classes()) {
    text += fmt::format("| {} | {} |\n", dicom::sop_class_name(uid), uid);
  }
  return text;
}

std::string statuses() {
  std::string text =
      "### N.9.4 Status codes\n\nOf C-STORE and C-ECHO, and of every operation that is not "
      "offered.\n\n| status | when it is given | source |\n| --- | --- | --- |\n";
  for (const dicom::Status& status : dicom::status_table()) {
    text += fmt::format("| {:04X} | {} | {} |\n", status.code, status.meaning, status.source);
  }
  return text;
}

}  // namespace

std::string conformance_tables_markdown() {
  return "## N.9 Annex: tables\n\nMade by `isthmus print-conformance` from the tables that the "
         "program runs on; do not edit from here on.\n\n" +
         identity() + "\n" + transfer_syntaxes() + "\n" + sop_classes() + "\n" + statuses();
}

}  // namespace isthmus::app
