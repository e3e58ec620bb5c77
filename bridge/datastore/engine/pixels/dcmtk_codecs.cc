#include "datastore/engine/pixels/dcmtk_codecs.h"

// DCMTK's headers need what osconfig.h decides about the platform.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>

#include <memory>

namespace isthmus::datastore {
namespace {

Error broken(const char* what) {
  return permanent_error("pixels.broken", std::string(what) + ".");
}

Uint16 small(std::uint32_t value) {
  return static_cast<Uint16>(value);
}

// A data set of one frame: what a decoder looks at, and the code stream in one fragment. Fragments
// have even lengths (PS3.5 section A.4).
OFCondition fill(DcmDataset& dataset, DcmPixelData*& pixels, const PixelDescription& description,
                 ByteSpan code_stream, E_TransferSyntax syntax) {
  dataset.putAndInsertUint16(DCM_Rows, small(description.rows));
  dataset.putAndInsertUint16(DCM_Columns, small(description.columns));
  dataset.putAndInsertUint16(DCM_SamplesPerPixel, small(description.samples));
  dataset.putAndInsertUint16(DCM_BitsAllocated, small(description.bits_allocated));
  dataset.putAndInsertUint16(DCM_BitsStored, small(description.bits_stored));
  dataset.putAndInsertUint16(DCM_HighBit, small(description.bits_stored - 1));
  dataset.putAndInsertUint16(DCM_PixelRepresentation, description.is_signed ? 1 : 0);
  if (description.samples > 1) dataset.putAndInsertUint16(DCM_PlanarConfiguration, 0);
  dataset.putAndInsertString(DCM_PhotometricInterpretation, description.photometric.c_str());
  dataset.putAndInsertString(DCM_NumberOfFrames, "1");
  auto sequence = std::make_unique<DcmPixelSequence>(DcmTag(DCM_PixelSequenceTag));
  auto table = std::make_unique<DcmPixelItem>(DcmTag(DCM_PixelItemTag));
  OFCondition done = sequence->insert(table.get());
  if (done.bad()) return done;
  table.release();  // the sequence's from here on
  Bytes even(code_stream.begin(), code_stream.end());
  if (even.size() % 2 != 0) even.push_back(std::byte{0});
  auto fragment = std::make_unique<DcmPixelItem>(DcmTag(DCM_PixelItemTag));
  done = fragment->putUint8Array(reinterpret_cast<const Uint8*>(even.data()),
                                 static_cast<unsigned long>(even.size()));
  if (done.bad()) return done;
  done = sequence->insert(fragment.get());
  if (done.bad()) return done;
  fragment.release();
  auto element = std::make_unique<DcmPixelData>(DcmTag(DCM_PixelData));
  element->putOriginalRepresentation(syntax, nullptr, sequence.release());
  pixels = element.get();
  done = dataset.insert(element.get(), OFTrue);
  if (done.good()) element.release();
  return done;
}

}  // namespace

void register_dcmtk_codecs() {
  // No conversion of colours: a lossless frame keeps its samples.
  DJDecoderRegistration::registerCodecs(EDC_never, EUC_never, EPC_colorByPixel);
  DJLSDecoderRegistration::registerCodecs(EJLSUC_never, EJLSPC_colorByPixel);
  DcmRLEDecoderRegistration::registerCodecs();
}

Result<DecodedFrame> decode_with_dcmtk(const PixelDescription& description, ByteSpan code_stream) {
  TRY_ASSIGN(DecodedFrame frame, blank_frame(description));
  const E_TransferSyntax syntax = DcmXfer(description.transfer_syntax_uid.c_str()).getXfer();
  DcmDataset dataset;
  DcmPixelData* pixels = nullptr;
  if (fill(dataset, pixels, description, code_stream, syntax).bad() || pixels == nullptr) {
    return broken("The code stream cannot be handed to its decoder");
  }
  Uint32 fragment = 0;
  OFString colours;
  // A byte more where the size is odd: DCMTK asks for room for even lengths.
  Bytes room(frame.pixels.size() + frame.pixels.size() % 2);
  const OFCondition done = pixels->getUncompressedFrame(&dataset, 0, fragment, room.data(),
                                                        static_cast<Uint32>(room.size()), colours);
  if (done.bad()) return broken("The code stream cannot be decoded");
  room.resize(frame.pixels.size());
  frame.pixels = std::move(room);
  return frame;
}

}  // namespace isthmus::datastore
