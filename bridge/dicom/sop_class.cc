#include "dicom/sop_class.h"

// dcuid.h needs what osconfig.h decides about the platform.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcuid.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace isthmus::dicom {
namespace {

using std::string_view_literals::operator""sv;

struct NamedUid {
  std::string_view uid;
  std::string_view name;
};

// Storage SOP classes of PS3.6 Table A-1 that DCMTK 3.6.7 does not list: newer ones, and those of
// objects that belong to no patient (PS3.4 Table GG.3-1).
constexpr std::array kBesides{
    NamedUid{"1.2.840.10008.5.1.4.1.1.6.3", "PhotoacousticImageStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.9.100.1", "WaveformPresentationStateStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.9.100.2", "WaveformAcquisitionPresentationStateStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.11.12",
             "VariableModalityLUTSoftcopyPresentationStateStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.66.7", "LabelMapSegmentationStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.66.8", "HeightMapSegmentationStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.77.1.8", "ConfocalMicroscopyImageStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.77.1.9", "ConfocalMicroscopyTiledPyramidalImageStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.88.76", "EnhancedXRayRadiationDoseSRStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.88.77", "WaveformAnnotationSRStorage"},
    NamedUid{"1.2.840.10008.5.1.4.1.1.201.1", "InventoryStorage"},
    NamedUid{"1.2.840.10008.5.1.4.34.7", "RTBeamsDeliveryInstructionStorage"},
    NamedUid{"1.2.840.10008.5.1.4.34.10", "RTBrachyApplicationSetupDeliveryInstructionStorage"},
    NamedUid{"1.2.840.10008.5.1.4.38.1", "HangingProtocolStorage"},
    NamedUid{"1.2.840.10008.5.1.4.39.1", "ColorPaletteStorage"},
    NamedUid{"1.2.840.10008.5.1.4.43.1", "GenericImplantTemplateStorage"},
    NamedUid{"1.2.840.10008.5.1.4.44.1", "ImplantAssemblyTemplateStorage"},
    NamedUid{"1.2.840.10008.5.1.4.45.1", "ImplantTemplateGroupStorage"},
};

// The arc that the standard gives storage classes from, and only those but for kServices.
constexpr auto kStorageArc = "1.2.840.10008.5.1.4.1.1"sv;

// Arcs and UIDs of services that are not storage; whatever is below an arc is meant with it.
constexpr std::array kServices{
    "1.2.840.10008.1.1"sv,     // Verification
    "1.2.840.10008.1.2"sv,     // transfer syntaxes
    "1.2.840.10008.1.3.10"sv,  // Media Storage Directory
    "1.2.840.10008.1.4"sv,     // well-known frames of reference
    "1.2.840.10008.1.5"sv,     // well-known colour palettes
    "1.2.840.10008.1.9"sv,     // Basic Study Content Notification
    "1.2.840.10008.1.20"sv,    // Storage Commitment
    "1.2.840.10008.1.40"sv,    // Procedural Event Logging
    "1.2.840.10008.1.42"sv,    // Substance Administration Logging
    "1.2.840.10008.2"sv,       // code dictionaries
    "1.2.840.10008.3.1"sv,     // application context, detached management, MPPS
    "1.2.840.10008.4.2"sv,     // the Storage service class itself
    "1.2.840.10008.5.1.1"sv,   // Print (its three retired storage classes are known as such)
    "1.2.840.10008.5.1.4.1.1.200.4"sv,  // Protocol Q/R: FIND, MOVE, GET
    "1.2.840.10008.5.1.4.1.1.200.5"sv,
    "1.2.840.10008.5.1.4.1.1.200.6"sv,
    "1.2.840.10008.5.1.4.1.1.201.2"sv,  // Inventory: FIND, MOVE, GET, creation, repository query
    "1.2.840.10008.5.1.4.1.1.201.3"sv,
    "1.2.840.10008.5.1.4.1.1.201.4"sv,
    "1.2.840.10008.5.1.4.1.1.201.5"sv,
    "1.2.840.10008.5.1.4.1.1.201.6"sv,
    "1.2.840.10008.5.1.4.1.2"sv,  // Query/Retrieve
    "1.2.840.10008.5.1.4.1.3"sv,
    "1.2.840.10008.5.1.4.1.4"sv,
    "1.2.840.10008.5.1.4.20"sv,    // defined procedure protocol Q/R
    "1.2.840.10008.5.1.4.31"sv,    // Modality Worklist
    "1.2.840.10008.5.1.4.32"sv,    // General Purpose Worklist
    "1.2.840.10008.5.1.4.33"sv,    // Instance Availability Notification
    "1.2.840.10008.5.1.4.34.2"sv,  // RT machine verification (trial)
    "1.2.840.10008.5.1.4.34.3"sv,
    "1.2.840.10008.5.1.4.34.4"sv,  // UPS (trial)
    "1.2.840.10008.5.1.4.34.5"sv,  // UPS
    "1.2.840.10008.5.1.4.34.6"sv,
    "1.2.840.10008.5.1.4.34.8"sv,  // RT machine verification
    "1.2.840.10008.5.1.4.34.9"sv,
    "1.2.840.10008.5.1.4.37"sv,    // Relevant Patient Information Query
    "1.2.840.10008.5.1.4.38.2"sv,  // Hanging Protocol: FIND, MOVE, GET
    "1.2.840.10008.5.1.4.38.3"sv,
    "1.2.840.10008.5.1.4.38.4"sv,
    "1.2.840.10008.5.1.4.39.2"sv,  // Color Palette: FIND, MOVE, GET
    "1.2.840.10008.5.1.4.39.3"sv,
    "1.2.840.10008.5.1.4.39.4"sv,
    "1.2.840.10008.5.1.4.41"sv,    // Product Characteristics Query
    "1.2.840.10008.5.1.4.42"sv,    // Substance Approval Query
    "1.2.840.10008.5.1.4.43.2"sv,  // Implant templates: FIND, MOVE, GET
    "1.2.840.10008.5.1.4.43.3"sv,
    "1.2.840.10008.5.1.4.43.4"sv,
    "1.2.840.10008.5.1.4.44.2"sv,
    "1.2.840.10008.5.1.4.44.3"sv,
    "1.2.840.10008.5.1.4.44.4"sv,
    "1.2.840.10008.5.1.4.45.2"sv,
    "1.2.840.10008.5.1.4.45.3"sv,
    "1.2.840.10008.5.1.4.45.4"sv,
    "1.2.840.10008.6"sv,   // context groups
    "1.2.840.10008.7"sv,   // native DICOM model
    "1.2.840.10008.8"sv,   // DNS
    "1.2.840.10008.9"sv,   // DICOM content mapping
    "1.2.840.10008.10"sv,  // real-time communication
    "1.2.840.10008.15"sv,  // LDAP
};

bool in_arc(std::string_view uid, std::string_view arc) {
  return uid.starts_with(arc) && (uid.size() == arc.size() || uid[arc.size()] == '.');
}

std::vector<std::string_view> list_storage_classes() {
  std::vector<std::string_view> all;
  for (int i = 0; i < numberOfDcmAllStorageSOPClassUIDs; ++i) {
    all.emplace_back(dcmAllStorageSOPClassUIDs[i]);
  }
  for (const NamedUid& known : kBesides) {
    if (std::find(all.begin(), all.end(), known.uid) == all.end()) all.push_back(known.uid);
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

std::span<const std::string_view> storage_sop_classes() {
  static const std::vector<std::string_view> all = list_storage_classes();
  return all;
}

SopClassKind sop_class_kind(std::string_view uid) {
  const auto known = storage_sop_classes();
  if (std::binary_search(known.begin(), known.end(), uid)) return SopClassKind::storage;
  const bool service = std::any_of(kServices.begin(), kServices.end(),
                                   [uid](std::string_view arc) { return in_arc(uid, arc); });
  if (service) return SopClassKind::not_storage;
  // Classes newer than this program.
  return in_arc(uid, kStorageArc) && uid != kStorageArc ? SopClassKind::storage
                                                        : SopClassKind::unknown;
}

std::string_view sop_class_name(std::string_view uid) {
  for (const NamedUid& known : kBesides) {
    if (known.uid == uid) return known.name;
  }
  const char* name = dcmFindNameOfUID(std::string(uid).c_str(), "");
  return name == nullptr ? std::string_view() : std::string_view(name);
}

}  // namespace isthmus::dicom
